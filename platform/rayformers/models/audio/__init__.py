"""Audio architectures, one file each."""
