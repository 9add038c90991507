"""What a state-space model keeps of the positions it has seen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class MambaCache:
    """The last inputs of each convolution and the state of each recurrence (guide: model_doc/mamba).

    Args:
        config: with num_hidden_layers, intermediate_size, state_size and conv_kernel.
        max_batch_size: rows B.
        dtype, device: of the states.
    """

    def __init__(
        self, config: Any, max_batch_size: int, dtype: torch.dtype = torch.float16, device: Any = None, **_: Any
    ) -> None:
        layers, inner = config.num_hidden_layers, config.intermediate_size
        self.max_batch_size, self.dtype = max_batch_size, dtype
        self.intermediate_size, self.conv_kernel_size = inner, config.conv_kernel
        self.ssm_state_size = config.state_size
        kind = {"dtype": dtype, "device": device}
        self.conv_states = [torch.zeros(max_batch_size, inner, config.conv_kernel, **kind) for _ in range(layers)]
        self.ssm_states = [torch.zeros(max_batch_size, inner, config.state_size, **kind) for _ in range(layers)]
        self.seen = 0

    def update_conv_state(self, layer: int, new_conv_state: Tensor, cache_position: Tensor | None = None) -> Tensor:
        """Shift inputs [B, I, T] into a layer's window; gives the window [B, I, kernel]."""
        old = self.conv_states[layer]
        window = torch.cat((old, new_conv_state.to(old)), dim=-1)[..., -self.conv_kernel_size :]
        self.conv_states[layer] = window
        return window

    def update_ssm_state(self, layer: int, new_ssm_state: Tensor) -> Tensor:
        """Replace a layer's recurrent state [B, I, N]."""
        self.ssm_states[layer] = new_ssm_state.to(self.ssm_states[layer])
        return self.ssm_states[layer]

    def get_seq_length(self, layer: int = 0) -> int:
        """Positions seen."""
        return self.seen

    def reset(self) -> None:
        """Forget all positions."""
        self.conv_states = [torch.zeros_like(state) for state in self.conv_states]
        self.ssm_states = [torch.zeros_like(state) for state in self.ssm_states]
        self.seen = 0

    def reorder_cache(self, beams: Tensor) -> None:
        """Let row i continue what row beams[i] has seen."""
        self._map(lambda state: state.index_select(0, beams.to(state.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        self._map(lambda state: state.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, rows: Tensor) -> None:
        """Keep only these rows."""
        self._map(lambda state: state[rows])

    def _map(self, function: Any) -> None:
        self.conv_states = [function(state) for state in self.conv_states]
        self.ssm_states = [function(state) for state in self.ssm_states]
        self.max_batch_size = len(self.conv_states[0])
