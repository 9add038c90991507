"""Activation functions by the names that config.json files use."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UnknownNameError, did_you_mean
from ..registry import Registry

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Registry[Activation] = Registry("activation")


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x), CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


def gelu_new(x: Tensor) -> Tensor:
    """The tanh approximation of GELU written out, as in GPT-2 (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_fast(x: Tensor) -> Tensor:
    """The tanh approximation of GELU with its constant folded."""
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


def relu_squared(x: Tensor) -> Tensor:
    """relu(x) squared (So et al. 2021, arXiv:2109.08668)."""
    return F.relu(x).square()


def laplace(x: Tensor) -> Tensor:
    """The Laplace approximation of squared ReLU (Ma et al. 2022, arXiv:2209.10655)."""
    return 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


def gelu_clipped(x: Tensor, limit: float = 10.0) -> Tensor:
    """GELU within [-limit, limit], for quantised networks (Wu et al. 2020, arXiv:2004.09602)."""
    return F.gelu(x).clamp(-limit, limit)


class XIELU(nn.Module):
    """The integral of ELU with learned slopes on both sides (Huang 2024, arXiv:2411.13010)."""

    def __init__(
        self,
        positive: float = 0.8,
        negative: float = 0.8,
        beta: float = 0.5,
        eps: float = -1e-6,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        self.alpha_p = nn.Parameter(torch.tensor([positive], dtype=dtype).expm1().log())
        self.alpha_n = nn.Parameter(torch.tensor([negative - beta], dtype=dtype).expm1().log())
        self.register_buffer("beta", torch.tensor(beta, dtype=dtype))
        self.register_buffer("eps", torch.tensor(eps, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Quadratic above 0, exponential below."""
        beta = self.get_buffer("beta")
        above = F.softplus(self.alpha_p) * x * x
        below = (torch.expm1(torch.minimum(x, self.get_buffer("eps"))) - x) * (beta + F.softplus(self.alpha_n))
        return torch.where(x > 0, above, below) + beta * x


def _identity(x: Tensor) -> Tensor:
    return x


_FUNCTIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_10": gelu_clipped,
    "gelu_new": gelu_new,
    "gelu_fast": gelu_fast,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "gelu_python_tanh": partial(F.gelu, approximate="tanh"),
    "gelu_accurate": partial(F.gelu, approximate="tanh"),
    "quick_gelu": quick_gelu,
    "relu": F.relu,
    "relu2": relu_squared,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": _identity,
    "laplace": laplace,
}
for _name, _function in _FUNCTIONS.items():
    ACTIVATIONS.add(_name, _function)


def activation(name: str) -> Activation:
    """The function that a config's `hidden_act` names.

    Raises:
        UnknownNameError: no function has that name.
    """
    return ACTIVATIONS.get(name)


_MODULES: dict[str, type[nn.Module]] = {"prelu": nn.PReLU, "xielu": XIELU}
"""Activations with parameters of their own."""


class FunctionActivation(nn.Module):
    """An activation without parameters as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return self.name

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return activation(self.name)(x)


def get_activation(activation_string: str) -> nn.Module:
    """A new module with the activation of that name; "prelu" and "xielu" have parameters.

    Raises:
        UnknownNameError: no activation has that name.
    """
    if activation_string in _MODULES:
        return _MODULES[activation_string]()
    if activation_string not in ACTIVATIONS:
        hint = did_you_mean(activation_string, {*ACTIVATIONS, *_MODULES})
        raise UnknownNameError(f"Unknown activation {activation_string!r}. {hint}")
    return FunctionActivation(activation_string)


class _ModulesByName(dict[str, type[nn.Module]]):
    """`ACT2FN["gelu"]` makes a module on every look-up, so that parameters are never shared by accident."""

    def __getitem__(self, name: str) -> nn.Module:  # type: ignore[override]
        return get_activation(name)


ACT2FN = _ModulesByName({**dict.fromkeys(ACTIVATIONS, FunctionActivation), **_MODULES})
