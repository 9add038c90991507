"""Tasks: one file each, from raw inputs to answers (guide: main_classes/pipelines)."""

from .base import ChunkPipeline, Pipeline
from .factory import infer_task, pipeline
from .tasks import TASKS, TaskRow

__all__ = ["TASKS", "ChunkPipeline", "Pipeline", "TaskRow", "infer_task", "pipeline"]
