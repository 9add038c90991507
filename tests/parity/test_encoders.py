"""BERT and its relatives equal the reference."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.parity.harness import (
    BATCH,
    Case,
    TestParity,
    assert_equal_outputs,
    labels_for,
    pair,
    pytest_generate_tests,
    text_inputs,
    with_eager,
)

from rayformers import ModernBertConfig
from rayformers.errors import InputError
from rayformers.models.catalog import CATALOG
from rayformers.models.registry import model_class

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


def test_bert_cross_attention_and_its_cache() -> None:
    """A decoder that reads an encoder's states, at once and step by step."""
    case = CASES[1]
    wide = replace(case, name="bert-cross", config={**case.config, "add_cross_attention": True})
    both = pair(wide, "LMHeadModel")
    random = torch.Generator().manual_seed(3)
    memory = torch.randn(BATCH, 5, 32, generator=random)
    memory_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    read = {"encoder_hidden_states": memory, "encoder_attention_mask": memory_mask}
    with torch.no_grad():
        full = both.ours(**both.inputs, **read, output_attentions=True)
        expected = with_eager(both.fresh()[0])(**both.inputs, **read, output_attentions=True)
        assert_equal_outputs(full, expected, wide)
        without = both.ours(**both.inputs, use_cache=True)
        assert_equal_outputs(without, both.reference(**both.inputs, use_cache=True), wide)
        ids = both.inputs["input_ids"]
        whole = both.ours(input_ids=ids, **read).logits
        first = both.ours(input_ids=ids[:, :4], **read, use_cache=True)
        second = both.ours(input_ids=ids[:, 4:], **read, past_key_values=first.past_key_values, use_cache=True)
    torch.testing.assert_close(torch.cat((first.logits, second.logits), 1), whole, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "labels", "config"),
    [
        ("regression", torch.tensor([0.3, -1.0, 2.0]), {"num_labels": 1}),
        ("regression", torch.randn(3, 4), {"num_labels": 4, "problem_type": "regression"}),
        ("multi_label_classification", torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]]), {"num_labels": 3}),
        ("single_label_classification", torch.tensor([1, 0, 1]), {"num_labels": 2}),
    ],
)
@pytest.mark.parametrize("model_type", ["bert", "deberta"])
def test_kinds_of_classification(model_type: str, kind: str, labels: torch.Tensor, config: dict[str, Any]) -> None:
    """The loss follows the number and dtype of the labels, or config.problem_type."""
    case = Case(model_type=model_type, name=f"{model_type}-{kind}-{len(config)}", config={**SIZES, **config})
    both = pair(case, "ForSequenceClassification")
    expected, ours = both.fresh()
    mine, theirs = ours(**both.inputs, labels=labels), expected(**both.inputs, labels=labels)
    assert_equal_outputs(mine, theirs, case)
    assert ours.config.problem_type == expected.config.problem_type


def test_deberta_leaves_unknown_labels_out() -> None:
    case = Case(model_type="deberta", config=SIZES)
    both = pair(case, "ForSequenceClassification")
    labels = torch.tensor([2, -1, 0])
    torch.testing.assert_close(
        both.ours(**both.inputs, labels=labels).loss, both.reference(**both.inputs, labels=labels).loss
    )


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert", "deberta", "modernbert", "tapas"])
def test_bad_inputs_say_what_to_do(model_type: str) -> None:
    """Ids outside of the vocabulary, both inputs, no input, wrong rank, wrong mask: each an InputError with advice."""
    case = next(case for case in CASES if case.model_type == model_type)
    model = pair(case, case.suffixes()[0]).ours
    ids = torch.full((1, 4), 5)
    for inputs, words in (
        ({"input_ids": ids + 100}, "resize_token_embeddings"),
        ({"input_ids": ids, "inputs_embeds": torch.zeros(1, 4, 32)}, "both"),
        ({}, "neither"),
        ({"input_ids": ids[0]}, r"\[batch, positions\]"),
        ({"input_ids": ids.float()}, "whole numbers"),
        ({"input_ids": ids, "attention_mask": torch.ones(1, 9)}, "attention_mask"),
        ({"input_ids": ids, "atention_mask": ids}, "attention_mask"),
    ):
        with pytest.raises(InputError, match=words):
            model(**inputs)


def test_long_text_is_refused() -> None:
    for case in CASES:
        if case.name or case.model_type in ("deberta", "deberta-v2", "tapas"):
            continue  # these have no learned absolute positions, or clip them
        model = pair(case, "Model").ours
        with pytest.raises(InputError, match=r"truncation=True"):
            model(input_ids=torch.full((1, 70), 5))


def test_modernbert_reads_the_keys_of_both_versions() -> None:
    old = ModernBertConfig(
        global_rope_theta=5e4, local_rope_theta=1e3, global_attn_every_n_layers=2, num_hidden_layers=4
    )
    new = ModernBertConfig(
        num_hidden_layers=4,
        layer_types=["full_attention", "sliding_attention"] * 2,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 5e4},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
        },
    )
    for key in ("global_rope_theta", "local_rope_theta", "global_attn_every_n_layers"):
        assert getattr(old, key) == getattr(new, key)
    assert old.kinds() == new.kinds() == ["full", "sliding"] * 2


@pytest.mark.parametrize("model_type", ["bert", "roberta", "albert"])
@torch.no_grad()
def test_untied_embeddings(model_type: str, tmp_path: Path) -> None:
    """With two matrices and two biases in the file, the projection's own count."""
    config = {**SIZES, "tie_word_embeddings": False, **({"embedding_size": 16} if model_type == "albert" else {})}
    both = pair(Case(model_type=model_type, name=f"{model_type}-untied", config=config), "ForMaskedLM")
    expected = both.reference(**both.inputs).logits
    torch.testing.assert_close(both.ours(**both.inputs).logits, expected, atol=2e-5, rtol=1e-4)
    both.ours.save_pretrained(tmp_path)
    again = type(both.reference).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(**both.inputs).logits, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("case", [c for c in CASES if "decoder" not in c.name], ids=lambda c: c.name or c.model_type)
def test_fresh_weights_are_drawn_alike(case: Case) -> None:
    """The spread of every freshly initialised tensor is the reference's."""
    row = CATALOG[case.model_type]
    width = "hidden_size" if "dim" not in case.config else "dim"
    values = {"num_labels": 2, **case.config, width: 64, "initializer_range": 0.05}
    for suffix in case.suffixes():
        torch.manual_seed(0)
        kind, ours_kind = getattr(transformers, row.prefix + suffix), model_class(case.model_type, suffix)
        expected = kind(kind.config_class(**values)).state_dict()
        ours = ours_kind(ours_kind.config_class(**values)).hub_state_dict()
        for name in expected.keys() & ours.keys():
            wanted, got = spread(expected[name]), spread(ours[name])
            if ours[name].numel() >= 400 or wanted[1] == 0:
                assert got[0] == pytest.approx(wanted[0], abs=0.02), name
                assert got[1] == pytest.approx(wanted[1], rel=0.2, abs=1e-6), name


def spread(tensor: torch.Tensor) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(tensor.float().mean()), float(tensor.float().std(correction=0))


def test_old_spellings_are_read(tmp_path: Path) -> None:
    """gamma and beta, a constant buffer, a copy of the tied matrix, and names without the prefix."""
    both = pair(CASES[0], "ForMaskedLM")
    tensors = load_file(both.folder / "model.safetensors")
    old = {
        re.sub(r"LayerNorm\.(weight|bias)", lambda m: "LayerNorm." + {"weight": "gamma", "bias": "beta"}[m[1]], name): t
        for name, t in tensors.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(24)[None]
    old["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    old["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    bare = {name.removeprefix("bert."): tensor for name, tensor in old.items()}
    for number, spelled in enumerate((old, bare)):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file(spelled, folder / "model.safetensors")
        (folder / "config.json").write_bytes((both.folder / "config.json").read_bytes())
        again = model_class("bert", "ForMaskedLM").from_pretrained(folder)
        torch.testing.assert_close(again(**both.inputs).logits, both.ours(**both.inputs).logits, rtol=0, atol=0)


def test_distilbert_sinusoids() -> None:
    config = {**CASES[2].config, "sinusoidal_pos_embds": True}
    case = Case(model_type="distilbert", name="distilbert-sinusoids", config=config)
    assert CASES[2].model_type == "distilbert"
    fresh = model_class("distilbert", "Model")(model_class("distilbert", "Model").config_class(**config))
    expected = transformers.DistilBertModel(transformers.DistilBertConfig(**config)).embeddings.position_embeddings
    torch.testing.assert_close(fresh.backbone.embed.position.weight, expected.weight, check_stride=False)
    assert not fresh.backbone.embed.position.weight.requires_grad
    both = pair(case, "Model")
    assert_equal_outputs(both.ours(**both.inputs), both.reference(**both.inputs), case)
