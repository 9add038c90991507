"""What BERT and its relatives share: embedding, post-norm layers, the backbone, name rules and heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...nn import masks
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Drop, Rename, WeightMap
from ..outputs import BaseModelOutputWithPoolingAndCrossAttentions
from ..registry import HeadSpec
from ..text_heads import MultipleChoice, SequenceClassifier, SpanExtractor, TokenClassifier
from .decoder import keeps_cache, open_cache
from .inputs import check_length, embed_tokens, look_up


class TextEmbedding(nn.Module):
    """Tokens, positions and segments added, normed and dropped: [B, T] -> [B, T, D].

    Args:
        config: the configuration.
        dim: width D; default config.hidden_size.
        segments: whether there are embeddings of token types.
        dropout: default config.hidden_dropout_prob.
        norm_eps: default config.layer_norm_eps.
        padding: token id of padding; default config.pad_token_id.
    """

    def __init__(
        self, config: Any, *, dim: int | None = None, segments: bool = True, dropout: float | None = None,
        norm_eps: float | None = None, padding: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        dim = dim or config.hidden_size
        padding = config.pad_token_id if padding is None else padding
        self.token = nn.Embedding(config.vocab_size, dim, padding)
        self.position = nn.Embedding(config.max_position_embeddings, dim, self.position_padding(padding))
        self.segment = nn.Embedding(config.type_vocab_size, dim) if segments else None
        self.norm = nn.LayerNorm(dim, config.layer_norm_eps if norm_eps is None else norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)

    def position_padding(self, padding: int | None) -> int | None:
        """The position of padding, whose embedding is not trained."""
        return None

    def positions(self, input_ids: Tensor | None, x: Tensor, seen: int) -> Tensor:
        """Positions [1 or B, T] of tokens after `seen` cached ones."""
        check_length(seen + x.shape[1], self.position.num_embeddings)
        return torch.arange(seen, seen + x.shape[1], device=x.device)[None]

    def forward(
        self, input_ids: Tensor | None, token_type_ids: Tensor | None = None, position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None, seen: int = 0,
    ) -> Tensor:  # fmt: skip
        x = embed_tokens(self.token, input_ids, inputs_embeds)
        if self.segment is not None:
            segments = x.new_zeros(1, 1, dtype=torch.long) if token_type_ids is None else token_type_ids
            x = x + look_up(self.segment, segments, "token_type_ids")
        positions = self.positions(input_ids, x, seen) if position_ids is None else position_ids
        x = x + look_up(self.position, positions, "position_ids")
        return self.dropout(self.norm(x))


class Pooler(nn.Module):
    """The first token through a linear layer and tanh: [B, T, D] -> [B, D]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.dense(x[:, 0]))


class PaddedPositions(TextEmbedding):
    """Positions that count text only and begin after the padding's own (RoBERTa)."""

    def position_padding(self, padding: int | None) -> int | None:
        return padding

    def positions(self, input_ids: Tensor | None, x: Tensor, seen: int) -> Tensor:
        padding = self.position.padding_idx
        assert padding is not None
        check_length(
            seen + x.shape[1], self.position.num_embeddings - padding - 1, "max_position_embeddings less padding"
        )
        if input_ids is None:
            return torch.arange(seen, seen + x.shape[1], device=x.device)[None] + padding + 1
        text = (input_ids != padding).long()
        return (text.cumsum(1) + seen) * text + padding


def layer(config: Any, number: int, *, mlp_dropout: bool = True, bias_kind: str | None = None) -> Sequential:
    """One post-norm layer; with cross attention where the configuration adds it.

    Args:
        mlp_dropout: whether hidden_dropout_prob holds after the feed-forward part too.
        bias_kind: which of the context's position biases its attention adds.
    """
    heads, dim = config.num_attention_heads, config.hidden_size
    if dim % heads:
        raise ConfigError(f"hidden_size {dim} is no multiple of num_attention_heads {heads}.")

    def attention(cross: bool = False) -> Attention:
        rate, bias = config.attention_probs_dropout_prob, None if cross else bias_kind
        return Attention(dim, heads, layer=number, dropout=rate, cross=cross, bias_kind=bias)

    def after(branch: nn.Module, dropout: bool = True) -> Residual:
        norm = nn.LayerNorm(dim, config.layer_norm_eps)
        return Residual(branch, after=norm, dropout=config.hidden_dropout_prob if dropout else 0.0)

    mlp = MLP(dim, config.intermediate_size, activation(config.hidden_act))
    cross = after(attention(cross=True)) if config.add_cross_attention else None
    return Sequential(after(attention()), after(mlp, mlp_dropout), cross=cross)


class Encoder(nn.Module):
    """A Transformer encoder, or with config.is_decoder a decoder: input_ids [B, T] -> last_hidden_state [B, T, D].

    Args:
        config: the configuration.
        pooler: whether the first token is pooled.
        embed: makes the embedding from the configuration.
        stack: the layers; default: config.num_hidden_layers of `layer`.
        project: width of the embedding, where it is not the layers' and is projected to it (ELECTRA).
    """

    def __init__(
        self,
        config: Any,
        *,
        pooler: bool = True,
        embed: Callable[[Any], nn.Module] = TextEmbedding,
        stack: nn.Module | None = None,
        project: int | None = None,
    ) -> None:
        super().__init__()
        if config.add_cross_attention and not config.is_decoder:
            raise ConfigError("add_cross_attention=True needs is_decoder=True: encoders have no cross attention.")
        self.config = config
        self.embed = embed(config)
        self.project = None if project is None else nn.Linear(project, config.hidden_size)
        self.stack = (
            Stack(layer(config, number) for number in range(config.num_hidden_layers)) if stack is None else stack
        )
        self.pooler = Pooler(config) if pooler else None

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
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Encode; attention_mask [B, T] has ones for text and zeros for padding.

        A decoder (config.is_decoder) attends to what came before and may keep a cache; encoder_hidden_states [B, K, D]
        with encoder_attention_mask [B, K] is what its cross attention reads.
        """
        decodes = self.config.is_decoder
        keep = decodes and keeps_cache(self, use_cache)
        seen = open_cache(context, past_key_values, keep) if decodes else 0
        x = self.embed(input_ids, token_type_ids, position_ids, inputs_embeds, seen)
        if self.project is not None:
            x = self.project(x)
        pad = masks.padding(attention_mask, seen + x.shape[1])
        context.causal = decodes and pad is None
        context.masks["full"] = masks.causal(x.shape[1], seen + x.shape[1], x.device, pad) if decodes else pad
        if decodes and encoder_hidden_states is not None:
            self._open_memory(context, encoder_hidden_states, encoder_attention_mask)
        x = self.stack(x, context)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            past_key_values=context.cache if keep else None,
            cross_attentions=tuple(context.cross_attentions) or None if context.record_attentions else None,
            **context.recorded(),
        )

    def _open_memory(self, context: Context, states: Tensor, mask: Tensor | None) -> None:
        if not self.config.add_cross_attention:
            raise ConfigError("encoder_hidden_states needs a model with cross attention: set add_cross_attention=True.")
        context.memory, context.memory_mask = states, masks.padding(mask, states.shape[1])


def layer_rules(hub: str, ours: str = "stack.layers.{i}.") -> tuple[Rename, ...]:
    """Name rules of one post-norm layer as BERT's files call it; `hub` is the layer's prefix there."""
    rules = [
        Rename(hub + "intermediate.dense", ours + "mlp.branch.fc1"),
        Rename(hub + "output.dense", ours + "mlp.branch.fc2"),
    ]
    rules.append(Rename(hub + "output.LayerNorm", ours + "mlp.after"))
    for theirs, mine in (("attention", "attn"), ("crossattention", "cross")):
        for part, projection in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
            rules.append(Rename(f"{hub}{theirs}.self.{part}", f"{ours}{mine}.branch.{projection}"))
        rules.append(Rename(f"{hub}{theirs}.output.dense", f"{ours}{mine}.branch.o_proj"))
        rules.append(Rename(f"{hub}{theirs}.output.LayerNorm", f"{ours}{mine}.after"))
    return tuple(rules)


EMBEDDINGS = (
    Rename("embeddings.word_embeddings", "embed.token"),
    Rename("embeddings.position_embeddings", "embed.position"),
    Rename("embeddings.token_type_embeddings", "embed.segment"),
    Rename("embeddings.LayerNorm", "embed.norm"),
    Drop("embeddings.position_ids"),
    Drop("embeddings.token_type_ids"),
)
WEIGHTS = WeightMap(*EMBEDDINGS, *layer_rules("encoder.layer.{i}."), Rename("pooler.dense", "pooler.dense"))
"""BERT's names, which RoBERTa and many others share."""


def vocabulary_bias(config: Any, bias: str, decoder: str) -> Rename:
    """The bias of the projection to the vocabulary, which files call by two names.

    Where embeddings are tied both are one tensor and `bias` is written; else only `decoder` counts.
    """
    return Rename((bias, decoder) if config.tie_word_embeddings else (decoder, bias), "head.lm_head.bias")


TIED = (("head.lm_head.weight", "backbone.embed.token.weight"),)


def classifier_dropout(config: Any) -> float:
    """classifier_dropout (or ALBERT's classifier_dropout_prob) where it is set, else hidden_dropout_prob."""
    for name in ("classifier_dropout", "classifier_dropout_prob"):
        if (rate := getattr(config, name, None)) is not None:
            return float(rate)
    return float(config.hidden_dropout_prob)


def _sequence(config: Any, backbone: nn.Module) -> SequenceClassifier:
    return SequenceClassifier(config, backbone, dropout=classifier_dropout(config))


def _tokens(config: Any, backbone: nn.Module) -> TokenClassifier:
    return TokenClassifier(config, backbone, dropout=classifier_dropout(config))


def _choices(config: Any, backbone: nn.Module) -> MultipleChoice:
    return MultipleChoice(config, backbone, dropout=classifier_dropout(config))


def first_token(act: str) -> Callable[[Any, nn.Module], SequenceClassifier]:
    """A classifier of the first token through `dense` and this activation (RoBERTa, ELECTRA)."""

    def build(config: Any, backbone: nn.Module) -> SequenceClassifier:
        rate = classifier_dropout(config)
        return SequenceClassifier(config, backbone, dropout=rate, dense=activation(act), dropout_first=True)

    return build


FIRST_TOKEN_RULES = (Rename("classifier.dense", "head.dense"), Rename("classifier.out_proj", "head.classifier"))
CLASSIFIER_RULES = (Rename("classifier", "head.classifier"),)


def heads(**changes: HeadSpec | None) -> Mapping[str, HeadSpec]:
    """Heads for classes of texts, choices, tokens and spans; `changes` replaces or adds some, None leaves one out."""
    usual: dict[str, HeadSpec | None] = {
        "ForSequenceClassification": HeadSpec(build=_sequence, weights=CLASSIFIER_RULES, pooler=True),
        "ForMultipleChoice": HeadSpec(build=_choices, weights=CLASSIFIER_RULES, pooler=True),
        "ForTokenClassification": HeadSpec(build=_tokens, weights=CLASSIFIER_RULES),
        "ForQuestionAnswering": HeadSpec(
            build=partial(SpanExtractor), weights=(Rename("qa_outputs", "head.qa_outputs"),)
        ),
    }
    return {suffix: spec for suffix, spec in {**usual, **changes}.items() if spec is not None}
