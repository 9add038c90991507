"""DeBERTa (He et al. 2020, arXiv:2006.03654): attention by content and by relative position, projected apart.

Hub: microsoft/deberta-base, microsoft/deberta-base-mnli.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError, InputError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Drop, Rename, Rule, Split, WeightMap
from .. import losses
from ..config import PretrainedConfig
from ..outputs import BaseModelOutput, ModelOutput, SequenceClassifierOutput
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM, SequenceClassifier, recorded
from .bert import predictions
from .encoder import TIED, heads
from .inputs import check_length, embed_tokens, look_up


@dataclass(kw_only=True, init=False, repr=False)
class DebertaConfig(PretrainedConfig):
    """config.json of DeBERTa."""

    model_type: ClassVar[str] = "deberta"

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-7
    relative_attention: bool = False
    max_relative_positions: int = -1
    pad_token_id: int | None = 0
    position_biased_input: bool = True
    pos_att_type: list[str] | str | None = field(default=None)
    pooler_dropout: float = 0.0
    pooler_hidden_act: str = "gelu"
    legacy: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.pos_att_type, str):
            self.pos_att_type = [part.strip() for part in self.pos_att_type.lower().split("|")]
        self.__dict__.setdefault("pooler_hidden_size", self.hidden_size)
        if getattr(self, "talking_head", False):
            raise ConfigError("talking_head=True: no published DeBERTa has it, and it is not built. Set it to false.")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {self.num_attention_heads}."
            )

    def span(self) -> int:
        """Distances that have a position of their own, in each direction."""
        buckets = getattr(self, "position_buckets", -1)
        return int(buckets if buckets > 0 else self.furthest())

    def furthest(self) -> int:
        """The largest distance."""
        return self.max_position_embeddings if self.max_relative_positions < 1 else self.max_relative_positions


class Embedding(nn.Module):
    """Tokens, and where the configuration says so positions and segments, normed; padding becomes zero: [B, T, D]."""

    def __init__(self, config: DebertaConfig) -> None:
        super().__init__()
        dim = getattr(config, "embedding_size", config.hidden_size)
        self.token = nn.Embedding(config.vocab_size, dim, config.pad_token_id)
        learned = config.position_biased_input
        self.position = nn.Embedding(config.max_position_embeddings, dim) if learned else None
        self.segment = nn.Embedding(config.type_vocab_size, dim) if config.type_vocab_size > 0 else None
        self.project = None if dim == config.hidden_size else nn.Linear(dim, config.hidden_size, bias=False)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: Tensor | None, token_type_ids: Tensor | None, position_ids: Tensor | None,
        inputs_embeds: Tensor | None, text: Tensor | None,
    ) -> Tensor:  # fmt: skip
        x = embed_tokens(self.token, input_ids, inputs_embeds)
        if text is not None and text.shape[1] != x.shape[1]:
            raise InputError(f"attention_mask has {text.shape[1]} positions; the text has {x.shape[1]}.")
        if self.position is not None:
            if position_ids is None:
                check_length(x.shape[1], self.position.num_embeddings)
                position_ids = torch.arange(x.shape[1], device=x.device)[None]
            x = x + look_up(self.position, position_ids, "position_ids")
        if self.segment is not None:
            segments = x.new_zeros(1, 1, dtype=torch.long) if token_type_ids is None else token_type_ids
            x = x + look_up(self.segment, segments, "token_type_ids")
        x = self.norm(x if self.project is None else self.project(x))
        return self.dropout(x if text is None else x * text[..., None].to(x.dtype))


def _silence_padding(q: Tensor, k: Tensor, context: Context) -> tuple[Tensor, Tensor]:
    """Queries that may attend to nothing become zero, so that no gradient passes through their scores."""
    asks = context.shared.get("asks")
    return (q if asks is None else q.masked_fill(~asks[:, None, :, None], 0)), k


class DisentangledAttention(Attention):
    """Attention whose scores add content-to-position and position-to-content terms.

    The context shares "positions" [rows, D], the embeddings of the distances that occur, and "distance" [Q, K], the row
    of each query's distance from each key.
    """

    def __init__(
        self, config: Any, number: int, *, bias: bool | tuple[bool, bool, bool] = True, key_bias: bool = False,
        share: bool = False,
    ) -> None:  # fmt: skip
        kinds = [kind for kind in ("c2p", "p2c") if kind in (config.pos_att_type or [])]
        dim, heads_ = config.hidden_size, config.num_attention_heads
        width = getattr(config, "attention_head_size", None) or dim // heads_
        super().__init__(
            dim, heads_, layer=number, head_dim=width, bias=bias, rope=_silence_padding,
            scale=(width * (1 + len(kinds))) ** -0.5, dropout=config.attention_probs_dropout_prob,
        )  # fmt: skip
        self.kinds: list[str] = kinds if config.relative_attention else []
        own = {kind for kind in self.kinds if not share}
        self.pos_k = nn.Linear(dim, heads_ * width, key_bias) if "c2p" in own else None
        self.pos_q = nn.Linear(dim, heads_ * width) if "p2c" in own else None
        self.pos_dropout = nn.Dropout(config.hidden_dropout_prob)

    def position_bias(self, q: Tensor, k: Tensor, context: Context) -> Tensor:
        # Never None: with a bias, rows of padding attend evenly, while a kernel given only a mask leaves them open.
        if not self.kinds:
            return q.new_zeros(1, 1, 1, 1)
        states, distance = self.pos_dropout(context.shared["positions"])[None], context.shared["distance"]
        out = q.new_zeros(())
        if "c2p" in self.kinds:
            positions = self._heads((self.k_proj if self.pos_k is None else self.pos_k)(states))
            scores = q @ positions.transpose(-1, -2)
            out = out + scores.gather(-1, distance.expand(*scores.shape[:2], -1, -1))
        if "p2c" in self.kinds:
            positions = self._heads((self.q_proj if self.pos_q is None else self.pos_q)(states))
            scores = k @ positions.transpose(-1, -2)
            out = out + scores.gather(-1, distance.t().expand(*scores.shape[:2], -1, -1)).transpose(-1, -2)
        return out * self.scale


def attention(config: DebertaConfig, number: int) -> DisentangledAttention:
    """Version 1: keys have no bias, nor have the positions' keys."""
    return DisentangledAttention(config, number, bias=(True, False, True))


def layer(config: Any, number: int, attention: Callable[[Any, int], nn.Module]) -> Sequential:
    """One post-norm layer."""

    def after(branch: nn.Module) -> Residual:
        norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        return Residual(branch, after=norm, dropout=config.hidden_dropout_prob)

    mlp = MLP(config.hidden_size, config.intermediate_size, activation(config.hidden_act))
    return Sequential(after(attention(config, number)), after(mlp))


class Deberta(nn.Module):
    """A Transformer encoder: input_ids [B, T] -> last_hidden_state [B, T, D].

    Args:
        config: the configuration.
        build: (config, number) -> layer.
        bucket: distances -> distances that have a position of their own.
        norm: whether the embeddings of distances are normed.
    """

    def __init__(
        self,
        config: Any,
        *,
        build: Callable[[Any, int], nn.Module] | None = None,
        bucket: Callable[[Tensor], Tensor] | None = None,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.bucket = config, bucket
        self.embed = Embedding(config)
        self.stack = Stack(
            (build or (lambda c, n: layer(c, n, attention)))(config, number)
            for number in range(config.num_hidden_layers)
        )
        relative = config.relative_attention
        self.relative = nn.Embedding(2 * config.span(), config.hidden_size) if relative else None
        self.relative_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps) if norm else None

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self.embed, "token"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutput:
        """Encode; attention_mask [B, T] has ones for text and zeros for padding, [B, T, T] says who attends to whom."""
        mask = None if attention_mask is None else attention_mask.bool()
        text = mask if mask is None or mask.ndim == 2 else mask.any(-2)
        x = self.embed(input_ids, token_type_ids, position_ids, inputs_embeds, text)
        if mask is not None and text is not None:
            context.shared |= {"text": text, "asks": text if mask.ndim == 2 else mask.any(-1)}
            context.masks["full"] = (mask if mask.ndim == 3 else mask[:, None] & mask[:, :, None])[:, None]
        if self.relative is not None:
            self._open_positions(context, x.shape[1], x.device)
        x = self.stack(x, context)
        return BaseModelOutput(last_hidden_state=x, **context.recorded())

    def _open_positions(self, context: Context, length: int, device: torch.device) -> None:
        assert self.relative is not None
        span = self.config.span()
        place = torch.arange(length, device=device)
        distance = place[:, None] - place[None]
        distance = (distance if self.bucket is None else self.bucket(distance)) + span
        first, last = max(0, span - length), min(2 * span, span + length)  # no other distances occur
        context.shared["distance"] = distance.clamp(0, 2 * span - 1) - first
        positions = self.relative.weight if self.relative_norm is None else self.relative_norm(self.relative.weight)
        context.shared["positions"] = positions[first:last]


class ContextPooler(nn.Module):
    """The first token through dropout, a linear layer and an activation: [B, T, D] -> [B, D]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.pooler_hidden_size, config.pooler_hidden_size)
        self.dropout = nn.Dropout(config.pooler_dropout)
        self.act = activation(config.pooler_hidden_act)

    def forward(self, outputs: Any) -> Tensor:
        return self.act(self.dense(self.dropout(outputs.last_hidden_state[:, 0])))


def cls_dropout(config: Any) -> float:
    """cls_dropout where it is set, else hidden_dropout_prob."""
    rate = getattr(config, "cls_dropout", None)
    return float(config.hidden_dropout_prob if rate is None else rate)


class ContextClassifier(SequenceClassifier):
    """A classifier of the pooled text: logits [B, labels]. Without a problem_type, labels below zero are left out."""

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__(config, backbone, dropout=cls_dropout(config))
        self.pooler = ContextPooler(config)

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ModelOutput:
        logits = self.classifier(self.dropout(self.pooler(outputs)))
        loss = None
        if labels is not None and self.config.problem_type is None:
            logits, loss = self._untyped(logits, labels)
        elif labels is not None:
            loss = losses.classification(self.config, logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, **recorded(outputs))

    def _untyped(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.num_labels == 1:
            logits = logits.view(-1).to(labels.dtype)
            return logits, F.mse_loss(logits, labels.view(-1))
        if labels.ndim == 1 or labels.shape[-1] == 1:
            labels = labels.view(-1).long()
            known = labels >= 0
            if not known.any():
                return logits, logits.new_zeros(())
            return logits, F.cross_entropy(logits[known].float(), labels[known])
        return logits, -(logits.log_softmax(-1) * labels).sum(-1).mean()


def masked(config: Any, backbone: nn.Module) -> MaskedLM:
    """The head that fills masks."""
    width = getattr(config, "embedding_size", config.hidden_size) if config.legacy else config.hidden_size
    return MaskedLM(
        config, backbone, act=activation(config.hidden_act), norm_eps=config.layer_norm_eps, width=width
    )  # fmt: skip


def masked_rules(config: Any) -> tuple[Rule, ...]:
    """The head's names in files, which depend on config.legacy; those of the other kind are read too."""
    new = (
        Rename("lm_predictions.lm_head.dense", "head.dense"),
        Rename("lm_predictions.lm_head.LayerNorm", "head.norm"),
        Rename("lm_predictions.lm_head.bias", "head.lm_head.bias"),
    )
    return (*predictions(config), *new) if config.legacy else (*new, *predictions(config))


POOLED_RULES = (Rename("pooler.dense", "head.pooler.dense"), Rename("classifier", "head.classifier"))
UNUSED = tuple(Drop(f"mask_predictions.{part}") for part in ("dense", "LayerNorm", "classifier"))


def shared_heads(**more: HeadSpec | None) -> Mapping[str, HeadSpec]:
    """The heads of both versions."""
    return heads(
        ForMaskedLM=HeadSpec(build=masked, weights=masked_rules, tied=TIED),
        ForSequenceClassification=HeadSpec(build=ContextClassifier, weights=POOLED_RULES),
        **more,
    )


LAYER, OURS = "encoder.layer.{i}.", "stack.layers.{i}."
SHARED_RULES: tuple[Rule, ...] = (
    Rename("embeddings.word_embeddings", "embed.token"),
    Rename("embeddings.position_embeddings", "embed.position"),
    Rename("embeddings.token_type_embeddings", "embed.segment"),
    Rename("embeddings.embed_proj", "embed.project"),
    Rename("embeddings.LayerNorm", "embed.norm"),
    Drop("embeddings.position_ids"),
    Rename("encoder.rel_embeddings", "relative"),
    Rename(LAYER + "attention.output.dense", OURS + "attn.branch.o_proj"),
    Rename(LAYER + "attention.output.LayerNorm", OURS + "attn.after"),
    Rename(LAYER + "intermediate.dense", OURS + "mlp.branch.fc1"),
    Rename(LAYER + "output.dense", OURS + "mlp.branch.fc2"),
    Rename(LAYER + "output.LayerNorm", OURS + "mlp.after"),
    *UNUSED,
)


def rules(config: DebertaConfig) -> WeightMap:
    """One projection for queries, keys and values, interleaved by heads; biases apart."""
    hub, ours = LAYER + "attention.self.", OURS + "attn.branch."
    parts = tuple(f"{ours}{name}_proj.weight" for name in "qkv")
    return WeightMap(
        *SHARED_RULES,
        Split(hub + "in_proj.weight", parts, heads=config.num_attention_heads),
        Rename(hub + "q_bias", ours + "q_proj.bias"),
        Rename(hub + "v_bias", ours + "v_proj.bias"),
        Rename(hub + "pos_proj", ours + "pos_k"),
        Rename(hub + "pos_q_proj", ours + "pos_q"),
    )


register(
    "deberta",
    Architecture(
        config=DebertaConfig,
        backbone=Deberta,
        weights=rules,
        hub_prefix="deberta",
        optional=("embed.position.*",),
        heads=shared_heads(ForMultipleChoice=None),
    ),
)
