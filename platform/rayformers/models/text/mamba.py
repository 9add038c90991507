"""Mamba (Gu and Dao 2023, arXiv:2312.00752): selective state spaces in place of attention.

Hub: state-spaces/mamba-130m-hf, state-spaces/mamba-2.8b-hf.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ...errors import InputError
from ...nn.activations import activation
from ...nn.cache_states import MambaCache
from ...nn.context import Context
from ...nn.norms import RMSNorm
from ...nn.ssm import MambaMixer
from ...nn.stacks import Stack
from ...weights import Rename, WeightMap
from .. import losses
from ..config import PretrainedConfig
from ..outputs import MambaCausalLMOutput, MambaOutput
from ..registry import Architecture, register
from ..text_heads import CausalLM
from .decoder import lm_head
from .inputs import embed_tokens


@dataclass(kw_only=True, init=False, repr=False)
class MambaConfig(PretrainedConfig):
    """config.json of Mamba."""

    model_type: ClassVar[str] = "mamba"

    vocab_size: int = 50280
    hidden_size: int = 768
    state_size: int = 16
    num_hidden_layers: int = 32
    layer_norm_epsilon: float = 1e-5
    pad_token_id: int | None = 0
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 0
    expand: int = 2
    conv_kernel: int = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    initializer_range: float = 0.1
    residual_in_fp32: bool = True
    time_step_rank: int | str = "auto"
    time_step_scale: float = 1.0
    time_step_min: float = 0.001
    time_step_max: float = 0.1
    time_step_init_scheme: str = "random"
    time_step_floor: float = 1e-4
    rescale_prenorm_residual: bool = False
    use_mambapy: bool = False
    intermediate_size: int | None = None

    def __post_init__(self) -> None:
        self.intermediate_size = int(self.expand * self.hidden_size)
        if self.time_step_rank == "auto":
            self.time_step_rank = math.ceil(self.hidden_size / 16)


class Block(nn.Module):
    """One layer; the residual stream may stay in float32."""

    def __init__(self, config: Any, number: int) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.layer_norm_epsilon)
        self.mixer = MambaMixer(
            config.hidden_size, config.intermediate_size, config.state_size, config.conv_kernel, config.time_step_rank,
            layer=number, act=activation(config.hidden_act), bias=config.use_bias, conv_bias=config.use_conv_bias,
            step=(config.time_step_min, config.time_step_max, config.time_step_floor, config.time_step_scale),
            random=config.time_step_init_scheme == "random",
            depth=config.num_hidden_layers if config.rescale_prenorm_residual else 1,
        )  # fmt: skip
        self.in_float32 = config.residual_in_fp32

    def forward(self, x: Tensor, context: Context) -> Tensor:
        y = self.mixer(self.norm(x.to(self.norm.weight.dtype)), context)
        return (x.float() if self.in_float32 else x) + y


class Mamba(nn.Module):
    """Tokens through state-space layers: input_ids [B, T] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.stack = Stack(Block(config, number) for number in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.layer_norm_epsilon)

    def token_embedding(self) -> tuple[nn.Module, str]:
        """Where the token embedding is."""
        return self, "embed_tokens"

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache_params: MambaCache | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        context: Context,
    ) -> MambaOutput:
        """Run over the text; cache_params is the cache of an earlier call, whose positions come before these."""
        x = embed_tokens(self.embed_tokens, input_ids, inputs_embeds)
        length = x.shape[1]
        if attention_mask is not None:
            if attention_mask.shape[-1] < length:
                raise InputError(
                    f"attention_mask has {attention_mask.shape[-1]} positions; the input has {length}. Give one each."
                )
            context.masks["full"] = attention_mask[:, -length:]
        wanted = (self.config.use_cache and not self.training) if use_cache is None else use_cache
        wanted = bool(wanted and not (self.training and self.stack.gradient_checkpointing))
        if wanted and cache_params is None:
            cache_params = MambaCache(self.config, len(x), dtype=x.dtype, device=x.device)
        context.cache = cache_params
        x = self.stack(x, context)
        if cache_params is not None:
            cache_params.seen += length
        x = self.norm(x)
        states = (*context.states[1:], x) if context.record_states else None  # as the reference: no embeddings
        return MambaOutput(last_hidden_state=x, cache_params=cache_params if wanted else None, hidden_states=states)


class MambaLM(CausalLM):
    """The next token's logits, in float32."""

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Any = None,
    ) -> MambaCausalLMOutput:  # fmt: skip
        states = outputs.last_hidden_state
        if not isinstance(logits_to_keep, int):
            states = states[:, logits_to_keep]
        elif logits_to_keep:
            states = states[:, -logits_to_keep:]
        logits = self.lm_head(states.to(self.lm_head.weight.dtype)).float()
        loss = None if labels is None else losses.causal(logits, labels, num_items=num_items_in_batch)
        return MambaCausalLMOutput(
            loss=loss, logits=logits, cache_params=outputs.cache_params, hidden_states=outputs.hidden_states
        )


def initialise(module: nn.Module, config: Any) -> bool:
    """Only embeddings are drawn normally; parts of a mixer keep what the mixer draws."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=config.initializer_range)
        return True
    if isinstance(module, nn.Linear) and not module.weight.is_meta:
        nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
        return True
    return isinstance(module, nn.Conv1d)


LAYER, OURS = "layers.{i}.", "stack.layers.{i}."
PARTS = ("conv1d", "in_proj", "x_proj", "dt_proj", "A_log", "D", "out_proj")
WEIGHTS = WeightMap(
    Rename(("embeddings", "embedding"), "embed_tokens"),
    Rename("norm_f", "norm"),
    Rename(LAYER + "norm", OURS + "norm"),
    *(Rename(f"{LAYER}mixer.{part}", f"{OURS}mixer.{part}") for part in PARTS),
)

register(
    "mamba",
    Architecture(
        config=MambaConfig,
        backbone=Mamba,
        weights=WEIGHTS,
        hub_prefix="backbone",
        initialise=initialise,
        heads={"ForCausalLM": lm_head(MambaLM)},
    ),
)
