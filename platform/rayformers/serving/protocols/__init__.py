"""Wire protocols of endpoints, one file each."""
