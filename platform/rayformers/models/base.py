"""The base of all models: a backbone with or without a head, loaded from and saved to the Hub's files."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError, UnknownNameError, did_you_mean
from ..nn.attention import KERNELS
from ..nn.context import Context
from ..nn.stacks import Stack
from ..registry import Registry
from ..weights import WeightMap, stream, under
from . import initialise, loading
from .config import PretrainedConfig, split_hub_options
from .embeddings import EmbeddingMethods
from .outputs import ModelOutput
from .registry import Architecture, HeadSpec, architecture

METHODS: Registry[Callable[..., Any]] = Registry("model method")
"""Methods of models that higher layers provide, by "module:function" target."""
METHODS.add("generate", target="rayformers.generation.generate:generate")
METHODS.add("generate_batch", target="rayformers.generation.continuous:generate_batch")
METHODS.add("compute_transition_scores", target="rayformers.generation.scores:compute_transition_scores")
METHODS.add("own_generation_config", target="rayformers.generation.generate:own_config")
METHODS.add("load_generation_config", target="rayformers.generation.generate:load_own_config")


class PreTrainedModel(EmbeddingMethods, nn.Module):
    """A model of one architecture (guide: main_classes/model).

    Concrete classes (`ViTForImageClassification`) are made by the registry from an architecture and a head.

    Args:
        config: the architecture's configuration.
        add_pooling_layer: for a backbone alone: whether to build its pooler.
    """

    model_type: ClassVar[str] = ""
    suffix: ClassVar[str] = ""
    config_class: ClassVar[type[PretrainedConfig]] = PretrainedConfig
    base_model_prefix: ClassVar[str] = "model"
    main_input_name: ClassVar[str] = "input_ids"
    supports_gradient_checkpointing: ClassVar[bool] = True

    def __init__(self, config: PretrainedConfig, *, add_pooling_layer: bool = True) -> None:
        if not self.model_type:
            raise TypeError(
                f"{type(self).__name__} is a base class. Use a class of an architecture, or AutoModel.from_config."
            )
        super().__init__()
        self.config = config
        self._input_names: tuple[str, ...] | None = None
        parts, head = self.architecture(), self.head_spec()
        options = {} if head is None else dict(head.options)
        if parts.has_pooler:
            options["pooler"] = add_pooling_layer if head is None else head.pooler
        self.backbone = parts.backbone(config, **options)
        self.head = None if head is None else head.build(config, self.backbone)
        self.set_attn_implementation(config._attn_implementation or "sdpa")
        if not any(parameter.is_meta for parameter in self.parameters()):
            initialise.fresh(self, config, parts.initialise)
        self.tie_weights()  # last, so that what is shared is drawn as its source is
        self.eval()

    @classmethod
    def architecture(cls) -> Architecture:
        """The registered parts that this class is made of."""
        return architecture(cls.model_type)

    @classmethod
    def head_spec(cls) -> HeadSpec | None:
        """The head that this class wears, None for a backbone alone."""
        return cls.architecture().heads.get(cls.suffix)

    # -- calling ------------------------------------------------------------------------------------------------

    def forward(
        self,
        *args: Any,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **inputs: Any,
    ) -> Any:
        """Run the backbone, then the head.

        Args:
            args, inputs: those of the backbone's forward and the head's own ("labels").
            output_attentions, output_hidden_states, return_dict: default to the configuration's.

        Raises:
            InputError: an input is missing or unknown.
        """
        config = self.config
        inputs = self._bind(args, inputs)
        context = Context(
            kernel=self._attn_implementation,
            record_attentions=config.output_attentions if output_attentions is None else output_attentions,
            record_states=config.output_hidden_states if output_hidden_states is None else output_hidden_states,
        )
        if self.head is None:
            output: ModelOutput = self.backbone(**inputs, context=context)
        else:
            own = {name: inputs.pop(name) for name in self.head.inputs if name in inputs}
            inputs = self.head.prepare(inputs, own)
            output = self.head(self.backbone(**inputs, context=context), inputs, **own)
        keep = config.use_return_dict if return_dict is None else return_dict
        return output if keep else output.to_tuple()

    def input_names(self) -> tuple[str, ...]:
        """The keyword arguments that `forward` takes as inputs, in order; labels come last."""
        if self._input_names is not None:
            return self._input_names
        names = [name for name in inspect.signature(self.backbone.forward).parameters if name not in ("context", "_")]
        self._input_names = (*names, *(n for n in getattr(self.head, "inputs", ()) if n not in names))
        return self._input_names

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        names = self.input_names()
        if len(args) > len(names):
            raise InputError(f"{type(self).__name__} takes at most {len(names)} inputs; {len(args)} were given.")
        inputs = dict(zip(names, args, strict=False)) | inputs
        for name in inputs:
            if name not in names:
                raise InputError(f"{type(self).__name__} has no input {name!r}. {did_you_mean(name, names)}")
        return inputs

    def generate(self, *args: Any, **options: Any) -> Any:
        """Generate tokens; see rayformers.generation."""
        return METHODS.get("generate")(self, *args, **options)

    # -- making, loading, saving --------------------------------------------------------------------------------

    @classmethod
    def _from_config(cls, config: PretrainedConfig, **options: Any) -> Self:
        """A freshly initialised model.

        Args:
            options: torch_dtype (or dtype), attn_implementation.
        """
        dtype = loading.resolve_dtype(options.pop("dtype", options.pop("torch_dtype", None)), config, None)
        implementation = options.pop("attn_implementation", None)
        if options:
            raise ConfigError(
                f"from_config does not know {sorted(options)}; it takes torch_dtype and attn_implementation."
            )
        model = cls(config)
        if implementation is not None:
            model.set_attn_implementation(implementation)
        return model if dtype is None else model.to(dtype)

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str], *args: Any, **options: Any) -> Any:
        """Load a checkpoint: a folder, a Hub id, "models:/name@alias" or an fsspec address.

        The model is built on the meta device and filled tensor by tensor, so that memory peaks near the model's size.

        Args:
            reference: where the files are.
            options: config; torch_dtype (or dtype; "auto" takes the file's); device_map ("auto", a device, a map);
                attn_implementation; ignore_mismatched_sizes; ignore_unexpected (patterns of tensor names to leave);
                output_loading_info; variant; revision, token, cache_dir, local_files_only, force_download, subfolder;
                anything else overrides keys of the configuration.

        Returns:
            The model in evaluation mode, with output_loading_info=True (model, info).

        Raises:
            NotFoundError, CheckpointError, ConfigError: with what to do.
        """
        return loading.from_pretrained(cls, os.fspath(reference), *args, **options)

    @classmethod
    def weight_map(cls, config: PretrainedConfig) -> WeightMap:
        """The name rules of this class: its head's, then its backbone's, with and without the Hub prefix."""
        parts, head = cls.architecture(), cls.head_spec()
        prefixed = f"{parts.hub_prefix}." if parts.hub_prefix else ""
        own = "" if head is None else prefixed if head.hub_prefix is None else f"{head.hub_prefix}."
        others = (f"{spec.hub_prefix}." for spec in parts.heads.values() if spec.hub_prefix is not None)
        spellings = (own, prefixed, "", *others)
        backbone = under(tuple(dict.fromkeys(spellings)), "backbone.", parts.rules(config))
        return WeightMap(*(() if head is None else head.rules(config)), *backbone)

    def hub_state_dict(self, state_dict: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The weights under the Hub's names, tied ones once.

        Args:
            state_dict: weights under our names; default: this model's own.
        """
        tensors = loading.unique_tensors(self) if state_dict is None else state_dict
        aliases = {alias for alias, _ in self.tied_names()}
        head = self.head_spec()
        unsaved = () if head is None else head.unsaved
        kept = {
            name: tensor.detach()
            for name, tensor in tensors.items()
            if name not in aliases and not any(fnmatch(name, pattern) for pattern in unsaved)
        }
        return self.weight_map(self.config).to_hub(kept)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        max_shard_size: int | str = "5GB",
        state_dict: dict[str, Tensor] | None = None,
        safe_serialization: bool = True,
        push_to_hub: bool = False,
        is_main_process: bool = True,
        **options: Any,
    ) -> None:
        """Write config.json and the weights in the Hub's layout.

        Args:
            save_directory: made where it is missing.
            max_shard_size: largest file, in bytes or as "5GB".
            state_dict: weights under our names to write in place of the model's own (gathered ZeRO shards).
            safe_serialization: must be True; pickled files are not written.
            push_to_hub: also upload; `options` then go to push_to_hub.
            is_main_process: write nothing where False.
        """
        if not safe_serialization:
            raise ConfigError("safe_serialization=False would write pickled weights; only safetensors are written.")
        if not is_main_process:
            return
        folder = Path(save_directory)
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; give the path of a folder to save into.")
        self.config.architectures = [type(self).__name__]
        self.config.torch_dtype = str(self.dtype).removeprefix("torch.")
        stream.write(folder, self.hub_state_dict(state_dict), max_shard_size)
        self.config.save_pretrained(folder)
        generation_config = getattr(self, "generation_config", None)
        if generation_config is not None:
            generation_config.to_json_file(folder / "generation_config.json")
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)

    def push_to_hub(self, repo_id: str, *, commit_message: str = "Upload model", **options: Any) -> str:
        """Upload config.json and weights to a Hub repository, which is made where it is missing; gives its address."""
        import tempfile

        import huggingface_hub

        hub, rest = split_hub_options(options)
        api = huggingface_hub.HfApi(token=hub.get("token"))
        repository = api.create_repo(repo_id, private=rest.get("private"), exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, max_shard_size=rest.get("max_shard_size", "5GB"))
            api.upload_folder(
                repo_id=repository.repo_id, folder_path=folder, commit_message=commit_message,
                revision=hub.get("revision"), create_pr=rest.get("create_pr"),
            )  # fmt: skip
        return str(repository)

    # -- weights ------------------------------------------------------------------------------------------------

    def tied_names(self) -> list[tuple[str, str]]:
        """Pairs of our names (alias, source) that share one parameter."""
        parts, head = self.architecture(), self.head_spec()
        pairs = [(f"backbone.{alias}", f"backbone.{source}") for alias, source in parts.tied]
        if head is not None and (head.always_tied or self.config.get_text_config(decoder=True).tie_word_embeddings):
            pairs += head.tied
        names = {name for name, _ in self.named_parameters(remove_duplicate=False)}
        return [(alias, source) for alias, source in pairs if alias in names and source in names]

    def tie_weights(self) -> None:
        """Let every alias be its source."""
        for alias, source in self.tied_names():
            owner, _, leaf = alias.rpartition(".")
            setattr(self.get_submodule(owner), leaf, self.get_parameter(source))

    def init_weights(self) -> None:
        """Initialise all weights freshly."""
        initialise.fresh(self, self.config, self.architecture().initialise)

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the parameters hold, tied ones once."""
        embeddings = (
            {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)} if exclude_embeddings else set()
        )
        return sum(
            parameter.numel()
            for parameter in self.parameters()
            if (parameter.requires_grad or not only_trainable) and id(parameter) not in embeddings
        )

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Bytes of parameters, and of buffers."""
        size_bytes = sum(parameter.nbytes for parameter in self.parameters())
        return size_bytes + (sum(buffer.nbytes for buffer in self.buffers()) if return_buffers else 0)

    # -- properties and switches --------------------------------------------------------------------------------

    @property
    def base_model(self) -> nn.Module:
        """The backbone."""
        return self.backbone

    @property
    def name_or_path(self) -> str:
        """Where the model was loaded from."""
        return self.config.name_or_path

    @property
    def device(self) -> torch.device:
        """Where the first parameter lies."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the first floating-point parameter."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    def __getattr__(self, name: str) -> Any:
        if name == self.base_model_prefix and name != "backbone":  # model.bert, model.vit: the guides' name
            return self.backbone
        if name in METHODS:
            return partial(METHODS.get(name), self)
        if name == "generation_config" and self.can_generate():
            return METHODS.get("own_generation_config")(self)
        return super().__getattr__(name)

    def set_attn_implementation(self, name: str) -> None:
        """Choose the attention kernel: "eager", "sdpa" or "flash_attention_2"."""
        if name not in KERNELS:
            raise UnknownNameError(f"attn_implementation is {name!r}. {did_you_mean(name, KERNELS)}")
        self._attn_implementation = name
        self.config._attn_implementation = name

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Keep only each layer's input while training and compute the rest again in the backward pass."""
        self._set_checkpointing(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations."""
        self._set_checkpointing(False)

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether any stack checkpoints."""
        return any(stack.gradient_checkpointing for stack in self._stacks())

    def _stacks(self) -> list[Stack]:
        return [module for module in self.modules() if isinstance(module, Stack)]

    def _set_checkpointing(self, enabled: bool) -> None:
        stacks = self._stacks()
        if not stacks:
            raise ConfigError(f"{type(self).__name__} has no stack of layers to checkpoint.")
        for stack in stacks:
            stack.gradient_checkpointing = enabled

    def enable_input_require_grads(self) -> None:
        """Let the embeddings' output require gradients (frozen backbone with adapters)."""
        hook = self.get_input_embeddings().register_forward_hook(lambda _m, _i, output: output.requires_grad_(True))
        self._require_grads_hook = hook

    def disable_input_require_grads(self) -> None:
        """Undo enable_input_require_grads."""
        self._require_grads_hook.remove()

    def can_generate(self) -> bool:
        """Whether `generate` works with this model."""
        return bool(getattr(self.head, "generates", False))
