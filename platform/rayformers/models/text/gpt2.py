"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): pre-norm, learned positions.

Hub: openai-community/gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilbert/distilgpt2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import ConfigError, InputError
from ...nn import masks
from ...nn.activations import activation
from ...nn.attention import Attention, causal_mask
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.positions import RotaryTable
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Drop, Rename, Split, Transpose, WeightMap
from ..config import PretrainedConfig
from ..outputs import BaseModelOutputWithPastAndCrossAttentions
from ..registry import Architecture, register
from .decoder import (
    keeps_cache,
    lm_head,
    open_cache,
    open_masks,
    positions_of,
    sequence_head,
    span_head,
    token_head,
)
from .inputs import check_length, embed_tokens


@dataclass(kw_only=True, init=False, repr=False)
class GPT2Config(PretrainedConfig):
    """config.json of GPT-2."""

    model_type: ClassVar[str] = "gpt2"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }  # fmt: skip

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    summary_type: str = "cls_index"
    summary_use_proj: bool = True
    summary_activation: str | None = None
    summary_proj_to_labels: bool = True
    summary_first_dropout: float = 0.1
    scale_attn_weights: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_embd {self.n_embd} is no multiple of n_head {self.n_head}.")


def layer(config: Any, number: int) -> Sequential:
    """One pre-norm layer, with cross attention where the configuration asks for it."""
    width, epsilon = config.hidden_size, config.layer_norm_epsilon
    scale = (width // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
    if config.scale_attn_by_inverse_layer_idx:
        scale /= number + 1

    def attention(cross: bool) -> Residual:
        part = Attention(
            width, config.n_head, layer=number, scale=scale, dropout=config.attn_pdrop, cross=cross,
        )  # fmt: skip
        return Residual(part, before=nn.LayerNorm(width, epsilon), dropout=config.resid_pdrop)

    mlp = MLP(width, config.n_inner or 4 * width, activation(config.activation_function))
    return Sequential(
        attention(cross=False),
        Residual(mlp, before=nn.LayerNorm(width, epsilon), dropout=config.resid_pdrop),
        cross=attention(cross=True) if config.add_cross_attention else None,
    )


class GPT2(nn.Module):
    """Tokens and learned positions through a causal stack: input_ids [B, T] -> last_hidden_state [B, T, D].

    Args:
        config: the configuration.
        layers: called as layer(x, context).
        dropout: on the embeddings.
        epsilon: of the last layer norm.
        learned: whether positions are embedded; else `rotary` has them.
        rotary: position tables by kind.
        windows: kinds of masks and their sliding windows in tokens.
    """

    def __init__(
        self,
        config: Any,
        layers: Iterable[nn.Module],
        *,
        dropout: float,
        epsilon: float,
        learned: bool = True,
        rotary: Mapping[str, RotaryTable] | None = None,
        windows: Mapping[str, int | None] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, width) if learned else None
        self.dropout = nn.Dropout(dropout)
        self.rotary = nn.ModuleDict(rotary or {})
        self.stack = Stack(layers, nn.LayerNorm(width, epsilon))
        self.windows = dict(windows or {"full": None})

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self, "embed_tokens"

    def open_masks(self, context: Context, x: Tensor, seen: int, attention_mask: Tensor | None) -> None:
        """Give the layers their masks."""
        open_masks(context, x, seen, attention_mask, self.windows)

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache_position: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Decode; with encoder_hidden_states [B, K, D] a model with cross attention attends to them."""
        x = embed_tokens(self.embed_tokens, input_ids, inputs_embeds)
        use_cache = keeps_cache(self, use_cache)
        seen = open_cache(context, past_key_values, use_cache)
        self.open_masks(context, x, seen, attention_mask)
        hide_doubly(context, x)
        positions = positions_of(x, seen, position_ids, cache_position)
        for kind, table in self.rotary.items():
            context.rotary[kind] = table(positions, x.dtype)
        if self.embed_positions is not None:
            x = x + learned_positions(
                self.embed_positions, positions, None if position_ids is not None else seen + x.shape[1]
            )
        if token_type_ids is not None:
            x = x + self.embed_tokens(token_type_ids)
        if encoder_hidden_states is not None and getattr(self.config, "add_cross_attention", False):
            context.memory, context.memory_mask = encoder_hidden_states, masks.padding(encoder_attention_mask)
        x = self.stack(self.dropout(x), context)
        crossed = tuple(context.cross_attentions) if context.cross_attentions else None
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=x, past_key_values=context.cache if use_cache else None, cross_attentions=crossed,
            **context.recorded(),
        )  # fmt: skip


def hide_doubly(context: Context, x: Tensor) -> None:
    """For attention written out: what comes later is out for good, what is padding may be seen if nothing else is.

    Queries on padding then attend evenly to the positions before them, as the reference's do.
    """
    if context.kernel != "eager" and not context.record_attentions:
        return
    for kind, mask in context.masks.items():
        if mask is None or mask.dtype != torch.bool:
            continue
        queries, keys = x.shape[1], mask.shape[-1]
        later = ~causal_mask(queries, keys, x.device)
        additive = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, torch.finfo(torch.float32).min)
        context.masks[kind] = additive.masked_fill(later, -torch.inf)


def learned_positions(table: nn.Embedding, positions: Tensor, length: int | None) -> Tensor:
    """Embeddings of positions; `length` is where the text ends, None where positions were given."""
    if length is not None:
        check_length(length, table.num_embeddings)
    try:
        return table(positions)
    except IndexError as error:
        raise InputError(
            f"position_ids go up to {int(positions.max())}; the model knows 0 to {table.num_embeddings - 1}."
        ) from error


def backbone(config: Any) -> GPT2:
    """GPT-2's decoder, whose branches' last projections start smaller, as the paper says."""
    layers = [layer(config, number) for number in range(config.n_layer)]
    for part in layers:
        for last in (part.attn.branch.o_proj, part.mlp.branch.fc2):
            last.initial_std = config.initializer_range / (2 * config.n_layer) ** 0.5  # type: ignore[union-attr]
    return GPT2(config, layers, dropout=config.embd_pdrop, epsilon=config.layer_norm_epsilon)


def initialise(module: nn.Module, config: Any) -> bool:
    """Projections back into the residual stream are drawn with their own deviation."""
    std = getattr(module, "initial_std", None)
    if std is None or not isinstance(module, nn.Linear):
        return False
    nn.init.normal_(module.weight, std=std)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return True


LAYER, ATTENTION, FEEDFORWARD = "h.{i}.", "stack.layers.{i}.attn.", "stack.layers.{i}.mlp."
CROSS = "stack.layers.{i}.cross."
QKV = ("q_proj", "k_proj", "v_proj")
WEIGHTS = WeightMap(
    Rename("wte", "embed_tokens"),
    Rename("wpe", "embed_positions"),
    Rename(LAYER + "ln_1", ATTENTION + "before"),
    Drop(LAYER + "attn.bias"),
    Drop(LAYER + "attn.masked_bias"),
    Split(LAYER + "attn.c_attn", tuple(f"{ATTENTION}branch.{name}" for name in QKV), transpose=True),
    Transpose(LAYER + "attn.c_proj", ATTENTION + "branch.o_proj"),
    Rename(LAYER + "ln_2", FEEDFORWARD + "before"),
    Transpose(LAYER + "mlp.c_fc", FEEDFORWARD + "branch.fc1"),
    Transpose(LAYER + "mlp.c_proj", FEEDFORWARD + "branch.fc2"),
    Rename(LAYER + "ln_cross_attn", CROSS + "before"),
    Drop(LAYER + "crossattention.bias"),
    Drop(LAYER + "crossattention.masked_bias"),
    Transpose(LAYER + "crossattention.q_attn", CROSS + "branch.q_proj"),
    Split(LAYER + "crossattention.c_attn", tuple(f"{CROSS}branch.{name}" for name in QKV[1:]), transpose=True),
    Transpose(LAYER + "crossattention.c_proj", CROSS + "branch.o_proj"),
    Rename("ln_f", "stack.norm"),
)

register(
    "gpt2",
    Architecture(
        config=GPT2Config,
        backbone=backbone,
        weights=WEIGHTS,
        hub_prefix="transformer",
        initialise=initialise,
        heads={
            "LMHeadModel": lm_head(),
            "ForSequenceClassification": sequence_head(),
            "ForTokenClassification": token_head(hub="classifier"),
            "ForQuestionAnswering": span_head(),
        },
    ),
)
