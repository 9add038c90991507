"""model.generate: from a prompt and settings to tokens (guide: main_classes/text_generation)."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, InputError, InputTooLargeError
from .configuration import GENERATION_CONFIG_NAME, GenerationConfig
from .decoder import Decoder
from .inputs import Prepared, Tokens, expand, prepare
from .modes import GenerationMode
from .parameters import DEFAULTS
from .run import Recorder, Run
from .select import cache_of, rules_of, stopping_of
from .strategies import STRATEGIES

_log = logging.getLogger(__name__)


@torch.no_grad()
def generate(
    model: Any,
    inputs: Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: list[Any] | None = None,
    stopping_criteria: list[Any] | None = None,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
    synced_gpus: bool | None = None,
    assistant_model: Any = None,
    streamer: Any = None,
    negative_prompt_ids: Tensor | None = None,
    negative_prompt_attention_mask: Tensor | None = None,
    use_model_defaults: bool | None = None,
    custom_generate: Callable[..., Any] | None = None,
    tokenizer: Any = None,
    assistant_tokenizer: Any = None,
    **options: Any,
) -> Any:
    """Generate tokens.

    Args:
        model: with a head that generates.
        inputs: prompts [B, T] (also as input_ids), or the encoder's input.
        generation_config: settings; default: the model's own. Keywords of its parameters override it for this call.
        logits_processor, stopping_criteria: own rules and criteria, besides those of the settings.
        prefix_allowed_tokens_fn: (number of the prompt, its tokens) -> tokens that may follow.
        synced_gpus: accepted; every rank must be given the same number of steps.
        assistant_model: a smaller model that drafts tokens, which the model checks.
        streamer: takes tokens as they come.
        negative_prompt_ids, negative_prompt_attention_mask: what guidance_scale guides away from.
        use_model_defaults: whether settings at their defaults take the model's own values; default: yes.
        custom_generate: a strategy of your own: (run: Run) -> output.
        tokenizer: for stop_strings and drafts with another tokenizer. assistant_tokenizer: the draft model's.
        options: parameters of GenerationConfig, and inputs of the model (attention_mask, past_key_values, ...).

    Returns:
        Sequences [B * num_return_sequences, T], or with return_dict_in_generate a Generate*Output.

    Raises:
        ConfigError: settings are impossible or contradict each other.
        InputError: the prompt is empty, too long, or an argument is unknown.
    """
    if not model.can_generate():
        raise InputError(f"{type(model).__name__} does not generate. Use a class with a language modelling head.")
    length_given = options.get("max_length") is not None
    config, options = settings(model, generation_config, options, use_model_defaults)
    mode = config.get_generation_mode(assistant_model)
    if mode is GenerationMode.ASSISTED_GENERATION and config.num_return_sequences > 1:
        raise ConfigError(f"num_return_sequences is {config.num_return_sequences}; assisted generation gives one text.")
    device = model.device
    tokens = Tokens.of(config, device)
    prepared = prepare(model, inputs, config, options, tokens)
    given_cache = prepared.inputs.pop("past_key_values", None)
    for name in ("use_cache", "cache_position", "output_attentions", "output_hidden_states"):
        prepared.inputs.pop(name, None)
    _lengths(model, config, prepared, length_given)
    beams = 1 if mode is GenerationMode.CONTRASTIVE_SEARCH else max(config.num_beams, config.num_return_sequences)
    expand(prepared, beams)
    if config.token_healing:
        from .healing import heal_tokens

        prepared.ids = heal_tokens(model, prepared.ids, tokenizer)
    if streamer is not None:
        if config.num_beams > 1:
            raise ConfigError("A streamer cannot follow beams, whose text changes until the end. Set num_beams=1.")
        streamer.put(prepared.ids.cpu())
    capacity = config.max_length + prepared.embedded
    cache = cache_of(model, config, mode, len(prepared.ids), capacity - 1, given_cache)
    inputs_of_step = dict(prepared.inputs)
    if prepared.encoder_outputs is not None:
        inputs_of_step["encoder_outputs"] = prepared.encoder_outputs
    run = Run(
        model=model, config=config, ids=prepared.ids,
        decoder=Decoder(
            model, inputs_of_step, cache, use_cache=config.use_cache is not False or "inputs_embeds" in prepared.inputs,
            capacity=capacity, chunk_tokens=config.prefill_chunk_size,
            compile_config=None if config.disable_compile else config.compile_config,
        ),
        rules=rules_of(
            model, config, prepared, tokens, prefix_allowed_tokens_fn=prefix_allowed_tokens_fn, own=logits_processor,
            negative_prompt_ids=negative_prompt_ids, negative_prompt_attention_mask=negative_prompt_attention_mask,
        ),
        stopping=stopping_of(model, config, tokens, stopping_criteria, tokenizer),
        recorder=Recorder.of(config), streamer=streamer, pad=tokens.pad, ends=tokens.ends,
        encoder_outputs=prepared.encoder_outputs, batch=prepared.batch,
        extra={
            "assistant_model": assistant_model, "tokenizer": tokenizer, "assistant_tokenizer": assistant_tokenizer,
            "source_inputs": prepared.source_inputs, "inputs": prepared.inputs, "own_rules": logits_processor,
        },
    )  # fmt: skip
    strategy = custom_generate if callable(custom_generate) else STRATEGIES.get(mode)
    result = strategy(run)
    if config.return_legacy_cache is True and hasattr(getattr(result, "past_key_values", None), "to_legacy_cache"):
        result.past_key_values = result.past_key_values.to_legacy_cache()
    return result


def settings(
    model: Any, given: GenerationConfig | None, options: dict[str, Any], use_model_defaults: bool | None = None
) -> tuple[GenerationConfig, dict[str, Any]]:
    """The settings of a call, and the keywords that are the model's inputs.

    Keywords win over what `given` sets, that over the model's own settings, those over the defaults.
    """
    own = own_config(model)
    config = copy.deepcopy(own if given is None else given)
    if given is None and config.cache_implementation == "hybrid":
        config.cache_implementation = None  # old files of sliding models ask for it; the default does as well
    if given is not None and use_model_defaults is not False:
        for name, value in own.__dict__.items():
            default = DEFAULTS.get(name)
            if name.startswith("_") or name in ("transformers_version", "generation_kwargs"):
                continue
            hybrid = name == "cache_implementation" and value == "hybrid"
            if getattr(config, name, None) == default and value != default and not hybrid:
                setattr(config, name, value)
        if config.temperature == 0.0:
            config.do_sample = False
    elif given is not None:
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"):
            if getattr(config, name) is None:
                setattr(config, name, getattr(own, name))
    options = config.update(**options)
    if config.num_beams is None:
        config.num_beams = 1
    return config, options


def own_config(model: Any) -> GenerationConfig:
    """The model's own settings: model.generation_config, made of its configuration where it has none."""
    own = model.__dict__.get("generation_config")
    if own is None:
        own = GenerationConfig.from_model_config(model.config)
        model.generation_config = own
    return own  # type: ignore[no-any-return]


def load_own_config(model: Any, folder: Path) -> None:
    """Set model.generation_config from the checkpoint's generation_config.json, else from its config.json."""
    if not model.can_generate():
        return
    file = Path(folder) / GENERATION_CONFIG_NAME
    made = (
        GenerationConfig.from_pretrained(folder) if file.is_file() else GenerationConfig.from_model_config(model.config)
    )
    model.generation_config = made


def _lengths(model: Any, config: Any, prepared: Prepared, length_given: bool) -> None:
    """Set max_length and min_length of the whole sequence.

    Raises:
        InputError: the prompt leaves no room.
    """
    prompt, limit = prepared.ids.shape[1], DEFAULTS["max_length"]
    if config.max_new_tokens is not None:
        if length_given:
            _log.info("Both max_new_tokens and max_length are set; max_new_tokens counts.")
        config.max_length = config.max_new_tokens + prompt
    elif prepared.embedded and not prompt:
        config.max_length = config.max_length if length_given else limit
    elif not length_given and config.max_length == limit:
        config.max_length = limit + prompt
        positions = getattr(model.config, "max_position_embeddings", None)
        if positions is not None:
            config.max_length = max(min(config.max_length, positions), 1)
    if config.min_new_tokens is not None:
        config.min_length = config.min_new_tokens + prompt
    if prompt >= config.max_length:
        what = "decoder_input_ids" if model.config.is_encoder_decoder else "The prompt"
        raise InputTooLargeError(
            f"{what} has {prompt} tokens and max_length is {config.max_length}: nothing can be generated. "
            "Set max_new_tokens, or shorten the prompt."
        )
    if config.min_length and config.min_length > config.max_length:
        warnings.warn(
            f"min_length ({config.min_length}) exceeds the maximum length ({config.max_length}), which counts.",
            UserWarning, stacklevel=4,
        )  # fmt: skip
