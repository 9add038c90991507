"""Vision architectures, one file each."""
