"""Tiny models with fresh weights and small real tokenizers, one pipeline for each text task."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from tests.unit.processing.tokenizer_samples import byte_level, word_piece

from rayformers import AutoConfig, pipeline
from rayformers.models import auto
from rayformers.processing.tokenizer import PreTrainedTokenizerFast

BERT_TOKENS = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"
}  # fmt: skip
ENCODER = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 160, "initializer_range": 0.4, "hidden_dropout_prob": 0.0,
}  # fmt: skip
SEQ2SEQ = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 160, "init_std": 0.4,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None,
}  # fmt: skip
MAX_TOKENS = 160
WORDS = " ".join(topics[name] for name in sorted(topics)[:4]).split()


def sentence(words: int, start: int = 0) -> str:
    """A text of so many words of real prose."""
    place = start % (len(WORDS) - words)
    return " ".join(WORDS[place : place + words])


@cache
def bert_tokenizer() -> Any:
    return PreTrainedTokenizerFast(
        tokenizer_object=word_piece(), model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"], **BERT_TOKENS,
    )  # fmt: skip


@cache
def gpt_tokenizer() -> Any:
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=byte_level(), model_max_length=MAX_TOKENS, **special)


def fresh(name: str, model_type: str, **fields: Any) -> Any:
    """A model of an Auto class with fresh weights, always the same."""
    torch.manual_seed(11)
    return auto.auto_class(name).from_config(AutoConfig.for_model(model_type, **fields)).eval()


@cache
def bert(name: str, **fields: Any) -> Any:
    labels = fields.pop("labels", None)
    if labels:
        fields |= {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}}
    return fresh(name, "bert", vocab_size=len(bert_tokenizer()), **ENCODER, **fields)


@cache
def decoder(model_type: str) -> Any:
    if model_type == "gpt2":
        fields: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": MAX_TOKENS}
    else:
        fields = {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 64, "max_position_embeddings": MAX_TOKENS,
        }  # fmt: skip
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    size = len(gpt_tokenizer())
    return fresh("AutoModelForCausalLM", model_type, vocab_size=size, initializer_range=0.4, **fields, **ids)


@cache
def encoder_decoder(model_type: str) -> Any:
    size = len(gpt_tokenizer())
    if model_type == "t5":
        return fresh(
            "AutoModelForSeq2SeqLM", "t5", vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
            pad_token_id=1, eos_token_id=2, decoder_start_token_id=1, initializer_factor=0.6,
        )  # fmt: skip
    return fresh("AutoModelForSeq2SeqLM", model_type, vocab_size=size, **SEQ2SEQ)


CLASSES = ("negative", "neutral", "positive")
GREEDY = {"max_new_tokens": 6, "do_sample": False, "num_beams": 1}


@cache
def text_pipeline(kind: str) -> Any:
    """A pipeline by a row of TASKS below."""
    return BUILDERS[kind]()


def _pipe(task: str, model: Any, tokenizer: Any, **options: Any) -> Any:
    return pipeline(task, model=model, tokenizer=tokenizer, **options)


BUILDERS: dict[str, Any] = {
    "text-classification": lambda: _pipe(
        "text-classification", bert("AutoModelForSequenceClassification", labels=CLASSES), bert_tokenizer(), top_k=None
    ),
    "token-classification": lambda: _pipe(
        "ner", bert("AutoModelForTokenClassification", labels=("O", "B-PER", "I-PER", "B-LOC")), bert_tokenizer()
    ),
    "question-answering": lambda: _pipe(
        "question-answering", bert("AutoModelForQuestionAnswering"), bert_tokenizer(), max_seq_len=48, doc_stride=8
    ),
    "fill-mask": lambda: _pipe("fill-mask", bert("AutoModelForMaskedLM"), bert_tokenizer()),
    "zero-shot-classification": lambda: _pipe(
        "zero-shot-classification",
        bert("AutoModelForSequenceClassification", labels=("contradiction", "neutral", "entailment")),
        bert_tokenizer(),
        candidate_labels=["classes", "numbers", "the with statement"],
    ),
    "feature-extraction": lambda: _pipe("feature-extraction", bert("AutoModel"), bert_tokenizer()),
    "text-generation gpt2": lambda: _pipe("text-generation", decoder("gpt2"), gpt_tokenizer(), **GREEDY),
    "text-generation llama": lambda: _pipe("text-generation", decoder("llama"), gpt_tokenizer(), **GREEDY),
    "text2text-generation": lambda: _pipe("text2text-generation", encoder_decoder("t5"), gpt_tokenizer(), **GREEDY),
    "summarization": lambda: _pipe("summarization", encoder_decoder("bart"), gpt_tokenizer(), **GREEDY),
    "translation": lambda: _pipe("translation_en_to_fr", encoder_decoder("t5"), gpt_tokenizer(), **GREEDY),
}
KINDS = tuple(BUILDERS)


def example(kind: str, words: int, start: int = 0) -> Any:
    """An input for a kind of pipeline, of so many words."""
    text = sentence(words, start)
    if kind == "fill-mask":
        return f"{text} [MASK]."
    return {"question": "What is a class?", "context": text} if kind == "question-answering" else text


def folder_of(kind: str, folder: Path) -> Path:
    """The pipeline of a kind, saved."""
    text_pipeline(kind).save_pretrained(folder)
    return folder
