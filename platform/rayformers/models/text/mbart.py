"""mBART (Liu et al. 2020, arXiv:2001.08210): a multilingual BART with norms before each branch.

Hub: facebook/mbart-large-cc25, facebook/mbart-large-50-many-to-many-mmt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from ..registry import register
from .bart import CAUSAL, UNDERSTANDING, BartBase, Parts, family, learned, lm_head
from .seq2seq import wrap_right


@dataclass(kw_only=True, init=False, repr=False)
class MBartConfig(BartBase):
    """config.json of mBART."""

    model_type: ClassVar[str] = "mbart"

    classifier_dropout: float = 0.0
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    forced_eos_token_id: int | list[int] | None = 2


PARTS = Parts(
    pre_norm=True, embedding_norm=True, positions=partial(learned, offset=2), shift=wrap_right, shifts_inputs=True
)
HEADS = {
    "ForConditionalGeneration": replace(lm_head(), also=("AutoModelForMaskedLM",)),
    "ForCausalLM": CAUSAL,
    **UNDERSTANDING,
}

register("mbart", family(MBartConfig, PARTS, heads=HEADS))
