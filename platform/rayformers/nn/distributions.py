"""Distributions at the end of a forecasting model: from features to parameters to torch distributions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    Distribution,
    Independent,
    NegativeBinomial,
    Normal,
    StudentT,
    TransformedDistribution,
)

from ..errors import ConfigError


def squareplus(x: Tensor) -> Tensor:
    """(x + sqrt(x^2 + 4)) / 2: positive, and smooth everywhere (Barron 2021, arXiv:2112.11687)."""
    return (x + torch.sqrt(torch.square(x) + 4.0)) / 2.0


def _positive(x: Tensor) -> Tensor:
    return squareplus(x).clamp_min(torch.finfo(x.dtype).eps)


class AffineTransformed(TransformedDistribution):
    """The distribution of `loc + scale * x`, with mean and variance in closed form."""

    def __init__(
        self,
        base_distribution: Distribution,
        loc: Tensor | float | None = None,
        scale: Tensor | float | None = None,
        event_dim: int = 0,
    ) -> None:
        self.loc = 0.0 if loc is None else loc
        self.scale = 1.0 if scale is None else scale
        super().__init__(base_distribution, [AffineTransform(self.loc, self.scale, event_dim=event_dim)])

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.base_dist.mean * self.scale + self.loc

    @property
    def variance(self) -> Tensor:
        """The variance."""
        return self.base_dist.variance * self.scale**2

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()


class ParameterProjection(nn.Module):
    """One linear layer for each parameter of a distribution, then the map into the parameters' domains."""

    def __init__(
        self, in_features: int, args_dim: dict[str, int], domain_map: Callable[..., tuple[Tensor, ...]]
    ) -> None:
        super().__init__()
        self.args_dim = args_dim
        self.proj = nn.ModuleList([nn.Linear(in_features, size) for size in args_dim.values()])
        self.domain_map = domain_map

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """[..., in_features] -> the parameters, each [...] or [..., dim]."""
        return self.domain_map(*(layer(x) for layer in self.proj))


class DistributionOutput:
    """How a model's features become a distribution (guide: internal/time_series_utils).

    Args:
        dim: size of an event; above 1 the values of an event are independent of each other.
    """

    distribution_class: ClassVar[Callable[..., Distribution]]
    parameters: ClassVar[tuple[str, ...]]
    """Names of the parameters, in the order of the distribution's own."""

    def __init__(self, dim: int = 1) -> None:
        if dim < 1:
            raise ConfigError(f"dim is {dim}; a distribution has at least 1 dimension.")
        self.dim = dim
        self.args_dim = dict.fromkeys(self.parameters, dim)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of an event."""
        return () if self.dim == 1 else (self.dim,)

    @property
    def event_dim(self) -> int:
        """Number of dimensions of an event."""
        return len(self.event_shape)

    @property
    def value_in_support(self) -> float:
        """A value that has a density, to put where values are missing."""
        return 0.0

    @classmethod
    def domain_map(cls, *args: Tensor) -> tuple[Tensor, ...]:
        """Unbounded parameters [..., 1 or dim] to such that the distribution takes."""
        raise NotImplementedError(f"{cls.__name__} has no domain_map")

    def _base(self, parameters: Sequence[Tensor]) -> Distribution:
        law = self.distribution_class(**dict(zip(self.parameters, parameters, strict=True)))
        return law if self.dim == 1 else Independent(law, 1)

    def distribution(
        self, distr_args: Sequence[Tensor], loc: Tensor | None = None, scale: Tensor | None = None
    ) -> Distribution:
        """The distribution with these parameters, moved by `loc` and stretched by `scale`."""
        law = self._base(distr_args)
        return law if loc is None and scale is None else AffineTransformed(law, loc, scale, self.event_dim)

    def get_parameter_projection(self, in_features: int) -> nn.Module:
        """The layer from features to parameters."""
        return ParameterProjection(in_features, self.args_dim, self.domain_map)


class NormalOutput(DistributionOutput):
    """Normal distributions."""

    distribution_class = Normal
    parameters = ("loc", "scale")

    @classmethod
    def domain_map(cls, loc: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """Makes `scale` positive."""
        return loc.squeeze(-1), _positive(scale).squeeze(-1)


class StudentTOutput(DistributionOutput):
    """Student's t distributions, with more than 2 degrees of freedom so that the variance exists."""

    distribution_class = StudentT
    parameters = ("df", "loc", "scale")

    @classmethod
    def domain_map(cls, df: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """Makes `scale` positive and `df` larger than 2."""
        return (2.0 + squareplus(df)).squeeze(-1), loc.squeeze(-1), _positive(scale).squeeze(-1)


class NegativeBinomialOutput(DistributionOutput):
    """Negative binomial distributions, for counts."""

    distribution_class = NegativeBinomial
    parameters = ("total_count", "logits")

    @classmethod
    def domain_map(cls, total_count: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        """Makes `total_count` positive."""
        return squareplus(total_count).squeeze(-1), logits.squeeze(-1)

    def distribution(
        self, distr_args: Sequence[Tensor], loc: Tensor | None = None, scale: Tensor | None = None
    ) -> Distribution:
        """Counts cannot be stretched, so `scale` multiplies the mean through the logits; `loc` does not apply."""
        total_count, logits = distr_args
        return self._base((total_count, logits if scale is None else logits + scale.log()))
