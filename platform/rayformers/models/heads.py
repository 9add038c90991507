"""Task heads, composed with any backbone. In memory a head model is `backbone` and `head`, whatever files call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from . import losses
from .outputs import ImageClassifierOutput, MaskedImageModelingOutput


class Head(nn.Module):
    """Base of heads.

    `inputs` names the keyword arguments that are the head's and not the backbone's. `prepare` may change the
    backbone's inputs before it runs; `forward` gets the backbone's output, those inputs, and the head's own.
    """

    inputs: ClassVar[tuple[str, ...]] = ("labels",)

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """The backbone's inputs, given those of the call and the head's own."""
        return inputs


class ImageClassifier(Head):
    """A linear layer on the first token: logits [B, labels]."""

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.classifier = nn.Linear(config.hidden_size, config.num_labels) if config.num_labels > 0 else nn.Identity()

    def forward(self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None) -> ImageClassifierOutput:
        logits = self.classifier(outputs.last_hidden_state[:, 0])
        return ImageClassifierOutput(
            loss=None if labels is None else losses.classification(self.config, logits, labels),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class MaskedImageModeler(Head):
    """Rebuilds the pixels of masked patches by one convolution and a pixel shuffle (SimMIM, arXiv:2111.09886)."""

    inputs = ()

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.decoder = nn.Conv2d(config.hidden_size, config.encoder_stride**2 * config.num_channels, kernel_size=1)

    def prepare(self, inputs: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        if inputs.get("bool_masked_pos") is not None and self.config.patch_size != self.config.encoder_stride:
            raise InputError(
                f"bool_masked_pos needs patch_size == encoder_stride; they are {self.config.patch_size} and "
                f"{self.config.encoder_stride}."
            )
        return inputs

    def forward(self, outputs: Any, inputs: Mapping[str, Any]) -> MaskedImageModelingOutput:
        tokens = outputs.last_hidden_state[:, 1:]
        side = int(tokens.shape[1] ** 0.5)
        rebuilt = F.pixel_shuffle(
            self.decoder(tokens.transpose(1, 2).unflatten(2, (side, side))), self.config.encoder_stride
        )
        return MaskedImageModelingOutput(
            loss=self._loss(rebuilt, inputs),
            reconstruction=rebuilt,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _loss(self, rebuilt: Tensor, inputs: Mapping[str, Any]) -> Tensor | None:
        masked = inputs.get("bool_masked_pos")
        if masked is None:
            return None
        patch = self.config.patch_size
        side = self.config.image_size // patch
        mask = masked.reshape(-1, side, side).repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, None]
        error = F.l1_loss(inputs["pixel_values"], rebuilt, reduction="none")
        return (error * mask).sum() / (mask.sum() + 1e-5) / self.config.num_channels
