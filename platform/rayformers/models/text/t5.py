"""T5 (Raffel et al. 2019, arXiv:1910.10683), versions 1.0, 1.1 and FLAN: an encoder-decoder with relative positions.

Hub: google-t5/t5-small, google/t5-v1_1-base, google/flan-t5-base.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from ...errors import ConfigError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.feedforward import MLP, GatedMLP
from ...nn.norms import RMSNorm
from ...nn.relative import RelativeBias
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Drop, Rename, Rule, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, HeadSpec, register
from ..seq2seq_heads import Bare, Seq2SeqLM, Seq2SeqSequenceClassifier, Seq2SeqSpanExtractor
from ..text_heads import TokenClassifier
from .seq2seq import SHARED, TIED, Decoder, Encoder, EncoderDecoder, EncoderOnly, Seq2SeqMethods


@dataclass(kw_only=True, init=False, repr=False)
class T5Config(PretrainedConfig):
    """config.json of T5.

    `tie_word_embeddings` False (1.1, FLAN) also means that states are not scaled before lm_head. Version 5 files say
    True for every model, and `scale_decoder_outputs` in its place.
    """

    model_type: ClassVar[str] = "t5"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }  # fmt: skip

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    classifier_dropout: float = 0.0
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: str = "relu"
    scale_decoder_outputs: bool | None = None
    is_encoder_decoder: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1

    def __post_init__(self) -> None:
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers
        kind, _, name = self.feed_forward_proj.rpartition("-")
        if kind not in ("", "gated"):
            raise ConfigError(
                f"feed_forward_proj is {self.feed_forward_proj!r}; expected an activation such as 'relu', or 'gated-' "
                "and an activation such as 'gated-gelu'."
            )
        self.is_gated_act = kind == "gated"
        self.dense_act_fn = "gelu_new" if self.feed_forward_proj == "gated-gelu" else name
        if self.scale_decoder_outputs is None:
            self.scale_decoder_outputs = self._scales()
        if not self.scale_decoder_outputs:
            self.tie_word_embeddings = False

    def _scales(self) -> bool:
        """Whether states are scaled, of files that do not say so."""
        return self.tie_word_embeddings


class Norm(RMSNorm):
    """RMS norm that gives the weights' dtype: in float16 the residual stream is float32 after the first layer."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).to(self.weight.dtype)


class FeedForward(MLP):
    """MLP whose second projection may be in float32 while the rest is in float16, where it would overflow."""

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        return self.fc2(self.dropout(self.act(self.fc1(x))).to(self.fc2.weight.dtype))


class GatedFeedForward(GatedMLP):
    """Gated MLP whose last projection may be in float32 while the rest is in float16, where it would overflow."""

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        hidden = self.dropout(self.act(self.gate_proj(x)) * self.up_proj(x))
        return self.down_proj(hidden.to(self.down_proj.weight.dtype))


def norm(config: Any) -> Norm:
    """A norm of the model's width."""
    return Norm(config.d_model, config.layer_norm_epsilon)


def attention(config: Any, number: int, *, bias_kind: str | None = None, cross: bool = False) -> Attention:
    """Attention without scaling of the scores; the weights' first values make up for it."""
    module = Attention(
        config.d_model, config.num_heads, layer=number, head_dim=config.d_kv, bias=False, scale=1.0,
        dropout=config.dropout_rate, bias_kind=bias_kind, cross=cross,
    )  # fmt: skip
    _begin(module.q_proj, (config.d_model * config.d_kv) ** -0.5)
    _begin(module.k_proj, config.d_model**-0.5)
    _begin(module.v_proj, config.d_model**-0.5)
    _begin(module.o_proj, (config.num_heads * config.d_kv) ** -0.5)
    return module


def feedforward(config: Any) -> nn.Module:
    """The plain MLP of version 1.0 or the gated one of 1.1."""
    kind: Any = GatedFeedForward if config.is_gated_act else FeedForward
    module = kind(config.d_model, config.d_ff, activation(config.dense_act_fn), bias=False, dropout=config.dropout_rate)
    for name, linear in module.named_children():
        if isinstance(linear, nn.Linear):
            _begin(linear, (config.d_ff if name in ("fc2", "down_proj") else config.d_model) ** -0.5)
    return module


def layer(config: Any, number: int, *, bias_kind: str, decodes: bool) -> Sequential:
    """One pre-norm layer."""
    residual = partial(Residual, dropout=config.dropout_rate)
    cross = residual(attention(config, number, cross=True), before=norm(config)) if decodes else None
    return Sequential(
        residual(attention(config, number, bias_kind=bias_kind), before=norm(config)),
        residual(feedforward(config), before=norm(config)),
        cross=cross,
    )


def half(config: Any, embed: nn.Module, *, decodes: bool, bias_in_every_layer: bool) -> Any:
    """The encoder or the decoder."""
    count = config.num_decoder_layers if decodes else config.num_layers
    tables = count if bias_in_every_layer else 1
    relative = RelativeBias(
        config.num_heads, buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance, bidirectional=not decodes, layers=tables,
    )  # fmt: skip
    for table in relative.tables:
        _begin(table, config.d_model**-0.5)
    layers = (layer(config, n, bias_kind=f"relative.{n % tables}", decodes=decodes) for n in range(count))
    stack = Stack(layers, nn.Sequential(norm(config), nn.Dropout(config.dropout_rate)))
    kind = Decoder if decodes else Encoder
    return kind(config, embed, stack, dropout=config.dropout_rate, relative=relative)


def backbone(config: Any, *, encoder_only: bool = False, bias_in_every_layer: bool = False) -> nn.Module:
    """The encoder-decoder, or its encoder alone."""
    shared = nn.Embedding(config.vocab_size, config.d_model)
    _begin(shared, 1.0)
    make = partial(half, config, shared, bias_in_every_layer=bias_in_every_layer)
    if encoder_only:
        return EncoderOnly(config, make(decodes=False), shared=shared)
    return EncoderDecoder(config, make(decodes=False), make(decodes=True), shared=shared)


def _begin(module: nn.Module, std: float) -> None:
    """Note the standard deviation that fresh weights of a module have."""
    module.initial_std = std  # type: ignore[assignment]


def initialise(module: nn.Module, config: Any) -> bool:
    """Normal weights whose deviation depends on the place (Mesh TensorFlow), all times initializer_factor."""
    if isinstance(module, Norm):
        nn.init.constant_(module.weight, config.initializer_factor)
        return True
    std = getattr(module, "initial_std", None)
    if std is None:
        return False
    assert isinstance(module, (nn.Linear, nn.Embedding))
    nn.init.normal_(module.weight, std=std * config.initializer_factor)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    return True


def _sides(name: str, cross: bool) -> tuple[Rule, ...]:
    hub, ours = f"{name}.block.{{i}}.layer.", f"{name}.stack.layers.{{i}}."
    mlp = "2." if cross else "1."
    attentions = [("0.SelfAttention.", "0.layer_norm", "attn.")]
    if cross:
        attentions.append(("1.EncDecAttention.", "1.layer_norm", "cross."))
    rules: list[Rule] = []
    for theirs, before, mine in attentions:
        rules += [Rename(f"{hub}{theirs}{p}", f"{ours}{mine}branch.{p}_proj") for p in "qkvo"]
        rules.append(Rename(hub + before, f"{ours}{mine}before"))
    dense = f"{hub}{mlp}DenseReluDense."
    return (
        Rename(f"{hub}0.SelfAttention.relative_attention_bias", f"{name}.relative.tables.{{i}}"),
        *rules,
        Rename(dense + "wi", ours + "mlp.branch.fc1"),
        Rename(dense + "wi_0", ours + "mlp.branch.gate_proj"),
        Rename(dense + "wi_1", ours + "mlp.branch.up_proj"),
        Rename(f"{hub}{mlp}layer_norm", ours + "mlp.before"),
        Rename(f"{name}.final_layer_norm", f"{name}.stack.norm.0"),
        Rename(f"{name}.embed_tokens", f"{name}.embed"),
    )


def rules(config: Any) -> WeightMap:
    """Name rules; the last projection has one name on the Hub for both kinds of feed-forward layer."""
    last = "down_proj" if config.is_gated_act else "fc2"
    return WeightMap(
        Rename("shared", "shared"),
        *_sides("encoder", cross=False),
        *_sides("decoder", cross=True),
        Rename("encoder.block.{i}.layer.1.DenseReluDense.wo", f"encoder.stack.layers.{{i}}.mlp.branch.{last}"),
        Rename("decoder.block.{i}.layer.2.DenseReluDense.wo", f"decoder.stack.layers.{{i}}.mlp.branch.{last}"),
        Drop("decoder.block.{i}.layer.1.EncDecAttention.relative_attention_bias"),
    )


def _language(config: Any, parts: nn.Module) -> Seq2SeqLM:
    scale = config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
    head = Seq2SeqLM(config, parts, scale=scale, caches_labels=True)
    _begin(head.lm_head, 1.0)
    return head


def _classifier(config: Any, parts: nn.Module) -> Seq2SeqSequenceClassifier:
    head = Seq2SeqSequenceClassifier(config, parts, dropout=config.classifier_dropout)
    _begin(head.dense, config.d_model**-0.5)
    _begin(head.out_proj, config.d_model**-0.5)
    return head


def _tagger(config: Any, parts: nn.Module) -> TokenClassifier:
    head = TokenClassifier(config, parts, dropout=config.classifier_dropout)
    _begin(head.classifier, 1.0)
    return head


def _reader(config: Any, parts: nn.Module) -> Seq2SeqSpanExtractor:
    head = Seq2SeqSpanExtractor(config, parts)
    _begin(head.qa_outputs, config.d_model**-0.5)
    return head


ENCODER = {"encoder_only": True}
HEADS = {
    "ForConditionalGeneration": HeadSpec(
        build=_language, weights=(Rename("lm_head", "head.lm_head"),), tied=TIED, copied=TIED[1:]
    ),
    "EncoderModel": HeadSpec(build=Bare, options=ENCODER, ignored=("decoder.*",)),
    "ForSequenceClassification": HeadSpec(
        build=_classifier,
        weights=(
            Rename("classification_head.dense", "head.dense"),
            Rename("classification_head.out_proj", "head.out_proj"),
        ),
        hub_prefix="transformer",
    ),
    "ForTokenClassification": HeadSpec(
        build=_tagger,
        weights=(Rename("classifier", "head.classifier"),),
        options=ENCODER,
        ignored=("decoder.*",),
        hub_prefix="transformer",
    ),
    "ForQuestionAnswering": HeadSpec(build=_reader, weights=(Rename("qa_outputs", "head.qa_outputs"),)),
}

family = partial(
    Architecture, weights=rules, hub_prefix="", heads=HEADS, initialise=initialise, tied=SHARED,
    mixins=(Seq2SeqMethods,), float32=("*.fc2.*", "*.down_proj.*"),
)  # fmt: skip

register("t5", family(config=T5Config, backbone=backbone))
