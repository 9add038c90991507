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


def replaced(random: torch.Generator, config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Which tokens were replaced."""
    return {**inputs, "labels": torch.randint(0, 2, inputs["input_ids"].shape, generator=random)}


def long_text(random: torch.Generator, config: Any) -> dict[str, Any]:
    """Texts whose ends are far apart."""
    return {"input_ids": torch.randint(2, config.vocab_size, (2, 190), generator=random)}


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
    Case(
        model_type="distilbert",
        config={
            "vocab_size": 61,
            "dim": 32,
            "n_layers": 3,
            "n_heads": 4,
            "hidden_dim": 48,
            "max_position_embeddings": 24,
        },
    ),
    Case(model_type="roberta", config=SIZES),
    Case(
        model_type="roberta",
        name="roberta-decoder",
        config={**SIZES, "is_decoder": True, "pad_token_id": 3},
        heads=("ForCausalLM",),
        kind="decoder",
    ),
    Case(model_type="xlm-roberta", config={**SIZES, "type_vocab_size": 1}, heads=("Model", "ForMaskedLM", *HEADS)),
    Case(model_type="camembert", config=SIZES, heads=("Model", "ForMaskedLM", *HEADS)),
    Case(
        model_type="electra",
        config={**SIZES, "embedding_size": 16, "hidden_act": "relu"},
        heads=("Model", "ForPreTraining", "ForMaskedLM", *HEADS),
        inputs=with_segments,
        head_inputs={"ForPreTraining": replaced},
    ),
    Case(
        model_type="electra",
        name="electra-mean",
        config={**SIZES, "embedding_size": 32, "summary_type": "mean", "summary_activation": "tanh"},
        heads=("Model", "ForMultipleChoice"),
    ),
    Case(
        model_type="electra",
        name="electra-decoder",
        config={**SIZES, "embedding_size": 16, "is_decoder": True},
        heads=("ForCausalLM",),
        kind="decoder",
    ),
    Case(
        model_type="albert",
        config={**SIZES, "embedding_size": 16, "num_labels": 2},
        inputs=with_segments,
        head_inputs={"ForPreTraining": pretraining("sentence_order_label")},
    ),
    Case(
        model_type="albert",
        name="albert-groups",
        config={**SIZES, "embedding_size": 16, "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2},
        heads=("Model", "ForMaskedLM"),
    ),
    Case(model_type="mpnet", config=SIZES),
    Case(
        model_type="mpnet",
        name="mpnet-long",
        config={**SIZES, "max_position_embeddings": 200, "relative_attention_num_buckets": 64},
        heads=("Model",),
        inputs=long_text,
    ),
    Case(model_type="mpnet", name="mpnet-padding", config={**SIZES, "pad_token_id": 0}, heads=("Model",)),
    Case(
        model_type="deberta",
        config={**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
        inputs=with_segments,
    ),
    Case(
        model_type="deberta",
        name="deberta-short-span",
        config={
            **SIZES,
            "relative_attention": True,
            "pos_att_type": "c2p",
            "max_relative_positions": 4,
            "type_vocab_size": 2,
            "legacy": False,
        },
        heads=("Model", "ForMaskedLM", "ForSequenceClassification"),
        inputs=with_segments,
        skip=("resize_token_embeddings",),  # the reference resizes the wrong layer of this head
    ),
    Case(model_type="deberta", name="deberta-absolute", config=SIZES, heads=("Model",), inputs=with_segments),
    Case(
        model_type="deberta-v2",
        config={
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "position_buckets": 4,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "max_position_embeddings": 40,
        },
    ),
    Case(
        model_type="deberta-v2",
        name="deberta-v2-convolution",
        config={
            **SIZES,
            "relative_attention": True,
            "pos_att_type": "p2c|c2p",
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "type_vocab_size": 2,
            "embedding_size": 16,
        },
        heads=("Model", "ForMaskedLM", "ForMultipleChoice"),
        inputs=with_segments,
    ),
)
