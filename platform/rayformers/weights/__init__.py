"""Names and tensors of checkpoints: two-way name rules and streamed safetensors."""

from .rules import Drop, Rename, Rule, Split, Stack, Transpose, WeightMap, rename, under

__all__ = ["Drop", "Rename", "Rule", "Split", "Stack", "Transpose", "WeightMap", "rename", "under"]
