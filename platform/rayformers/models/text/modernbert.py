"""ModernBERT (Warner et al. 2024, arXiv:2412.13663): pre-norm, rotary positions, local and global attention in turns.

Hub: answerdotai/ModernBERT-base, answerdotai/ModernBERT-large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn import masks
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import GatedMLP
from ...nn.positions import Rope, RotaryTable
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Rename, Split, WeightMap
from ..config import PretrainedConfig
from ..outputs import BaseModelOutput, BaseModelOutputWithPooling, ModelOutput
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM, MultipleChoice, SequenceClassifier, SpanExtractor, TokenClassifier
from .encoder import TIED
from .inputs import check_length, embed_tokens

KINDS = {"full_attention": "full", "sliding_attention": "sliding"}


@dataclass(kw_only=True, init=False, repr=False)
class ModernBertConfig(PretrainedConfig):
    """config.json of ModernBERT; version 5 files hold layer_types and rope_parameters, version 4 keys are written."""

    model_type: ClassVar[str] = "modernbert"

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: int = 8192
    initializer_range: float = 0.02
    initializer_cutoff_factor: float | None = 2.0
    norm_eps: float = 1e-5
    norm_bias: bool = False
    pad_token_id: int | None = 50283
    eos_token_id: int | list[int] | None = 50282
    bos_token_id: int | None = 50281
    cls_token_id: int | None = 50281
    sep_token_id: int | None = 50282
    global_rope_theta: float = 160000.0
    local_rope_theta: float | None = 10000.0
    attention_bias: bool = False
    attention_dropout: float = 0.0
    global_attn_every_n_layers: int = 3
    local_attention: int = 128
    embedding_dropout: float = 0.0
    mlp_bias: bool = False
    mlp_dropout: float = 0.0
    decoder_bias: bool = True
    classifier_pooling: str = "cls"
    classifier_dropout: float = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    sparse_prediction: bool = False
    sparse_pred_ignore_index: int = -100

    def __post_init__(self) -> None:
        if self.classifier_pooling not in ("cls", "mean"):
            raise ConfigError(f"classifier_pooling is {self.classifier_pooling!r}; expected 'cls' or 'mean'.")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {self.num_attention_heads}."
            )
        settings = self.__dict__.get("rope_parameters") or {}
        for kind, key in (("full_attention", "global_rope_theta"), ("sliding_attention", "local_rope_theta")):
            if theta := (settings.get(kind) or {}).get("rope_theta"):
                setattr(self, key, theta)
        types = self.__dict__.get("layer_types")
        full = [number for number, kind in enumerate(types or []) if kind == "full_attention"]
        if len(full) > 1:
            self.global_attn_every_n_layers = full[1] - full[0]

    def kinds(self) -> list[str]:
        """The kind of attention of each layer: "full" or "sliding"."""
        types = self.__dict__.get("layer_types")
        if types is not None:
            return [KINDS[name] for name in types]
        every = self.global_attn_every_n_layers
        return ["sliding" if number % every else "full" for number in range(self.num_hidden_layers)]


class PaddedAttention(Attention):
    """Attention in which padding far from all text, which may attend to nothing, attends evenly."""

    def position_bias(self, q: Tensor, k: Tensor, context: Context) -> Tensor | None:
        return context.biases.get("padding")


def drawn(module: nn.Linear, std: float) -> nn.Linear:
    """The layer, with the standard deviation of its fresh weights."""
    module.fresh_std = std  # type: ignore[assignment]
    return module


def layer(config: ModernBertConfig, number: int, kind: str) -> Sequential:
    """One pre-norm layer; the first has no norm before attention, as the embedding is normed."""
    dim = config.hidden_size
    attention = PaddedAttention(
        dim, config.num_attention_heads, layer=number, bias=config.attention_bias, rope=Rope(kind), mask=kind,
        dropout=config.attention_dropout,
    )  # fmt: skip
    mlp = GatedMLP(
        dim, config.intermediate_size, activation(config.hidden_activation), bias=config.mlp_bias,
        dropout=config.mlp_dropout,
    )  # fmt: skip
    for projection in (attention.o_proj, mlp.down_proj):
        drawn(projection, out_std(config))
    return Sequential(
        Residual(attention, before=norm(config) if number else None, dropout=config.attention_dropout),
        Residual(mlp, before=norm(config)),
    )


def norm(config: ModernBertConfig) -> nn.LayerNorm:
    """A layer norm, usually without bias."""
    return nn.LayerNorm(config.hidden_size, config.norm_eps, bias=config.norm_bias)


def out_std(config: ModernBertConfig) -> float:
    """Standard deviation of fresh projections into the residual stream."""
    return config.initializer_range / math.sqrt(2.0 * config.num_hidden_layers)


class ModernBert(nn.Module):
    """A Transformer encoder: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.ModuleDict({"token": nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)})
        self.embed["norm"] = norm(config)
        self.dropout = nn.Dropout(config.embedding_dropout)
        kinds = config.kinds()
        layers = (layer(config, number, kind) for number, kind in enumerate(kinds))
        self.stack = Stack(layers, norm(config), record_norm=False)
        self.rotary = nn.ModuleDict({kind: self._table(config, kind) for kind in sorted(set(kinds))})

    @staticmethod
    def _table(config: ModernBertConfig, kind: str) -> RotaryTable:
        local = config.global_rope_theta if config.local_rope_theta is None else config.local_rope_theta
        given = (config.__dict__.get("rope_parameters") or {}).get(f"{kind}_attention") or {}
        scaling = given if given.get("rope_type", "default") != "default" else config.__dict__.get("rope_scaling")
        return RotaryTable(
            config.hidden_size // config.num_attention_heads, config.global_rope_theta if kind == "full" else local,
            scaling, config.max_position_embeddings,
        )  # fmt: skip

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self.embed, "token"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutput:
        """Encode; attention_mask [B, T] has ones for text and zeros for padding."""
        x = self.dropout(self.embed["norm"](embed_tokens(self.embed["token"], input_ids, inputs_embeds)))
        length = x.shape[1]
        check_length(length, self.config.max_position_embeddings)
        pad = masks.padding(attention_mask, length)
        reach = self.config.local_attention // 2
        context.masks |= {"full": pad, "sliding": masks.window(length, length, x.device, reach, pad)}
        if pad is not None:
            context.biases["padding"] = x.new_zeros(1, 1, 1, 1)
        positions = torch.arange(length, device=x.device)[None] if position_ids is None else position_ids
        context.rotary |= {kind: table(positions, x.dtype) for kind, table in self.rotary.items()}
        return BaseModelOutput(last_hidden_state=self.stack(x, context), **context.recorded())


class Transform(nn.Module):
    """dense, activation, norm: [..., D] -> [..., D]."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        dim = config.hidden_size
        self.dense = drawn(nn.Linear(dim, dim, config.classifier_bias), out_std(config))
        self.act = activation(config.classifier_activation)
        self.norm = norm(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.act(self.dense(x)))


class Masked(MaskedLM):
    """The head that fills masks; config.sparse_prediction: with labels, logits of labelled tokens alone."""

    def __init__(self, config: ModernBertConfig, backbone: nn.Module) -> None:
        act = activation(config.classifier_activation)
        super().__init__(
            config, backbone, act=act, norm_eps=config.norm_eps, norm=norm(config), dense_bias=config.classifier_bias,
            bias=config.decoder_bias,
        )  # fmt: skip
        self.sparse, self.ignored = config.sparse_prediction, config.sparse_pred_ignore_index
        for linear in (self.dense, self.lm_head):
            drawn(linear, out_std(config))

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, num_items_in_batch: Any = None
    ) -> ModelOutput:
        if self.sparse and labels is not None:
            known = labels != self.ignored
            states, labels = outputs.last_hidden_state[known], labels[known]
            outputs = BaseModelOutput(states, outputs.hidden_states, outputs.attentions)
        return super().forward(outputs, inputs, labels, num_items_in_batch)


class OnStates:
    """Mixin of heads: every state goes through the transform first."""

    transform: Transform

    def forward(self, outputs: Any, inputs: Mapping[str, Any], **own: Any) -> ModelOutput:
        states = self.transform(outputs.last_hidden_state)
        return super().forward(BaseModelOutput(states, outputs.hidden_states, outputs.attentions), inputs, **own)  # type: ignore[misc]


class OnSummary:
    """Mixin of heads: the first token, or the mean of the text, goes through the transform."""

    transform: Transform
    pooling: str

    def forward(self, outputs: Any, inputs: Mapping[str, Any], **own: Any) -> ModelOutput:
        states, mask = outputs.last_hidden_state, inputs.get("attention_mask")
        pooled = self.transform(self.pool(states, mask))
        outputs = BaseModelOutputWithPooling(states, pooled, outputs.hidden_states, outputs.attentions)
        return super().forward(outputs, inputs, **own)  # type: ignore[misc]

    def pool(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, D] -> [B, D]."""
        if self.pooling == "cls":
            return self.first(states, mask)
        if mask is None:
            return states.mean(dim=1)
        return (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def first(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """The first position."""
        return states[:, 0]


class TextClassifier(OnSummary, SequenceClassifier):  # type: ignore[misc]
    """Classes of texts: logits [B, labels]."""

    def __init__(self, config: ModernBertConfig, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=config.classifier_dropout)
        self.transform, self.pooling = Transform(config), config.classifier_pooling
        drawn(self.classifier, config.hidden_size**-0.5)


class ChoiceClassifier(OnSummary, MultipleChoice):  # type: ignore[misc]
    """One score for each choice: logits [B, choices]."""

    def __init__(self, config: ModernBertConfig, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=config.classifier_dropout)
        self.transform, self.pooling = Transform(config), config.classifier_pooling
        drawn(self.classifier, config.hidden_size**-0.5)

    def first(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """The first token that is text, wherever the padding is."""
        if mask is None:
            return states[:, 0]
        return states[torch.arange(len(states), device=states.device), mask.argmax(dim=-1)]


class Tagger(OnStates, TokenClassifier):  # type: ignore[misc]
    """Classes of tokens: logits [B, T, labels]."""

    def __init__(self, config: ModernBertConfig, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=config.classifier_dropout)
        self.transform = Transform(config)
        drawn(self.classifier, config.hidden_size**-0.5)


class Reader(OnStates, SpanExtractor):  # type: ignore[misc]
    """Where an answer starts and ends: logits [B, T] each."""

    def __init__(self, config: ModernBertConfig, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=config.classifier_dropout)
        self.transform = Transform(config)
        drawn(self.qa_outputs, config.hidden_size**-0.5)


@torch.no_grad()
def initialise(module: nn.Module, config: ModernBertConfig) -> bool:
    """Truncated normal weights; smaller ones where a projection adds to the residual stream."""
    if not isinstance(module, (nn.Linear, nn.Embedding)):
        return False
    std = float(getattr(module, "fresh_std", config.initializer_range))
    cut = (config.initializer_cutoff_factor or 3.0) * std
    nn.init.trunc_normal_(module.weight, std=std, a=-cut, b=cut)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    return True


LAYER, OURS = "layers.{i}.", "stack.layers.{i}."
WEIGHTS = WeightMap(
    Rename("embeddings.tok_embeddings", "embed.token"),
    Rename("embeddings.norm", "embed.norm"),
    Rename(LAYER + "attn_norm", OURS + "attn.before"),
    Split(LAYER + "attn.Wqkv", tuple(f"{OURS}attn.branch.{name}_proj" for name in "qkv")),
    Rename(LAYER + "attn.Wo", OURS + "attn.branch.o_proj"),
    Rename(LAYER + "mlp_norm", OURS + "mlp.before"),
    Split(LAYER + "mlp.Wi", (OURS + "mlp.branch.gate_proj", OURS + "mlp.branch.up_proj")),
    Rename(LAYER + "mlp.Wo", OURS + "mlp.branch.down_proj"),
    Rename("final_norm", "stack.norm"),
)
TRANSFORM = (Rename("head.dense", "head.transform.dense"), Rename("head.norm", "head.transform.norm"))
CLASSIFIER = (*TRANSFORM, Rename("classifier", "head.classifier"))

register(
    "modernbert",
    Architecture(
        config=ModernBertConfig,
        backbone=ModernBert,
        weights=WEIGHTS,
        hub_prefix="model",
        initialise=initialise,
        heads={
            "ForMaskedLM": HeadSpec(
                build=Masked,
                weights=(
                    Rename("head.dense", "head.dense"),
                    Rename("head.norm", "head.norm"),
                    Rename("decoder", "head.lm_head"),
                ),
                tied=TIED,
            ),
            "ForSequenceClassification": HeadSpec(build=TextClassifier, weights=CLASSIFIER),
            "ForMultipleChoice": HeadSpec(build=ChoiceClassifier, weights=CLASSIFIER),
            "ForTokenClassification": HeadSpec(build=Tagger, weights=CLASSIFIER),
            "ForQuestionAnswering": HeadSpec(
                build=Reader, weights=(*TRANSFORM, Rename("classifier", "head.qa_outputs"))
            ),
        },
    ),
)
