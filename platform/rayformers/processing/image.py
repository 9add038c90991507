"""Image processors: from pictures to pixel_values, as preprocessor_config.json says."""

from __future__ import annotations

import copy
import json
import os
from collections import UserDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image

from ..errors import ConfigError, InputError, InputTypeError, did_you_mean
from ..hub import read_json, resolve
from ..models.config import split_hub_options
from ..weights.stream import write_json
from . import image_transforms as transforms
from .image_layout import FIRST, LAST

FILE_NAME = "preprocessor_config.json"
_FORMATS = ("pt", "np", None)


class BatchFeature(UserDict):
    """A batch of model inputs: keys, attributes, `to(device)`."""

    def __init__(self, data: Mapping[str, Any] | None = None, tensor_type: str | None = None) -> None:
        super().__init__(data or {})
        self.convert_to_tensors(tensor_type)

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"The batch has no {name!r}. {did_you_mean(name, self.data)}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]

    def convert_to_tensors(self, tensor_type: str | None = None, **_: Any) -> Self:
        """Arrays as torch tensors ("pt") or numpy arrays ("np").

        Raises:
            InputError: the pictures differ in size, or the type is unknown.
        """
        kind = getattr(tensor_type, "value", tensor_type)
        if kind not in _FORMATS:
            raise InputError(f"return_tensors is {kind!r}; expected 'pt' (torch), 'np' (numpy) or None.")
        if kind is None:
            return self
        for key, value in self.data.items():
            try:
                array = np.stack([np.asarray(item) for item in value]) if isinstance(value, list) else np.asarray(value)
            except ValueError as error:
                raise InputError(
                    f"{key!r} cannot be made one tensor: {error}. Resize the pictures to one size."
                ) from error
            if kind == "pt":
                import torch

                self.data[key] = torch.from_numpy(np.ascontiguousarray(array))
            else:
                self.data[key] = array
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move tensors to a device; floating-point ones also to a dtype."""
        import torch

        dtype = kwargs.get("dtype") or next((a for a in args if isinstance(a, torch.dtype)), None)
        rest = [a for a in args if not isinstance(a, torch.dtype)]
        options = {key: value for key, value in kwargs.items() if key != "dtype"}
        for key, value in self.data.items():
            if isinstance(value, torch.Tensor):
                moved = value.to(*rest, **options) if rest or options else value
                self.data[key] = moved.to(dtype) if dtype is not None and moved.is_floating_point() else moved
        return self


class BaseImageProcessor:
    """Base of image processors: settings, files, and the call (guide: main_classes/image_processor).

    `defaults` are the settings of a class; keyword arguments and preprocessor_config.json override them, and a call's
    keyword arguments override those for the call.
    """

    defaults: ClassVar[dict[str, Any]] = {}
    model_input_names: ClassVar[list[str]] = ["pixel_values"]
    size_keys: ClassVar[tuple[str, ...]] = ("size", "crop_size", "pad_size")

    def __init__(self, **settings: Any) -> None:
        settings.pop("image_processor_type", None)
        settings.pop("feature_extractor_type", None)
        settings.pop("processor_class", None)
        for name, value in {**copy.deepcopy(self.defaults), **settings}.items():
            setattr(self, name, self._size(name, value))

    def _size(self, name: str, value: Any) -> Any:
        """A size as a mapping: a number of old files is a square, or the shortest edge where the default says so."""
        if name not in self.size_keys or value is None or isinstance(value, Mapping):
            return value if value is None or not isinstance(value, Mapping) else dict(value)
        if isinstance(value, int):
            default = self.defaults.get(name) or {}
            return {"shortest_edge": value} if "shortest_edge" in default else {"height": value, "width": value}
        return {"height": value[0], "width": value[1]}

    def __call__(self, images: Any, **options: Any) -> BatchFeature:
        """See `preprocess`."""
        return self.preprocess(images, **options)

    def preprocess(self, images: Any, **options: Any) -> BatchFeature:
        """Pictures to {"pixel_values"}."""
        raise NotImplementedError

    # -- files ----------------------------------------------------------------------------------------------------

    @classmethod
    def get_image_processor_dict(cls, reference: str | os.PathLike[str], **options: Any) -> tuple[dict[str, Any], Any]:
        """The content of preprocessor_config.json and the keyword arguments that were not for finding it."""
        hub, rest = split_hub_options(options)
        file = Path(reference)
        if not file.is_file():
            folder = resolve(os.fspath(reference), weights=False, **hub)
            file = folder / FILE_NAME
            if not file.is_file() and (folder / "processor_config.json").is_file():
                nested = read_json(folder / "processor_config.json").get("image_processor")
                if isinstance(nested, dict):
                    return nested, rest
        return read_json(file), rest

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str], **options: Any) -> Self:
        """Read preprocessor_config.json; keyword arguments override its settings."""
        options.pop("use_fast", None)
        settings, rest = cls.get_image_processor_dict(reference, **options)
        return cls.from_dict(settings, **rest)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from plain settings."""
        return cls(**{**settings, **overrides})

    @classmethod
    def from_json_file(cls, file: str | os.PathLike[str]) -> Self:
        """Build from a JSON file."""
        return cls(**read_json(Path(file)))

    def to_dict(self) -> dict[str, Any]:
        """The settings as preprocessor_config.json holds them."""
        settings = {name: copy.deepcopy(value) for name, value in self.__dict__.items() if not name.startswith("_")}
        return {**settings, "image_processor_type": type(self).__name__}

    def to_json_string(self) -> str:
        """preprocessor_config.json as text."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, file: str | os.PathLike[str]) -> None:
        """Write the settings."""
        write_json(Path(file), self.to_dict())

    def save_pretrained(self, folder: str | os.PathLike[str], **_: Any) -> list[str]:
        """Write preprocessor_config.json into a folder, which is made where it is missing."""
        place = Path(folder)
        if place.is_file():
            raise ConfigError(f"{place} is a file; give the path of a folder to save into.")
        place.mkdir(parents=True, exist_ok=True)
        self.to_json_file(place / FILE_NAME)
        return [str(place / FILE_NAME)]

    def fetch_images(self, sources: Any) -> Any:
        """Pictures for paths and URLs; pictures stay what they are; lists are kept."""
        from .image_io import load_image

        if isinstance(sources, (list, tuple)):
            return [self.fetch_images(source) for source in sources]
        return sources if isinstance(sources, Image.Image) or hasattr(sources, "__array__") else load_image(sources)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


class ImageProcessor(BaseImageProcessor):
    """Convert, resize, crop, rescale and normalise, each switched by its `do_*` setting.

    Args:
        do_convert_rgb: convert to RGB.
        do_resize, size, resample: {"height", "width"} or {"shortest_edge"} (with {"longest_edge"} a limit), in pixels.
        do_center_crop, crop_size: {"height", "width"} in pixels.
        do_rescale, rescale_factor: multiply the pixels.
        do_normalize, image_mean, image_std: one value, or one for each channel.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "do_convert_rgb": None,
        "do_resize": True,
        "size": {"height": 224, "width": 224},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }

    def preprocess(
        self,
        images: Any,
        *,
        return_tensors: str | None = None,
        data_format: str = FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Pictures to {"pixel_values": [B, C, height, width]}.

        Args:
            images: one picture or a list: PIL images, arrays, tensors ([height, width], channels first or last).
            return_tensors: "pt", "np" or None (a list of arrays).
            data_format: layout of the result, "channels_first" or "channels_last".
            input_data_format: layout of arrays; default: told by their shape.
            overrides: settings for this call.
        """
        settings = self._settings(overrides)
        pixels = [self._one(image, settings, input_data_format) for image in as_list(images)]
        if getattr(data_format, "value", data_format) == FIRST:
            pixels = [array.transpose(2, 0, 1) for array in pixels]
        return BatchFeature({"pixel_values": pixels}, tensor_type=return_tensors)

    def _settings(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        settings = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        for name, value in overrides.items():
            if name not in settings and name not in self.defaults:
                raise InputError(f"{type(self).__name__} has no setting {name!r}. {did_you_mean(name, settings)}")
            if value is not None:
                settings[name] = self._size(name, value)
        return settings

    def _one(self, image: Any, settings: dict[str, Any], data_format: str | None) -> np.ndarray:
        if isinstance(image, Image.Image) and settings.get("do_convert_rgb"):
            image = image.convert("RGB")
        array = transforms.channels_last(transforms.to_array(image), data_format)
        if settings["do_resize"]:
            size = self.output_size(array, settings["size"])
            array = transforms.resize(array, size, settings["resample"], input_data_format=LAST)
        if settings.get("do_center_crop"):
            crop = settings["crop_size"]
            array = transforms.center_crop(array, (crop["height"], crop["width"]), input_data_format=LAST)
        if settings["do_rescale"]:
            array = transforms.rescale(array, settings["rescale_factor"])
        if settings["do_normalize"]:
            mean, std = settings["image_mean"], settings["image_std"]
            array = transforms.normalize(array, mean, std, input_data_format=LAST)
        return array

    def output_size(self, image: np.ndarray, size: Mapping[str, int]) -> tuple[int, int]:
        """(height, width) in pixels that `size` means for a picture [height, width, C]."""
        if "height" in size and "width" in size:
            return size["height"], size["width"]
        if "shortest_edge" in size:
            return transforms.shortest_edge_size(image, size["shortest_edge"], size.get("longest_edge"))
        raise ConfigError(f"size is {dict(size)}; expected 'height' and 'width', or 'shortest_edge'.")


def as_list(images: Any) -> list[Any]:
    """A list of pictures from one picture, a list, or a batch array [B, ., ., .]."""
    if isinstance(images, (list, tuple)):
        if not images:
            raise InputError("The list of pictures is empty.")
        return [picture for item in images for picture in as_list(item)]
    if isinstance(images, Image.Image):
        return [images]
    if hasattr(images, "ndim"):
        return list(images) if images.ndim == 4 else [images]
    raise InputTypeError(
        f"A picture was given as {type(images).__name__}; expected a PIL image, an array, a tensor or a list of these."
    )


class ViTImageProcessor(ImageProcessor):
    """Resize to a square, rescale, normalise (ViT, DeiT, SwinV2, ...)."""


class ViTImageProcessorFast(ViTImageProcessor):
    """The name that newer files carry for the same processing."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "image_processor_type": "ViTImageProcessor"}
