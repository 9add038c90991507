"""What a served task takes: the kind of its input and its typed parameters. One row a task."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any, Literal

from ...config import Config
from ...errors import ConfigError
from ...registry import Registry


@dataclass(frozen=True, kw_only=True)
class TaskSchema:
    """How a task is asked over HTTP.

    Args:
        task: the pipeline's task.
        input: kind of one input; an "image" travels as a raw body or as base64 text.
        parameters: configuration whose fields are the parameters that a request may set.
        example: an input that every model of the task can answer; it warms the model up and stands in the docs.
    """

    task: str
    input: Literal["image"]
    parameters: type[Config]
    example: bytes

    @property
    def example_text(self) -> str:
        """The example as it stands in JSON."""
        return base64.b64encode(self.example).decode("ascii")


SCHEMAS: Registry[TaskSchema] = Registry("served task")


def _picture(width: int = 16, height: int = 16) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True)
class ImageClassificationParameters(Config):
    """Parameters of image-classification.

    Args:
        top_k: labels to return, most probable first; null = 5.
        function_to_apply: how scores are made of logits; null = as the model was trained.
    """

    top_k: int | None = field(default=None, metadata={"minimum": 1})
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k is {self.top_k}; expected a whole number of at least 1.")

    def to_dict(self) -> dict[str, Any]:
        """Only what was set, so that the pipeline's own defaults hold."""
        return {key: value for key, value in super().to_dict().items() if value is not None}


SCHEMAS.add(
    "image-classification",
    TaskSchema(
        task="image-classification", input="image", parameters=ImageClassificationParameters, example=_picture()
    ),
)
