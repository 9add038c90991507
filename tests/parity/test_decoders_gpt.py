"""Decoders with learned positions, ALiBi, and other layouts of their own equal the reference."""

from __future__ import annotations

from tests.parity.harness import Case, TestParity, pytest_generate_tests

__all__ = ["TestParity", "pytest_generate_tests"]

TOKENS = {"vocab_size": 71, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GPT2 = {**TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}

CASES = (
    Case(model_type="gpt2", config=GPT2, kind="decoder"),
    Case(
        model_type="gpt2",
        name="gpt2-scaled",
        config={**GPT2, "n_inner": 40, "scale_attn_by_inverse_layer_idx": True, "activation_function": "relu"},
        heads=("LMHeadModel",),
        kind="decoder",
    ),
)
