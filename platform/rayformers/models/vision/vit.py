"""ViT (Dosovitskiy et al. 2021, arXiv:2010.11929): a Transformer encoder over patches.

Hub: google/vit-base-patch16-224, google/vit-base-patch16-224-in21k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ...errors import InputError
from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.context import Context
from ...nn.embeddings import PatchEmbedding
from ...nn.feedforward import MLP
from ...nn.residual import Residual, Sequential
from ...nn.stacks import Stack
from ...weights import Rename, WeightMap
from ..config import PretrainedConfig
from ..heads import ImageClassifier, MaskedImageModeler
from ..outputs import BaseModelOutputWithPooling
from ..registry import Architecture, HeadSpec, register


@dataclass(kw_only=True, init=False, repr=False)
class ViTConfig(PretrainedConfig):
    """config.json of ViT."""

    model_type: ClassVar[str] = "vit"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    image_size: int = 224
    patch_size: int = 16
    num_channels: int = 3
    qkv_bias: bool = True
    encoder_stride: int = 16
    pooler_output_size: int | None = None
    pooler_act: str = "tanh"


class Pooler(nn.Module):
    """The first token through a linear layer and an activation: [B, T, D] -> [B, P]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.pooler_output_size or config.hidden_size)
        self.act = activation(config.pooler_act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.dense(x[:, 0]))


def layer(config: Any, number: int) -> Sequential:
    """One pre-norm encoder layer."""

    def norm() -> nn.LayerNorm:
        return nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    attention = Attention(
        config.hidden_size, config.num_attention_heads, layer=number, bias=config.qkv_bias, out_bias=True,
        dropout=config.attention_probs_dropout_prob,
    )  # fmt: skip
    mlp = MLP(config.hidden_size, config.intermediate_size, activation(config.hidden_act))
    dropout = config.hidden_dropout_prob
    return Sequential(
        Residual(attention, before=norm(), dropout=dropout), Residual(mlp, before=norm(), dropout=dropout)
    )


class ViT(nn.Module):
    """Patches through a pre-norm encoder: pixel_values [B, C, height, width] -> states [B, 1 + patches, D]."""

    def __init__(self, config: ViTConfig, *, pooler: bool = True, mask_token: bool = False) -> None:
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            raise InputError(
                f"hidden_size {config.hidden_size} is no multiple of num_attention_heads {config.num_attention_heads}."
            )
        self.embed = PatchEmbedding(
            config.image_size, config.patch_size, config.num_channels, config.hidden_size,
            dropout=config.hidden_dropout_prob, mask_token=mask_token,
        )  # fmt: skip
        self.stack = Stack(
            (layer(config, number) for number in range(config.num_hidden_layers)),
            nn.LayerNorm(config.hidden_size, config.layer_norm_eps),
            record_norm=False,
        )
        self.pooler = Pooler(config) if pooler else None

    def forward(
        self,
        pixel_values: Tensor | None = None,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool | None = None,
        *,
        context: Context,
    ) -> BaseModelOutputWithPooling:
        """Encode; `bool_masked_pos` [B, patches] marks patches to hide (True), `interpolate_pos_encoding` any size."""
        if pixel_values is None:
            raise InputError("ViT needs pixel_values [batch, channels, height, width].")
        x = self.embed(pixel_values, interpolate=bool(interpolate_pos_encoding), masked=bool_masked_pos)
        x = self.stack(x, context)
        return BaseModelOutputWithPooling(
            last_hidden_state=x, pooler_output=None if self.pooler is None else self.pooler(x), **context.recorded()
        )


LAYER, ATTENTION, FEEDFORWARD = "encoder.layer.{i}.", "stack.layers.{i}.attn.", "stack.layers.{i}.mlp."
WEIGHTS = WeightMap(
    Rename("embeddings.cls_token", "embed.special.0"),
    Rename("embeddings.mask_token", "embed.mask_token"),
    Rename("embeddings.position_embeddings", "embed.position"),
    Rename("embeddings.patch_embeddings.projection", "embed.patch"),
    Rename(LAYER + "layernorm_before", ATTENTION + "before"),
    Rename(LAYER + "attention.attention.query", ATTENTION + "branch.q_proj"),
    Rename(LAYER + "attention.attention.key", ATTENTION + "branch.k_proj"),
    Rename(LAYER + "attention.attention.value", ATTENTION + "branch.v_proj"),
    Rename(LAYER + "attention.output.dense", ATTENTION + "branch.o_proj"),
    Rename(LAYER + "layernorm_after", FEEDFORWARD + "before"),
    Rename(LAYER + "intermediate.dense", FEEDFORWARD + "branch.fc1"),
    Rename(LAYER + "output.dense", FEEDFORWARD + "branch.fc2"),
    Rename("layernorm", "stack.norm"),
    Rename("pooler.dense", "pooler.dense"),
)


def initialise(module: nn.Module, config: Any) -> bool:
    """Truncated normal weights, as the paper's code draws them."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.trunc_normal_(module.weight, std=config.initializer_range)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
        return True
    if isinstance(module, PatchEmbedding):
        for token in (module.position, *module.special):
            nn.init.trunc_normal_(token, std=config.initializer_range)
        if module.mask_token is not None:
            nn.init.zeros_(module.mask_token)
        return True
    return False


register(
    "vit",
    Architecture(
        config=ViTConfig,
        backbone=ViT,
        weights=WEIGHTS,
        hub_prefix="vit",
        has_pooler=True,
        optional=("pooler.*", "embed.mask_token"),
        main_input="pixel_values",
        initialise=initialise,
        heads={
            "ForImageClassification": HeadSpec(
                build=ImageClassifier, weights=(Rename("classifier", "head.classifier"),)
            ),
            "ForMaskedImageModeling": HeadSpec(
                build=MaskedImageModeler,
                weights=(Rename("decoder.0", "head.decoder"),),
                options={"mask_token": True},
            ),
        },
    ),
)
