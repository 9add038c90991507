"""The model as the loop sees it: tokens in, scores of the next token out; cache, mask and positions keep in step.

Shape letters: B rows, T tokens so far, N new tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..models.outputs import ModelOutput

_FIRST_ONLY = (
    "pixel_values", "pixel_values_videos", "image_sizes", "image_grid_thw", "video_grid_thw", "pixel_attention_mask",
    "input_features", "input_values",
)  # fmt: skip
"""Inputs that a decoder reads with the prompt only; a backbone may name its own in `first_step_inputs`."""


class Growing:
    """A tensor [B, T] that grows at the end without being copied for every column."""

    def __init__(self, start: Tensor, capacity: int) -> None:
        self._buffer = start.new_empty(len(start), max(capacity, start.shape[1]))
        self._buffer[:, : start.shape[1]] = start
        self.length = start.shape[1]

    @property
    def view(self) -> Tensor:
        """What there is so far."""
        return self._buffer[:, : self.length]

    def append(self, columns: Tensor) -> Tensor:
        """Add columns [B, N]; gives all."""
        stop = self.length + columns.shape[1]
        if stop > self._buffer.shape[1]:
            grown = self._buffer.new_empty(len(columns), 2 * stop)
            grown[:, : self.length] = self.view
            self._buffer = grown
        self._buffer[:, self.length : stop] = columns
        self.length = stop
        return self.view

    def reorder(self, rows: Tensor) -> None:
        """Let row i be what row rows[i] is."""
        self._buffer[:, : self.length] = self.view.index_select(0, rows)


class Decoder:
    """Runs a model on tokens that grow.

    Args:
        model: with a head that generates.
        inputs: all other inputs of its forward: attention_mask, encoder_outputs, pixel_values, ...
        cache: kept from call to call, None for none.
        capacity: tokens that are expected at most; the mask is reserved for them.
        chunk_tokens: run prompts in chunks of so many tokens.
        compile_config: compile the step of a single token with these arguments of torch.compile.
    """

    def __init__(
        self, model: Any, inputs: dict[str, Any], cache: Any, *, use_cache: bool = True, capacity: int = 0,
        chunk_tokens: int | None = None, compile_config: Any = None,
    ) -> None:  # fmt: skip
        self.model, self.cache, self.use_cache = model, cache, use_cache
        self.encoder_decoder = bool(model.config.is_encoder_decoder)
        self.chunk_tokens = chunk_tokens
        self._step = model if compile_config is None else compiled(model, compile_config)
        names = set(model.input_names())
        self.cache_name = "cache_params" if "cache_params" in names else "past_key_values"
        self.caches = use_cache and self.cache_name in names
        self._mask_name = "decoder_attention_mask" if self.encoder_decoder else "attention_mask"
        self._ids_name = "decoder_input_ids" if self.encoder_decoder else "input_ids"
        self._inputs = {name: value for name, value in inputs.items() if value is not None}
        self._first = (
            {*_FIRST_ONLY, *getattr(model.backbone, "first_step_inputs", ())} if not self.encoder_decoder else set()
        )
        self._embeds = self._inputs.pop("inputs_embeds", None) if not self.encoder_decoder else None
        self._capacity = capacity + (0 if self._embeds is None else self._embeds.shape[1])
        self._mask = self._mask_of(self._inputs.pop(self._mask_name, None))
        self._positions = self._positions_of(self._inputs.pop("position_ids", None), "position_ids" in names)
        self._unseen_mask = self._positions is not None and model.device.type != "cpu"
        self._types = self._inputs.pop("token_type_ids", None)
        self._keeps_logits = "logits_to_keep" in names
        self._wants_place = self.cache_name == "cache_params" and "cache_position" in names

    # -- what grows with the tokens --------------------------------------------------------------------------------

    def _mask_of(self, mask: Tensor | None) -> Tensor | None:
        """The mask [B, capacity] with ones for what is to come; None where it hides nothing."""
        if mask is None or bool((mask == 1).all()):
            return None
        return torch.cat((mask, mask.new_ones(len(mask), max(0, self._capacity - mask.shape[1]))), 1)

    def _positions_of(self, given: Tensor | None, wanted: bool) -> Tensor | None:
        """Positions [B, capacity] where padding does not count; None where the model counts by itself."""
        if given is not None:
            more = torch.arange(1, max(1, self._capacity - given.shape[1] + 1), device=given.device)
            return torch.cat((given, given[:, -1:] + more), 1)
        if self._mask is None or not wanted or self.encoder_decoder:
            return None
        return (self._mask.long().cumsum(-1) - 1).masked_fill(self._mask == 0, 1)

    def _upto(self, tensor: Tensor, length: int) -> Tensor:
        """The first `length` columns, grown by ones or by further positions where there are too few."""
        while tensor.shape[1] < length:
            self._capacity = 2 * length
            grown = tensor[:, -1:].expand(-1, self._capacity - tensor.shape[1])
            if tensor is self._positions:
                steps = torch.arange(1, grown.shape[1] + 1, device=tensor.device)
                tensor = self._positions = torch.cat((tensor, grown + steps), 1)
            else:
                tensor = self._mask = torch.cat((tensor, torch.ones_like(grown)), 1)
        return tensor[:, :length]

    @property
    def seen(self) -> int:
        """Positions in the cache."""
        return 0 if self.cache is None or not hasattr(self.cache, "get_seq_length") else self.cache.get_seq_length()

    # -- calls ----------------------------------------------------------------------------------------------------

    def __call__(self, ids: Tensor, *, keep: int = 1, **record: bool) -> ModelOutput:
        """Run the tokens of ids [B, T] that the cache has not seen.

        Args:
            keep: for how many of the last positions logits are needed; 0 for all.
            record: output_attentions, output_hidden_states.
        """
        seen = self.seen if self.caches else 0
        if self._embeds is not None and seen == 0:
            return self._run(ids, self._embeds.shape[1] + ids.shape[1], 0, keep, record)
        total = ids.shape[1] + (0 if self._embeds is None else self._embeds.shape[1])
        if self.chunk_tokens and self.caches and total - seen > self.chunk_tokens:
            for stop in range(seen + self.chunk_tokens, total, self.chunk_tokens):
                self._run(ids[:, :stop], stop, self.seen, 1, {})
            seen = self.seen
        return self._run(ids, total, seen, keep, record)

    def _run(self, ids: Tensor, total: int, seen: int, keep: int, record: dict[str, bool]) -> ModelOutput:
        new = total - seen
        inputs = {name: value for name, value in self._inputs.items() if not seen or name not in self._first}
        if self._embeds is not None and seen == 0:
            embeds = self._embeds
            if ids.shape[1]:
                embeds = torch.cat((embeds, self.model.get_input_embeddings()(ids).to(embeds.dtype)), 1)
            inputs["inputs_embeds"] = embeds
        else:
            inputs[self._ids_name] = ids if new >= ids.shape[1] else ids[:, ids.shape[1] - new :]
        if self._mask is not None:
            mask = self._upto(self._mask, total)
            # with an axis for queries, nothing needs to look at the mask's values, which a GPU would be waited for
            inputs[self._mask_name] = mask[:, None] if seen and new == 1 and self._unseen_mask else mask
        if self._positions is not None:
            inputs["position_ids"] = self._upto(self._positions, total)[:, total - new :]
        if self._types is not None:
            more = self._types[:, -1:].expand(-1, max(0, total - self._types.shape[1]))
            inputs["token_type_ids"] = torch.cat((self._types, more), 1)[:, seen:total]
        if self.caches:
            inputs[self.cache_name], inputs["use_cache"] = self.cache, True
            if self._wants_place:
                inputs["cache_position"] = self._place(seen, new, ids.device)
        elif self.cache_name in self.model.input_names():
            inputs["use_cache"] = False
        if self._keeps_logits and keep:
            inputs["logits_to_keep"] = keep
        call = self._step if seen and new == 1 else self.model
        output: ModelOutput = call(**inputs, return_dict=True, **{k: v for k, v in record.items() if v})
        if self.caches:
            self.cache = output.get(self.cache_name)
        return output

    def _place(self, seen: int, new: int, device: torch.device) -> Tensor:
        """Where a state-space model is: its convolution's width at the first call, then the token's position."""
        if self.cache is None or new > 1:
            return torch.arange(self.model.config.conv_kernel, device=device)
        return torch.tensor([seen or self.model.config.conv_kernel], device=device)

    # -- rows -----------------------------------------------------------------------------------------------------

    def reorder(self, rows: Tensor) -> None:
        """Let row i continue row rows[i] of the same prompt (mask and encoder are alike within a prompt)."""
        if self.cache is None:
            return
        try:
            self.cache.reorder_cache(rows, crossed=False)
        except TypeError:  # a user's own cache with the guides' signature
            self.cache.reorder_cache(rows)

    def crop(self, length: int) -> None:
        """Forget all but the first `length` positions."""
        if self.cache is not None:
            self.cache.crop(length)

    def repeat_fixed(self, times: int) -> None:
        """Repeat every row of all inputs that do not grow with the tokens; the cache stays as it is."""
        self._each_row(lambda x: x.repeat_interleave(times, 0))

    def _each_row(self, function: Any) -> None:
        for name in ("_mask", "_positions", "_types", "_embeds"):
            if getattr(self, name) is not None:
                setattr(self, name, function(getattr(self, name)))
        self._inputs = {name: map_rows(value, function) for name, value in self._inputs.items()}


def compiled(model: Any, config: Any) -> Any:
    """The model's forward through torch.compile; kept at the model, so that later calls need not compile again."""
    arguments = {name: value for name, value in config.to_dict().items() if value is not None}
    kept = model.__dict__.setdefault("_compiled_steps", {})
    key = (id(model), repr(sorted(arguments.items())))  # a copy of the model must not run the original
    if key not in kept:
        kept[key] = torch.compile(model.forward, **arguments)
    return kept[key]


def map_rows(value: Any, function: Any) -> Any:
    """function(tensor) of a tensor, or of all tensors of a ModelOutput (tuples of layers included)."""
    if isinstance(value, Tensor) and value.ndim:
        return function(value)
    if isinstance(value, ModelOutput):
        return type(value)(**{name: map_rows(item, function) for name, item in value.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(map_rows(item, function) for item in value)
    return value
