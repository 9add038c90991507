"""Methods of models that concern the token embeddings."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import InputError


class EmbeddingMethods:
    """Mixin of PreTrainedModel. A backbone names its token embedding by `token_embedding() -> (owner, attribute)`."""

    backbone: Any
    head: Any
    config: Any

    def _embedding_slot(self) -> tuple[Any, str]:
        find = getattr(self.backbone, "token_embedding", None)
        if find is None:
            raise InputError(f"{type(self).__name__} has no token embeddings.")
        return find()

    def get_input_embeddings(self) -> nn.Module:
        """The module that embeds the main input: tokens, or patches."""
        if hasattr(self.backbone, "token_embedding"):
            owner, name = self._embedding_slot()
            return getattr(owner, name)
        return self.backbone.get_submodule("embed")

    def set_input_embeddings(self, module: nn.Module) -> None:
        """Replace the token embedding."""
        owner, name = self._embedding_slot()
        setattr(owner, name, module)

    def get_output_embeddings(self) -> nn.Module | None:
        """The projection to the vocabulary, None where there is none."""
        return getattr(self.head, "lm_head", None)

    def set_output_embeddings(self, module: nn.Module) -> None:
        """Replace the projection to the vocabulary."""
        if self.get_output_embeddings() is None:
            raise InputError(f"{type(self).__name__} has no output embeddings.")
        self.head.lm_head = module

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Module:
        """Change the vocabulary's size; old rows are kept.

        Args:
            new_num_tokens: rows afterwards; None keeps them and returns the embedding.
            pad_to_multiple_of: round the rows up.
            mean_resizing: draw new rows around the mean of the old ones with their covariance, so that the loss
                does not jump (Hewitt 2021, "Initializing New Word Embeddings"); else as fresh weights.
        """
        embedding = self.get_input_embeddings()
        assert isinstance(embedding, nn.Embedding)
        rows = embedding.num_embeddings if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of:
            rows = -(-rows // pad_to_multiple_of) * pad_to_multiple_of
        if rows == embedding.num_embeddings:
            return embedding
        std = float(getattr(self.config, "initializer_range", 0.02))
        grown = _resized(embedding.weight.data, rows, mean_resizing, std)
        embedding.weight = nn.Parameter(grown, requires_grad=embedding.weight.requires_grad)
        embedding.num_embeddings = rows
        self._resize_output(rows, mean_resizing, std)
        self.config.get_text_config().vocab_size = rows
        if hasattr(self.config, "vocab_size"):
            self.config.vocab_size = rows
        self.tie_weights()  # type: ignore[attr-defined]
        return embedding

    def _resize_output(self, rows: int, mean_resizing: bool, std: float) -> None:
        output = self.get_output_embeddings()
        if not isinstance(output, nn.Linear):
            return
        output.weight = nn.Parameter(_resized(output.weight.data, rows, mean_resizing, std))
        if output.bias is not None:
            output.bias = nn.Parameter(_padded(output.bias.data, rows))
        output.out_features = rows
        for name, buffer in list(self.head.named_buffers(recurse=False)):
            if buffer.shape[-1] != rows and name == "final_logits_bias":
                self.head.register_buffer(name, _padded(buffer[0], rows)[None])


def _padded(vector: torch.Tensor, rows: int) -> torch.Tensor:
    out = vector.new_zeros(rows)
    kept = min(rows, vector.shape[0])
    out[:kept] = vector[:kept]
    return out


def _resized(weight: torch.Tensor, rows: int, mean_resizing: bool, std: float) -> torch.Tensor:
    old_rows = weight.shape[0]
    out = torch.empty(rows, weight.shape[1], dtype=weight.dtype, device=weight.device).normal_(std=std)
    out[: min(rows, old_rows)] = weight[:rows]
    if mean_resizing and rows > old_rows:
        values = weight.float()
        mean = values.mean(0)
        centred = values - mean
        covariance = centred.T @ centred / old_rows * 1e-9
        noise = torch.randn(rows - old_rows, weight.shape[1], device=weight.device)
        eigenvalues, vectors = torch.linalg.eigh(covariance)
        out[old_rows:] = (mean + noise * eigenvalues.clamp_min(0).sqrt() @ vectors.T).to(weight.dtype)
    return out
