"""Architectures: one file each, of configuration, assembly, weight names and registration."""
