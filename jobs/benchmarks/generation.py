"""Generation compared with transformers, on the same random weights, in one run.

    python jobs/benchmarks/generation.py [--models gpt2 llama] [--batches 1 16] [--new-tokens 128] [--repeats 3]
    python jobs/benchmarks/generation.py --uneven 32    # requests of uneven length: continuous against static batches

Prints tokens a second, the time to the first token, the ratio to the reference, and on a GPU the share of its
memory bandwidth that a step reaches (bytes of weights and cache read / time / bandwidth).
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import rayformers

MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2"},  # the defaults are GPT-2 small: 124 M parameters
    "llama": {  # 0.5 B parameters, the shape of Qwen2-0.5B
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 26, "num_attention_heads": 16, "num_key_value_heads": 4, "max_position_embeddings": 4096,
    },
    "tiny": {
        "model_type": "llama", "vocab_size": 1000, "hidden_size": 128, "intermediate_size": 256,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
    },
}  # fmt: skip
BANDWIDTH_BYTES_PER_S = {"H200": 4.8e12, "H100": 3.35e12, "A100": 2.0e12, "L4": 0.3e12, "A10": 0.6e12}


def checkpoint(name: str, folder: Path) -> Path:
    """Random weights of a model in the Hub's layout."""
    values = dict(MODELS[name])
    config = rayformers.AutoConfig.for_model(values.pop("model_type"), **values)
    torch.manual_seed(0)
    model = rayformers.AutoModelForCausalLM.from_config(config)
    model.generation_config.eos_token_id = None  # every run makes the same number of tokens
    model.config.eos_token_id = None
    model.save_pretrained(folder / name)
    return folder / name


def load(package: Any, path: Path, device: str, dtype: torch.dtype) -> Any:
    """A checkpoint in one of the two packages."""
    model = package.AutoModelForCausalLM.from_pretrained(str(path), dtype=dtype).to(device).eval()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = None, 0
    return model


CLOCK: Callable[[], float] = time.perf_counter


def timed(call: Callable[[], Any], repeats: int, device: str) -> float:
    """Median seconds of a call, after one to warm up."""
    call()
    seconds = []
    for _ in range(repeats):
        start = CLOCK()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(CLOCK() - start)
    return statistics.median(seconds)


def measure(model: Any, ids: torch.Tensor, new_tokens: int, repeats: int, device: str) -> tuple[float, float]:
    """(seconds to the first token, seconds for all tokens)."""
    options = {"attention_mask": torch.ones_like(ids), "do_sample": False}
    first = timed(lambda: model.generate(ids, max_new_tokens=1, **options), repeats, device)
    return first, timed(lambda: model.generate(ids, max_new_tokens=new_tokens, **options), repeats, device)


def even(options: argparse.Namespace, packages: dict[str, Any], folder: Path) -> None:
    """Batches of equal prompts."""
    print(f"{'model':8}{'batch':>6}{'package':>14}{'first token':>14}{'tokens/s':>11}{'ratio':>8}")
    for name in options.models:
        path = checkpoint(name, folder)
        for batch in options.batches:
            speeds: dict[str, float] = {}
            for title, package in packages.items():
                model = load(package, path, options.device, options.dtype)
                torch.manual_seed(1)
                ids = torch.randint(5, MODELS[name].get("vocab_size", 50257), (batch, options.prompt)).to(
                    options.device
                )
                first, whole = measure(model, ids, options.new_tokens, options.repeats, options.device)
                speeds[title] = batch * options.new_tokens / whole
                ratio = f"{speeds[title] / speeds['transformers']:.2f}" if "transformers" in speeds else ""
                print(f"{name:8}{batch:6}{title:>14}{first * 1e3:11.0f} ms{speeds[title]:11.1f}{ratio:>8}", flush=True)
                if options.device == "cuda":
                    print(" " * 28 + bandwidth(model, batch, options, whole - first), flush=True)
                del model
                gc.collect()


def bandwidth(model: Any, batch: int, options: argparse.Namespace, seconds: float) -> str:
    """The share of the memory bandwidth that a decoding step reaches."""
    device = torch.cuda.get_device_name()
    limit = next((value for key, value in BANDWIDTH_BYTES_PER_S.items() if key in device), None)
    if limit is None:
        return f"no bandwidth known for {device}"
    config = model.config
    weights = sum(p.nbytes for p in model.parameters())
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = config.hidden_size // config.num_attention_heads
    tokens = options.prompt + options.new_tokens / 2
    cache = 2 * config.num_hidden_layers * heads * width * tokens * batch * model.dtype.itemsize
    share = (weights + cache) * (options.new_tokens - 1) / seconds / limit
    return f"{share:.0%} of {limit / 1e12:.2f} TB/s"


def uneven(options: argparse.Namespace, packages: dict[str, Any], folder: Path) -> None:
    """Requests whose prompts and answers differ in length: one after the other into static batches, or continuously.

    A static batch runs until its longest answer is done; what the others made beyond theirs does not count.
    """
    name = options.models[0]
    path = checkpoint(name, folder)
    draw = random.Random(0)
    size = MODELS[name].get("vocab_size", 50257)
    requests = [
        ([draw.randrange(5, size) for _ in range(draw.choice([8, 16, 32, 128]))], draw.choice([4, 8, 16, 32, 128]))
        for _ in range(options.uneven)
    ]
    total = sum(tokens for _, tokens in requests)
    slots = max(options.batches)

    def static(model: Any) -> None:
        for start in range(0, len(requests), slots):
            batch = requests[start : start + slots]
            width = max(len(prompt) for prompt, _ in batch)
            ids = torch.tensor([[0] * (width - len(p)) + p for p, _ in batch], device=options.device)
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p, _ in batch], device=options.device)
            longest = max(tokens for _, tokens in batch)
            model.generate(ids, attention_mask=mask, max_new_tokens=longest, do_sample=False)

    def continuous(model: Any) -> None:
        from rayformers.generation.continuous import Engine, EngineSettings

        engine = Engine(model, EngineSettings(max_slots=slots, prefix_budget_bytes=0))
        for prompt, tokens in requests:
            engine.submit(prompt, max_new_tokens=tokens, do_sample=False)
        engine.run()

    base = None
    print(f"{options.uneven} requests, {total} tokens asked for, {slots} at a time, {name}")
    for title, package, work in [
        *((f"{key}, static", value, static) for key, value in reversed(packages.items())),
        ("rayformers, continuous", rayformers, continuous),
    ]:
        model = load(package, path, options.device, options.dtype)
        seconds = timed(lambda model=model, work=work: work(model), options.repeats, options.device)
        speed = total / seconds
        base = speed if title.startswith("transformers") else base
        print(
            f"{title:26}{seconds:9.1f} s{speed:10.1f} tokens/s{'' if base is None else f'{speed / base:8.2f}'}",
            flush=True,
        )
        del model
        gc.collect()


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["gpt2", "llama"], choices=sorted(MODELS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--prompt", type=int, default=32, help="tokens")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--cpu-time", action="store_true", help="processor time of this process (for busy machines)")
    parser.add_argument("--uneven", type=int, default=0, help="number of requests of uneven length")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", type=lambda text: getattr(torch, text), default=None)
    options = parser.parse_args()
    options.dtype = options.dtype or (torch.bfloat16 if options.device == "cuda" else torch.float32)
    if options.cpu_time:
        global CLOCK
        CLOCK = time.process_time
    if options.threads:
        torch.set_num_threads(options.threads)
    packages: dict[str, Any] = {}
    try:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        packages["transformers"] = transformers
    except ImportError:
        warnings.warn("transformers is not installed: nothing to compare with.", stacklevel=1)
    packages["rayformers"] = rayformers
    machine = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    versions = ", ".join(f"{key} {value.__version__}" for key, value in packages.items())
    print(f"{machine}, {torch.get_num_threads()} threads, {options.dtype}, torch {torch.__version__}, {versions}")
    print("seconds are processor time" if options.cpu_time else "seconds are wall time")
    with tempfile.TemporaryDirectory() as folder:
        (uneven if options.uneven else even)(options, packages, Path(folder))


if __name__ == "__main__":
    main()
