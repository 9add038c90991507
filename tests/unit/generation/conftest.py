"""A tiny decoder, a tiny encoder-decoder and a real tokenizer for the tests of generation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import rayformers

DECODER = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
SEQ2SEQ = {
    "vocab_size": 97, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "eos_token_id": 1,
    "pad_token_id": 0, "decoder_start_token_id": 0,
}  # fmt: skip


def made(model_type: str, auto: str, values: dict[str, Any], seed: int = 0) -> Any:
    """A model whose weights are wide, so that likely tokens differ from position to position."""
    torch.manual_seed(seed)
    model = getattr(rayformers, auto).from_config(rayformers.AutoConfig.for_model(model_type, **values))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.4)
    return model.eval()


@pytest.fixture(scope="session")
def decoder() -> Any:
    return made("llama", "AutoModelForCausalLM", DECODER)


@pytest.fixture(scope="session")
def make() -> Any:
    """Makes decoders: make(model_type="llama", seed=0, **configuration)."""

    def build(model_type: str = "llama", seed: int = 0, **values: Any) -> Any:
        common = DECODER if model_type == "llama" else {}
        return made(model_type, "AutoModelForCausalLM", {**common, **values}, seed)

    return build


@pytest.fixture(scope="session")
def draft() -> Any:
    return made("llama", "AutoModelForCausalLM", {**DECODER, "num_hidden_layers": 1}, seed=5)


@pytest.fixture(scope="session")
def seq2seq() -> Any:
    return made("t5", "AutoModelForSeq2SeqLM", SEQ2SEQ)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level BPE, trained on a sentence."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(["the quick brown fox jumps over the lazy dog. stop here, stopper; stops"] * 3, trainer)
    return rayformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


@pytest.fixture
def prompts() -> dict[str, torch.Tensor]:
    """Two texts of different length, padded on the left."""
    return {
        "input_ids": torch.tensor([[5, 9, 33, 17, 60], [0, 0, 41, 8, 12]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]),
    }
