"""image-classification: which class a picture shows."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..processing.image_io import load_image
from .base import Parameters, Pipeline
from .classification import apply_function, check_function, default_function, ranked


class ImageClassificationPipeline(Pipeline):
    """Pictures to [{"label", "score"}], best first (guide: tasks/image_classification)."""

    def __call__(self, inputs: Any = None, **parameters: Any) -> Any:
        """Classify.

        Args:
            inputs: a PIL image, path, URL, base64 text, or a list, dataset or generator of these; also as `images=`.
            parameters: top_k (default 5), function_to_apply ("softmax", "sigmoid", "none"; default by the model),
                timeout (seconds for URLs), batch_size.
        """
        inputs = parameters.pop("images", inputs)
        if inputs is None:
            raise InputError("image-classification needs a picture: pass it first, or as images=...")
        return super().__call__(inputs, **parameters)

    def _sanitize_parameters(
        self, top_k: int | None = None, function_to_apply: Any = None, timeout: float | None = None
    ) -> Parameters:
        post: dict[str, Any] = {}
        if top_k is not None:
            if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
                raise InputError(f"top_k is {top_k!r}; expected a positive whole number.")
            post["top_k"] = top_k
        if function_to_apply is not None:
            post["function_to_apply"] = check_function(function_to_apply)
        return ({} if timeout is None else {"timeout": timeout}), {}, post

    def preprocess(self, inputs: Any, timeout: float | None = None) -> dict[str, Any]:
        image = load_image(inputs, timeout)
        channels = getattr(self.model.config, "num_channels", 3)
        return dict(self.image_processor(image if channels != 1 else image.convert("L"), return_tensors="pt"))

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(self, model_outputs: Any, top_k: int = 5, function_to_apply: str | None = None) -> Any:
        scores = apply_function(model_outputs["logits"][0], function_to_apply or default_function(self.model.config))
        return [{"label": e["label"], "score": e["score"]} for e in ranked(scores, self.model.config)[:top_k]]
