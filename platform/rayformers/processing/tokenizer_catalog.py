"""Which tokenizer classes there are, and which model types use them. Nothing is imported here."""

from __future__ import annotations

PLACES: dict[str, tuple[str, ...]] = {
    "tokenizer_models.word_piece": (
        "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MPNetTokenizer", "LayoutLMTokenizer",
        "MobileBertTokenizer", "ConvBertTokenizer",
    ),
    "tokenizer_models.byte_level": (
        "GPT2Tokenizer", "RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer",
        "BlenderbotTokenizer", "DebertaTokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizer", "BloomTokenizer",
        "CohereTokenizer", "CLIPTokenizer",
    ),
    "tokenizer_models.sentence_piece": (
        "T5Tokenizer", "XLMRobertaTokenizer", "CamembertTokenizer", "PegasusTokenizer", "AlbertTokenizer",
        "DebertaV2Tokenizer", "XLNetTokenizer", "LlamaTokenizer", "GemmaTokenizer",
    ),
    "tokenizer_models.translation": ("MBartTokenizer", "MBart50Tokenizer", "NllbTokenizer"),
    "tokenizer_models.marian": ("MarianTokenizer",),
    "tokenizer_models.m2m_100": ("M2M100Tokenizer",),
    "tokenizer_models.tapas": ("TapasTokenizer",),
}  # fmt: skip
"""Tokenizer classes by the module of this package that holds them."""

MODEL_TYPES: dict[str, str] = {
    "albert": "Albert", "bart": "Bart", "bert": "Bert", "blenderbot": "Blenderbot", "bloom": "Bloom",
    "camembert": "Camembert", "clip": "CLIP", "codegen": "GPT2", "cohere": "Cohere", "cohere2": "Cohere",
    "convbert": "ConvBert", "deberta": "Deberta", "deberta-v2": "DebertaV2", "distilbert": "DistilBert",
    "electra": "Electra", "gemma": "Gemma", "gemma2": "Gemma", "gemma3": "Gemma", "gemma3_text": "Gemma",
    "gpt2": "GPT2", "gpt_neo": "GPT2", "gpt_neox": "GPTNeoX", "gptj": "GPT2", "layoutlm": "LayoutLM", "led": "LED",
    "llama": "Llama", "longformer": "Longformer", "m2m_100": "M2M100", "mamba": "GPTNeoX", "marian": "Marian",
    "mbart": "MBart", "mistral": "Llama", "mixtral": "Llama", "mobilebert": "MobileBert", "mpnet": "MPNet",
    "mpt": "GPTNeoX", "mt5": "T5", "nllb": "Nllb", "nllb-moe": "Nllb", "olmo": "GPTNeoX", "olmo2": "GPTNeoX",
    "opt": "GPT2", "pegasus": "Pegasus", "phi": "GPT2", "phi3": "Llama", "qwen2": "Qwen2", "qwen2_moe": "Qwen2",
    "qwen3": "Qwen2", "qwen3_moe": "Qwen2", "roberta": "Roberta", "stablelm": "GPTNeoX", "t5": "T5", "tapas": "Tapas",
    "umt5": "T5", "xlm-roberta": "XLMRoberta", "xlm-roberta-xl": "XLMRoberta", "xlnet": "XLNet",
}  # fmt: skip
"""Tokenizer classes by model_type, without "Tokenizer"; used where tokenizer_config.json names no class."""

ALIASES = {
    "MT5Tokenizer": "T5Tokenizer",
    "LlamaTokenizerLegacy": "LlamaTokenizer",
    "TokenizersBackend": "PreTrainedTokenizer",
}
"""Class names that stand for another one, in files of this library and of others."""

BASE_NAMES: dict[str, tuple[str, ...]] = {
    "processing.batch_encoding": ("BatchEncoding", "CharSpan", "TensorType", "TokenSpan"),
    "processing.encode_options": ("PaddingStrategy", "TruncationStrategy"),
    "processing.special_tokens": ("AddedToken", "SpecialTokensMixin"),
    "processing.tokenizer": ("PreTrainedTokenizerFast",),
    "processing.tokenizer_auto": ("AutoTokenizer",),
    "processing.tokenizer_base": ("PreTrainedTokenizerBase",),
    "processing.tokenizer_python": ("PreTrainedTokenizer",),
}
"""Public names beside the models' classes, by module of the package."""


def plain_name(name: str) -> str:
    """A class name without "Fast", which the reference gives to what is the only kind here."""
    name = name.removesuffix("Fast")
    return ALIASES.get(name, name)


def class_names() -> tuple[str, ...]:
    """The names of the models' tokenizer classes, each also with "Fast"; `tokenizer_classes` has them all."""
    names = [name for names in PLACES.values() for name in names]
    return (*names, *(f"{name}Fast" for name in names), *ALIASES)
