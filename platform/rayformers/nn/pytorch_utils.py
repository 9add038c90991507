"""Layers and helpers of the guides' pytorch_utils: a transposed linear layer, pruning, work in chunks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, InputTypeError


class Conv1D(nn.Module):
    """A linear layer whose weight is [inputs, outputs], as GPT-2's files store it.

    Args:
        nf: outputs.
        nx: inputs.
    """

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.empty(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))
        nn.init.normal_(self.weight, std=0.02)

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return f"nf={self.nf}, nx={self.nx}"

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        return torch.nn.functional.linear(x, self.weight.T, self.bias)


def _kept(layer: nn.Linear | Conv1D, index: Tensor, dim: int, outputs_dim: int) -> tuple[Tensor, Tensor | None]:
    index = index.to(layer.weight.device)
    weight = layer.weight.detach().index_select(dim, index).contiguous()
    if layer.bias is None:
        return weight, None
    bias = layer.bias.detach()
    return weight, (bias[index] if dim == outputs_dim else bias).clone()


def _filled(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    layer = layer.to(device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def prune_linear_layer(layer: nn.Linear, index: Tensor, dim: int = 0) -> nn.Linear:
    """A new layer with the outputs (dim 0) or inputs (dim 1) in `index` only."""
    weight, bias = _kept(layer, index, dim, outputs_dim=0)
    return _filled(nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None), weight, bias)


def prune_conv1d_layer(layer: Conv1D, index: Tensor, dim: int = 1) -> Conv1D:
    """A new layer with the outputs (dim 1) or inputs (dim 0) in `index` only."""
    weight, bias = _kept(layer, index, dim, outputs_dim=1)
    return _filled(Conv1D(weight.shape[1], weight.shape[0]), weight, bias)


def prune_layer(layer: nn.Linear | Conv1D, index: Tensor, dim: int | None = None) -> nn.Linear | Conv1D:
    """Keep the entries in `index` of a linear layer; `dim` of its weight, default: that of the outputs.

    Raises:
        InputTypeError: another kind of layer.
    """
    if isinstance(layer, nn.Linear):
        return prune_linear_layer(layer, index, 0 if dim is None else dim)
    if isinstance(layer, Conv1D):
        return prune_conv1d_layer(layer, index, 1 if dim is None else dim)
    raise InputTypeError(f"prune_layer was given a {type(layer).__name__}; it prunes nn.Linear and Conv1D.")


def find_pruneable_heads_and_indices(
    heads: Iterable[int], n_heads: int, head_size: int, already_pruned_heads: Iterable[int]
) -> tuple[set[int], Tensor]:
    """The heads that are still to be pruned, and the rows of the projections that stay.

    Args:
        heads: heads to prune, numbered as in the whole model.
        n_heads: heads that are left now.
        head_size: rows of a head.
        already_pruned_heads: heads that are gone, numbered as in the whole model.
    """
    gone = set(already_pruned_heads)
    new = set(heads) - gone
    places = {head - sum(other < head for other in gone) for head in new}
    kept = [
        row for head in range(n_heads) if head not in places for row in range(head * head_size, (head + 1) * head_size)
    ]
    return new, torch.tensor(kept, dtype=torch.long)


def apply_chunking_to_forward(
    forward_fn: Callable[..., Tensor], chunk_size: int, chunk_dim: int, *input_tensors: Tensor
) -> Tensor:
    """`forward_fn(*input_tensors)`, computed for `chunk_size` positions of `chunk_dim` at a time to save memory.

    Args:
        forward_fn: takes as many tensors as are given, and treats the positions of `chunk_dim` one by one.
        chunk_size: positions of a chunk; 0 computes all at once.
        chunk_dim: the dimension to cut.

    Raises:
        InputError: the tensors differ in that dimension, it is no multiple of `chunk_size`, or their number is wrong.
    """
    if not input_tensors:
        raise InputError("apply_chunking_to_forward was given no tensors.")
    expected = len(inspect.signature(forward_fn).parameters)
    if expected != len(input_tensors):
        raise InputError(f"The function takes {expected} tensors; {len(input_tensors)} were given.")
    if chunk_size <= 0:
        return forward_fn(*input_tensors)
    lengths = {tensor.shape[chunk_dim] for tensor in input_tensors}
    if len(lengths) > 1:
        raise InputError(
            f"The tensors have the lengths {sorted(lengths)} in dimension {chunk_dim}; they must be equal."
        )
    length = lengths.pop()
    if length % chunk_size:
        raise InputError(f"Dimension {chunk_dim} has {length} positions: no multiple of chunk_size {chunk_size}.")
    pieces = zip(*(tensor.split(chunk_size, dim=chunk_dim) for tensor in input_tensors), strict=True)
    return torch.cat([forward_fn(*piece) for piece in pieces], dim=chunk_dim)


def isin_mps_friendly(elements: Tensor, test_elements: Tensor | int) -> Tensor:
    """For each element whether it is among `test_elements`."""
    return torch.isin(elements, test_elements)


def meshgrid(*tensors: Tensor | list[Tensor], indexing: str | None = None) -> tuple[Tensor, ...]:
    """`torch.meshgrid`, with the indexing named."""
    return torch.meshgrid(*tensors, indexing=indexing or "ij")


def id_tensor_storage(tensor: Tensor) -> tuple[torch.device, int, int]:
    """What tells two tensors that share memory: device, address and size in bytes of the storage."""
    storage = tensor.untyped_storage()
    return tensor.device, storage.data_ptr(), storage.nbytes()
