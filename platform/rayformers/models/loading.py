"""From checkpoint files to a model: built on the meta device, filled tensor by tensor, checked strictly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..hub import resolve
from ..weights import Drop, WeightMap, stream
from . import initialise, placement
from .config import PretrainedConfig, split_hub_options

if TYPE_CHECKING:
    from .base import PreTrainedModel

_INERT = ("use_safetensors", "low_cpu_mem_usage", "weights_only", "_fast_init")
"""Switches of the guides whose useful setting is always on here."""
_UNSUPPORTED = ("state_dict", "offload_folder", "offload_state_dict", "max_memory", "tp_plan")


@dataclass
class LoadingInfo:
    """What loading found: fresh parameters, tensors that were left, shapes that differ."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """In the keys that output_loading_info=True gives."""
        return {
            "missing_keys": self.missing,
            "unexpected_keys": self.unexpected,
            "mismatched_keys": self.mismatched,
            "error_msgs": [],
        }


def from_pretrained(cls: type[PreTrainedModel], reference: str, *args: Any, **options: Any) -> Any:
    """See PreTrainedModel.from_pretrained."""
    hub, options = split_hub_options(options)
    config = options.pop("config", None)
    dtype = options.pop("dtype", options.pop("torch_dtype", None))
    device_map = options.pop("device_map", None)
    implementation = options.pop("attn_implementation", None)
    ignore_mismatched = bool(options.pop("ignore_mismatched_sizes", False))
    ignore_unexpected: Sequence[str] = options.pop("ignore_unexpected", ())
    with_info = bool(options.pop("output_loading_info", False))
    variant = options.pop("variant", None)
    build_options = {name: options.pop(name) for name in ("add_pooling_layer",) if name in options}
    for name in _INERT:
        options.pop(name, None)
    if given := [name for name in _UNSUPPORTED if options.pop(name, None) is not None]:
        raise ConfigError(
            f"{cls.__name__}.from_pretrained cannot use {', '.join(given)}. Weights come from the checkpoint's files; "
            "to place them, give device_map as 'auto', a device, or a mapping of module names to devices."
        )
    folder = resolve(reference, **hub)
    if not isinstance(config, PretrainedConfig):
        values, overrides = cls.config_class.get_config_dict(config or folder, **options)
        config, unused = cls.config_class.from_dict(values, return_unused_kwargs=True, **overrides)
        if unused:
            raise ConfigError(
                f"{cls.__name__}.from_pretrained does not know {sorted(unused)}, nor does its configuration."
            )
    config._name_or_path = reference
    if implementation is not None:
        config._attn_implementation = implementation
    with torch.device("meta"):
        model = cls(config, *args, **build_options)
    wanted = resolve_dtype(dtype, config, folder)
    info = fill(model, stream.read(folder, variant), wanted, ignore_mismatched, ignore_unexpected)
    model.tie_weights()
    model.eval()
    _report(model, reference, info)
    placement.place(model, device_map)
    _load_extras(model, folder)
    return (model, info.to_dict()) if with_info else model


def resolve_dtype(dtype: Any, config: PretrainedConfig, folder: Any) -> torch.dtype | None:
    """The torch dtype that was asked for: None (float32), "auto" (the configuration's), a name or a dtype."""
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        dtype = config.torch_dtype or config.get_text_config().torch_dtype or "float32"
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"torch_dtype is {dtype!r}; expected 'auto', a torch.dtype or its name such as 'bfloat16'.")
    return found


def fill(
    model: PreTrainedModel,
    tensors: Iterator[tuple[str, Tensor]],
    dtype: torch.dtype | None,
    ignore_mismatched: bool = False,
    ignore_unexpected: Sequence[str] = (),
) -> LoadingInfo:
    """Fill a model on the meta device with the tensors of a checkpoint, then initialise what files may lack.

    Raises:
        CheckpointError: tensors are missing, unknown, or of another shape.
    """
    info = LoadingInfo()
    rules = model.weight_map(model.config)
    known = _other_heads(model)
    targets = dict(model.named_parameters(remove_duplicate=False)) | _persistent_buffers(model)
    filled: set[str] = set()
    fresh_shapes: set[str] = set()
    wide = model.architecture().float32
    for name, tensor in rules.stream(_known(tensors, rules, known, ignore_unexpected, info)):
        if name not in targets:
            info.unexpected.append(name)
        elif tensor.shape != targets[name].shape:
            info.mismatched.append((name, tuple(tensor.shape), tuple(targets[name].shape)))
            fresh_shapes.add(name)
        else:
            kept = dtype == torch.float16 and _matches(name, wide)
            _assign(model, name, _cast(tensor, None if kept else dtype))
            filled.add(name)
    _check(model, info, filled, targets, ignore_mismatched)
    _share_tied(model, filled, info)
    _copy_missing(model, filled)
    missing = [
        name for name in targets if name not in filled and name not in {alias for alias, _ in model.tied_names()}
    ]
    computed = model.architecture().computed
    info.missing = [name for name in missing if name not in fresh_shapes and not _matches(name, computed)]
    _initialise(model, missing, dtype)
    return info


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype or torch.float32) if tensor.is_floating_point() else tensor


def _known(
    tensors: Iterator[tuple[str, Tensor]], rules: WeightMap, others: WeightMap, ignore: Sequence[str], info: LoadingInfo
) -> Iterator[tuple[str, Tensor]]:
    """The tensors that the model has rules for; those of the architecture's other heads are noted and left."""
    strange: list[str] = []
    for name, tensor in tensors:
        if rules.knows(name):
            yield name, tensor
        elif others.knows(name) or any(fnmatch(name, pattern) for pattern in ignore):
            info.unexpected.append(name)
        else:
            strange.append(name)
    if strange:
        raise CheckpointError(
            f"The checkpoint holds {len(strange)} tensors that this architecture does not have: "
            f"{', '.join(sorted(strange)[:5])}{', ...' if len(strange) > 5 else ''}. Check that config.json "
            "belongs to the weights; to leave them out, pass ignore_unexpected=('pattern.*',)."
        )


def _other_heads(model: PreTrainedModel) -> WeightMap:
    heads = model.architecture().heads.values()
    return WeightMap(*(rule for head in heads for rule in head.rules(model.config) if not isinstance(rule, Drop)))


def _persistent_buffers(model: nn.Module) -> dict[str, Tensor]:
    names = set(model.state_dict().keys())
    return {name: buffer for name, buffer in model.named_buffers() if name in names}


def _assign(model: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    if leaf in module._parameters:
        old = module._parameters[leaf]
        trainable = old is not None and old.requires_grad and tensor.is_floating_point()
        module._parameters[leaf] = nn.Parameter(tensor, requires_grad=trainable)
    else:
        module._buffers[leaf] = tensor


def _check(
    model: PreTrainedModel, info: LoadingInfo, filled: set[str], targets: dict[str, Tensor], ignore_mismatched: bool
) -> None:
    parts = model.architecture()
    optional = [f"backbone.{pattern}" for pattern in parts.optional] + list(parts.computed)
    head = model.head_spec()
    ignored = [] if head is None else [f"backbone.{pattern}" for pattern in head.ignored]

    def may_lack(name: str) -> bool:
        return _matches(name, optional)

    def may_carry(name: str) -> bool:
        return may_lack(name) or _matches(name, ignored)

    if excess := [name for name in info.unexpected if name.startswith("backbone.") and not may_carry(name)]:
        raise CheckpointError(
            f"The checkpoint holds {len(excess)} tensors beyond the configuration: {', '.join(excess[:5])}. "
            "Check the numbers of layers in config.json."
        )
    if info.mismatched and not ignore_mismatched:
        shown = "; ".join(
            f"{name} is {list(got)}, the model has {list(want)}" for name, got, want in info.mismatched[:5]
        )
        raise CheckpointError(
            f"{len(info.mismatched)} tensors have another shape: {shown}. Load with the matching configuration, "
            "or pass ignore_mismatched_sizes=True to initialise them freshly."
        )
    aliases = dict(model.tied_names())
    carried = {source for alias, source in model.tied_names() if alias in filled}
    differing = {name for name, _, _ in info.mismatched}
    lacking = [
        name
        for name in targets
        if name.startswith("backbone.") and name not in filled and name not in differing and not may_lack(name)
        and name not in aliases and name not in carried
    ]  # fmt: skip
    if lacking:
        raise CheckpointError(
            f"The checkpoint lacks {len(lacking)} tensors of the model: {', '.join(lacking[:5])}"
            f"{', ...' if len(lacking) > 5 else ''}. It is incomplete, or config.json is not its own."
        )


def _share_tied(model: PreTrainedModel, filled: set[str], info: LoadingInfo) -> None:
    """Where files carry only the alias of a tied pair, its source takes the value."""
    for alias, source in model.tied_names():
        if alias in filled and source not in filled:
            _assign(model, source, model.get_parameter(alias).data)
            filled.add(source)


def _copy_missing(model: PreTrainedModel, filled: set[str]) -> None:
    """Where files lack what a head copies from elsewhere, it starts as a copy; where they differ, they stay apart."""
    head = model.head_spec()
    tied = {alias for alias, _ in model.tied_names()}
    for name, source in () if head is None else head.copied:
        if name not in tied and name not in filled and source in filled:
            _assign(model, name, model.get_parameter(source).data.clone())
            filled.add(name)
        elif name in tied and {name, source} <= filled and not _equal(model, name, source):
            model.config.tie_word_embeddings = False


def _equal(model: nn.Module, name: str, other: str) -> bool:
    return torch.equal(model.get_parameter(name), model.get_parameter(other))


def _initialise(model: PreTrainedModel, missing: list[str], dtype: torch.dtype | None) -> None:
    owners: dict[str, nn.Module] = {}
    for name in missing:
        owner, _, leaf = name.rpartition(".")
        module = owners.setdefault(owner, model.get_submodule(owner))
        holder = module._parameters if leaf in module._parameters else module._buffers
        old = holder[leaf]
        assert old is not None
        empty = torch.zeros(old.shape, dtype=dtype or old.dtype if old.is_floating_point() else old.dtype)
        _assign(model, name, empty)
    for owner, module in owners.items():
        own = {f"{owner}.{leaf}" for leaf, _ in module.named_parameters(recurse=False)}
        if own <= set(missing):  # a module of which only a part was in the files keeps that part
            initialise.fresh(model, model.config, model.architecture().initialise, only=[module])


def _report(model: nn.Module, reference: str, info: LoadingInfo) -> None:
    if fresh := info.missing + [name for name, _, _ in info.mismatched]:
        warnings.warn(
            f"{type(model).__name__} from {reference!r}: {len(fresh)} parameters are freshly initialised because "
            f"the files do not have them ({', '.join(fresh[:4])}{', ...' if len(fresh) > 4 else ''}). "
            "Train the model before use.",
            stacklevel=5,
        )


def _load_extras(model: PreTrainedModel, folder: Any) -> None:
    """Read what lies beside the weights: generation_config.json, and what the head's own hook reads."""
    if model.can_generate():
        from .base import METHODS

        METHODS.get("load_generation_config")(model, folder)
    load = getattr(model.head, "load_extras", None)
    if load is not None:
        load(model, folder)


def unique_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters (tied ones once) and persistent buffers by our names."""
    return dict(model.named_parameters()) | _persistent_buffers(model)


def load_sharded_checkpoint(model: PreTrainedModel, folder: Any, strict: bool = True, prefer_safe: bool = True) -> Any:
    """Load a checkpoint folder into an existing model (guide: main_classes/model).

    Returns:
        torch's named tuple of missing and unexpected keys.

    Raises:
        CheckpointError: with strict=True, tensors are missing.
    """
    from pathlib import Path

    ours = dict(model.weight_map(model.config).stream(stream.read(Path(folder))))
    result = model.load_state_dict(ours, strict=False)
    aliases = {alias for alias, _ in model.tied_names()}
    missing = [name for name in result.missing_keys if name not in aliases]
    if strict and (missing or result.unexpected_keys):
        raise CheckpointError(f"{folder}: missing {missing[:5]}, unexpected {list(result.unexpected_keys)[:5]}.")
    return result


__all__ = ["LoadingInfo", "fill", "from_pretrained", "load_sharded_checkpoint", "resolve_dtype", "unique_tensors"]
