"""Fresh weights, as the architectures' papers draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

Rule = Callable[[nn.Module, Any], bool]


@torch.no_grad()
def fresh(model: nn.Module, config: Any, rule: Rule | None = None, only: Iterable[nn.Module] | None = None) -> None:
    """Initialise modules in place.

    Args:
        model: all of its modules, unless `only` is given.
        config: `initializer_range` is the standard deviation (0.02 where it is missing).
        rule: an architecture's own; gives True for a module that it has initialised.
        only: the modules to initialise.
    """
    for module in model.modules() if only is None else only:
        if rule is None or not rule(module, config):
            _default(module, float(getattr(config, "initializer_range", 0.02) or 0.02))


def _default(module: nn.Module, std: float) -> None:
    if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=std)
        if module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()
    elif isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)):
        if module.weight is not None:
            nn.init.ones_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif callable(reset := getattr(module, "reset_parameters", None)):
        reset()
