"""Text architectures, one file each."""
