"""BERT and its relatives beyond the shared checks: cross attention, labels, errors, fresh weights, old files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.parity.harness import BATCH, Case, assert_equal_outputs, pair, with_eager
from tests.parity.test_encoders import CASES, SIZES

from rayformers import ModernBertConfig
from rayformers.errors import InputError
from rayformers.models.catalog import CATALOG
from rayformers.models.registry import model_class


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
