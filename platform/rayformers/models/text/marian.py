"""Marian (Junczys-Dowmunt et al. 2018, arXiv:1804.00344): translation models of the OPUS-MT project.

Hub: Helsinki-NLP/opus-mt-en-de.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn

from ...errors import ConfigError
from ..registry import register
from ..seq2seq_heads import Seq2SeqLM
from .bart import CAUSAL, BartBase, BartMethods, Parts, family, lm_head
from .pegasus import COMPUTED, SINUSOIDS, table


@dataclass(kw_only=True, init=False, repr=False)
class MarianConfig(BartBase):
    """config.json of Marian."""

    model_type: ClassVar[str] = "marian"

    vocab_size: int = 58101
    decoder_vocab_size: int | None = None
    share_encoder_decoder_embeddings: bool = True
    pad_token_id: int | None = 58100
    eos_token_id: int | list[int] | None = 0
    decoder_start_token_id: int | None = 58100
    forced_eos_token_id: int | list[int] | None = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.decoder_vocab_size = self.decoder_vocab_size or self.vocab_size
        if self.share_encoder_decoder_embeddings and self.decoder_vocab_size != self.vocab_size:
            raise ConfigError(
                f"decoder_vocab_size is {self.decoder_vocab_size}, vocab_size {self.vocab_size}: embeddings of "
                "different sizes cannot be shared. Set share_encoder_decoder_embeddings to false or make them equal."
            )


class MarianMethods(BartMethods):
    """Vocabularies that are shared grow together; of separate ones only the encoder's does."""

    def _resize_output(self, rows: int, *args: Any) -> None:
        if self.config.share_encoder_decoder_embeddings:
            super()._resize_output(rows, *args)  # type: ignore[misc]
            self.config.decoder_vocab_size = rows


def _separate(config: Any) -> bool:
    return not config.share_encoder_decoder_embeddings


def _language(config: Any, parts: nn.Module) -> Seq2SeqLM:
    return Seq2SeqLM(config, parts, rows=config.decoder_vocab_size, logits_bias=True)


PARTS = Parts(positions=table, scaled_embedding=False, separate=_separate)
HEADS = {"MTModel": replace(lm_head(_language), unsaved=COMPUTED[:1]), "ForCausalLM": CAUSAL}

register("marian", family(MarianConfig, PARTS, SINUSOIDS, computed=COMPUTED, heads=HEADS, mixins=(MarianMethods,)))
