"""What generate is called with, made ready for the loop: prompts, masks, the encoder's states, repeated rows."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, InputError, did_you_mean
from ..models.outputs import BaseModelOutput, ModelOutput
from .decoder import map_rows
from .parameters import DEFAULTS

_log = logging.getLogger(__name__)


@dataclass
class Tokens:
    """Special tokens as tensors on the device; None where there are none."""

    pad: Tensor | None
    ends: Tensor | None
    bos: int | None
    start: Tensor | None

    @classmethod
    def of(cls, config: Any, device: torch.device) -> Tokens:
        """Those of a configuration; padding defaults to the end of text."""

        def tensor(value: Any) -> Tensor | None:
            return None if value is None else torch.as_tensor(value, device=device)

        ends = tensor(config.eos_token_id)
        ends = None if ends is None else ends.reshape(-1)
        pad = tensor(config.pad_token_id)
        if pad is None and ends is not None:
            pad = ends[0]
        start = tensor(config.decoder_start_token_id)
        return cls(pad, ends, config.bos_token_id, tensor(config.bos_token_id) if start is None else start)


@dataclass
class Prepared:
    """Prompts [B, T] for the decoder and the other inputs of its forward."""

    ids: Tensor
    inputs: dict[str, Any]
    source: Tensor
    """What the user gave: the prompt, or the encoder's input."""
    batch: int
    encoder_outputs: Any = None
    embedded: int = 0
    """Positions that inputs_embeds takes before ids."""
    source_inputs: dict[str, Any] | None = None
    """The encoder's inputs, for a draft model with an encoder of its own."""


def prepare(model: Any, inputs: Any, config: Any, options: dict[str, Any], tokens: Tokens) -> Prepared:
    """Sort the arguments of generate.

    Raises:
        InputError: the prompt is missing, empty or given twice, or an argument is unknown.
    """
    options = {name: value for name, value in options.items() if value is not None}
    encoder_decoder = bool(model.config.is_encoder_decoder)
    main = _main_name(model)
    given = options.pop(main, None)
    if given is not None and inputs is not None:
        raise InputError(f"Both inputs and {main} were given; they are the same. Give one.")
    given = inputs if given is None else given
    _check_names(model, options)
    if encoder_decoder:
        prepared = _encoded(model, main, given, config, options, tokens)
    else:
        prepared = _decoder_only(model, given, options, tokens)
    _check_prompt(prepared)
    return prepared


def _main_name(model: Any) -> str:
    encoder = model.get_encoder() if hasattr(model, "get_encoder") else None
    return getattr(encoder, "main_input_name", None) or model.main_input_name


def _check_names(model: Any, options: dict[str, Any]) -> None:
    names = set(model.input_names())
    encoder = model.get_encoder() if hasattr(model, "get_encoder") else None
    if encoder is not None:
        names |= set(inspect.signature(encoder.forward).parameters)
    names |= {"decoder_input_ids", "decoder_attention_mask"} if model.config.is_encoder_decoder else set()
    names |= {"cache_position", "output_attentions", "output_hidden_states", "use_cache", "input_ids"}
    for name in options:
        if name not in names:
            raise InputError(
                f"generate does not know {name!r}: it is neither a generation parameter nor an input of "
                f"{type(model).__name__}. {did_you_mean(name, {*names, *DEFAULTS})}"
            )


def _check_prompt(prepared: Prepared) -> None:
    ids = prepared.ids
    if ids.ndim != 2:
        raise InputError(f"The prompt has the shape {list(ids.shape)}; expected [batch, tokens].")
    if ids.is_floating_point():
        raise InputError(f"The prompt holds {ids.dtype}; token ids must be whole numbers.")
    if prepared.batch == 0 or ids.shape[1] + prepared.embedded == 0:
        raise InputError(
            "The prompt is empty. Give at least one token for each text (for example the tokenizer's bos token)."
        )


def _decoder_only(model: Any, given: Any, options: dict[str, Any], tokens: Tokens) -> Prepared:
    embeds = options.get("inputs_embeds")
    if embeds is not None and "inputs_embeds" not in model.input_names():
        raise InputError(f"{type(model).__name__} does not take inputs_embeds. Give input_ids.")
    if given is None:
        given = _first_tokens(model, options, tokens) if embeds is None else embeds.new_zeros(len(embeds), 0).long()
    _check_device(model, given)
    source = given if embeds is None else embeds
    if options.get("attention_mask") is None:
        inferred = _infer_mask(given, tokens) if embeds is None else None
        if inferred is not None:
            options["attention_mask"] = inferred
    elif options["attention_mask"].ndim > 2:
        raise InputError(f"attention_mask has {options['attention_mask'].ndim} axes; generate takes [batch, tokens].")
    elif embeds is None and options["attention_mask"].shape[0] != len(given):
        raise InputError(f"attention_mask has {options['attention_mask'].shape[0]} rows; the prompt has {len(given)}.")
    _warn_right_padding(given, tokens)
    embedded = 0 if embeds is None else embeds.shape[1]
    return Prepared(given, options, source, len(source), embedded=embedded)


def _first_tokens(model: Any, options: dict[str, Any], tokens: Tokens) -> Tensor:
    if tokens.bos is None:
        raise InputError("No prompt was given and bos_token_id is not set. Give input_ids.")
    rows = next((value.shape[0] for value in options.values() if isinstance(value, Tensor) and value.ndim), 1)
    return torch.full((rows, 1), tokens.bos, device=model.device)


def _check_device(model: Any, ids: Tensor) -> None:
    if isinstance(ids, Tensor) and ids.device.type != model.device.type:
        raise InputError(
            f"The prompt is on {ids.device}, the model on {model.device}. Move the prompt: inputs.to(model.device)."
        )


def _infer_mask(ids: Tensor, tokens: Tokens) -> Tensor | None:
    """Ones where no padding token is; None where padding cannot be told from the end of text, or there is none."""
    if tokens.pad is None or ids.ndim != 2:
        return None
    if tokens.ends is not None and bool(torch.isin(tokens.ends, tokens.pad).any()):
        return None
    mask = (ids != tokens.pad).long()
    return None if bool(mask.all()) else mask


def _warn_right_padding(ids: Tensor, tokens: Tokens) -> None:
    if (
        tokens.pad is not None
        and ids.ndim == 2
        and len(ids) > 1
        and ids.shape[1]
        and bool((ids[:, -1] == tokens.pad).any())
    ):
        _log.warning(
            "Prompts end with padding: a decoder goes on after it. Tokenize with padding_side='left' for right results."
        )


def _encoded(model: Any, main: str, given: Any, config: Any, options: dict[str, Any], tokens: Tokens) -> Prepared:
    outputs = options.pop("encoder_outputs", None)
    embeds = options.pop("inputs_embeds", None)
    if embeds is not None and given is not None:
        raise InputError("Both input_ids and inputs_embeds were given. Give one.")
    source = embeds if embeds is not None else given
    source_inputs: dict[str, Any] = {}
    if outputs is None:
        if source is None:
            source = _first_tokens(model, options, tokens)
        _check_device(model, source)
        if embeds is None and options.get("attention_mask") is None and main == "input_ids":
            inferred = _infer_mask(source, tokens)
            if inferred is not None:
                options["attention_mask"] = inferred
        source_inputs = {"inputs_embeds" if embeds is not None else main: source}
        outputs = encode(model, source_inputs, config, options)
        accepted = set(model.input_names())
        options = {name: value for name, value in options.items() if name in accepted}
    elif not isinstance(outputs, ModelOutput):
        names = ("last_hidden_state", "hidden_states", "attentions")
        outputs = BaseModelOutput(
            **dict(zip(names, outputs if isinstance(outputs, tuple) else (outputs,), strict=False))
        )
    batch = len(outputs.last_hidden_state)
    source = torch.full((batch, 1), -100, device=model.device) if source is None else source
    ids = _decoder_start(model, main, batch, options, tokens)
    return Prepared(ids, options, source, batch, encoder_outputs=outputs, source_inputs=source_inputs)


def encode(model: Any, source: dict[str, Any], config: Any, options: dict[str, Any]) -> Any:
    """The encoder's output for a source and what else of the options it takes."""
    encoder = model.get_encoder()
    accepted = set(inspect.signature(encoder.forward).parameters)
    more = {name: value for name, value in options.items() if name in accepted and not name.startswith("decoder_")}
    flags = {name: getattr(config, name) for name in ("output_attentions", "output_hidden_states") if name in accepted}
    return encoder(**more, **source, **{name: value for name, value in flags.items() if value})


def _decoder_start(model: Any, main: str, batch: int, options: dict[str, Any], tokens: Tokens) -> Tensor:
    """The decoder's first tokens [B, T]: the start token, before what the user gave unless it starts with that."""
    ids = options.pop("decoder_input_ids", None)
    if ids is None and main != "input_ids":
        ids = options.pop("input_ids", None)
    if tokens.start is None:
        raise ConfigError("An encoder-decoder needs decoder_start_token_id (or bos_token_id) to generate. Set one.")
    start = tokens.start
    if start.ndim == 1 and len(start) != batch:
        raise InputError(f"decoder_start_token_id has {len(start)} values; the batch has {batch} rows.")
    start = start.view(-1, 1).expand(batch, 1).to(model.device).long()
    if ids is None:
        return start
    if getattr(model.backbone, "keeps_decoder_prompt", False) or bool((ids[:, :1] == start).any()):
        return ids
    mask = options.get("decoder_attention_mask")
    if mask is not None:
        options["decoder_attention_mask"] = torch.cat((torch.ones_like(mask[:, :1]), mask), 1)
    return torch.cat((start, ids), 1)


def expand(prepared: Prepared, times: int) -> None:
    """Repeat every row `times` times, for beams or returned sequences."""
    if times == 1:
        return

    def repeat(x: Tensor) -> Tensor:
        return x.repeat_interleave(times, 0)

    prepared.ids = repeat(prepared.ids)
    prepared.inputs = {
        name: map_rows(value, repeat) if name not in ("cache_position", "past_key_values") else value
        for name, value in prepared.inputs.items()
    }
    if prepared.encoder_outputs is not None:
        prepared.encoder_outputs = map_rows(prepared.encoder_outputs, repeat)
