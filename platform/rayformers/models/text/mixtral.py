"""Mixtral (Jiang et al. 2024, arXiv:2401.04088): Mistral with a mixture of experts in every layer.

Hub: mistralai/Mixtral-8x7B-v0.1, mistralai/Mixtral-8x7B-Instruct-v0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...nn.activations import activation
from ...nn.context import Context
from ...nn.experts import MixtureOfExperts, balance_loss
from ...weights import Rename, Stack, WeightMap
from .. import losses
from ..outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast
from ..registry import register
from ..text_heads import CausalLM
from .decoder import Decoder, DecoderConfig, heads, lm_head, rotary_table
from .llama import FEEDFORWARD, LAYER, OUTSIDE, PRE_NORMS, PROJECTIONS, family, layer, norm


@dataclass(kw_only=True, init=False, repr=False)
class MixtralConfig(DecoderConfig):
    """config.json of Mixtral."""

    model_type: ClassVar[str] = "mixtral"
    attribute_map: ClassVar[dict[str, str]] = {"num_experts": "num_local_experts"}

    intermediate_size: int = 14336
    num_key_value_heads: int | None = 8
    head_dim: int | None = None
    max_position_embeddings: int = 131072
    rms_norm_eps: float = 1e-5
    rope_theta: float = 1e6
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    sliding_window: int | None = None
    num_experts_per_tok: int = 2
    num_local_experts: int = 8
    output_router_logits: bool = False
    router_aux_loss_coef: float = 0.001
    router_jitter_noise: float = 0.0


class MoeDecoder(Decoder):
    """A decoder with mixtures of experts, whose routers' logits can be had."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_router_logits: bool | None = None,
        cache_position: Tensor | None = None,
        *,
        context: Context,
    ) -> MoeModelOutputWithPast:
        """Decode; output_router_logits adds each router's logits [B * T, experts]."""
        wanted = self.config.output_router_logits if output_router_logits is None else output_router_logits
        routers: list[Tensor] = []
        context.router_logits = routers if wanted else None
        out = super().forward(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache, cache_position,
            context=context,
        )  # fmt: skip
        return MoeModelOutputWithPast(**out, router_logits=tuple(routers) if wanted else None)


class MoeCausalLM(CausalLM):
    """The next token's logits, and how evenly the routers spread the tokens."""

    def __init__(self, config: Any, backbone: Any) -> None:
        super().__init__(config, backbone)
        self.config = config

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Any = None,
    ) -> MoeCausalLMOutputWithPast:  # fmt: skip
        out: Any = super().forward(outputs, inputs, None, logits_to_keep)
        loss = None if labels is None else losses.causal(out.logits, labels, num_items=num_items_in_batch)
        routers, uneven = outputs.get("router_logits"), None
        if routers:
            uneven = balance_loss(routers, self.config.num_experts_per_tok, inputs.get("attention_mask"))
            loss = None if loss is None else loss + self.config.router_aux_loss_coef * uneven.to(loss.device)
        return MoeCausalLMOutputWithPast(
            loss=loss, aux_loss=uneven, logits=out.logits, past_key_values=out.past_key_values,
            hidden_states=out.hidden_states, attentions=out.attentions, router_logits=routers,
        )  # fmt: skip


def experts(config: Any) -> MixtureOfExperts:
    """The mixture of one layer."""
    return MixtureOfExperts(
        config.hidden_size, config.intermediate_size, config.num_local_experts, config.num_experts_per_tok,
        activation(config.hidden_act), jitter=config.router_jitter_noise, std=config.initializer_range,
    )  # fmt: skip


def backbone(config: Any) -> MoeDecoder:
    """Mixtral's decoder."""
    layers = (layer(config, number, feedforward=experts(config)) for number in range(config.num_hidden_layers))
    windows = {"full": config.sliding_window}
    return MoeDecoder(config, layers, norm(config), rotary={"full": rotary_table(config)}, windows=windows)


def weights(config: Any) -> WeightMap:
    """Rules; the experts' tensors are stacked."""
    mixture, ours = LAYER + "block_sparse_moe.", FEEDFORWARD + "branch."
    names = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}
    stacked = (
        Stack(f"{mixture}experts.{{e}}.{hub}.weight", f"{ours}experts.{name}", count=config.num_local_experts)
        for hub, name in names.items()
    )
    return WeightMap(*OUTSIDE, *PROJECTIONS, *PRE_NORMS, Rename(mixture + "gate", ours + "gate"), *stacked)


register(
    "mixtral",
    family(config=MixtralConfig, backbone=backbone, weights=weights, heads=heads(lm_head(MoeCausalLM), span=True)),
)
