"""A job file from beginning to end: data, training, records, registered model."""

from __future__ import annotations

import base64
import dataclasses
import io
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.ordering import Rows
from ..data.preprocessing import PREPROCESSORS, preprocess
from ..data.shards import ShardedDataset
from ..data.sources import Source, open_source, split
from ..errors import CheckpointError, ConfigError
from ..tracking import Example, Tracker
from . import checkpoint
from .callbacks import Callback, Record
from .export import MODEL
from .job import JobConfig, check_writable, choose_device
from .metrics import METRICS
from .picture import draw_grid
from .recipes import ModelRecipe, make_processor
from .trainer import Trainer

PICTURE = "predictions.png"
PICTURE_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a job left behind."""

    metrics: dict[str, float]
    run_id: str | None
    """Of the experiment tracker; None without one."""
    model_uri: str
    """models:/name@alias of a registered model, else the folder of the model."""
    output_dir: Path
    """The run's folder: checkpoints, final model, picture."""
    model_path: Path
    """The final model in the Hub's layout."""
    picture: Path | None = None
    timings_s: dict[str, float] = field(default_factory=dict)
    """Seconds of each part."""


@dataclass(kw_only=True)
class Prepared:
    """What is known of a job before anything starts."""

    source: Source
    rows: Rows
    held_out_source: Source
    held_out_rows: Rows
    processor: Any
    recipe: ModelRecipe
    run_folder: Path
    resume: Path | None


def run_job(job: JobConfig, *, callbacks: tuple[Callback, ...] = ()) -> TrainResult:
    """Train what a job file describes.

    Raises:
        RayformersError: everything that its user can mend; wrong settings show before a cluster starts.
    """
    prepared = prepare(job)
    timings: dict[str, float] = {}
    tracker = _tracker(job)
    if tracker is None:
        return _run(job, prepared, None, callbacks, timings)
    earlier = checkpoint.read(prepared.resume, verify=False).run_id if prepared.resume else None
    tracker.open(
        experiment=job.track.experiment if job.track else job.name, run_name=job.train.run_name, run_id=earlier
    )
    failed = True
    try:
        tracker.parameters(job.to_dict())
        result = _run(job, prepared, tracker, callbacks, timings)
        failed = False
    finally:
        tracker.close(failed=failed)
    return result


def prepare(job: JobConfig) -> Prepared:
    """Open the source, split it, make the processor and check the model, without starting anything."""
    check_writable(job.folder)
    if job.scale.num_workers == 0 or (job.scale.device == "cuda" and job.address is None):
        choose_device(job.scale.device)
    source = open_source(job.data.source)
    if isinstance(job.data.validation, str):
        held_out_source = open_source(job.data.validation)
        rows, held_out = np.arange(len(source)), np.arange(len(held_out_source))
        if held_out_source.labels != source.labels:
            raise ConfigError(
                f"data.validation has the classes {held_out_source.labels}, data.source has {source.labels}."
            )
    else:
        held_out_source = source
        rows, held_out = split(len(source), job.data.validation, job.data.seed)
    if job.train.eval_strategy != "no" and len(held_out) == 0:
        raise ConfigError(f"train.eval_strategy is {job.train.eval_strategy!r} and data.validation holds out no rows.")
    recipe = ModelRecipe(section=job.model, task=job.task, labels=source.labels)
    recipe.check()
    resume = _resume_point(job)
    return Prepared(
        source=source,
        rows=rows,
        held_out_source=held_out_source,
        held_out_rows=held_out,
        processor=make_processor(job.model, job.task),
        recipe=recipe,
        run_folder=resume.parent if resume else job.folder / time.strftime("%Y%m%d-%H%M%S"),
        resume=resume,
    )


def _resume_point(job: JobConfig) -> Path | None:
    wanted = job.train.resume_from_checkpoint
    if not wanted:
        return None
    if wanted is not True:
        folder = Path(wanted).absolute()
        checkpoint.read(folder)
        return folder
    for run in sorted((path for path in job.folder.iterdir() if path.is_dir()), reverse=True):
        if (found := checkpoint.newest(run)) is not None:
            return found[0]
    raise CheckpointError(f"train.resume_from_checkpoint is true and {job.folder} holds no whole checkpoint.")


def _tracker(job: JobConfig) -> Tracker | None:
    wanted = job.train.report_to
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if unknown := sorted({*names} - {"all", "none", "mlflow"}):
        raise ConfigError(f"train.report_to names {unknown}; allowed: 'all', 'none', 'mlflow'.")
    if job.track is None or names == ["none"] or not names:
        if job.register is not None:
            raise ConfigError("register needs tracking; train.report_to is 'none'.")
        return None
    from ..tracking.mlflow import MLflowTracker

    return MLflowTracker(job.track.uri)


def _run(
    job: JobConfig,
    prepared: Prepared,
    tracker: Tracker | None,
    callbacks: tuple[Callback, ...],
    timings: dict[str, float],
) -> TrainResult:
    prepared.run_folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if job.scale.num_workers:
            from ..cluster.connect import connect, needed_cpus, require

            started = time.perf_counter()
            workers, cpus = job.scale.num_workers, job.scale.cpus_per_worker
            cluster = stack.enter_context(connect(job.address, num_cpus=needed_cpus(workers, cpus)))
            require(cluster, num_workers=workers, cpus_per_worker=cpus)
            timings["connect"] = time.perf_counter() - started
        started = time.perf_counter()
        train, held_out = _shards(job, prepared)
        timings["preprocess"] = time.perf_counter() - started
        from_step = checkpoint.read(prepared.resume, verify=False).step if prepared.resume else 0
        trainer = Trainer(
            model_init=prepared.recipe,
            args=_arguments(job, prepared),
            train_dataset=train,
            eval_dataset=held_out,
            processing_class=prepared.processor,
            compute_metrics=METRICS.get(job.task) if job.task in METRICS else None,
            callbacks=(*callbacks, *([Record(tracker, from_step=from_step)] if tracker else [])),
            scale=job.scale,
            address=job.address,
            run_id=tracker.run_id if tracker else None,
        )
        started = time.perf_counter()
        metrics = trainer.train(resume_from_checkpoint=prepared.resume).metrics
        timings["train"] = time.perf_counter() - started
    started = time.perf_counter()
    model_path = prepared.run_folder / MODEL
    picture, example = _show(job, prepared, model_path)
    model_uri = str(model_path)
    if tracker is not None:
        if picture is not None:
            tracker.picture(picture)
        name, alias = (job.register.name, job.register.alias) if job.register else (None, None)
        model_uri = tracker.model(model_path, task=job.task, example=example, name=name, alias=alias)
    timings["register"] = time.perf_counter() - started
    return TrainResult(
        metrics=metrics,
        run_id=tracker.run_id if tracker else None,
        model_uri=model_uri,
        output_dir=prepared.run_folder,
        model_path=model_path,
        picture=picture,
        timings_s=timings,
    )


def _arguments(job: JobConfig, prepared: Prepared) -> Any:
    return dataclasses.replace(job.train, output_dir=str(prepared.run_folder), resume_from_checkpoint=None)


def _shards(job: JobConfig, prepared: Prepared) -> tuple[ShardedDataset, ShardedDataset | None]:
    preprocessor = PREPROCESSORS.get(job.task)(prepared.processor)
    parts = [
        preprocess(source, rows, preprocessor, job.folder / "data" / name, distributed=job.scale.num_workers > 0)
        if len(rows)
        else None
        for name, source, rows in (
            ("train", prepared.source, prepared.rows),
            ("validation", prepared.held_out_source, prepared.held_out_rows),
        )
    ]
    assert parts[0] is not None
    return parts[0], parts[1]


def _show(job: JobConfig, prepared: Prepared, model_path: Path) -> tuple[Path | None, Example | None]:
    """A picture of held-out images with predictions, and one held-out row as the registered example."""
    rows = prepared.held_out_rows[:PICTURE_IMAGES]
    if not len(rows):
        return None, None
    if job.task != "image-classification":
        return None, _example(job, prepared, model_path)
    from .. import pipeline

    columns = prepared.held_out_source.read(rows)
    labels = prepared.source.labels or []
    classify = pipeline(job.task, model=str(model_path))
    answers = classify(columns["image"], batch_size=PICTURE_IMAGES, top_k=1)
    said = [answer[0]["label"] if isinstance(answer, list) else answer["label"] for answer in answers]
    truth = [labels[label] for label in columns["label"]]
    titles = [f"{found}" if found == true else f"{found} (is {true})" for found, true in zip(said, truth, strict=True)]
    right = [found == true for found, true in zip(said, truth, strict=True)]
    picture = draw_grid(columns["image"], titles, right, prepared.run_folder / PICTURE)
    encoded = io.BytesIO()
    columns["image"][0].save(encoded, format="PNG")
    text = base64.b64encode(encoded.getvalue()).decode("ascii")
    return picture, Example(inputs=[text], answer=list(classify([text])))


def _example(job: JobConfig, prepared: Prepared, model_path: Path) -> Example | None:
    """The first held-out text and its answer; None for tasks of other inputs."""
    from .. import pipeline

    columns = prepared.held_out_source.read(prepared.held_out_rows[:1])
    if "text" not in columns or "text_pair" in columns:
        return None
    inputs = [str(columns["text"][0])]
    return Example(inputs=inputs, answer=list(pipeline(job.task, model=str(model_path))(inputs, truncation=True)))
