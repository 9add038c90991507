"""Embeddings of patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError


def pair(size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """A height and width from one number or two."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class PatchEmbedding(nn.Module):
    """Pictures cut into patches, projected, with special tokens in front and learned positions added.

    [B, C, height, width] -> [B, special + patches, D] (Dosovitskiy et al. 2021, arXiv:2010.11929).

    Args:
        image_size, patch_size: height and width in pixels.
        channels: C.
        dim: D.
        special: number of learned tokens in front ("cls", "distillation").
        bias: of the projection.
        dropout: on the sum.
        mask_token: whether a learned token stands for masked patches.
    """

    def __init__(
        self,
        image_size: int | tuple[int, int],
        patch_size: int | tuple[int, int],
        channels: int,
        dim: int,
        *,
        special: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        mask_token: bool = False,
    ) -> None:
        super().__init__()
        self.image_size, self.patch_size = pair(image_size), pair(patch_size)
        self.grid = tuple(i // p for i, p in zip(self.image_size, self.patch_size, strict=True))
        self.special = nn.ParameterList(nn.Parameter(torch.zeros(1, 1, dim)) for _ in range(special))
        self.position = nn.Parameter(torch.zeros(1, special + self.grid[0] * self.grid[1], dim))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim)) if mask_token else None
        self.patch = nn.Conv2d(channels, dim, self.patch_size, self.patch_size, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pixels: Tensor, *, interpolate: bool = False, masked: Tensor | None = None) -> Tensor:
        """Embed; `masked` [B, patches] (True = replace by the mask token); `interpolate` resizes positions to fit."""
        size = (pixels.shape[-2], pixels.shape[-1])
        if pixels.ndim != 4 or pixels.shape[1] != self.patch.in_channels:
            raise InputError(
                f"pixel_values has shape {tuple(pixels.shape)}; "
                f"expected [batch, {self.patch.in_channels}, height, width]."
            )
        if size != self.image_size and not interpolate:
            raise InputError(
                f"Pictures of {size[0]} x {size[1]} pixels; the model takes {' x '.join(map(str, self.image_size))}. "
                "Resize them with the image processor, or pass interpolate_pos_encoding=True."
            )
        x = self.patch(pixels.to(self.patch.weight.dtype)).flatten(2).transpose(1, 2)
        if masked is not None:
            if self.mask_token is None:
                raise InputError(
                    "bool_masked_pos needs a model with a mask token (use the masked image modelling class)."
                )
            x = torch.where(masked[..., None].bool(), self.mask_token.to(x.dtype), x)
        x = torch.cat((*(token.expand(len(x), -1, -1) for token in self.special), x), dim=1)
        return self.dropout(x + (self._resized(size) if size != self.image_size else self.position))

    def _resized(self, size: tuple[int, int]) -> Tensor:
        special = len(self.special)
        grid = tuple(s // p for s, p in zip(size, self.patch_size, strict=True))
        patches = self.position[:, special:].unflatten(1, self.grid).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, size=grid, mode="bicubic", align_corners=False)
        return torch.cat((self.position[:, :special], patches.flatten(2).transpose(1, 2)), dim=1)
