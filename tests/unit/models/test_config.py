"""Model configurations and outputs."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

import rayformers
from rayformers.errors import ConfigError
from rayformers.models.outputs import BaseModelOutput, ImageClassifierOutput


def test_unknown_keys_are_kept_and_written_back(tmp_path: Path) -> None:
    config = rayformers.ViTConfig(hidden_size=32, from_the_future={"a": 1})
    config.save_pretrained(tmp_path)
    loaded = rayformers.AutoConfig.from_pretrained(tmp_path)
    assert loaded.from_the_future == {"a": 1} and loaded.hidden_size == 32
    assert loaded.to_dict() == config.to_dict()


def test_labels() -> None:
    config = rayformers.ViTConfig(num_labels=3)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    config = rayformers.ViTConfig(id2label={"0": "cat", "1": "dog"})
    assert config.num_labels == 2 and config.label2id == {"cat": 0, "dog": 1}


def test_overrides_and_unused(tmp_path: Path) -> None:
    rayformers.ViTConfig().save_pretrained(tmp_path)
    config, unused = rayformers.AutoConfig.from_pretrained(
        tmp_path, num_labels=7, hidden_size=8, strange=1, return_unused_kwargs=True
    )
    assert (config.num_labels, config.hidden_size, unused) == (7, 8, {"strange": 1})
    with pytest.raises(ConfigError, match="strange"):
        rayformers.AutoConfig.from_pretrained(tmp_path, strange=1)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_both_names_of_the_dtype(key: str) -> None:
    config = rayformers.ViTConfig(**{key: torch.bfloat16})
    assert config.torch_dtype == config.dtype == "bfloat16"


def test_update_from_string() -> None:
    config = rayformers.ViTConfig()
    config.update_from_string("hidden_size=12,qkv_bias=false,layer_norm_eps=0.1")
    assert (config.hidden_size, config.qkv_bias, config.layer_norm_eps) == (12, False, 0.1)
    with pytest.raises(ConfigError, match="qkv_bias"):
        config.update_from_string("qkv_bias=perhaps")
    with pytest.raises(ConfigError, match="no_such_key"):
        config.update_from_string("no_such_key=1")


def test_missing_attributes_raise() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        _ = rayformers.ViTConfig().no_such
    assert pickle.loads(pickle.dumps(rayformers.ViTConfig(num_labels=4))).num_labels == 4


def test_outputs_are_attributes_keys_and_tuples() -> None:
    output = ImageClassifierOutput(logits=torch.ones(1, 2))
    assert list(output.keys()) == ["logits"] and output.loss is None
    assert torch.equal(output[0], output["logits"]) and torch.equal(output[:1][0], output.logits)
    assert len(output.to_tuple()) == 1
    output.loss = torch.tensor(1.0)
    assert set(output.keys()) == {"loss", "logits"}
    with pytest.raises(TypeError):
        del output["logits"]
    with pytest.raises(TypeError):
        output.pop("logits")
    again = pickle.loads(pickle.dumps(output))
    assert isinstance(again, ImageClassifierOutput) and torch.equal(again.logits, output.logits)


def test_outputs_pass_through_pytree() -> None:
    import torch.utils._pytree as pytree

    output = BaseModelOutput(last_hidden_state=torch.ones(1), hidden_states=(torch.ones(1),))
    doubled = pytree.tree_map(lambda x: 2 * x, output)
    assert isinstance(doubled, BaseModelOutput) and float(doubled.hidden_states[0]) == 2
