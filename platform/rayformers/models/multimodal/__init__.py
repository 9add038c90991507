"""Architectures of several modalities, one file each."""
