"""Detecting SynthID's watermark by Bayes' rule (Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4).

Shape letters: B texts, T tokens, L layers of the tournament.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import CheckpointError
from ...hub import resolve
from ...models.config import PretrainedConfig, split_hub_options
from ...models.outputs import ModelOutput
from ...weights import stream


@dataclass(kw_only=True, init=False, repr=False)
class BayesianDetectorConfig(PretrainedConfig):
    """Configuration of a BayesianDetectorModel.

    Args:
        watermarking_depth: layers of the tournament, the number of keys.
        base_rate: how many of the texts to judge are watermarked, before anything is known of them.
        model_name, watermarking_config: what the detector was trained for.
    """

    model_type: ClassVar[str] = ""

    watermarking_depth: int | None = None
    base_rate: float = 0.5
    model_name: str | None = None
    watermarking_config: dict[str, Any] | None = None

    def set_detector_information(self, model_name: str, watermarking_config: dict[str, Any]) -> None:
        """Note what the detector was trained for."""
        self.model_name, self.watermarking_config = model_name, watermarking_config


@dataclass
class BayesianWatermarkDetectorModelOutput(ModelOutput):
    """posterior_probabilities [B]: how likely each text is watermarked."""

    loss: Tensor | None = None
    posterior_probabilities: Tensor | None = None


class BayesianDetectorWatermarkedLikelihood(nn.Module):
    """How likely bits are in watermarked text: [B, T, L] -> [B, T, L].

    Whether a match of the tournament had two different tokens is predicted from the bits of the layers before it.
    """

    def __init__(self, watermarking_depth: int) -> None:
        super().__init__()
        self.watermarking_depth = watermarking_depth
        self.beta = nn.Parameter(-2.5 + 0.001 * torch.randn(1, 1, watermarking_depth))
        self.delta = nn.Parameter(0.001 * torch.randn(1, 1, watermarking_depth, watermarking_depth))

    def forward(self, g_values: Tensor) -> Tensor:
        earlier = self.delta.tril(-1).to(torch.float32)
        two = torch.sigmoid(torch.einsum("btl,xykl->btk", g_values.to(earlier.dtype), earlier) + self.beta)
        return 0.5 * ((g_values + 0.5) * two + (1 - two))


class BayesianDetectorModel(nn.Module):
    """The classifier; trained with labels 1 for watermarked texts."""

    config_class = BayesianDetectorConfig

    def __init__(self, config: BayesianDetectorConfig) -> None:
        super().__init__()
        if not config.watermarking_depth:
            raise CheckpointError(
                "BayesianDetectorConfig needs watermarking_depth, the number of the watermark's keys."
            )
        self.config = config
        self.likelihood_model_watermarked = BayesianDetectorWatermarkedLikelihood(config.watermarking_depth)
        self.prior = nn.Parameter(torch.tensor([config.base_rate]))

    def forward(
        self, g_values: Tensor, mask: Tensor, labels: Tensor | None = None, loss_batch_weight: float = 1,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """Judge texts.

        Args:
            g_values: bits [B, T, L].
            mask: which tokens count [B, T].
            labels: 1 for watermarked texts [B].
            loss_batch_weight: of the regularisation.

        Returns:
            (probabilities [B], loss if labels), or with return_dict an output.
        """
        likely = self.likelihood_model_watermarked(g_values).clamp(min=1e-30)
        surprise = ((likely.log() - torch.full_like(likely, 0.5).log()) * mask[..., None]).flatten(1).sum(1)
        prior = self.prior.clamp(1e-5, 1 - 1e-5)
        posterior = torch.sigmoid(prior.log() - (1 - prior).log() + surprise)
        loss = None
        if labels is not None:
            penalty = (self.likelihood_model_watermarked.delta**2).sum() * loss_batch_weight
            loss = F.binary_cross_entropy(posterior.clamp(1e-5, 1 - 1e-5), labels) + penalty
        if return_dict:
            return BayesianWatermarkDetectorModelOutput(loss=loss, posterior_probabilities=posterior)
        return (posterior,) if loss is None else (posterior, loss)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write config.json and model.safetensors into a folder."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        stream.write(folder, {name: tensor.detach() for name, tensor in self.state_dict().items()}, "5GB")
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str], **options: Any) -> Self:
        """Load from a folder, a Hub id or an address.

        Raises:
            CheckpointError: tensors are missing or unknown.
        """
        hub, _ = split_hub_options(options)
        folder = resolve(os.fspath(reference), **hub)
        values = json.loads((folder / "config.json").read_text())
        model = cls(BayesianDetectorConfig(**values))
        tensors = dict(stream.read(folder))
        differ = set(tensors) ^ set(model.state_dict())
        if differ:
            raise CheckpointError(f"{folder}: the detector's file and model differ in {sorted(differ)}.")
        model.load_state_dict(tensors)
        return model.eval()


class SynthIDTextWatermarkDetector:
    """Tells whether texts carry a SynthID watermark.

    Args:
        detector_module: a trained BayesianDetectorModel.
        logits_processor: the watermark's SynthIDTextWatermarkLogitsProcessor.
        tokenizer: knows the end of text.
    """

    def __init__(self, detector_module: BayesianDetectorModel, logits_processor: Any, tokenizer: Any) -> None:
        self.detector_module, self.logits_processor, self.tokenizer = detector_module, logits_processor, tokenizer

    def __call__(self, tokenized_outputs: Tensor) -> Any:
        """Probabilities [B] of texts [B, T], as the detector's forward gives them."""
        processor = self.logits_processor
        before_end = processor.compute_eos_token_mask(tokenized_outputs, self.tokenizer.eos_token_id)
        first_time = processor.compute_context_repetition_mask(tokenized_outputs)
        mask = first_time * before_end[:, processor.ngram_len - 1 :]
        return self.detector_module(processor.compute_g_values(tokenized_outputs), mask)
