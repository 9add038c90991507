"""Which rules, criteria and cache a configuration asks for, in the order in which they apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..errors import ConfigError, InputError
from ..nn.cache import (
    Cache,
    DynamicCache,
    EncoderDecoderCache,
    HybridCache,
    HybridChunkedCache,
    OffloadedStaticCache,
    SlidingWindowCache,
    StaticCache,
)
from ..nn.cache_quantized import CacheConfig, QuantizedCache, QuantizedCacheConfig
from .inputs import Prepared, Tokens
from .modes import GenerationMode
from .rules import guidance, lengths, repetition, sampling, sequences
from .rules.base import LogitsProcessorList
from .stopping import (
    ConfidenceCriteria,
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)


def rules_of(
    model: Any,
    config: Any,
    prepared: Prepared,
    tokens: Tokens,
    *,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
    own: list[Any] | None = None,
    negative_prompt_ids: Tensor | None = None,
    negative_prompt_attention_mask: Tensor | None = None,
) -> LogitsProcessorList:
    """The rules that a configuration asks for, the user's own after them, then those of sampling."""
    prompt, rules = prepared.ids.shape[1], LogitsProcessorList()

    def when(condition: Any, make: Callable[..., Any], *args: Any, **options: Any) -> None:
        if condition:
            rules.append(make(*args, **options))

    ends, device = tokens.ends, prepared.ids.device
    ended = ends is not None
    when(
        config.guidance_scale not in (None, 1), guidance.UnbatchedClassifierFreeGuidanceLogitsProcessor,
        config.guidance_scale, model, negative_prompt_ids, negative_prompt_attention_mask, config.use_cache,
    )  # fmt: skip
    when(config.sequence_bias is not None, sequences.SequenceBiasLogitsProcessor, config.sequence_bias)
    text = prepared.source if prepared.source.ndim == 2 else None
    penalty, size = config.encoder_repetition_penalty, config.encoder_no_repeat_ngram_size
    if text is None and (penalty not in (None, 1.0) or size):
        raise ConfigError("encoder_repetition_penalty and encoder_no_repeat_ngram_size need input_ids as the input.")
    when(penalty not in (None, 1.0), repetition.EncoderRepetitionPenaltyLogitsProcessor, penalty, text)
    when(
        config.repetition_penalty not in (None, 1.0), repetition.RepetitionPenaltyLogitsProcessor,
        config.repetition_penalty,
    )  # fmt: skip
    when(config.no_repeat_ngram_size, repetition.NoRepeatNGramLogitsProcessor, config.no_repeat_ngram_size)
    when(size, repetition.EncoderNoRepeatNGramLogitsProcessor, size, text)
    when(config.bad_words_ids is not None, sequences.NoBadWordsLogitsProcessor, config.bad_words_ids, ends)
    when(config.min_length and ended, lengths.MinLengthLogitsProcessor, config.min_length, ends, device)
    when(
        config.min_new_tokens and ended, lengths.MinNewTokensLengthLogitsProcessor, prompt, config.min_new_tokens, ends,
        device,
    )  # fmt: skip
    when(
        prefix_allowed_tokens_fn is not None, sequences.PrefixConstrainedLogitsProcessor, prefix_allowed_tokens_fn,
        config.num_beams,
    )  # fmt: skip
    when(config.forced_bos_token_id is not None, lengths.ForcedBOSTokenLogitsProcessor, config.forced_bos_token_id)
    when(
        config.forced_eos_token_id is not None, lengths.ForcedEOSTokenLogitsProcessor, config.max_length,
        config.forced_eos_token_id, device,
    )  # fmt: skip
    when(config.remove_invalid_values is True, sampling.InfNanRemoveLogitsProcessor)
    decay = config.exponential_decay_length_penalty
    if decay is not None and not ended:
        raise ConfigError("exponential_decay_length_penalty needs eos_token_id. Set it.")
    when(decay is not None, lengths.ExponentialDecayLengthPenalty, decay, ends, prompt)
    when(config.suppress_tokens is not None, lengths.SuppressTokensLogitsProcessor, config.suppress_tokens, device)
    begin = prompt if prompt > 1 or config.forced_bos_token_id is None else prompt + 1
    when(
        config.begin_suppress_tokens is not None, lengths.SuppressTokensAtBeginLogitsProcessor,
        config.begin_suppress_tokens, begin, device,
    )  # fmt: skip
    rules = _merged(rules, own)
    if config.do_sample:
        rules.extend(_sampling_rules(config, tokens))
    if config.watermarking_config is not None:
        size = model.config.get_text_config(decoder=True).vocab_size
        rules.append(config.watermarking_config.construct_processor(size, device))
    if config.renormalize_logits is True:
        rules.append(sampling.LogitNormalization())
    return rules


def _sampling_rules(config: Any, tokens: Tokens) -> list[Any]:
    beams = config.num_beams > 1
    keep = {"min_tokens_to_keep": (1 if tokens.ends is None else len(tokens.ends)) + 1 if beams else 1}
    rules: list[Any] = []
    if config.temperature not in (None, 1.0):
        rules.append(sampling.TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        rules.append(sampling.TopKLogitsWarper(config.top_k, **keep))
    if config.top_p is not None and config.top_p < 1.0:
        rules.append(sampling.TopPLogitsWarper(config.top_p, **keep))
    if config.min_p is not None:
        rules.append(sampling.MinPLogitsWarper(config.min_p, **keep))
    if config.typical_p is not None and config.typical_p < 1.0:
        rules.append(sampling.TypicalLogitsWarper(config.typical_p, **keep))
    if config.epsilon_cutoff is not None and 0.0 < config.epsilon_cutoff < 1.0:
        rules.append(sampling.EpsilonLogitsWarper(config.epsilon_cutoff, **keep))
    if config.eta_cutoff is not None and 0.0 < config.eta_cutoff < 1.0:
        rules.append(sampling.EtaLogitsWarper(config.eta_cutoff, **keep))
    return rules


def _merged(made: Any, own: list[Any] | None) -> Any:
    """The user's own after those that the configuration asks for; one of the same class takes its place."""
    if not own:
        return made
    kinds = {type(item): item for item in own}
    replaced = [kinds.pop(type(item), item) if type(item) in kinds else item for item in made]
    rest = [item for item in own if not any(item is kept for kept in replaced)]
    return type(made)([*replaced, *rest])


def stopping_of(model: Any, config: Any, tokens: Tokens, own: list[Any] | None, tokenizer: Any) -> StoppingCriteriaList:
    """The criteria that a configuration asks for, and the user's own.

    Raises:
        InputError: stop_strings without a tokenizer.
    """
    criteria = StoppingCriteriaList([MaxLengthCriteria(config.max_length)])
    if config.max_time is not None:
        criteria.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise InputError(
                "stop_strings need the tokenizer: model.generate(..., stop_strings=..., tokenizer=tokenizer)."
            )
        criteria.append(StopStringCriteria(tokenizer, config.stop_strings))
    if tokens.ends is not None:
        criteria.append(EosTokenCriteria(tokens.ends))
    if config.is_assistant and config.assistant_confidence_threshold:
        criteria.append(ConfidenceCriteria(config.assistant_confidence_threshold))
    merged: StoppingCriteriaList = _merged(criteria, own)
    return merged


_FIXED: dict[str, Any] = {
    "static": StaticCache,
    "offloaded_static": OffloadedStaticCache,
    "sliding_window": SlidingWindowCache,
    "hybrid": HybridCache,
    "hybrid_chunked": HybridChunkedCache,
}


def cache_of(model: Any, config: Any, mode: GenerationMode, rows: int, length: int, given: Any) -> Any:
    """The cache to generate with; None where the model makes its own or none is wanted.

    Raises:
        ConfigError: a cache is given and another one is asked for.
    """
    if given is not None:
        if config.cache_implementation is not None:
            raise ConfigError(
                f"A cache was given as past_key_values and cache_implementation="
                f"{config.cache_implementation!r} asks for another one. Leave one out."
            )
        if isinstance(given, (tuple, list)):
            kind = EncoderDecoderCache if model.config.is_encoder_decoder else DynamicCache
            return kind.from_legacy_cache(given)
        return given
    if config.use_cache is False or "past_key_values" not in model.input_names():
        return None
    made = _made(model, config, mode, rows, length)
    return EncoderDecoderCache(made) if model.config.is_encoder_decoder else made


def _made(model: Any, config: Any, mode: GenerationMode, rows: int, length: int) -> Cache:
    kind = config.cache_implementation
    goes_back = mode in (GenerationMode.ASSISTED_GENERATION, GenerationMode.CONTRASTIVE_SEARCH)
    if goes_back or kind == "dynamic_full":
        return DynamicCache()
    if kind in (None, "dynamic"):
        return DynamicCache(config=model.config)
    if kind == "offloaded":
        return DynamicCache(offloading=True)
    if kind == "quantized":
        settings = config.cache_config
        if not isinstance(settings, CacheConfig):
            values = {name: value for name, value in (settings or {}).items() if name != "config"}
            settings = QuantizedCacheConfig.from_dict(values)
        return QuantizedCache(config=settings)
    offloading = kind.startswith("offloaded")
    cls = _FIXED.get(kind) or _FIXED[kind.removeprefix("offloaded_")]
    options = {"offloading": offloading} if kind.startswith("offloaded_hybrid") else {}
    cache: Cache = cls(model.config, max_batch_size=rows, max_cache_len=length, **options)
    return cache
