"""A case of the parity tests: one architecture in one size, with inputs and labels for its heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from rayformers.models.registry import architecture

Inputs = dict[str, Any]
BATCH, LENGTH, LABELS = 3, 9, 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One architecture in one size.

    Args:
        model_type: as in the catalog; the reference's classes have the same names.
        config: keys of the tiny configuration, for both.
        heads: suffixes of the classes to compare; default: all that the architecture registers.
        kind: "encoder", "decoder" (right-padded batches, caches) or "seq2seq".
        inputs: (generator, configuration) -> inputs; default: token ids with a padding mask.
        head_inputs: suffix -> function that changes those inputs for one head (generator, configuration, inputs).
        name: what the tests are called after; default: the model_type.
        atol, rtol: of outputs in float32.
        skip: names of checks that do not apply.
        last_state: whether the last recorded state is compared; version 4 of the reference gives some models' before
            the final norm, version 5 after it, and ours is version 4's.
    """

    model_type: str
    config: Mapping[str, Any]
    heads: tuple[str, ...] = ()
    kind: str = "encoder"
    inputs: Callable[[torch.Generator, Any], Inputs] | None = None
    head_inputs: Mapping[str, Callable[[torch.Generator, Any, Inputs], Inputs]] = field(default_factory=dict)
    name: str = ""
    atol: float = 2e-5
    rtol: float = 1e-4
    skip: tuple[str, ...] = ()
    last_state: bool = True

    def suffixes(self) -> tuple[str, ...]:
        """The classes to compare."""
        return self.heads or ("Model", *architecture(self.model_type).heads)


def text_inputs(random: torch.Generator, config: Any, kind: str = "encoder") -> Inputs:
    """Token ids [B, T] and a mask that hides the end of some rows; for seq2seq also the decoder's."""
    low = 1 + max(
        (i for i in (config.pad_token_id, getattr(config, "eos_token_id", None)) if isinstance(i, int)), default=0
    )
    low = min(low, config.vocab_size // 2)
    ids = torch.randint(low, config.vocab_size, (BATCH, LENGTH), generator=random)
    mask = torch.ones_like(ids)
    for row, hidden in enumerate((0, 2, 4)):
        if hidden:
            mask[row, -hidden:] = 0
            if config.pad_token_id is not None and config.pad_token_id >= 0:
                ids[row, -hidden:] = config.pad_token_id
    inputs = {"input_ids": ids, "attention_mask": mask}
    if kind == "seq2seq":
        inputs["decoder_input_ids"] = torch.randint(low, config.vocab_size, (BATCH, LENGTH - 2), generator=random)
    return inputs


def labels_for(suffix: str, random: torch.Generator, config: Any, inputs: Inputs) -> Inputs:
    """What a head of this kind needs to compute its loss."""
    ids = inputs.get("input_ids")
    length = LENGTH if ids is None else ids.shape[-1]
    if suffix in (
        "ForSequenceClassification",
        "ForImageClassification",
        "ForNextSentencePrediction",
        "ForMultipleChoice",
    ):
        count = 2 if suffix in ("ForNextSentencePrediction", "ForMultipleChoice") else config.num_labels
        return {"labels": torch.randint(0, count, (BATCH,), generator=random)}
    if suffix == "ForTokenClassification":
        labels = torch.randint(0, config.num_labels, (BATCH, length), generator=random)
        labels[:, 0] = -100
        return {"labels": labels}
    if suffix in ("ForQuestionAnswering", "ForQuestionAnsweringSimple"):
        return {
            name: torch.randint(0, length, (BATCH,), generator=random) for name in ("start_positions", "end_positions")
        }
    if suffix in ("ForMaskedLM", "LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "MTModel"):
        length = inputs["decoder_input_ids"].shape[-1] if "decoder_input_ids" in inputs else length
        labels = torch.randint(0, config.vocab_size, (BATCH, length), generator=random)
        labels[:, :2] = -100
        return {"labels": labels}
    return {}
