"""Decoders with rotary positions equal the reference."""

from __future__ import annotations

from tests.parity.harness import Case, TestParity, pytest_generate_tests

__all__ = ["TestParity", "pytest_generate_tests"]

SIZES = {
    "vocab_size": 71, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip

CASES = (
    Case(model_type="llama", config={**SIZES, "attention_bias": True, "mlp_bias": True}, kind="decoder"),
    Case(
        model_type="llama",
        name="llama3-scaling",
        config={
            **SIZES, "tie_word_embeddings": True, "head_dim": 12,
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
            },
        },
        heads=("ForCausalLM",),
        kind="decoder",
    ),
)  # fmt: skip
