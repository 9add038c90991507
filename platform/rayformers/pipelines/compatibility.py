"""Further methods of pipelines that guides and other libraries call (guide: main_classes/pipelines)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import torch

from ..errors import PipelineException

if TYPE_CHECKING:
    from .base import Pipeline


class CompatibilityMethods:
    """Names of the guides that are other ways to say what a call does."""

    def transform(self, inputs: Any) -> Any:
        """The same as a call (scikit-learn's name)."""
        return cast("Pipeline", self)(inputs)

    def predict(self, inputs: Any) -> Any:
        """The same as a call (scikit-learn's name)."""
        return cast("Pipeline", self)(inputs)

    def run_multi(
        self,
        inputs: Iterable[Any],
        preprocess_params: dict[str, Any],
        forward_params: dict[str, Any],
        postprocess_params: dict[str, Any],
    ) -> list[Any]:
        """A list of answers, computed one after the other."""
        return list(self.iterate(inputs, preprocess_params, forward_params, postprocess_params))

    def iterate(
        self,
        inputs: Iterable[Any],
        preprocess_params: dict[str, Any] | None = None,
        forward_params: dict[str, Any] | None = None,
        postprocess_params: dict[str, Any] | None = None,
    ) -> Iterator[Any]:
        """Answers one after the other, without batching; defaults of the pipeline hold where nothing is given."""
        return self.get_iterator(inputs, 0, None, preprocess_params, forward_params, postprocess_params)

    def get_iterator(
        self,
        inputs: Iterable[Any],
        num_workers: int | None = None,
        batch_size: int | None = None,
        preprocess_params: dict[str, Any] | None = None,
        forward_params: dict[str, Any] | None = None,
        postprocess_params: dict[str, Any] | None = None,
    ) -> Iterator[Any]:
        """Answers in order; `num_workers` is accepted as in the guides."""
        pipe = cast("Pipeline", self)
        given = (preprocess_params or {}, forward_params or {}, postprocess_params or {})
        pre, fwd, post = ({**default, **new} for default, new in zip(pipe.call_parameters({}), given, strict=True))
        return pipe.stream(inputs, batch_size, (pre, fwd, post))

    def ensure_tensor_on_device(self, **inputs: Any) -> dict[str, Any]:
        """The inputs with every tensor on the model's device."""
        pipe = cast("Pipeline", self)
        return {name: pipe.move(value, pipe.device, None) for name, value in inputs.items()}

    @contextlib.contextmanager
    def device_placement(self) -> Iterator[None]:
        """Within the block, new tensors are made on the model's device."""
        with cast("Pipeline", self).device:
            yield

    def check_model_type(self, supported_models: Any) -> None:
        """Make sure that the model's class is among the supported ones (a mapping, or a list of names).

        Raises:
            PipelineException: it is not.
        """
        pipe = cast("Pipeline", self)
        values = list(supported_models.values()) if hasattr(supported_models, "values") else list(supported_models)
        flat = [entry for value in values for entry in (value if isinstance(value, (list, tuple)) else [value])]
        names = [entry if isinstance(entry, str) else entry.__name__ for entry in flat]
        found = type(pipe.model).__name__
        if found not in names:
            reason = f"{found} is not supported for {pipe.task}; supported: {', '.join(sorted(names)[:20])}."
            raise PipelineException(pipe.task, str(getattr(pipe.model, "name_or_path", "")), reason)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The model's dtype."""
        dtype: torch.dtype = cast("Pipeline", self).model.dtype
        return dtype

    dtype = torch_dtype
