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


def short_padding(random: torch.Generator, config: Any) -> dict[str, Any]:
    """Padding near enough to the text to see it through a narrow window."""
    inputs = text_inputs(random, config)
    inputs["attention_mask"][:, :-2] = 1
    return inputs


def table_inputs(random: torch.Generator, config: Any) -> dict[str, Any]:
    """A question of three tokens and a table of two columns with a header and two rows, some cells of two tokens."""
    inputs = text_inputs(random, config)
    types = torch.zeros(*inputs["input_ids"].shape, 7, dtype=torch.long)
    types[:, 3:, 0] = 1
    types[:, :, 1] = torch.tensor([0, 0, 0, 1, 2, 1, 1, 2, 1])
    types[:, :, 2] = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2])
    types[:, 5:, 4:6] = torch.tensor([[1, 2], [1, 2], [1, 1], [2, 1]])
    inputs["attention_mask"][:2] = 1
    return {**inputs, "token_type_ids": types}


def cells(random: torch.Generator, config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Which tokens are the answer; none for the last table."""
    labels = torch.zeros_like(inputs["input_ids"])
    labels[0, 5:7] = 1
    labels[1, 7] = 1
    return {**inputs, "labels": labels}


def operations(random: torch.Generator, config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """And by which operation."""
    return {**cells(random, config, inputs), "aggregation_labels": torch.tensor([0, 2, 3])}


def weak_answers(random: torch.Generator, config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Numbers alone: one that a cell may hold, one that must be computed, and no number."""
    values = torch.full(inputs["input_ids"].shape, float("nan"))
    values[:, 5:] = torch.tensor([3.0, 3.0, 40.0, 8.0])
    scale = torch.ones_like(values)
    scale[:, 5:7] = 2.0
    answers = {"float_answer": torch.tensor([3.0, 40.0, float("nan")]), "numeric_values": values}
    return {**cells(random, config, inputs), **answers, "numeric_values_scale": scale}


SIZES = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 24,
}  # fmt: skip
MODERN = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 40,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1,
    "sep_token_id": 2,
}  # fmt: skip
TABLE = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 24, "type_vocab_sizes": [3, 8, 8, 2, 8, 8, 10], "max_num_rows": 6, "max_num_columns": 5,
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
    Case(model_type="modernbert", config={**MODERN, "local_attention": 8}, last_state=False),
    Case(
        model_type="modernbert",
        name="modernbert-mean",
        config={
            **MODERN,
            "local_attention": 4,
            "classifier_pooling": "mean",
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "classifier_bias": True,
            "decoder_bias": False,
            "global_attn_every_n_layers": 2,
            "sparse_prediction": True,
        },
        heads=("ForMaskedLM", "ForSequenceClassification"),
        inputs=short_padding,
        last_state=False,
    ),
    Case(model_type="tapas", config=TABLE, inputs=table_inputs, head_inputs={"ForQuestionAnswering": cells}),
    Case(
        model_type="tapas",
        name="tapas-operations",
        config={
            **TABLE,
            "num_aggregation_labels": 4,
            "temperature": 0.7,
            "reset_position_index_per_cell": False,
            "allow_empty_column_selection": True,
            "average_logits_per_cell": True,
        },
        heads=("ForQuestionAnswering",),
        inputs=table_inputs,
        head_inputs={"ForQuestionAnswering": operations},
    ),
    *(
        Case(
            model_type="tapas",
            name=f"tapas-weak-{average}",
            config={
                **TABLE,
                "num_aggregation_labels": 4,
                "use_answer_as_supervision": True,
                "huber_loss_delta": 25.0,
                "cell_selection_preference": 0.7,
                "average_approximation_function": average,
                "answer_loss_cutoff": cutoff,
                "use_normalized_answer_loss": average == "first_order",
                "aggregation_temperature": 0.6,
            },
            heads=("ForQuestionAnswering",),
            inputs=table_inputs,
            head_inputs={"ForQuestionAnswering": weak_answers},
        )
        for average, cutoff in (("ratio", 60.0), ("first_order", None), ("second_order", None))
    ),
)
