"""Logits rules: what a model's scores of the next token go through before one is chosen."""
