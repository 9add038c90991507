"""Predictions of an evaluation: nested tuples, lists and mappings of tensors, joined over batches and ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed

from ..errors import InputError, InputTypeError, TrainingError

IGNORED = -100


def _map(function: Callable[..., Any], first: Any, *rest: Any) -> Any:
    """`function` on the leaves of structures of the same form."""
    if isinstance(first, (list, tuple)):
        items = [_map(function, *parts) for parts in zip(first, *rest, strict=True)]
        return type(first)(*items) if hasattr(first, "_fields") else type(first)(items)
    if isinstance(first, Mapping):
        return type(first)({key: _map(function, value, *(r[key] for r in rest)) for key, value in first.items()})  # type: ignore[call-arg]
    return function(first, *rest)


def atleast_1d(value: Any) -> Any:
    """A tensor or array with an axis at least."""
    return (value[None] if value.ndim == 0 else value) if isinstance(value, torch.Tensor) else np.atleast_1d(value)


def _pad_and_concatenate(first: Any, second: Any, padding_index: float, full: Callable[..., Any], join: Any) -> Any:
    first, second = atleast_1d(first), atleast_1d(second)
    if first.ndim == 1 or first.shape[1] == second.shape[1]:
        return join((first, second), 0)
    width = max(first.shape[1], second.shape[1])
    result = full(first, (len(first) + len(second), width, *first.shape[2:]), padding_index)
    result[: len(first), : first.shape[1]] = first
    result[len(first) :, : second.shape[1]] = second
    return result


def torch_pad_and_concatenate(tensor1: Any, tensor2: Any, padding_index: float = IGNORED) -> torch.Tensor:
    """Rows of both, the second axis padded to the longer."""
    result: torch.Tensor = _pad_and_concatenate(
        tensor1, tensor2, padding_index, lambda like, shape, value: like.new_full(shape, value), torch.cat
    )
    return result


def numpy_pad_and_concatenate(array1: Any, array2: Any, padding_index: float = IGNORED) -> np.ndarray[Any, Any]:
    """Rows of both, the second axis padded to the longer."""
    result: np.ndarray[Any, Any] = _pad_and_concatenate(
        array1, array2, padding_index, lambda like, shape, value: np.full(shape, value, like.dtype), np.concatenate
    )
    return result


def nested_concat(tensors: Any, new_tensors: Any, padding_index: float = IGNORED) -> Any:
    """Join two structures of the same form leaf by leaf, second axes padded to the longer.

    Raises:
        InputTypeError: the forms differ, or a leaf is neither a tensor nor an array.
    """

    def join(first: Any, second: Any) -> Any:
        for kind, function in ((torch.Tensor, torch_pad_and_concatenate), (np.ndarray, numpy_pad_and_concatenate)):
            if isinstance(first, kind) and isinstance(second, kind):
                return function(first, second, padding_index)
        raise InputTypeError(
            f"Cannot join {type(first).__name__} and {type(second).__name__}; expected two tensors or two arrays."
        )

    if type(tensors) is not type(new_tensors) and not isinstance(tensors, torch.Tensor):
        raise InputTypeError(
            f"Cannot join {type(tensors).__name__} and {type(new_tensors).__name__}: the forms differ."
        )
    return _map(join, tensors, new_tensors)


def find_batch_size(tensors: Any) -> int | None:
    """The length of the first tensor with an axis; None where there is none."""
    if isinstance(tensors, Mapping):
        tensors = list(tensors.values())
    if isinstance(tensors, (list, tuple)):
        return next((size for size in map(find_batch_size, tensors) if size is not None), None)
    return int(tensors.shape[0]) if isinstance(tensors, (torch.Tensor, np.ndarray)) and tensors.ndim else None


def nested_numpify(tensors: Any) -> Any:
    """Arrays in the place of tensors; bfloat16, which numpy lacks, becomes float32."""

    def convert(tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor):
            return np.asarray(tensor)
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()

    return _map(convert, tensors)


def nested_detach(tensors: Any) -> Any:
    """Tensors without their graphs."""
    return _map(lambda leaf: leaf.detach() if isinstance(leaf, torch.Tensor) else leaf, tensors)


def nested_truncate(tensors: Any, limit: int) -> Any:
    """The first `limit` rows of every leaf."""
    return _map(lambda leaf: leaf[:limit], tensors)


def nested_new_like(arrays: Any, num_samples: int, padding_index: float = IGNORED) -> Any:
    """Arrays of the same form with `num_samples` rows of `padding_index`."""
    return _map(lambda leaf: np.full((num_samples, *leaf.shape[1:]), padding_index, leaf.dtype), arrays)


def expand_like(
    arrays: np.ndarray[Any, Any], new_seq_length: int, padding_index: float = IGNORED
) -> np.ndarray[Any, Any]:
    """The second axis extended to `new_seq_length`."""
    result = np.full((len(arrays), new_seq_length, *arrays.shape[2:]), padding_index, arrays.dtype)
    result[:, : arrays.shape[1]] = arrays
    return result


def _world() -> int:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        raise TrainingError("This gathers from all ranks, and no process group is initialised.")
    return torch.distributed.get_world_size()


def distributed_concat(tensor: Any, num_total_examples: int | None = None) -> Any:
    """Rows of all ranks, of every tensor of a structure, cut to `num_total_examples`.

    Raises:
        TrainingError: there is no process group.
    """
    world = _world()

    def gather(leaf: torch.Tensor) -> torch.Tensor:
        leaf = atleast_1d(leaf).contiguous()
        parts = [torch.empty_like(leaf) for _ in range(world)]
        torch.distributed.all_gather(parts, leaf)
        return torch.cat(parts)[:num_total_examples]

    return _map(gather, tensor)


def distributed_broadcast_scalars(
    scalars: Sequence[float], num_total_examples: int | None = None, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """The numbers of all ranks in one tensor.

    Raises:
        TrainingError: there is no process group.
    """
    result: torch.Tensor = distributed_concat(torch.tensor(scalars, device=device), num_total_examples)
    return result


class EvalLoopContainer:
    """Collects the outputs of batches.

    Args:
        do_nested_concat: join them; else keep a list of batches.
        padding_index: fills shorter second axes.
    """

    def __init__(self, do_nested_concat: bool = True, padding_index: int = IGNORED) -> None:
        self.do_nested_concat = do_nested_concat
        self.padding_index = padding_index
        self.tensors: Any = None
        self.arrays: Any = None

    def _joined(self, have: Any, new: Any) -> Any:
        if not self.do_nested_concat:
            return (have or []) + new
        return new if have is None else nested_concat(have, new, self.padding_index)

    def add(self, tensors: Any) -> None:
        """Add a batch."""
        self.tensors = self._joined(self.tensors, tensors if self.do_nested_concat else [tensors])

    def to_cpu_and_numpy(self) -> None:
        """Move what was added since from the device to arrays."""
        if self.tensors is not None:
            self.arrays = self._joined(self.arrays, nested_numpify(self.tensors))
            self.tensors = None

    def get_arrays(self) -> Any:
        """All of it as arrays."""
        self.to_cpu_and_numpy()
        return self.arrays


class DistributedTensorGatherer:
    """Puts gathered arrays, each holding as many rows of every rank, into the order of the data set.

    Args:
        world_size: number of ranks.
        num_samples: rows of the data set.
        make_multiple_of: rows of a rank are a multiple of this, the batch size.
        padding_index: fills shorter second axes.
    """

    def __init__(
        self, world_size: int, num_samples: int, make_multiple_of: int | None = None, padding_index: int = IGNORED
    ) -> None:
        self.world_size, self.num_samples, self.padding_index = world_size, num_samples, padding_index
        unit = world_size * (make_multiple_of or 1)
        self.total_samples = math.ceil(num_samples / unit) * unit
        self.process_length = self.total_samples // world_size
        self._storage: Any = None
        self._done = 0

    def add_arrays(self, arrays: Any) -> None:
        """Add a gathered batch: the rows of rank 0, those of rank 1, ...

        Raises:
            InputError: the rows cannot be shared out among the ranks.
        """
        if arrays is None:
            return
        rows = find_batch_size(arrays)
        if rows is None or rows % self.world_size:
            raise InputError(f"{rows} gathered rows are no multiple of the {self.world_size} ranks.")
        if self._storage is None:
            self._storage = nested_new_like(arrays, self.total_samples, self.padding_index)
        self._storage = _map(lambda have, new: self._put(have, new, rows // self.world_size), self._storage, arrays)
        self._done += rows // self.world_size

    def _put(self, have: np.ndarray[Any, Any], new: np.ndarray[Any, Any], share: int) -> np.ndarray[Any, Any]:
        if new.ndim > 1 and have.shape[1] < new.shape[1]:
            have = expand_like(have, new.shape[1], self.padding_index)
        for rank in range(self.world_size):
            start = rank * self.process_length + self._done
            rows = slice(start, start + share)
            part = new[rank * share : (rank + 1) * share]
            if new.ndim == 1:
                have[rows] = part
            else:
                have[rows, : new.shape[1]] = part
        return have

    def finalize(self) -> Any:
        """The rows of the data set, None where nothing was added.

        Raises:
            InputError: rows are missing.
        """
        if self._storage is None:
            return None
        if self._done != self.process_length:
            raise InputError(f"{self._done} rows of each rank were added; {self.process_length} are expected.")
        return nested_truncate(self._storage, self.num_samples)
