"""Where assisted generation gets its drafts from: a smaller model, its own first layers, or the text so far.

Shape letters: T tokens, C candidates, V vocabulary. Texts are [1, T]: drafts work with one text at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, InputError
from ..nn.cache import DynamicCache, EncoderDecoderCache
from .rules.base import LogitsProcessorList
from .rules.lengths import MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor
from .run import Run

Draft = tuple[Tensor, Tensor | None]
"""(the text with candidates after it [1, T + C], their scores [1, C, V] where a model gave them)."""


class Candidates:
    """Base of drafts."""

    def get_candidates(self, ids: Tensor) -> Draft:
        """A draft for a text [1, T]."""
        raise NotImplementedError

    def update(self, matches: int, candidates: int) -> None:
        """Learn how many of the candidates the model took."""


class PromptLookup(Candidates):
    """Takes what followed the last words where they came before in the text (arXiv:2304.04487).

    Args:
        tokens: candidates at most.
        ngram: words that are looked up at most.
    """

    def __init__(self, run: Run, tokens: int, ngram: int) -> None:
        if tokens < 1 or ngram < 1:
            raise ConfigError(
                f"prompt_lookup_num_tokens ({tokens}) and max_matching_ngram_size ({ngram}) must be at least 1."
            )
        self.run, self.tokens, self.ngram = run, tokens, ngram
        self.vocabulary = run.model.config.get_text_config(decoder=True).vocab_size

    def get_candidates(self, ids: Tensor) -> Draft:
        length, limit = ids.shape[1], self.run.config.max_length
        if limit == length + 1:
            return ids, None
        for size in range(min(self.ngram, length - 1), 0, -1):
            found = (ids.unfold(1, size, 1) == ids[0, -size:]).all(2).nonzero()[:, 1]
            for start in (found + size).tolist():
                chosen = ids[0, start : min(start + self.tokens, length, limit)]
                chosen = self._allowed(ids, chosen) if len(chosen) else chosen
                if len(chosen):
                    return torch.cat((ids, self._before_end(chosen)[None]), 1), None
        return ids, None

    def _allowed(self, ids: Tensor, chosen: Tensor) -> Tensor:
        """The candidates up to the first that the rules forbid."""
        neutral = torch.ones(1, self.vocabulary, device=ids.device)
        for number, token in enumerate(chosen):
            text = torch.cat((ids, chosen[None, :number]), 1)
            score = self.run.rules(text, neutral)[0, token]
            if score == -torch.inf or score == torch.finfo(score.dtype).min:
                return chosen[:number]
        return chosen

    def _before_end(self, chosen: Tensor) -> Tensor:
        if self.run.ends is None:
            return chosen
        ends = torch.isin(chosen, self.run.ends).nonzero()
        return chosen[: int(ends[0])] if len(ends) else chosen


class DraftModel(Candidates):
    """A smaller model, or the model's own first layers, writes ahead.

    Args:
        layers: use only so many layers of the model itself.
    """

    def __init__(self, run: Run, assistant: Any, layers: int | None = None) -> None:
        self.run, self.assistant, self.layers = run, assistant, layers
        own = assistant.generation_config
        self.tokens = float(own.num_assistant_tokens)
        self.schedule, self.threshold = own.num_assistant_tokens_schedule, own.assistant_confidence_threshold
        self.cache: Any = None
        self.config = copy.deepcopy(run.config)
        self.config.update(
            return_dict_in_generate=True, output_scores=True, output_logits=None, output_attentions=False,
            output_hidden_states=False, is_assistant=True, min_length=0, min_new_tokens=None,
            cache_implementation=None, cache_config=None, prompt_lookup_num_tokens=None, assistant_early_exit=None,
            stop_strings=None, token_healing=False, dola_layers=None,
        )  # fmt: skip
        self.min_length = run.config.min_length or 0
        self.inputs = self._inputs()
        self.rules = LogitsProcessorList(
            rule for rule in run.extra.get("own_rules") or []
            if not isinstance(rule, (MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor))
        )  # fmt: skip
        self._probabilities: list[float] = []
        self._matches: list[int] = []

    def _inputs(self) -> dict[str, Any]:
        """The draft model's other inputs: its own encoding of the source, the mask, ..."""
        run, assistant = self.run, self.assistant
        names = set(assistant.input_names())
        if assistant.config.is_encoder_decoder:
            from .inputs import encode

            if not run.extra["source_inputs"]:
                raise InputError("A draft model with an encoder of its own needs the source, not encoder_outputs.")
            plain = copy.copy(self.config)
            outputs = encode(assistant, run.extra["source_inputs"], plain, run.extra["inputs"])
            return {"encoder_outputs": outputs, "attention_mask": run.extra["inputs"].get("attention_mask")}
        return {name: value for name, value in run.extra["inputs"].items() if name in names and name != "inputs_embeds"}

    def get_candidates(self, ids: Tensor) -> Draft:
        most = min(int(self.tokens), self.run.config.max_length - ids.shape[1] - 1)
        if most <= 0:
            return ids, None
        least = max(min(most, self.min_length - ids.shape[1]), 0)
        output = self.write(ids, most, least)
        self._remember(output)
        return output.sequences, torch.stack(output.scores, 1)

    def write(self, ids: Tensor, most: int, least: int = 0, kept: int | None = None) -> Any:
        """Let the draft model go on with a text.

        Args:
            most, least: tokens to write.
            kept: positions of its cache that still hold; default: all but the text's last.
        """
        if self.cache is not None:
            self.cache.crop(min(ids.shape[1] - 1 if kept is None else kept, self.cache.get_seq_length()))
        else:
            self.cache = EncoderDecoderCache() if self.assistant.config.is_encoder_decoder else DynamicCache()
        config = copy.copy(self.config)
        config.max_new_tokens, config.min_new_tokens = most, least or None
        config.assistant_confidence_threshold = self.threshold
        name = "decoder_input_ids" if self.assistant.config.is_encoder_decoder else "input_ids"
        inputs = dict(self.inputs)
        if inputs.get("attention_mask") is not None and name == "input_ids":
            mask = inputs["attention_mask"][:, : ids.shape[1]]
            inputs["attention_mask"] = torch.cat((mask, mask.new_ones(1, ids.shape[1] - mask.shape[1])), 1)
        with _first_layers(self.assistant, self.layers) if self.layers else nullcontext():
            output = self.assistant.generate(
                **{name: ids}, **inputs, generation_config=config, use_model_defaults=False,
                logits_processor=self.rules, past_key_values=self.cache,
            )  # fmt: skip
        self.cache = output.past_key_values
        return output

    def _remember(self, output: Any) -> None:
        """How sure the draft model was of each token."""
        if not self.threshold:
            return
        tokens = output.sequences[0, -len(output.scores) :]
        sure = torch.cat(output.scores).softmax(-1).gather(1, tokens[:, None])
        self._probabilities += sure[:, 0].tolist()

    def update(self, matches: int, candidates: int) -> None:
        if self.schedule in ("heuristic", "heuristic_transient"):
            self.tokens = self.tokens + 2.0 if matches == candidates else max(1.0, self.tokens - 1.0)
            if self.schedule == "heuristic":
                self.assistant.generation_config.num_assistant_tokens = int(self.tokens)
        if self.threshold:
            self._learn_threshold(matches)

    def _learn_threshold(self, matches: int) -> None:
        """Choose how sure is sure enough: a wrong draft costs 1, a draft not made that was right costs 3."""
        self._matches += [1] * matches
        if len(self._probabilities) > len(self._matches):
            self._matches.append(0)
        del self._probabilities[len(self._matches) :]
        right, sure = np.array(self._matches[: len(self._probabilities)]), np.array(self._probabilities)
        if len(sure) <= 5 or not 0 < right.sum() < len(right):
            return
        thresholds = np.unique(sure)[::-1]
        passed = sure[None] >= thresholds[:, None]
        wrong = (passed & (right == 0)).sum(1) / (right == 0).sum()
        missed = 1 - (passed & (right == 1)).sum(1) / (right == 1).sum()
        self.threshold = float(thresholds[(wrong + 3 * missed).argmin()])
        self.assistant.generation_config.assistant_confidence_threshold = self.threshold


class TranslatingDraftModel(DraftModel):
    """A draft model with another tokenizer: texts are decoded by one and encoded by the other.

    The draft's new text is what follows the text so far; only tokens that spell the same text are candidates, so that
    the result is the model's own whatever the draft says.
    """

    def __init__(self, run: Run, assistant: Any, tokenizer: Any, assistant_tokenizer: Any) -> None:
        super().__init__(run, assistant)
        self.tokenizer, self.assistant_tokenizer = tokenizer, assistant_tokenizer
        self.config.eos_token_id = assistant.generation_config.eos_token_id
        self.config.pad_token_id = assistant.generation_config.pad_token_id
        if self.config.pad_token_id is None:
            self.config.pad_token_id = assistant_tokenizer.pad_token_id
        self.inputs.pop("attention_mask", None)
        self._written: Tensor | None = None

    def get_candidates(self, ids: Tensor) -> Draft:
        most = int(self.tokens)
        room = self.run.config.max_length - ids.shape[1] - 1
        if most <= 0 or room <= 0:
            return ids, None
        text = self.tokenizer.decode(ids[0], skip_special_tokens=True)
        encoded = self.assistant_tokenizer(text, return_tensors="pt")["input_ids"].to(self.assistant.device)
        if encoded.shape[1] == 0:
            return ids, None
        output = self.write(encoded, most, kept=self._same(encoded))
        self._written = output.sequences
        longer = self.assistant_tokenizer.decode(output.sequences[0], skip_special_tokens=True)
        if not longer.startswith(text) or longer == text:
            return ids, None
        drafted = self._drafted(ids, text, longer)
        candidates = drafted[:room]
        if not candidates:
            return ids, None
        return torch.cat((ids, torch.tensor([candidates], device=ids.device)), 1), None

    def _same(self, encoded: Tensor) -> int:
        """How many of the tokens in the cache are the same as last time, the last of the text left out."""
        if self._written is None:
            return 0
        width = min(encoded.shape[1], self._written.shape[1])
        differ = (encoded[0, :width] != self._written[0, :width]).nonzero()
        return min(int(differ[0]) if len(differ) else width, encoded.shape[1] - 1)

    def _drafted(self, ids: Tensor, text: str, longer: str) -> list[int]:
        """The tokens that the longer text has after those of the text so far."""
        whole = self.tokenizer(longer, add_special_tokens=False)["input_ids"]
        before = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if whole[: len(before)] == before:
            return list(whole[len(before) :])
        return list(self.tokenizer(longer[len(text) :], add_special_tokens=False)["input_ids"])


@contextmanager
def _first_layers(model: Any, count: int) -> Iterator[None]:
    """Let a model run its first `count` layers only."""
    stack = getattr(model.backbone, "stack", None)
    if stack is None or not 0 < count <= len(stack.layers):
        raise ConfigError(f"assistant_early_exit is {count}; the model must be a decoder with at least as many layers.")
    layers = stack.layers
    stack.layers = layers[:count]
    try:
        yield
    finally:
        stack.layers = layers


def candidates_of(run: Run) -> Candidates:
    """The source of drafts that a call asks for.

    Raises:
        ConfigError: models do not fit together.
        InputError: tokenizers are missing, or given where they are not needed.
    """
    config, assistant = run.config, run.extra["assistant_model"]
    if config.assistant_early_exit is not None:
        return DraftModel(run, run.model, config.assistant_early_exit)
    if config.prompt_lookup_num_tokens is not None:
        return PromptLookup(run, config.prompt_lookup_num_tokens, config.max_matching_ngram_size or 2)
    tokenizer, other = run.extra["tokenizer"], run.extra["assistant_tokenizer"]
    mine, its = (m.config.get_text_config(decoder=True).vocab_size for m in (run.model, assistant))
    if run.model.config.is_encoder_decoder != assistant.config.is_encoder_decoder:
        raise ConfigError("Model and draft model must both be decoders, or both encoder-decoders.")
    if mine == its and other is not None:
        raise InputError(
            f"Both vocabularies have {mine} tokens, so that one tokenizer serves both. Leave assistant_tokenizer out."
        )
    if mine != its and (tokenizer is None or other is None):
        raise InputError(
            f"The model's vocabulary has {mine} tokens, the draft model's {its}: their tokens mean different texts. "
            "Give tokenizer=... and assistant_tokenizer=..., or a draft model with the same vocabulary."
        )
    return DraftModel(run, assistant) if mine == its else TranslatingDraftModel(run, assistant, tokenizer, other)
