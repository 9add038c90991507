"""Saving and loading: strict, streamed, and clear about what is wrong."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import rayformers
from rayformers.errors import CheckpointError, ConfigError, InputError, NotFoundError, UnknownNameError
from rayformers.weights import stream

TINY = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": 3,
}  # fmt: skip


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return rayformers.AutoModelForImageClassification.from_config(rayformers.ViTConfig(**TINY))


@pytest.fixture
def folder(model: Any, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def same(a: Any, b: Any) -> bool:
    other = dict(b.named_parameters())
    return all(torch.equal(value, other[name]) for name, value in a.named_parameters())


def test_round_trip(model: Any, folder: Path) -> None:
    loaded = rayformers.AutoModelForImageClassification.from_pretrained(folder)
    assert type(loaded) is rayformers.ViTForImageClassification
    assert not loaded.training
    assert same(model, loaded)
    assert same(model, pickle.loads(pickle.dumps(loaded)))


def test_shards_round_trip(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert same(model, rayformers.ViTForImageClassification.from_pretrained(tmp_path))


def test_files_carry_the_hubs_names(folder: Path) -> None:
    names = load_file(folder / "model.safetensors").keys()
    assert "vit.encoder.layer.1.attention.attention.query.weight" in names
    assert not [name for name in names if "backbone" in name or "stack" in name]
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "vit" and config["architectures"] == ["ViTForImageClassification"]


def test_a_backbone_loads_from_a_head_model_and_the_reverse(model: Any, folder: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"freshly initialised .*pooler"):
        base, info = rayformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert info["unexpected_keys"] == ["classifier.bias", "classifier.weight"]
    assert torch.equal(base.backbone.stack.norm.weight, model.backbone.stack.norm.weight)
    base.save_pretrained(tmp_path / "base")
    with pytest.warns(UserWarning, match=r"freshly initialised .*head\.classifier"):
        rayformers.AutoModelForImageClassification.from_pretrained(tmp_path / "base", num_labels=5)


def test_dtype(folder: Path) -> None:
    load = rayformers.AutoModelForImageClassification.from_pretrained
    for value in (torch.bfloat16, "bfloat16", "torch.bfloat16"):
        assert load(folder, torch_dtype=value).dtype == torch.bfloat16
    half = load(folder, dtype="float16")
    half.save_pretrained(folder)
    assert load(folder).dtype == torch.float32
    assert load(folder, torch_dtype="auto").dtype == torch.float16
    with pytest.raises(ConfigError, match="'flaot16'"):
        load(folder, torch_dtype="flaot16")


def edit(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_a_missing_tensor_is_named(folder: Path) -> None:
    edit(folder, lambda t: t.pop("vit.layernorm.weight"))
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors of the model: backbone\.stack\.norm\.weight"):
        rayformers.AutoModelForImageClassification.from_pretrained(folder)


def test_a_strange_tensor_is_named_and_can_be_left(folder: Path) -> None:
    edit(folder, lambda t: t.update({"decoder.strange": torch.ones(1)}))
    with pytest.raises(CheckpointError, match=r"1 tensors that this architecture does not have: decoder\.strange"):
        rayformers.AutoModelForImageClassification.from_pretrained(folder)
    rayformers.AutoModelForImageClassification.from_pretrained(folder, ignore_unexpected=("decoder.*",))


def test_more_layers_than_the_configuration(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(CheckpointError, match="beyond the configuration"):
        rayformers.AutoModelForImageClassification.from_pretrained(folder)


def test_other_shapes(folder: Path) -> None:
    load = rayformers.AutoModelForImageClassification.from_pretrained
    with pytest.raises(CheckpointError, match=r"head\.classifier\.\w+ is \[3.*the model has \[7"):
        load(folder, num_labels=7)
    with pytest.warns(UserWarning, match=r"head\.classifier"):
        model, info = load(folder, num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True)
    assert {name for name, _, _ in info["mismatched_keys"]} == {"head.classifier.weight", "head.classifier.bias"}
    assert model.head.classifier.out_features == 7


def test_memory_peaks_near_the_models_size(tmp_path: Path) -> None:
    import subprocess
    import sys

    big = TINY | {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 16}
    rayformers.ViTForImageClassification(rayformers.ViTConfig(**big)).save_pretrained(tmp_path, max_shard_size="20MB")
    program = f"""
import resource, rayformers, torch
rayformers.ViTForImageClassification, rayformers.AutoModelForImageClassification.from_pretrained
from rayformers.weights import stream
from safetensors.torch import save_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = rayformers.AutoModelForImageClassification.from_pretrained({str(tmp_path)!r})
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
print(grown / sum(p.nbytes for p in model.parameters()))
"""
    ratio = float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert ratio <= 1.1


def test_unknown_model_type_names_the_nearest(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "vitt"}))
    with pytest.raises(UnknownNameError, match=r"'vit'.*register"):
        rayformers.AutoModel.from_pretrained(folder)


def test_no_model_type(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="model_type"):
        rayformers.AutoModel.from_pretrained(folder)


def test_broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is not valid JSON"):
        rayformers.AutoModel.from_pretrained(folder)


def test_unknown_options(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no_such_option"):
        rayformers.AutoModelForImageClassification.from_pretrained(folder, no_such_option=1)
    with pytest.raises(UnknownNameError, match="'eager'"):
        rayformers.AutoModelForImageClassification.from_pretrained(folder, attn_implementation="eagre")


@pytest.mark.parametrize("option", ["state_dict", "max_memory", "offload_folder"])
def test_options_that_would_have_no_effect_are_refused(folder: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot use {option}"):
        rayformers.AutoModelForImageClassification.from_pretrained(folder, **{option: {}})


def test_pickled_weights_are_not_written(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="safetensors"):
        model.save_pretrained(tmp_path, safe_serialization=False)


def test_saving_over_a_file_is_an_error(model: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        model.save_pretrained(tmp_path / "taken")


def test_inputs_are_checked(model: Any) -> None:
    with pytest.raises(InputError, match=r"no input 'pixel_value'\. Did you mean 'pixel_values'"):
        model(pixel_value=torch.zeros(1, 1, 8, 8))
    with pytest.raises(InputError, match="needs pixel_values"):
        model()


def test_a_head_that_an_architecture_lacks(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"AutoModelForCausalLM does not cover 'vit'.*ForImageClassification"):
        rayformers.AutoModelForCausalLM.from_pretrained(folder)


def test_the_base_class_is_not_a_model() -> None:
    with pytest.raises(TypeError, match="base class"):
        rayformers.PreTrainedModel(rayformers.ViTConfig(**TINY))


def test_load_sharded_checkpoint(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    other = rayformers.AutoModelForImageClassification.from_config(rayformers.ViTConfig(**TINY))
    assert not same(model, other)
    rayformers.load_sharded_checkpoint(other, tmp_path)
    assert same(model, other)


def test_no_weights(folder: Path) -> None:
    (folder / stream.SAFE_NAME).unlink()
    with pytest.raises(NotFoundError, match="No weights"):
        rayformers.AutoModel.from_pretrained(folder)
