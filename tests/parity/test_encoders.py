"""BERT and its relatives equal the reference."""

from __future__ import annotations

from typing import Any

import torch
from tests.parity.harness import BATCH, Case, TestParity, labels_for, pytest_generate_tests, text_inputs

__all__ = ["TestParity", "pytest_generate_tests"]


def with_segments(random: torch.Generator, config: Any) -> dict[str, Any]:
    """Token ids, a padding mask, and token types that switch within the text."""
    inputs = text_inputs(random, config)
    segments = torch.zeros_like(inputs["input_ids"])
    segments[:, 4:] = 1
    return {**inputs, "token_type_ids": segments}


def pretraining(label: str) -> Any:
    """Labels of a head with two objectives: masked tokens, and one more for each text."""

    def labels(random: torch.Generator, config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        more = {label: torch.randint(0, 2, (BATCH,), generator=random)}
        return {**inputs, **labels_for("ForMaskedLM", random, config, inputs), **more}

    return labels


SIZES = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 24,
}  # fmt: skip
HEADS = ("ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification", "ForQuestionAnswering")
CASES = (
    Case(
        model_type="bert",
        config=SIZES,
        heads=("Model", "ForPreTraining", "ForMaskedLM", "ForNextSentencePrediction", *HEADS),
        inputs=with_segments,
        head_inputs={"ForPreTraining": pretraining("next_sentence_label")},
    ),
    Case(
        model_type="bert",
        name="bert-decoder",
        config={**SIZES, "is_decoder": True, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5},
        heads=("LMHeadModel",),
        kind="decoder",
    ),
)
