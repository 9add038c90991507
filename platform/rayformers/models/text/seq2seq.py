"""What encoder-decoders share: token embeddings, positions, masks and cache of one call; the two stacks joined.

Shape letters: B batch, S source positions, T target positions, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ConfigError, InputError
from ...nn import masks
from ...nn.attention import causal_mask
from ...nn.cache import DynamicCache
from ...nn.context import Context
from ...nn.relative import RelativeBias
from ...nn.stacks import Stack
from ..outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions, Seq2SeqModelOutput
from .decoder import keeps_cache
from .inputs import embed_tokens

Shift = Callable[[Any, Tensor], Tensor]


def shift_right(config: Any, ids: Tensor) -> Tensor:
    """What the decoder reads to predict `ids` [B, T]: the start token, then all but the last; -100 becomes padding.

    Raises:
        ConfigError: the configuration lacks decoder_start_token_id or pad_token_id.
    """
    _need(config, "decoder_start_token_id", "pad_token_id")
    shifted = torch.cat((torch.full_like(ids[:, :1], config.decoder_start_token_id), ids[:, :-1]), dim=1)
    return shifted.masked_fill(shifted == -100, config.pad_token_id)


def wrap_right(config: Any, ids: Tensor) -> Tensor:
    """As `shift_right`, but each row starts with its own last token, the language (mBART)."""
    _need(config, "pad_token_id")
    ids = ids.masked_fill(ids == -100, config.pad_token_id)
    last = (ids != config.pad_token_id).sum(1, keepdim=True) - 1
    return torch.cat((ids.gather(1, last.clamp_min(0)), ids[:, :-1]), dim=1)


def _need(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name, None) is None:
            raise ConfigError(f"The decoder's inputs are made of labels with config.{name}, which is None. Set it.")


class ScaledEmbedding(nn.Embedding):
    """Token embeddings times a constant."""

    def __init__(self, rows: int, dim: int, padding: int | None, *, scale: float = 1.0) -> None:
        super().__init__(rows, dim, padding)
        self.scale = scale

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * self.scale if self.scale != 1.0 else super().forward(ids)


class Half(nn.Module):
    """Base of encoder and decoder.

    Args:
        config: the configuration.
        embed: token embedding.
        stack: the layers.
        positions: (embeddings, ids or None, positions seen before) -> what is added, [B or 1, T, D].
        norm: of the embeddings; `norm_first`: before positions are added.
        dropout: on the embeddings.
        relative: position biases of the stack's attention.
        scale: factor on the embeddings; `scale_given`: whether on given inputs_embeds too.
    """

    def __init__(
        self,
        config: Any,
        embed: nn.Module,
        stack: Stack,
        *,
        positions: nn.Module | None = None,
        norm: nn.Module | None = None,
        norm_first: bool = False,
        dropout: float = 0.0,
        relative: RelativeBias | None = None,
        scale: float = 1.0,
        scale_given: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.embed, self.stack = config, embed, stack
        self.positions, self.norm, self.relative = positions, norm, relative
        self.norm_first, self.scale, self.scale_given = norm_first, scale, scale_given
        self.dropout = nn.Dropout(dropout)

    def embedded(self, ids: Tensor | None, given: Tensor | None, seen: int) -> Tensor:
        """[B, T, D] of ids or given embeddings, ready for the stack."""
        x = embed_tokens(self.embed, ids, given)
        if self.scale != 1.0 and (given is None or self.scale_given):
            x = x * self.scale
        if self.norm is not None and self.norm_first:
            x = self.norm(x)
        if self.positions is not None:
            x = x + self.positions(x, ids, seen)
        if self.norm is not None and not self.norm_first:
            x = self.norm(x)
        return self.dropout(x)

    def opened(self, context: Context | None, attentions: bool | None, states: bool | None) -> Context:
        """The context of the call: the model's, or a new one where the half is called by itself."""
        if context is not None:
            return context
        config = self.config
        return Context(
            kernel=config._attn_implementation or "sdpa",
            record_attentions=config.output_attentions if attentions is None else attentions,
            record_states=config.output_hidden_states if states is None else states,
        )


class Encoder(Half):
    """Tokens through a stack that sees both directions: input_ids [B, S] -> last_hidden_state [B, S, D]."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool = True,
        *,
        context: Context | None = None,
    ) -> Any:
        """Encode; attention_mask [B, S] has ones for tokens and zeros for padding."""
        context = self.opened(context, output_attentions, output_hidden_states)
        x = self.embedded(input_ids, inputs_embeds, 0)
        length = x.shape[1]
        mask = masks.padding(attention_mask, length)
        if self.relative is None:
            context.masks["full"] = mask
        else:
            context.biases = self.relative(length, length, 0, mask)
        output = BaseModelOutput(last_hidden_state=self.stack(x, context), **context.recorded())
        return output if return_dict else output.to_tuple()


class Decoder(Half):
    """Tokens through a causal stack that attends to encoded ones: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool = True,
        *,
        context: Context | None = None,
    ) -> Any:
        """Decode; attention_mask [B, past + T], encoder_hidden_states [B, S, D], encoder_attention_mask [B, S]."""
        context = self.opened(context, output_attentions, output_hidden_states)
        use_cache = keeps_cache(self, use_cache)
        context.cache = _cache(past_key_values, use_cache)
        seen = 0 if context.cache is None else int(context.cache.get_seq_length())
        x = self.embedded(input_ids, inputs_embeds, seen)
        self._mask(context, x.shape[1], seen, x.device, attention_mask)
        context.memory = encoder_hidden_states
        context.memory_mask = _memory_mask(encoder_attention_mask, encoder_hidden_states, seen)
        output = BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=self.stack(x, context),
            past_key_values=context.cache if use_cache else None,
            cross_attentions=_crossed(context),
            **context.recorded(),
        )
        return output if return_dict else output.to_tuple()

    def _mask(self, context: Context, length: int, seen: int, device: torch.device, given: Tensor | None) -> None:
        keys = seen + length
        pad = masks.padding(given, keys)
        explicit = given is not None and given.ndim > 2
        if self.relative is not None:
            ahead = None if explicit or length == 1 else causal_mask(length, keys, device)[None, None]
            both = pad if ahead is None else ahead if pad is None else ahead & pad
            context.biases = self.relative(length, keys, seen, both)
        elif explicit:
            context.masks["full"] = pad
        else:
            context.causal = pad is None
            context.masks["full"] = masks.causal(length, keys, device, pad)


def _cache(past: Any, use_cache: bool) -> Any:
    """The cache of this call; a tuple of each layer's keys and values (the memory's after them) is taken too."""
    if isinstance(past, (tuple, list)):
        cache = DynamicCache()
        for number, (keys, values, *crossed) in enumerate(past):
            cache.update(keys, values, number)
            if crossed:
                cache.keep_cross(crossed[0], crossed[1], number)
        return cache
    return DynamicCache() if past is None and use_cache else past


def _memory_mask(mask: Tensor | None, memory: Tensor | None, seen: int) -> Tensor | None:
    """Mask of the encoder's states; after the first step a GPU is not waited for to learn whether it hides any."""
    if mask is None or memory is None:
        return None
    if mask.ndim == 2 and seen and mask.device.type != "cpu":
        return mask.bool()[:, None, None]
    return masks.padding(mask, memory.shape[1])


def _crossed(context: Context) -> tuple[Tensor, ...] | None:
    recorded = context.record_attentions and context.memory is not None
    return tuple(context.cross_attentions) if recorded else None


class EncoderDecoder(nn.Module):
    """An encoder and a decoder: input_ids [B, S], decoder_input_ids [B, T] -> last_hidden_state [B, T, D].

    Args:
        config: the configuration.
        encoder, decoder: the halves.
        shared: the token embedding of both, None where each has its own.
        shift: makes the decoder's inputs of labels.
        shifts_inputs: whether the decoder reads the shifted source where it is given nothing (BART).
    """

    def __init__(
        self,
        config: Any,
        encoder: Encoder,
        decoder: Decoder,
        *,
        shared: nn.Module | None,
        shift: Shift = shift_right,
        shifts_inputs: bool = False,
    ) -> None:
        super().__init__()
        if shared is not None:
            self.shared = shared
        self.config, self.encoder, self.decoder = config, encoder, decoder
        self.shift, self.shifts_inputs = shift, shifts_inputs

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return (self, "shared") if hasattr(self, "shared") else (self.encoder, "embed")

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        *,
        context: Context,
    ) -> Seq2SeqModelOutput:
        """Encode, unless encoder_outputs (an output or a tuple) is given, and decode."""
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self._decoder_ids(input_ids)
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, inputs_embeds, context=context.fork())
        elif not hasattr(encoder_outputs, "last_hidden_state"):
            names = ("last_hidden_state", "hidden_states", "attentions")
            encoder_outputs = BaseModelOutput(**dict(zip(names, encoder_outputs, strict=False)))
        decoded = self.decoder(
            decoder_input_ids, decoder_attention_mask, encoder_outputs.last_hidden_state, attention_mask,
            past_key_values, decoder_inputs_embeds, use_cache, context=context.fork(),
        )  # fmt: skip
        return Seq2SeqModelOutput(
            last_hidden_state=decoded.last_hidden_state,
            past_key_values=decoded.past_key_values,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.get("hidden_states"),
            encoder_attentions=encoder_outputs.get("attentions"),
        )

    def _decoder_ids(self, input_ids: Tensor | None) -> Tensor:
        if not self.shifts_inputs or input_ids is None:
            raise InputError(
                "The decoder needs decoder_input_ids [batch, positions] or decoder_inputs_embeds; neither was given. "
                "For training give labels; for text use generate."
            )
        return self.shift(self.config, input_ids)


class EncoderOnly(nn.Module):
    """The encoder of an encoder-decoder: input_ids [B, S] -> last_hidden_state [B, S, D]."""

    def __init__(self, config: Any, encoder: Encoder, *, shared: nn.Module) -> None:
        super().__init__()
        config.is_encoder_decoder, config.use_cache = False, False
        self.shared, self.encoder = shared, encoder

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self, "shared"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutput:
        """Encode."""
        output: BaseModelOutput = self.encoder(input_ids, attention_mask, inputs_embeds, context=context)
        return output


class DecoderOnly(nn.Module):
    """The decoder of an encoder-decoder by itself: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: Any, decoder: Decoder) -> None:
        super().__init__()
        config.is_decoder, config.is_encoder_decoder = True, False
        self.decoder = decoder

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self.decoder, "embed"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decode, with encoder_hidden_states [B, S, D] as memory where given."""
        output: BaseModelOutputWithPastAndCrossAttentions = self.decoder(
            input_ids, attention_mask, encoder_hidden_states, encoder_attention_mask, past_key_values, inputs_embeds,
            use_cache, context=context,
        )  # fmt: skip
        return output


class Seq2SeqMethods:
    """Mixin of encoder-decoder models."""

    backbone: Any
    config: Any

    def get_encoder(self) -> Any:
        """The encoder: called with input_ids, attention_mask or inputs_embeds, gives a BaseModelOutput."""
        return getattr(self.backbone, "encoder", None)

    def get_decoder(self) -> Any:
        """The decoder: called with input_ids, encoder_hidden_states, past_key_values, ..."""
        return getattr(self.backbone, "decoder", None)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads to predict labels [B, T]."""
        return self.backbone.shift(self.config, labels)  # type: ignore[no-any-return]

    def set_input_embeddings(self, module: nn.Module) -> None:
        """Replace the token embedding, of encoder and decoder where they share it."""
        owner, name = self.backbone.token_embedding()
        setattr(owner, name, module)
        if name == "shared":
            for half in (self.get_encoder(), self.get_decoder()):
                if half is not None:
                    half.embed = module


SHARED = (("encoder.embed.weight", "shared.weight"), ("decoder.embed.weight", "shared.weight"))
"""Parameters that are one within the backbone."""
TIED = (
    ("head.lm_head.weight", "backbone.decoder.embed.weight"),
    ("head.lm_head.weight", "backbone.shared.weight"),
)
"""What the projection to the vocabulary shares its weight with."""
