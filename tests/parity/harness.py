"""What every architecture must share with the reference, as tests that a family's module imports.

A module of this folder defines CASES and imports `TestParity` and `pytest_generate_tests`; each test then runs for
every case and head. Models are tiny, their weights are drawn wide so that no part hides behind zeros.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.parity.cases import BATCH, LABELS, LENGTH, Case, Inputs, labels_for, text_inputs
from torch import Tensor

from rayformers.models.catalog import CATALOG
from rayformers.models.registry import class_name, model_class


@dataclass(frozen=True)
class Pair:
    """The reference's model, ours loaded from its files, those files, and inputs without labels."""

    reference: Any
    ours: Any
    folder: Path
    inputs: Inputs
    labels: Inputs

    def fresh(self) -> tuple[Any, Any]:
        """Copies that a test may change."""
        return copy.deepcopy(self.reference), copy.deepcopy(self.ours)


_FOLDERS: list[Any] = []


@lru_cache(maxsize=8)
def pair(case: Case, suffix: str) -> Pair:
    """The reference with wide random weights, saved and loaded here."""
    import tempfile

    torch.manual_seed(zlib.crc32(f"{case.name or case.model_type}{suffix}".encode()))
    random = torch.Generator().manual_seed(7)
    prefix = CATALOG[case.model_type].prefix
    values = {"num_labels": 2 if "QuestionAnswering" in suffix else LABELS, **case.config}
    config = getattr(transformers, prefix + "Config")(**values)
    config._attn_implementation = None
    reference = getattr(transformers, class_name(case.model_type, suffix))(config).eval()
    widen(reference)
    folder = tempfile.TemporaryDirectory()
    _FOLDERS.append(folder)  # lives as long as the process
    reference.save_pretrained(folder.name)
    ours = model_class(case.model_type, suffix).from_pretrained(folder.name)
    inputs = case.inputs(random, config) if case.inputs else text_inputs(random, config, case.kind)
    if suffix == "ForMultipleChoice" and "ForMultipleChoice" not in case.head_inputs:
        inputs = {name: torch.stack((value, value.flip(0)), dim=1) for name, value in inputs.items()}
    labels = labels_for(suffix, random, config, inputs)
    if suffix in case.head_inputs:
        inputs = case.head_inputs[suffix](random, config, inputs)
        labels = {
            name: inputs.pop(name) for name in list(inputs) if name.endswith(("label", "labels", "positions"))
        } or labels
    return Pair(reference, ours, Path(folder.name), inputs, labels)


@torch.no_grad()
def widen(model: torch.nn.Module, std: float = 0.15) -> None:
    """Add noise to every trained parameter, so that biases and norms matter too."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(torch.randn_like(parameter) * std)


def flatten(output: Any) -> dict[str, Tensor]:
    """Tensors of an output by path, caches left out."""
    found: dict[str, Tensor] = {}

    def visit(path: str, value: Any) -> None:
        if isinstance(value, Tensor):
            found[path] = value.detach()
        elif isinstance(value, (tuple, list)):
            for number, item in enumerate(value):
                visit(f"{path}.{number}", item)

    for name, value in output.items():
        if name != "past_key_values":
            visit(name, value)
    return found


def assert_equal_outputs(ours: Any, reference: Any, case: Case, factor: float = 1.0) -> None:
    """Same keys, same shapes, values within the case's tolerance."""
    left, right = flatten(ours), flatten(reference)
    assert list(left) == list(right)
    for name, value in right.items():
        torch.testing.assert_close(
            left[name], value, atol=case.atol * factor, rtol=case.rtol * factor, equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip


def hub_gradients(model: Any) -> dict[str, Tensor]:
    """Gradients under the Hub's names, tied ones once."""
    aliases = {alias for alias, _ in model.tied_names()}
    ours = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
        if name not in aliases
    }
    return model.weight_map(model.config).to_hub(ours)


def gradient_norm(model: torch.nn.Module) -> Tensor:
    """Norm of all gradients together."""
    return torch.sqrt(sum((p.grad.double() ** 2).sum() for p in model.parameters() if p.grad is not None))


def with_eager(model: Any) -> Any:
    """The same model with attention written out, which records weights."""
    model.set_attn_implementation("eager")
    return model


class TestParity:
    """One test for each property; parametrised over the module's CASES and their heads."""

    @torch.no_grad()
    def test_forward(self, case: Case, suffix: str) -> None:
        both = pair(case, suffix)
        assert_equal_outputs(both.ours(**both.inputs), both.reference(**both.inputs), case)
        bare = {name: value for name, value in both.inputs.items() if not name.endswith("attention_mask")}
        assert_equal_outputs(both.ours(**bare), both.reference(**bare), case)

    @torch.no_grad()
    def test_recordings(self, case: Case, suffix: str) -> None:
        reference, ours = pair(case, suffix).fresh()
        inputs = pair(case, suffix).inputs
        flags = {"output_hidden_states": True, "output_attentions": True}
        expected = with_eager(reference)(**inputs, **flags)
        answer = ours(**inputs, **flags)
        if not case.last_state:
            expected, answer = ({**o, "hidden_states": o["hidden_states"][:-1]} for o in (expected, answer))
        if "attention_mask" in inputs:  # rows of padding attend differently to padding, and nobody reads them
            expected, answer = _without_padding(expected, inputs), _without_padding(answer, inputs)
        assert_equal_outputs(answer, expected, case)

    def test_gradient(self, case: Case, suffix: str) -> None:
        reference, ours = pair(case, suffix).fresh()
        inputs = {**pair(case, suffix).inputs, **pair(case, suffix).labels}
        expected, answer = reference(**inputs), ours(**inputs)
        if expected.get("loss") is None:
            pytest.skip("no loss")
        torch.testing.assert_close(answer.loss, expected.loss, atol=case.atol, rtol=case.rtol)
        expected.loss.backward()
        answer.loss.backward()
        torch.testing.assert_close(gradient_norm(ours), gradient_norm(reference), atol=1e-4, rtol=1e-3)
        wanted = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
        got = hub_gradients(ours)
        for name in wanted.keys() & got.keys():
            torch.testing.assert_close(
                got[name], wanted[name], atol=1e-4, rtol=1e-3, msg=lambda t, name=name: f"{name}: {t}"
            )
        assert wanted.keys() & got.keys()

    def test_gradient_checkpointing(self, case: Case, suffix: str) -> None:
        inputs = {**pair(case, suffix).inputs, **pair(case, suffix).labels}
        norms = []
        for enabled in (False, True):
            ours = pair(case, suffix).fresh()[1]
            for module in ours.modules():
                module.training = not isinstance(module, torch.nn.Dropout)
                if isinstance(getattr(module, "dropout", None), float):
                    module.dropout = 0.0
            if enabled:
                ours.gradient_checkpointing_enable()
            ours(**inputs).loss.backward()
            norms.append(gradient_norm(ours))
        torch.testing.assert_close(norms[0], norms[1])

    @torch.no_grad()
    def test_save_for_reference(self, case: Case, suffix: str, tmp_path: Path) -> None:
        both = pair(case, suffix)
        both.ours.save_pretrained(tmp_path)
        kind = type(both.reference)
        again, info = kind.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
        assert_equal_outputs(both.ours(**both.inputs), again.eval()(**both.inputs), case)
        assert_same_files(load_file(tmp_path / "model.safetensors"), load_file(both.folder / "model.safetensors"))

    def test_weight_map_round_trip(self, case: Case, suffix: str) -> None:
        both = pair(case, suffix)
        rules = both.ours.weight_map(both.ours.config)
        file = load_file(both.folder / "model.safetensors")
        again = rules.to_hub(rules.to_ours(file))
        assert_same_files(again, file)

    @torch.no_grad()
    def test_half_precision(self, case: Case, suffix: str) -> None:
        reference, ours = pair(case, suffix).fresh()
        inputs = pair(case, suffix).inputs
        exact = flatten(reference(**inputs))
        half = {n: v.bfloat16() if isinstance(v, Tensor) and v.is_floating_point() else v for n, v in inputs.items()}
        expected, answer = flatten(reference.bfloat16()(**half)), flatten(ours.bfloat16()(**half))
        for name, value in expected.items():
            assert answer[name].dtype == value.dtype
            allowed = 3 * (value.float() - exact[name].float()).abs().max() + 0.02 * (
                1 + exact[name].float().abs().max()
            )
            error = (answer[name].float() - exact[name].float()).abs().max()
            assert error <= allowed, f"{name}: off by {error}, allowed {allowed}"

    @torch.no_grad()
    def test_cache(self, case: Case, suffix: str) -> None:
        both = pair(case, suffix)
        name = "decoder_input_ids" if case.kind == "seq2seq" else "input_ids"
        ids, rest = both.inputs[name], {}
        if case.kind == "seq2seq":
            rest = {n: v for n, v in both.inputs.items() if n != name and not n.startswith("decoder_")}
        full = both.ours(**rest, **{name: ids}).logits
        logits, cache, reference_cache = [], None, None
        for part in ids.split((ids.shape[1] - 3, 2, 1), dim=1):
            step = {**rest, name: part, "use_cache": True}
            answer = both.ours(**step, past_key_values=cache)
            expected = both.reference(**step, past_key_values=reference_cache)
            cache, reference_cache = answer.past_key_values, expected.past_key_values
            assert cache.get_seq_length() == reference_cache.get_seq_length()
            torch.testing.assert_close(answer.logits, expected.logits, atol=case.atol * 2, rtol=case.rtol * 2)
            logits.append(answer.logits)
        torch.testing.assert_close(torch.cat(logits, dim=1), full, atol=case.atol * 2, rtol=case.rtol * 2)

    @torch.no_grad()
    def test_cache_with_left_padding(self, case: Case, suffix: str) -> None:
        both = pair(case, suffix)
        ids = both.inputs["input_ids"].flip(1)
        mask = both.inputs["attention_mask"].flip(1)
        answers = []
        for model in (both.ours, both.reference):
            first = model(input_ids=ids[:, :-2], attention_mask=mask[:, :-2], use_cache=True)
            second = model(
                input_ids=ids[:, -2:], attention_mask=mask, past_key_values=first.past_key_values, use_cache=True
            )
            answers.append(second.logits)
        torch.testing.assert_close(*answers, atol=case.atol * 2, rtol=case.rtol * 2)

    @torch.no_grad()
    def test_inputs_embeds(self, case: Case, suffix: str) -> None:
        both = pair(case, suffix)
        inputs = dict(both.inputs)
        ids = inputs.pop("input_ids")
        theirs = both.reference(**inputs, inputs_embeds=both.reference.get_input_embeddings()(ids))
        mine = both.ours(**inputs, inputs_embeds=both.ours.get_input_embeddings()(ids))
        assert_equal_outputs(mine, theirs, case)

    @torch.no_grad()
    def test_resize_token_embeddings(self, case: Case, suffix: str, tmp_path: Path) -> None:
        both = pair(case, suffix)
        _, ours = both.fresh()
        rows = ours.get_input_embeddings().weight.shape[0]
        before = ours(**both.inputs)
        ours.resize_token_embeddings(rows + 5)
        after = ours(**both.inputs)
        name = "logits" if "logits" in after else "prediction_logits"
        assert after[name].shape[-1] == before[name].shape[-1] + 5
        torch.testing.assert_close(after[name][..., :rows], before[name][..., :rows])
        ours.save_pretrained(tmp_path)
        again = type(both.reference).from_pretrained(tmp_path)
        assert again.config.vocab_size == rows + 5
        assert_equal_outputs(after, again(**both.inputs), case)


def _without_padding(output: Any, inputs: Inputs) -> dict[str, Any]:
    """Recorded states and attentions with the padding's positions set to zero, so that only text is compared."""
    text = inputs["attention_mask"].bool()
    text = text.flatten(0, -2)
    decoder = "decoder_input_ids" in inputs

    def visit(name: str, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return tuple(visit(name, item) for item in value)
        if not isinstance(value, Tensor) or value.shape[:1] != text.shape[:1]:
            return value
        on_encoder = not decoder or name.startswith("encoder")
        if on_encoder and value.ndim == 3 and value.shape[1] == text.shape[1]:
            return value * text[..., None]
        if on_encoder and value.ndim == 4 and value.shape[2] == text.shape[1]:
            return value * text[:, None, :, None]
        return value

    return {name: visit(name, value) for name, value in output.items()}


def assert_same_files(ours: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> None:
    """Bit for bit the same tensors; names that only the reference writes must be copies of tied ones."""
    assert ours.keys() <= reference.keys(), sorted(ours.keys() - reference.keys())
    for name in reference:
        if name in ours:
            assert torch.equal(ours[name], reference[name]), name
        else:
            copies = [other for other in ours if torch.equal(reference[other], reference[name])]
            assert copies, f"{name} was not written"


GENERATES = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "MTModel")


def applies(check: str, case: Case, suffix: str) -> bool:
    """Whether a check says anything about a head; checks of the backbone alone run once."""
    text = case.inputs is None or case.kind != "encoder" or "vocab_size" in case.config
    if check in case.skip:
        return False
    if check == "gradient":
        return suffix not in ("Model", "EncoderModel")
    if check == "gradient_checkpointing":
        with_loss = [s for s in case.suffixes() if s not in ("Model", "EncoderModel", "ForPreTraining")]
        return suffix in with_loss[:1]
    if check == "cache":
        return case.kind != "encoder" and suffix in GENERATES
    if check == "cache_with_left_padding":
        return case.kind == "decoder" and suffix in GENERATES
    if check == "inputs_embeds":
        return text and suffix == case.suffixes()[0]
    if check == "resize_token_embeddings":
        return text and suffix in (*GENERATES, "ForMaskedLM")
    return True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of TestParity for every case and head of the module's CASES that it applies to."""
    if "suffix" not in metafunc.fixturenames:
        return
    check = metafunc.function.__name__.removeprefix("test_")
    pairs = [
        pytest.param(case, suffix, id=f"{case.name or case.model_type}-{suffix}")
        for case in metafunc.module.CASES
        for suffix in case.suffixes()
        if applies(check, case, suffix)
    ]
    metafunc.parametrize(("case", "suffix"), pairs)


__all__ = [
    "BATCH", "LABELS", "LENGTH", "Case", "Inputs", "TestParity", "assert_equal_outputs", "labels_for", "pair",
    "pytest_generate_tests", "text_inputs", "with_eager",
]  # fmt: skip
