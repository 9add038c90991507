"""Fields of the guides' TrainingArguments that this version knows and does not carry out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class NotYetSupported(Config):
    """Documented fields that are accepted at values that ask for nothing, and refused at all others."""

    accelerator_config: Any = None
    adafactor: Any = False
    auto_find_batch_size: Any = False
    average_tokens_across_devices: Any = True
    batch_eval_metrics: Any = False
    bf16_full_eval: Any = False
    dataloader_num_workers: Any = 0
    dataloader_persistent_workers: Any = False
    ddp_backend: Any = None
    ddp_bucket_cap_mb: Any = None
    ddp_broadcast_buffers: Any = None
    ddp_find_unused_parameters: Any = None
    ddp_timeout: Any = 1800
    debug: Any = ""
    deepspeed: Any = None
    do_eval: Any = True
    do_predict: Any = False
    do_train: Any = True
    eval_accumulation_steps: Any = None
    eval_delay: Any = 0
    eval_do_concat_batches: Any = True
    eval_use_gather_object: Any = False
    fp16_full_eval: Any = False
    fsdp: Any = None
    fsdp_config: Any = None
    full_determinism: Any = False
    gradient_checkpointing_kwargs: Any = None
    group_by_length: Any = False
    hub_always_push: Any = False
    hub_model_id: Any = None
    hub_private_repo: Any = None
    hub_revision: Any = None
    hub_strategy: Any = "every_save"
    hub_token: Any = None
    ignore_data_skip: Any = False
    include_for_metrics: Any = None
    include_num_input_tokens_seen: Any = False
    include_tokens_per_second: Any = False
    label_smoothing_factor: Any = 0
    length_column_name: Any = "length"
    log_level: Any = "passive"
    log_level_replica: Any = "warning"
    log_on_each_node: Any = True
    logging_dir: Any = None
    logging_nan_inf_filter: Any = True
    neftune_noise_alpha: Any = None
    optim: Any = "adamw_torch"
    optim_args: Any = None
    optim_target_modules: Any = None
    prediction_loss_only: Any = False
    push_to_hub: Any = False
    remove_unused_columns: Any = True
    restore_callback_states_from_checkpoint: Any = False
    save_on_each_node: Any = False
    save_only_model: Any = False
    save_safetensors: Any = True
    skip_memory_metrics: Any = True
    tf32: Any = None
    torch_compile: Any = False
    torch_compile_backend: Any = None
    torch_compile_mode: Any = None
    torch_empty_cache_steps: Any = None
    use_liger_kernel: Any = False
    generation_config: Any = None
    generation_max_length: Any = None
    generation_num_beams: Any = None
    predict_with_generate: Any = False
    sortish_sampler: Any = False


HARMLESS: dict[str, tuple[Any, ...]] = {
    "average_tokens_across_devices": (True, False),
    "ddp_find_unused_parameters": (None, False),
    "debug": ("", []),
    "do_eval": (True, False),
    "do_train": (True, False),
    "fsdp": (None, "", []),
    "include_for_metrics": ([], None),
    "include_num_input_tokens_seen": (False, "no"),
    "label_smoothing_factor": (0, 0.0),
    "optim": ("adamw_torch", "adamw_torch_fused"),
    "remove_unused_columns": (True, False),
}
"""Values beside the default that ask for nothing either."""

NAMES = frozenset(field.name for field in dataclasses.fields(NotYetSupported))


def refuse(name: str, value: Any) -> None:
    """Raise ConfigError unless `value` asks for nothing."""
    default = next(field.default for field in dataclasses.fields(NotYetSupported) if field.name == name)
    accepted = HARMLESS.get(name, (default,))
    if not any(value == harmless and type(value) is type(harmless) for harmless in accepted):
        raise ConfigError(
            f"TrainingArguments.{name} = {value!r} is not supported by this version; leave it out "
            f"(accepted: {', '.join(map(repr, accepted))})."
        )
