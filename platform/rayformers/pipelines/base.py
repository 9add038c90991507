"""The base of pipelines: preprocess -> forward -> postprocess, over one input, a list, a dataset or a generator."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from ..errors import ConfigError, InputError, InputTypeError, did_you_mean
from . import batching
from .batching import Unit
from .collating import Cut, length_of, pad_together
from .compatibility import CompatibilityMethods

Parameters = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


class Pipeline(CompatibilityMethods):
    """A model with what turns raw inputs into answers (guide: main_classes/pipelines).

    A task subclasses it with `_sanitize_parameters`, `preprocess`, `_forward` and `postprocess`. Any call parameter may
    be given to the constructor, where it is the default, or to a call, where it holds for that call.

    Args:
        model: the model.
        tokenizer, feature_extractor, image_processor, processor: what the task needs of these.
        task: the task's name.
        device: a torch device, its name, or a CUDA index (-1: CPU); default: where the model is.
        torch_dtype: floating-point inputs are cast to the model's dtype; given here it also casts the model.
        batch_size: default of calls; None runs one input at a time.
        num_workers: accepted as in the guides; inputs are always read ahead in a thread.
        binary_output: whether outputs are saved as binary by data formats.
        parameters: defaults of call parameters.
    """

    default_input_names: ClassVar[str | None] = None
    padded_inputs: ClassVar[dict[str, int | float]] = {}
    """Inputs of shape [1, T, ...] that are padded to one length in a batch, and the value to pad with."""
    sequence_outputs: ClassVar[tuple[str, ...]] = ()
    """Outputs of shape [1, T, ...] that are cut back to the unit's own length after a batch."""
    look_ahead_batches: ClassVar[int] = 2
    """How many batches' worth of inputs are prepared together; more where their lengths differ, to sort them."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        feature_extractor: Any = None,
        image_processor: Any = None,
        processor: Any = None,
        modelcard: Any = None,
        framework: str | None = None,
        task: str = "",
        device: Any = None,
        torch_dtype: Any = None,
        dtype: Any = None,
        binary_output: bool = False,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **parameters: Any,
    ) -> None:
        if framework not in (None, "pt"):
            raise ConfigError(f"framework is {framework!r}; models run in torch ('pt') only.")
        self.model = model
        self.tokenizer, self.feature_extractor = tokenizer, feature_extractor
        self.image_processor, self.processor = image_processor, processor
        self.task, self.modelcard, self.binary_output, self.framework = task, modelcard, binary_output, "pt"
        self.call_count = 0
        if device is not None:
            self.model.to(find_device(device))
        if (cast := dtype or torch_dtype) not in (None, "auto"):
            self.model.to(find_dtype(cast))
        self.model.eval()
        self._batch_size, self._num_workers = check_batch_size(batch_size), num_workers
        self._defaults = self._parameters(parameters)

    # -- what a task defines ------------------------------------------------------------------------------------

    def _sanitize_parameters(self, **parameters: Any) -> Parameters:
        """Part call parameters into those of preprocess, forward and postprocess."""
        raise NotImplementedError

    def preprocess(self, inputs: Any, **parameters: Any) -> Any:
        """One raw input to model inputs: tensors with a leading axis of 1, and whatever postprocess needs."""
        raise NotImplementedError

    def _forward(self, model_inputs: dict[str, Any], **parameters: Any) -> Any:
        """Model inputs of one unit or a batch to outputs with the same leading axis."""
        raise NotImplementedError

    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        """The outputs of one input to its answer."""
        raise NotImplementedError

    def cost(self, model_inputs: Any) -> int:
        """Tokens or pixels of one preprocessed input, for sorting and budgets."""
        values = model_inputs.values() if isinstance(model_inputs, Mapping) else [model_inputs]
        sizes = [value[0].numel() for value in values if isinstance(value, Tensor) and value.ndim > 1]
        return max(sizes, default=1)

    def batch_key(self, model_inputs: Any) -> Hashable:
        """Units with equal keys can share a batch: those whose tensors have equal shapes, but for padding."""
        if not isinstance(model_inputs, Mapping):
            return None
        padded = self.padded_inputs
        return tuple(
            (name, value.shape[2:] if name in padded else value.shape[1:], value.dtype)
            for name, value in sorted(model_inputs.items())
            if isinstance(value, Tensor)
        )

    # -- calling ------------------------------------------------------------------------------------------------

    def __call__(
        self, inputs: Any, *args: Any, num_workers: int | None = None, batch_size: int | None = None, **parameters: Any
    ) -> Any:
        """Answers for one input, a list (a list of answers), or a dataset or generator (an iterator of answers).

        Args:
            inputs: what the task takes.
            num_workers: accepted as in the guides; a generator allows at most 1.
            batch_size: most inputs in one forward pass. Batches are sorted by length and cut by a budget, so that
                asking for a batch size never costs time.
            parameters: the task's call parameters.

        Raises:
            InputError: an input cannot be used; InputTypeError: an unknown parameter.
        """
        if args:
            raise InputTypeError(f"{type(self).__name__} takes one positional argument; pass the others by name.")
        merged = self.call_parameters(parameters)
        rows = check_batch_size(self._batch_size if batch_size is None else batch_size)
        self.call_count += 1
        if isinstance(inputs, (list, tuple)) and self._is_many(inputs, merged[0]):
            return list(self.stream(inputs, rows, merged))
        if isinstance(inputs, (Generator, Iterator, Dataset, IterableDataset)) or is_dataset(inputs):
            if isinstance(inputs, Generator) and (num_workers or 0) > 1:
                raise InputError("A generator cannot be shared by several workers; pass num_workers=1, or a dataset.")
            return self.stream(_items(inputs), rows, merged)
        return self.run_single(inputs, *merged)

    def _is_many(self, inputs: Sequence[Any], pre: dict[str, Any]) -> bool:
        """Whether a list is several inputs (rather than one that is a list), given the parameters of preprocess."""
        return True

    def run_single(self, inputs: Any, pre: dict[str, Any], fwd: dict[str, Any], post: dict[str, Any]) -> Any:
        """The answer for one input."""
        outputs = [self.forward(chunk, **fwd) for chunk in self._chunks(inputs, pre)]
        return self.finish(outputs, post)

    def run_batch(self, inputs: Sequence[Any], **parameters: Any) -> list[Any]:
        """Answers for several inputs, computed in as few padded forward passes as their shapes allow."""
        return self._group(list(inputs), max(1, len(inputs)), *self.call_parameters(parameters))

    def forward(self, model_inputs: Any, **parameters: Any) -> Any:
        """Move inputs to the model's device and dtype, run without gradients, and bring outputs back to the CPU."""
        with torch.inference_mode():
            outputs = self._forward(self.move(model_inputs, self.device, self.model.dtype), **parameters)
        return self.move(outputs, torch.device("cpu"), None)

    # -- batching -----------------------------------------------------------------------------------------------

    def stream(self, items: Iterable[Any], batch_size: int | None, merged: Parameters) -> Iterator[Any]:
        """Answers in the order of `items`, as they are computed, with all three kinds of parameters given."""
        if batch_size is None or batch_size == 1:
            for item in items:
                yield self.run_single(item, *merged)
            return
        look_ahead = batch_size * self.look_ahead_batches
        if isinstance(items, (list, tuple)):  # nothing to wait for
            for start in range(0, len(items), look_ahead):
                yield from self._group(list(items[start : start + look_ahead]), batch_size, *merged)
            return
        source = batching.Source(items, look_ahead, enough=batch_size)
        try:
            for group in source:
                yield from self._group(group, batch_size, *merged)
        finally:
            source.close()

    def _group(
        self, items: list[Any], batch_size: int, pre: dict[str, Any], fwd: dict[str, Any], post: dict[str, Any]
    ) -> list[Any]:
        """Answers for items in order; their units are sorted and batched together."""
        units: list[Unit] = []
        for number, chunks in enumerate(self.preprocess_many(items, **pre)):
            units += [Unit(item=number, inputs=c, cost=self.cost(c), key=self.batch_key(c)) for c in chunks]
        outputs: list[dict[int, Any]] = [{} for _ in items]
        missing = Counter(unit.item for unit in units)
        answers = {number: self.finish([], post) for number in range(len(items)) if number not in missing}
        for place, output in self.run_units(units, batch_size, **fwd):
            item = units[place].item
            outputs[item][place] = output
            if len(outputs[item]) == missing[item]:  # answered at once: outputs are large, answers are not
                found, outputs[item] = outputs[item], {}
                answers[item] = self.finish([found[key] for key in sorted(found)], post)
        return [answers[number] for number in range(len(items))]

    def preprocess_many(self, items: list[Any], **parameters: Any) -> list[list[Any]]:
        """The units of each item; tasks that can preprocess several at once (tokenizers) override it."""
        return [list(self._chunks(item, parameters)) for item in items]

    def run_units(
        self, units: list[Unit], batch_size: int, budget: int | None = None, **fwd: Any
    ) -> Iterator[tuple[int, Any]]:
        """The place of each unit and its output, in the order in which batches are computed."""
        places = {id(unit): place for place, unit in enumerate(units)}
        for batch in batching.cut(units, batch_size, budget):
            results = batching.run_halving(lambda part: self.run_together(part, fwd), batch)
            yield from ((places[id(unit)], output) for unit, output in zip(batch, results, strict=True))

    def run_together(self, batch: list[Unit], fwd: dict[str, Any]) -> list[Any]:
        """Outputs of units that fit into one forward pass."""
        if len(batch) == 1:
            return [self.forward(batch[0].inputs, **fwd)]
        inputs = [unit.inputs for unit in batch]
        return self.unbatch(self.forward(self.collate(inputs), **fwd), inputs)

    def collate(self, units: list[dict[str, Any]]) -> dict[str, Any]:
        """Model inputs of several units as one batch; values that are no tensors become lists."""
        batch: dict[str, Any] = {}
        padded, side = self.padded_inputs, self.padding_side
        for name in units[0]:
            values = [unit[name] for unit in units]
            if not isinstance(values[0], Tensor):
                batch[name] = values
            elif name in padded:
                batch[name] = pad_together(values, padded[name], side)
            else:
                batch[name] = torch.cat(values)
        return batch

    @property
    def padding_side(self) -> str:
        """Where shorter units are padded: "right" or "left"."""
        return getattr(self.tokenizer, "padding_side", "right")

    def unbatch(self, outputs: Any, inputs: list[dict[str, Any]]) -> list[Any]:
        """The outputs of each unit of a batch, sequences cut back to the unit's own length."""
        padded = self.padded_inputs
        lengths = [length_of(unit, padded) for unit in inputs]
        cut = Cut(names={*self.sequence_outputs, *padded}, longest=max(lengths), left=self.padding_side == "left")
        return [
            {name: cut.part(name, value, row, length) for name, value in outputs.items()}
            for row, length in enumerate(lengths)
        ]

    # -- helpers ------------------------------------------------------------------------------------------------

    def _chunks(self, item: Any, pre: dict[str, Any]) -> Iterable[Any]:
        return [self.preprocess(item, **pre)]

    def finish(self, outputs: list[Any], post: dict[str, Any]) -> Any:
        """The answer of one input from the outputs of its units."""
        return self.postprocess(outputs[0], **post)

    def _parameters(self, parameters: dict[str, Any]) -> Parameters:
        accepted = inspect.signature(self._sanitize_parameters).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
            for name in parameters:
                if name not in accepted:
                    raise InputTypeError(
                        f"{type(self).__name__} has no parameter {name!r}. {did_you_mean(name, accepted)}"
                    )
        return self._sanitize_parameters(**parameters)

    def call_parameters(self, parameters: dict[str, Any]) -> Parameters:
        """The parameters of a call over the constructor's, parted into preprocess, forward and postprocess."""
        given = self._parameters(parameters)
        pre, fwd, post = ({**default, **call} for default, call in zip(self._defaults, given, strict=True))
        return pre, fwd, post

    def move(self, value: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
        """Every tensor within `value` on a device, floating-point ones in a dtype."""
        if isinstance(value, Tensor):
            return value.to(device, dtype if dtype is not None and value.is_floating_point() else None)
        if isinstance(value, Mapping):
            return {key: self.move(item, device, dtype) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(self.move(item, device, dtype) for item in value)
        return [self.move(item, device, dtype) for item in value] if isinstance(value, list) else value

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> None:
        """Save the model and everything beside it into a folder."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for part in (self.model, self.tokenizer, self.feature_extractor, self.image_processor, self.processor):
            if part is not None:
                part.save_pretrained(folder, **(options if part is self.model else {}))


class ChunkPipeline(Pipeline):
    """A pipeline whose `preprocess` yields several units for one input; `postprocess` gets all their outputs."""

    def _chunks(self, item: Any, pre: dict[str, Any]) -> Iterable[Any]:
        return self.preprocess(item, **pre)

    def finish(self, outputs: list[Any], post: dict[str, Any]) -> Any:
        return self.postprocess(outputs, **post)


def find_device(device: Any) -> torch.device:
    """A torch device from a device, a name, or a CUDA index (-1: the CPU).

    Raises:
        ConfigError: no such device here.
    """
    try:
        if isinstance(device, int):
            device = "cpu" if device < 0 else f"cuda:{device}"
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device is {device!r}; expected 'cpu', 'cuda', 'cuda:0', 'mps' or a number.") from error
    if found.type == "cuda" and (not torch.cuda.is_available() or (found.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(
            f"device is {str(found)!r}; this machine has {torch.cuda.device_count()} CUDA devices. Use 'cpu'."
        )
    if found.type not in ("cpu", "cuda", "mps", "xpu", "meta"):
        raise ConfigError(f"device is {str(found)!r}; expected 'cpu', 'cuda', 'mps' or 'xpu'.")
    return found


def find_dtype(dtype: Any) -> torch.dtype:
    """A floating-point torch dtype from a dtype or its name.

    Raises:
        ConfigError: it is none.
    """
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(
            f"dtype is {dtype!r}; expected 'auto', or a floating-point torch.dtype or its name, such as 'bfloat16'."
        )
    return found


def check_batch_size(batch_size: int | None) -> int | None:
    """The batch size, or an error where it is no positive whole number."""
    if batch_size is not None and (not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1):
        raise InputError(f"batch_size is {batch_size!r}; expected a positive whole number or None.")
    return batch_size


def is_dataset(inputs: Any) -> bool:
    """Whether an object is a dataset of the `datasets` package or of Ray Data."""
    return any(
        base.__module__.split(".")[0] in ("datasets", "ray") and base.__name__.endswith("Dataset")
        for base in type(inputs).__mro__
    )


def _items(inputs: Any) -> Iterable[Any]:
    if hasattr(inputs, "iter_rows"):  # Ray Data
        return inputs.iter_rows()
    if isinstance(inputs, Iterator) or hasattr(inputs, "__iter__"):
        return inputs
    return (inputs[number] for number in range(len(inputs)))
