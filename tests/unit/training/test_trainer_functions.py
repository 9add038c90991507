"""The functions around a trainer: samplers, nested predictions, losses, arguments."""

from __future__ import annotations

import argparse
import enum
import json
import logging
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import rayformers
from rayformers import trainer_pt_utils, trainer_utils
from rayformers.errors import ConfigError, InputError, InputTypeError, TrainingError

LENGTHS = [int(n) for n in np.random.default_rng(0).integers(1, 60, 53)]


def test_the_longest_row_first_and_every_row_once() -> None:
    order = trainer_pt_utils.get_length_grouped_indices(LENGTHS, 4, generator=torch.Generator().manual_seed(0))
    assert sorted(order) == list(range(53))
    assert LENGTHS[order[0]] == max(LENGTHS)
    batches = [[LENGTHS[row] for row in order[start : start + 4]] for start in range(0, 52, 4)]
    waste = sum(max(batch) * 4 - sum(batch) for batch in batches)
    unordered = [LENGTHS[start : start + 4] for start in range(0, 52, 4)]
    assert waste < sum(max(batch) * 4 - sum(batch) for batch in unordered) / 2
    assert trainer_pt_utils.get_length_grouped_indices([], 4) == []


def test_length_samplers() -> None:
    rows = [{"input_ids": [0] * length} for length in LENGTHS]
    make: Any = lambda **k: trainer_pt_utils.LengthGroupedSampler(4, generator=torch.Generator().manual_seed(1), **k)  # noqa: E731
    sampler = make(dataset=rows)
    first = list(sampler)
    assert first == list(make(lengths=torch.tensor(LENGTHS))) and first != list(sampler)
    ranks = [
        trainer_pt_utils.DistributedLengthGroupedSampler(4, rows, num_replicas=3, rank=rank, seed=2)
        for rank in range(3)
    ]
    parts = [list(rank) for rank in ranks]
    assert {len(part) for part in parts} == {18} and len(ranks[0]) == 18
    assert set().union(*parts) == set(range(53))
    ranks[0].set_epoch(1)
    assert list(ranks[0]) != parts[0]
    with pytest.raises(ConfigError, match="'input_ids'"):
        trainer_pt_utils.LengthGroupedSampler(4, dataset=["text"])
    with pytest.raises(ConfigError, match="num_replicas and rank"):
        trainer_pt_utils.DistributedLengthGroupedSampler(4, rows)


class Numbers(torch.utils.data.IterableDataset[int]):
    def __init__(self, size: int) -> None:
        self.size = size
        self.generator = torch.Generator()

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.size, generator=self.generator).tolist())

    def __len__(self) -> int:
        return self.size


@pytest.mark.parametrize("size", [1, 5, 11, 12])
@pytest.mark.parametrize("drop_last", [True, False])
def test_shards_are_disjoint_and_of_one_length(size: int, drop_last: bool) -> None:
    shards = [trainer_pt_utils.IterableDatasetShard(Numbers(size), 2, drop_last, 3, rank, seed=4) for rank in range(3)]
    parts = [list(shard) for shard in shards]
    assert {len(part) for part in parts} == {len(shards[0])}
    seen = [row for part in parts for row in part]
    if drop_last:
        assert len(set(seen)) == len(seen) == size // 6 * 6
    else:
        assert set(seen) == set(range(size))
    shards[0].set_epoch(1)
    assert size < 11 or list(shards[0]) != parts[0]
    samplers = [trainer_pt_utils.ShardSampler(range(size), 2, drop_last, 3, rank) for rank in range(3)]
    assert {len(list(sampler)) for sampler in samplers} == {len(shards[0])}


def test_joining_predictions() -> None:
    first = {"logits": (torch.ones(2, 3), [torch.zeros(2)])}
    second = {"logits": (torch.ones(1, 5), [torch.zeros(1)])}
    joined = trainer_pt_utils.nested_concat(first, second, padding_index=-1)
    assert joined["logits"][0].tolist() == [[1, 1, 1, -1, -1]] * 2 + [[1] * 5]
    assert trainer_pt_utils.find_batch_size(joined) == 3
    arrays = trainer_pt_utils.nested_numpify(joined)
    assert isinstance(arrays["logits"][1][0], np.ndarray)
    assert trainer_pt_utils.nested_numpify(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert trainer_pt_utils.nested_truncate(arrays, 1)["logits"][0].shape == (1, 5)
    assert not trainer_pt_utils.nested_detach(torch.ones(1, requires_grad=True) * 2).requires_grad
    with pytest.raises(InputTypeError, match="forms differ"):
        trainer_pt_utils.nested_concat([torch.ones(1)], (torch.ones(1),))
    with pytest.raises(TrainingError, match="no process group"):
        trainer_pt_utils.distributed_concat(torch.ones(1))


def test_batches_of_all_ranks_end_in_the_order_of_the_data() -> None:
    gatherer = rayformers.DistributedTensorGatherer(world_size=2, num_samples=7, make_multiple_of=2)
    rows = np.arange(8)  # rank 0 has the first half, rank 1 the second; batches of 2 each
    gatherer.add_arrays((rows[[0, 1, 4, 5]], rows[[0, 1, 4, 5], None] * np.ones(2)))
    with pytest.raises(InputError, match="2 rows of each rank were added; 4"):
        gatherer.finalize()
    gatherer.add_arrays((rows[[2, 3, 6, 7]], rows[[2, 3, 6, 7], None] * np.ones(3)))
    numbers, wide = gatherer.finalize()
    assert numbers.tolist() == list(range(7))
    assert wide[0].tolist() == [0, 0, -100] and wide[2].tolist() == [2, 2, 2]


@pytest.mark.parametrize("concat", [True, False])
def test_an_evaluations_container(concat: bool) -> None:
    container = trainer_pt_utils.EvalLoopContainer(concat, padding_index=-1)
    for size in (2, 3):
        container.add(torch.ones(1, size))
    container.to_cpu_and_numpy()
    container.add(torch.ones(1, 1))
    found = container.get_arrays()
    assert [np.asarray(row).size for row in found] == ([3, 3, 3] if concat else [2, 3, 1])


def test_smoothed_loss_is_torchs() -> None:
    logits, labels = torch.randn(2, 3, 5), torch.tensor([[0, -100, 4], [1, 2, -100]])
    expected = torch.nn.functional.cross_entropy(logits.reshape(-1, 5), labels.reshape(-1), label_smoothing=0.2)
    smoother = trainer_pt_utils.LabelSmoother(epsilon=0.2)
    torch.testing.assert_close(smoother({"logits": logits}, labels), expected)
    torch.testing.assert_close(smoother((logits,), labels[..., None]), expected)
    shifted = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, 5), labels[:, 1:].reshape(-1), label_smoothing=0.2
    )
    torch.testing.assert_close(smoother({"logits": logits}, labels, shift_labels=True), shifted)
    assert float(smoother({"logits": logits}, torch.full((2, 3), -100))) == 0.0


def test_parameter_names() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    assert trainer_pt_utils.get_parameter_names(model, [torch.nn.LayerNorm]) == ["0.weight", "0.bias"]
    assert trainer_pt_utils.get_parameter_names(model, [], [r"^1\.", "bias"]) == ["0.weight"]
    assert trainer_pt_utils.get_model_param_count(model) == 15
    assert trainer_pt_utils.get_module_class_from_name(model, "LayerNorm") is torch.nn.LayerNorm


def test_last_checkpoint(tmp_path: Path) -> None:
    assert trainer_utils.get_last_checkpoint(tmp_path) is None
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-11-broken", "runs"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-99").write_text("a file")
    assert trainer_utils.get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-10")


def test_seeds() -> None:
    def drawn() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(1))]

    rayformers.set_seed(3)
    first = drawn()
    rayformers.set_seed(3)
    assert drawn() == first


def test_full_determinism(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "FLASH_ATTENTION_DETERMINISTIC"):
        monkeypatch.setenv(name, "")
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        rayformers.enable_full_determinism(3, warn_only=True)
        assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


def test_an_eval_prediction_is_a_tuple() -> None:
    predictions, labels = rayformers.EvalPrediction(1, 2)
    assert (predictions, labels) == (1, 2)
    whole = rayformers.EvalPrediction(predictions=1, label_ids=2, losses=4)
    assert list(whole) == [1, 2, 4] and whole[2] == 4 and len(whole) == 3
    with pytest.raises(IndexError):
        _ = whole[3]


def test_columns_that_a_model_does_not_take(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("rayformers.test")
    collate = trainer_utils.RemoveColumnsCollator(lambda rows: rows, ["a"], logger, "Model", "training")
    with caplog.at_level(logging.INFO, logger=logger.name):
        assert [collate([{"a": 1, "b": 2}]), collate([{"a": 1, "b": 2}])] == [[{"a": 1}], [{"a": 1}]]
    assert [record.getMessage() for record in caplog.records] == [
        "Model.forward does not take the columns ['b'] of the training set; they are left out."
    ]


def test_small_functions() -> None:
    assert trainer_utils.default_compute_objective({"eval_loss": 0.5, "epoch": 2.0, "eval_runtime": 3.0}) == 0.5
    assert trainer_utils.default_compute_objective({"eval_loss": 0.5, "eval_f1": 0.25, "eval_acc": 0.5}) == 0.75
    with pytest.raises(ConfigError, match="eval_loss"):
        trainer_utils.default_compute_objective({"epoch": 1.0})
    assert trainer_utils.denumpify_detensorize({"a": (np.float32(0.5), torch.tensor([2])), "b": "c"}) == {
        "a": (0.5, 2),
        "b": "c",
    }
    speeds = trainer_utils.speed_metrics("train", 0.0, num_samples=10, num_tokens=5)
    assert set(speeds) == {"train_runtime", "train_samples_per_second", "train_tokens_per_second"}
    assert trainer_utils.has_length([1]) and not trainer_utils.has_length(iter([1]))
    assert trainer_utils.check_target_module_exists([r".*mlp\.\d"], "layers.mlp.3", return_is_regex=True) == (
        True,
        True,
    )
    assert not trainer_utils.check_target_module_exists("attn", "mlp")
    shown = trainer_pt_utils.metrics_format({"train_runtime": 3725.25, "loss": 0.123456, "total_flos": 3 << 30})
    assert shown == {"train_runtime": "1:02:05.25", "loss": 0.1235, "total_flos": "3GF"}
    with trainer_pt_utils.torch_distributed_zero_first(-1):
        pass


def test_noise_on_embeddings_in_training_only() -> None:
    layer = torch.nn.Embedding(5, 4)
    layer.neftune_noise_alpha = 3.0  # type: ignore[assignment]
    layer.register_forward_hook(trainer_utils.neftune_post_forward_hook)
    ids = torch.arange(5)[None].repeat(2, 1)
    difference = (layer(ids) - layer.weight[ids]).abs().detach()
    assert 0 < float(difference.max()) <= 3.0 / (5 * 4) ** 0.5
    torch.testing.assert_close(layer.eval()(ids), layer.weight[ids])


def test_half_the_batch_where_memory_is_too_small() -> None:
    tried = []

    @trainer_utils.find_executable_batch_size(starting_batch_size=8, auto_find_batch_size=True)
    def train(batch_size: int, limit: int) -> int:
        tried.append(batch_size)
        if batch_size > limit:
            raise torch.OutOfMemoryError("too much")
        return batch_size

    assert train(2) == 2 and tried == [8, 4, 2]
    with pytest.raises(ConfigError, match="batch of 1"):
        train(0)


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass
class Example:
    size: int
    rate: float = 0.5
    name: str | None = field(default=None, metadata={"help": "what it is called"})
    shuffle: bool = True
    verbose: bool = False
    maybe: bool | None = None
    numbers: list[int] = field(default_factory=lambda: [1, 2])
    mode: Mode = Mode.FAST
    kind: Literal["a", 3] = "a"
    both: str | float = 0.5
    long_name: int = rayformers.HfArg(aliases=["-l"], help="an alias", default=4)
    derived: int = field(init=False, default=9)

    def __post_init__(self) -> None:
        self.mode = Mode(self.mode)


@dataclass
class Other:
    token: str = "x"


def parse(*words: str) -> Example:
    (example,) = rayformers.HfArgumentParser(Example).parse_args_into_dataclasses(words, look_for_args_file=False)
    assert isinstance(example, Example)
    return example


def test_arguments_from_a_dataclass() -> None:
    assert parse("--size", "3") == Example(3)
    given = parse(
        "--size=3", "--rate", "0.1", "--name", "n", "--no_shuffle", "--verbose", "--maybe", "no", "--numbers", "5", "6",
        "--mode", "slow", "--kind", "3", "--both", "0.25", "--long-name", "7",
    )  # fmt: skip
    assert given == Example(3, 0.1, "n", False, True, False, [5, 6], Mode.SLOW, 3, 0.25, 7)
    assert parse("--size", "1", "-l", "8", "--shuffle", "false", "--verbose", "yes").long_name == 8
    assert parse("--size", "1", "--no-shuffle").shuffle is False


def test_several_dataclasses_and_options_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    parser = rayformers.HfArgumentParser([Example, Other], description="Trains.")
    parser.add_argument("--extra", default="e")
    example, other, more, rest = parser.parse_args_into_dataclasses(
        ["--size", "1", "--token", "t", "--unknown", "u"], return_remaining_strings=True, look_for_args_file=False
    )
    assert (example.size, other.token, more, rest) == (1, "t", argparse.Namespace(extra="e"), ["--unknown", "u"])
    with pytest.raises(ConfigError, match="Did you mean '--token'"):
        parser.parse_args_into_dataclasses(["--size", "1", "--tokem", "t"], look_for_args_file=False)
    with pytest.raises(SystemExit):
        parser.parse_args_into_dataclasses(["--size", "one"], look_for_args_file=False)
    assert "what it is called" in parser.format_help()


def test_arguments_from_files(tmp_path: Path) -> None:
    parser = rayformers.HfArgumentParser((Example, Other))
    (tmp_path / "a.json").write_text(json.dumps({"size": 2, "token": "j"}))
    (tmp_path / "a.yaml").write_text("size: 2\ntoken: j\nmore: 1\n")
    assert parser.parse_json_file(tmp_path / "a.json") == (Example(2), Other("j"))
    assert parser.parse_yaml_file(tmp_path / "a.yaml", allow_extra_keys=True) == (Example(2), Other("j"))
    with pytest.raises(ConfigError, match="'more'"):
        parser.parse_yaml_file(tmp_path / "a.yaml")
    (tmp_path / "job.args").write_text("--size 5 --token file")
    for options in (
        {"args_filename": tmp_path / "job.args"},
        {"args_file_flag": "--file", "look_for_args_file": False},
    ):
        words = ["--token", "line", *(["--file", str(tmp_path / "job.args")] if "args_file_flag" in options else [])]
        example, other = parser.parse_args_into_dataclasses(words, **options)  # type: ignore[arg-type]
        assert (example.size, other.token) == (5, "line")
    with pytest.raises(ConfigError, match=r"none\.args"):
        parser.parse_args_into_dataclasses([], args_filename=tmp_path / "none.args")


def test_a_type_that_is_no_option() -> None:
    @dataclass
    class Wrong:
        value: int | float | None = None

    with pytest.raises(ConfigError, match="'value'"):
        rayformers.HfArgumentParser(Wrong)
