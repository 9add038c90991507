"""Helpers of training loops: smoothed losses, names of decayed parameters, one rank before the others."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class LabelSmoother:
    """Cross entropy with a share of the label spread evenly over all classes (Szegedy et al. 2016, arXiv:1512.00567).

    Args:
        epsilon: the share.
        ignore_index: labels that do not count.
    """

    epsilon: float = 0.1
    ignore_index: int = -100

    def __call__(self, model_output: Any, labels: Tensor, shift_labels: bool = False) -> Tensor:
        """The mean loss of logits [..., classes] and labels [...]; 0 where every label is ignored.

        Args:
            model_output: an output with "logits", or a tuple that starts with them.
            labels: class numbers.
            shift_labels: compare each position with the label of the next.
        """
        logits = model_output["logits"] if isinstance(model_output, Mapping) else model_output[0]
        if shift_labels:
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        losses = -F.log_softmax(logits.float(), dim=-1)
        labels = labels.reshape(losses.shape[:-1])
        counted = labels != self.ignore_index
        likely = losses.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        smoothed = (1 - self.epsilon) * likely + self.epsilon * losses.mean(dim=-1)
        return smoothed.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def get_parameter_names(
    model: nn.Module,
    forbidden_layer_types: Sequence[type[nn.Module]],
    forbidden_layer_names: Sequence[str] | None = None,
) -> list[str]:
    """Names of the parameters outside of layers of some types.

    Args:
        model: searched through.
        forbidden_layer_types: layers whose parameters are left out.
        forbidden_layer_names: regular expressions; parameters are left out whose names contain one, in lower case.
    """
    patterns = [re.compile(pattern) for pattern in forbidden_layer_names or ()]

    def walk(module: nn.Module, prefix: str) -> Iterator[str]:
        for name, child in module.named_children():
            if not isinstance(child, tuple(forbidden_layer_types)):
                yield from walk(child, f"{prefix}{name}.")
        yield from (prefix + name for name, _ in module.named_parameters(recurse=False))

    return [name for name in walk(model, "") if not any(pattern.search(name.lower()) for pattern in patterns)]


def get_model_param_count(model: nn.Module, trainable_only: bool = False) -> int:
    """Number of parameters, also of those that DeepSpeed's ZeRO 3 keeps elsewhere."""
    counted = (parameter for parameter in model.parameters() if parameter.requires_grad or not trainable_only)
    return sum(int(getattr(parameter, "ds_numel", parameter.numel())) for parameter in counted)


def get_module_class_from_name(module: nn.Module, name: str) -> type[nn.Module] | None:
    """The class of that name among a model's modules; None where there is none."""
    return next((type(part) for part in module.modules() if type(part).__name__ == name), None)


@contextmanager
def torch_distributed_zero_first(local_rank: int) -> Iterator[None]:
    """Rank 0 of a machine runs the block first, the others wait for it; -1 means that there is one process.

    The others go on also where rank 0 fails, so that they do not wait for ever.
    """
    if local_rank not in (-1, 0):
        torch.distributed.barrier()
    try:
        yield
    finally:
        if local_rank == 0:
            torch.distributed.barrier()


def get_dataloader_sampler(dataloader: Any) -> Any:
    """The sampler of a loader, also behind batch samplers; None where there is none."""
    batches = getattr(dataloader, "batch_sampler", None)
    return get_dataloader_sampler(batches) if batches is not None else getattr(dataloader, "sampler", None)


def metrics_format(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics for people: times as h:mm:ss, memory in MB, floating-point operations in GF, four decimals."""

    def shown(name: str, value: Any) -> Any:
        if "_mem_" in name:
            return f"{int(value) >> 20}MB"
        if "_runtime" in name:
            hundredths = int(abs(value - int(value)) * 100)
            return f"{datetime.timedelta(seconds=int(value))}.{hundredths:02d}"
        if name == "total_flos":
            return f"{int(value) >> 30}GF"
        return round(value, 4) if isinstance(value, float) else value

    return {name: shown(name, value) for name, value in metrics.items()}
