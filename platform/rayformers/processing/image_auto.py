"""AutoImageProcessor: the processor that preprocessor_config.json names."""

from __future__ import annotations

import os
from typing import Any

from ..errors import UnknownNameError, did_you_mean
from ..registry import Registry
from .image import BaseImageProcessor

IMAGE_PROCESSORS: Registry[type[BaseImageProcessor]] = Registry("image processor")
for _name in ("ImageProcessor", "ViTImageProcessor", "ViTImageProcessorFast"):
    IMAGE_PROCESSORS.add(_name, target=f"rayformers.processing.image:{_name}")
IMAGE_PROCESSORS.add("ViTFeatureExtractor", target="rayformers.processing.image:ViTImageProcessor")


class AutoImageProcessor:
    """Image processors by the name in preprocessor_config.json (guide: auto classes)."""

    @staticmethod
    def from_pretrained(reference: str | os.PathLike[str], **options: Any) -> BaseImageProcessor:
        """Read preprocessor_config.json and build the processor that it names; keywords override its settings.

        Raises:
            NotFoundError: there is no such file. UnknownNameError: no processor has that name.
        """
        options.pop("use_fast", None)
        settings, rest = BaseImageProcessor.get_image_processor_dict(reference, **options)
        name = settings.get("image_processor_type") or settings.get("feature_extractor_type")
        if name is None or name not in IMAGE_PROCESSORS:
            raise UnknownNameError(
                f"The preprocessor_config.json of {os.fspath(reference)!r} names the image processor {name!r}. "
                f"{did_you_mean(str(name), IMAGE_PROCESSORS)}"
            )
        return IMAGE_PROCESSORS.get(name).from_dict(settings, **rest)
