"""OPT (Zhang et al. 2022, arXiv:2205.01068): learned positions that count the text only.

Hub: facebook/opt-125m, facebook/opt-350m (norms after the branches, narrower embeddings), facebook/opt-6.7b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Rename, WeightMap
from ..config import PretrainedConfig
from ..outputs import BaseModelOutputWithPast
from ..registry import Architecture, HeadSpec, register
from ..text_heads import CausalLM, LastTokenClassifier, SpanExtractor
from .decoder import TIED, check_heads, keeps_cache, open_cache, open_masks, positions_of
from .gpt2 import learned_positions
from .inputs import embed_tokens
from .llama import ATTENTION, FEEDFORWARD

NORM_PLACES = {True: "before", False: "after"}
OFFSET = 2
"""Rows in front of the position table that no position uses."""


@dataclass(kw_only=True, init=False, repr=False)
class OPTConfig(PretrainedConfig):
    """config.json of OPT."""

    model_type: ClassVar[str] = "opt"

    vocab_size: int = 50272
    hidden_size: int = 768
    num_hidden_layers: int = 12
    ffn_dim: int = 3072
    max_position_embeddings: int = 2048
    do_layer_norm_before: bool = True
    _remove_final_layer_norm: bool = False
    word_embed_proj_dim: int | None = None
    dropout: float = 0.1
    attention_dropout: float = 0.0
    num_attention_heads: int = 12
    activation_function: str = "relu"
    layerdrop: float = 0.0
    init_std: float = 0.02
    pad_token_id: int | None = 1
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 2
    enable_bias: bool = True
    layer_norm_elementwise_affine: bool = True

    def __post_init__(self) -> None:
        if self.word_embed_proj_dim is None:
            self.word_embed_proj_dim = self.hidden_size
        check_heads(self)


def norm(config: Any) -> nn.LayerNorm:
    """A layer norm of the whole width."""
    return nn.LayerNorm(config.hidden_size, elementwise_affine=config.layer_norm_elementwise_affine)


def layer(config: Any, number: int) -> Sequential:
    """One layer, with norms before or after its branches."""
    bias, place = config.enable_bias, NORM_PLACES[config.do_layer_norm_before]
    attention = Attention(
        config.hidden_size, config.num_attention_heads, layer=number, bias=bias, dropout=config.attention_dropout
    )
    mlp = MLP(config.hidden_size, config.ffn_dim, activation(config.activation_function), bias=bias)
    parts: tuple[dict[str, Any], ...] = ({place: norm(config)}, {place: norm(config)})
    return Sequential(
        Residual(attention, dropout=config.dropout, **parts[0]), Residual(mlp, dropout=config.dropout, **parts[1])
    )


class End(nn.Module):
    """The last norm, and the projection to the embeddings' width, where there are such."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        normed = config.do_layer_norm_before and not config._remove_final_layer_norm
        self.norm = norm(config) if normed else nn.Identity()
        narrow = config.word_embed_proj_dim != config.hidden_size
        self.project = (
            nn.Linear(config.hidden_size, config.word_embed_proj_dim, bias=False) if narrow else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.norm(x))


class OPT(nn.Module):
    """Tokens and learned positions through a causal stack: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        width, narrow = config.hidden_size, config.word_embed_proj_dim
        self.embed_tokens = nn.Embedding(config.vocab_size, narrow, config.pad_token_id)
        self.embed_positions = nn.Embedding(config.max_position_embeddings + OFFSET, width)
        self.project_in = nn.Linear(narrow, width, bias=False) if narrow != width else nn.Identity()
        self.stack = Stack((layer(config, number) for number in range(config.num_hidden_layers)), End(config))

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self, "embed_tokens"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        position_ids: Tensor | None = None,
        cache_position: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPast:
        """Decode; positions count the tokens that attention_mask [B, past + T] shows."""
        x = self.project_in(embed_tokens(self.embed_tokens, input_ids, inputs_embeds))
        use_cache = keeps_cache(self, use_cache)
        seen = open_cache(context, past_key_values, use_cache)
        open_masks(context, x, seen, attention_mask, {"full": None})
        if position_ids is None and attention_mask is not None and attention_mask.ndim == 2:
            mask = attention_mask.long()
            position_ids = (mask.cumsum(-1) * mask - 1)[:, seen:]
        positions = positions_of(x, seen, position_ids, cache_position) + OFFSET
        length = seen + x.shape[1] + OFFSET if attention_mask is None and position_ids is None else None
        x = x + learned_positions(self.embed_positions, positions, length)
        x = self.stack(x, context)
        return BaseModelOutputWithPast(
            last_hidden_state=x, past_key_values=context.cache if use_cache else None, **context.recorded()
        )


def initialise(module: nn.Module, config: Any) -> bool:
    """Normal weights with the configuration's init_std."""
    if not isinstance(module, (nn.Linear, nn.Embedding)):
        return False
    nn.init.normal_(module.weight, std=config.init_std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx])
    return True


LAYER = "decoder.layers.{i}."


def weights(config: Any) -> WeightMap:
    """Rules; where the norms are depends on the configuration."""
    place = NORM_PLACES[config.do_layer_norm_before]
    return WeightMap(
        Rename("decoder.embed_tokens", "embed_tokens"),
        Rename("decoder.embed_positions", "embed_positions"),
        Rename("decoder.project_in", "project_in"),
        Rename("decoder.project_out", "stack.norm.project"),
        Rename(("decoder.final_layer_norm", "decoder.layer_norm"), "stack.norm.norm"),
        *(Rename(f"{LAYER}self_attn.{name}_proj", f"{ATTENTION}branch.{name}_proj") for name in "qkv"),
        Rename(LAYER + "self_attn.out_proj", ATTENTION + "branch.o_proj"),
        Rename(LAYER + "self_attn_layer_norm", ATTENTION + place),
        Rename(LAYER + "fc1", FEEDFORWARD + "branch.fc1"),
        Rename(LAYER + "fc2", FEEDFORWARD + "branch.fc2"),
        Rename(LAYER + "final_layer_norm", FEEDFORWARD + place),
    )


register(
    "opt",
    Architecture(
        config=OPTConfig,
        backbone=OPT,
        weights=weights,
        hub_prefix="model",
        initialise=initialise,
        heads={
            "ForCausalLM": HeadSpec(
                build=lambda config, model: CausalLM(config, model, width=config.word_embed_proj_dim),
                weights=(Rename("lm_head", "head.lm_head"),),
                tied=TIED,
            ),
            "ForSequenceClassification": HeadSpec(
                build=lambda config, model: LastTokenClassifier(config, model, width=config.word_embed_proj_dim),
                weights=(Rename("score", "head.score"),),
            ),
            "ForQuestionAnswering": HeadSpec(
                build=lambda config, model: SpanExtractor(config, model, width=config.word_embed_proj_dim),
                weights=(Rename("qa_outputs", "head.qa_outputs"),),
            ),
        },
    ),
)
