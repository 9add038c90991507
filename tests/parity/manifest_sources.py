"""Public checkpoints whose tensors tests/manifests lists: the class they were saved from, and their configuration."""

from __future__ import annotations

from typing import Any

from tests.parity.manifest_sources_decoders import DECODERS

Sources = dict[str, tuple[str, dict[str, Any]]]

_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
_MINI = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
_ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_DEBERTA = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"], "num_labels": 3}
_DEBERTA_V2 = {**_DEBERTA, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True}

ENCODERS: Sources = {
    "bert-base-uncased": ("BertForPreTraining", {}),
    "bert-large-cased": ("BertForPreTraining", {**_LARGE, "vocab_size": 28996}),
    "bert-base-ner": ("BertForTokenClassification", {"vocab_size": 28996, "num_labels": 9}),
    "all-minilm-l6-v2": ("BertModel", _MINI),
    "distilbert-base-uncased": ("DistilBertForMaskedLM", {}),
    "distilbert-base-uncased-finetuned-sst-2-english": ("DistilBertForSequenceClassification", {"num_labels": 2}),
    "distilbert-base-cased-distilled-squad": ("DistilBertForQuestionAnswering", {"vocab_size": 28996}),
    "roberta-base": ("RobertaForMaskedLM", _ROBERTA),
    "roberta-large-mnli": ("RobertaForSequenceClassification", {**_ROBERTA, **_LARGE, "num_labels": 3}),
    "xlm-roberta-base": ("XLMRobertaForMaskedLM", {**_ROBERTA, "vocab_size": 250002}),
    "camembert-base": ("CamembertForMaskedLM", {**_ROBERTA, "vocab_size": 32005}),
    "albert-base-v2": ("AlbertForMaskedLM", {**_BASE, "embedding_size": 128}),
    "electra-small-discriminator": ("ElectraForPreTraining", {}),
    "electra-base-generator": ("ElectraForMaskedLM", {"embedding_size": 768}),
    "deberta-base-mnli": ("DebertaForSequenceClassification", _DEBERTA),
    "deberta-v3-base-mnli": ("DebertaV2ForSequenceClassification", {**_DEBERTA_V2, **_BASE}),
    "deberta-v2-xlarge": (
        "DebertaV2Model", {**_DEBERTA_V2, "conv_kernel_size": 3, "conv_act": "gelu", "attention_head_size": 64},
    ),
    "mpnet-base": ("MPNetForMaskedLM", {"max_position_embeddings": 514, "layer_norm_eps": 1e-5}),
    "all-mpnet-base-v2": ("MPNetModel", {"max_position_embeddings": 514, "layer_norm_eps": 1e-5}),
    "modernbert-base": ("ModernBertForMaskedLM", {}),
    "tapas-base-finetuned-wtq": ("TapasForQuestionAnswering", {"num_aggregation_labels": 4}),
    "tapas-base-finetuned-tabfact": ("TapasForSequenceClassification", {"num_labels": 2}),
    "vit-base-patch16-224": ("ViTForImageClassification", {"num_labels": 1000}),
    "vit-base-patch16-224-in21k": ("ViTModel", {}),
}  # fmt: skip

_T5_BASE = {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
_GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def _halves(layers: int, decoder_layers: int | None = None, *, heads: int = 16, hidden: int = 4096) -> dict[str, Any]:
    """Keys of the BART family for both halves."""
    return {
        "encoder_layers": layers, "decoder_layers": decoder_layers or layers, "encoder_attention_heads": heads,
        "decoder_attention_heads": heads, "encoder_ffn_dim": hidden, "decoder_ffn_dim": hidden,
    }  # fmt: skip


_BART_BASE = {**_halves(6, heads=12, hidden=3072), "d_model": 768}
_OPUS = {**_halves(6, heads=8, hidden=2048), "d_model": 512, "max_position_embeddings": 512}

SEQ2SEQ: Sources = {
    "t5-small": ("T5ForConditionalGeneration", {}),
    "t5-base": ("T5ForConditionalGeneration", {**_T5_BASE, "d_ff": 3072}),
    "flan-t5-base": ("T5ForConditionalGeneration", {**_T5_BASE, **_GATED}),
    "t5-v1_1-base-encoder": ("T5EncoderModel", {**_T5_BASE, **_GATED}),
    "mt5-small": ("MT5ForConditionalGeneration", {"tie_word_embeddings": False}),
    "umt5-small": ("UMT5ForConditionalGeneration", {"tie_word_embeddings": False}),
    "bart-base": ("BartModel", _BART_BASE),
    "bart-large-cnn": ("BartForConditionalGeneration", {"vocab_size": 50264}),
    "bart-large-mnli": ("BartForSequenceClassification", {"num_labels": 3}),
    "mbart-large-cc25": ("MBartForConditionalGeneration", {"vocab_size": 250027}),
    "mbart-large-50-many-to-many-mmt": ("MBartForConditionalGeneration", {"vocab_size": 250054}),
    "pegasus-xsum": (
        "PegasusForConditionalGeneration", {**_halves(16), "vocab_size": 96103, "max_position_embeddings": 512},
    ),
    "opus-mt-en-de": ("MarianMTModel", {**_OPUS, "vocab_size": 58101, "pad_token_id": 58100}),
    "m2m100_418m": ("M2M100ForConditionalGeneration", {}),
    "nllb-200-distilled-600m": ("M2M100ForConditionalGeneration", {"vocab_size": 256206}),
    "blenderbot-400m-distill": (
        "BlenderbotForConditionalGeneration", {**_halves(2, 12, heads=32, hidden=5120), "d_model": 1280},
    ),
    "blenderbot_small-90m": ("BlenderbotSmallForConditionalGeneration", {"vocab_size": 54944}),
}  # fmt: skip

SOURCES: Sources = {**SEQ2SEQ, **ENCODERS, **DECODERS}
