"""Where a model's parts lie: one device, or layers spread over several (device_map)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from ..errors import ConfigError
from ..nn.context import Context
from ..nn.stacks import Stack

_AUTO = ("auto", "balanced", "balanced_low_0", "sequential")


def place(model: nn.Module, device_map: Any) -> None:
    """Move a model as `device_map` says: None (leave it), a device, "auto", or {our module name: device}.

    "auto" fills the accelerators in turn with whole layers and leaves the rest on the CPU; without an accelerator the
    model stays where it is.
    """
    if device_map is None:
        return
    if isinstance(device_map, str) and device_map in _AUTO:
        device_map = _automatic(model)
    if not isinstance(device_map, Mapping):
        model.to(_device(device_map))
        return
    if set(device_map) == {""}:
        model.to(_device(device_map[""]))
        return
    _spread(model, {name: _device(device) for name, device in device_map.items()})


def _device(device: Any) -> torch.device:
    try:
        found = torch.device("cuda", device) if isinstance(device, int) and device >= 0 else torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"{device!r} is no device; expected 'cpu', 'cuda', 'cuda:0', a number or 'auto'.") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"Device {found} was asked for; this machine has {torch.cuda.device_count()} CUDA devices.")
    return found


def _automatic(model: nn.Module) -> Any:
    count = torch.cuda.device_count()
    if count == 0:
        return "cpu"
    free_bytes = [int(torch.cuda.mem_get_info(number)[0] * 0.9) for number in range(count)]
    if sum(p.nbytes for p in model.parameters()) <= free_bytes[0]:
        return 0
    mapping: dict[str, Any] = {}
    device = 0
    for name, module in _units(model):
        size_bytes = sum(parameter.nbytes for parameter in module.parameters())
        while device < count and size_bytes > free_bytes[device]:
            device += 1
        mapping[name] = device if device < count else "cpu"
        if device < count:
            free_bytes[device] -= size_bytes
    return mapping


def _units(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Modules that stay whole: the layers of stacks, and everything that holds no stack."""
    units: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        full = f"{prefix}{name}"
        if isinstance(child, (Stack, nn.ModuleList)) or any(isinstance(module, Stack) for module in child.modules()):
            units += _units(child, f"{full}.")
        else:
            units.append((full, child))
    return units


def _spread(model: nn.Module, devices: Mapping[str, torch.device]) -> None:
    for name, device in devices.items():
        module = model.get_submodule(name)
        module.to(device)
        module.register_forward_pre_hook(_mover(device), with_kwargs=True)


def _mover(device: torch.device) -> Any:
    def move(value: Any) -> Any:
        if isinstance(value, Context):
            for name in ("masks", "biases", "rotary"):
                setattr(value, name, tree_map(move, getattr(value, name)))
            value.memory, value.memory_mask = move(value.memory), move(value.memory_mask)
            return value
        return value.to(device) if isinstance(value, torch.Tensor) else value

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return tree_map(move, args), tree_map(move, kwargs)

    return hook
