"""An endpoint of ours beside the same pipeline in a bare FastAPI application, under the same load.

    python jobs/benchmarks/serving.py                        # a small ViT with fresh weights
    python jobs/benchmarks/serving.py --model google/vit-base-patch16-224 --requests 200

The bare application is what a web-server tutorial shows: one uvicorn process that calls the pipeline for each request,
in a thread, one at a time. Printed for each concurrency: requests per second, latency percentiles in milliseconds, and
the ratio of ours to the bare one. Load comes from this process, so that it competes for the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator

import httpx
import numpy
from PIL import Image


def picture(seed: int, side: int = 96) -> bytes:
    """PNG bytes of noise."""
    pixels = numpy.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def fresh_vit(folder: str, image_size: int, hidden_size: int, layers: int) -> str:
    """A ViT with fresh weights in `folder`: timings do not depend on what it learnt."""
    from rayformers import AutoConfig, AutoModelForImageClassification, ViTImageProcessor

    config = AutoConfig.for_model(
        "vit",
        image_size=image_size,
        patch_size=16,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 64,
        intermediate_size=4 * hidden_size,
        num_labels=10,
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": image_size, "width": image_size}).save_pretrained(folder)
    return folder


def run_bare(model: str, port: int, threads: int) -> None:
    """The bare application, in this process, until it is stopped."""
    import threading

    import torch
    import uvicorn
    from fastapi import FastAPI, Request

    from rayformers import pipeline

    torch.set_num_threads(threads)
    pipe = pipeline("image-classification", model=model, device="cpu")
    web, lock = FastAPI(), threading.Lock()

    def answer(body: bytes) -> list[dict[str, object]]:
        with lock:
            found: list[dict[str, object]] = pipe(Image.open(io.BytesIO(body)))
            return found

    async def classify(request: Request) -> list[dict[str, object]]:
        return await asyncio.to_thread(answer, await request.body())

    # Set by hand: with postponed annotations FastAPI does not see names of a function's own scope.
    classify.__annotations__ = {"request": Request}
    web.add_api_route("/", classify, methods=["POST"], response_model=None)
    uvicorn.run(web, host="127.0.0.1", port=port, log_level="error")


def run_ours(model: str, port: int, threads: int) -> None:
    """Our endpoint with one replica, in the foreground of this process, until it is stopped."""
    from rayformers.serving import serve

    # Ray gives a replica as many threads as it reserves CPUs.
    serve(model, port=port, device="cpu", replicas={"num_cpus": threads})


@contextlib.contextmanager
def running(target: Callable[[str, int, int], None], model: str, threads: int) -> Iterator[str]:
    """The address of a server in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=target, args=(model, port, threads))
    process.start()
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_until_up(url, process)
        yield url
    finally:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGTERM)
        process.join()


def wait_until_up(url: str, process: multiprocessing.process.BaseProcess, timeout_s: float = 180.0) -> None:
    """Return once the server answers a picture."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.post(url, content=picture(0), timeout=30).status_code == 200:
                return
        if not process.is_alive() or time.monotonic() > deadline_s:
            raise SystemExit("the server did not come up; its output says why")
        time.sleep(0.2)


async def load(url: str, concurrency: int, requests: int) -> tuple[float, list[float]]:
    """Requests per second and the latency of each request in milliseconds."""
    pictures = [picture(seed) for seed in range(16)]
    numbers = iter(range(requests))
    latencies_ms: list[float] = []
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:

        async def one_client() -> None:
            for number in numbers:
                start_s = time.perf_counter()
                response = await client.post(url, content=pictures[number % len(pictures)])
                response.raise_for_status()
                latencies_ms.append((time.perf_counter() - start_s) * 1000)

        start_s = time.perf_counter()
        await asyncio.gather(*(one_client() for _ in range(concurrency)))
        return requests / (time.perf_counter() - start_s), latencies_ms


def measure(url: str, concurrencies: list[int], requests: int) -> dict[int, float]:
    """Print a line for each concurrency; requests per second of each."""
    rates: dict[int, float] = {}
    for concurrency in concurrencies:
        asyncio.run(load(url, concurrency, max(concurrency, requests // 10)))  # warm-up
        rates[concurrency], latencies_ms = asyncio.run(load(url, concurrency, requests))
        p50, p90, p99 = numpy.percentile(latencies_ms, [50, 90, 99])
        print(
            f"  concurrency {concurrency:3d}: {rates[concurrency]:8.1f} requests/s   "
            f"p50 {p50:7.1f}  p90 {p90:7.1f}  p99 {p99:7.1f} ms"
        )
    return rates


def main() -> None:
    """Measure both, one after the other, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or Hub id; default: a ViT with fresh weights")
    parser.add_argument("--image-size", type=int, default=96, help="of the fresh ViT, pixels")
    parser.add_argument("--hidden-size", type=int, default=192, help="of the fresh ViT, a multiple of 64")
    parser.add_argument("--layers", type=int, default=6, help="of the fresh ViT")
    parser.add_argument("--requests", type=int, default=400, help="per concurrency")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--threads", type=int, default=1, help="torch threads (and CPUs) of each server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or fresh_vit(folder, options.image_size, options.hidden_size, options.layers)
        print(f"{model}, {options.threads} threads, {os.cpu_count()} CPUs, {options.requests} requests each")
        results = {}
        for name, target in {"bare FastAPI": run_bare, "rayformers": run_ours}.items():
            print(name)
            with running(target, model, options.threads) as url:
                results[name] = measure(url, options.concurrency, options.requests)
    print("rayformers / bare")
    for concurrency, rate in results["rayformers"].items():
        print(f"  concurrency {concurrency:3d}: {rate / results['bare FastAPI'][concurrency]:.2f} x requests/s")


if __name__ == "__main__":
    main()
