"""Blocks: tensors in, tensors out. Imports torch only; an architecture is assembled from these."""
