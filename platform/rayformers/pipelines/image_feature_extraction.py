"""image-feature-extraction: a picture's hidden states."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..processing.image_io import load_image
from .base import Parameters, Pipeline


class ImageFeatureExtractionPipeline(Pipeline):
    """Pictures to features, pooled or for every patch (guide: tasks/image_feature_extraction)."""

    def _sanitize_parameters(
        self,
        image_processor_kwargs: dict[str, Any] | None = None,
        return_tensors: bool | None = None,
        pool: bool | None = None,
        timeout: float | None = None,
        **_: Any,  # the guide passes model_name=, which has no meaning here
    ) -> Parameters:
        pre: dict[str, Any] = dict(image_processor_kwargs or {})
        if timeout is not None:
            pre["timeout"] = timeout
        post = {
            name: value for name, value in (("return_tensors", return_tensors), ("pool", pool)) if value is not None
        }
        return pre, {}, post

    def preprocess(self, inputs: Any, timeout: float | None = None, **processor_options: Any) -> dict[str, Any]:
        image = load_image(inputs, timeout)
        return dict(self.image_processor(image, return_tensors="pt", **processor_options))

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        return dict(self.model(**model_inputs))

    def postprocess(self, model_outputs: Any, pool: bool = False, return_tensors: bool = False) -> Any:
        if pool and "pooler_output" not in model_outputs:
            raise InputError("pool=True needs a model with a pooler; this one has none. Use pool=False.")
        features = model_outputs["pooler_output"] if pool else model_outputs["last_hidden_state"]
        return features if return_tensors else features.tolist()
