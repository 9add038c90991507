"""How each architecture lays out the vocabulary of its SentencePiece model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers

from .language_codes import MBART, MBART_50
from .sentence_piece import UNDERLINE, Scores, assemble, plain_scores, prepend_scheme
from .sentencepiece_file import SentencePieceFile, read_sentencepiece

_FAIRSEQ: Scores = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]

Settings = Mapping[str, Any]


def _read(vocab_file: Any) -> SentencePieceFile:
    return read_sentencepiece(Path(vocab_file))


def plain(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """The model as it is in the file."""
    return assemble(_read(vocab_file), settings)


def t5(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """T5: sentinels <extra_id_N> after the pieces, the last one first."""
    model = _read(vocab_file)
    count = settings.get("extra_ids", 100)
    sentinels = [(f"<extra_id_{index}>", 0.0) for index in range(count - 1, -1, -1)]
    return assemble(model, settings, plain_scores(model) + sentinels)


def xlm_roberta(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """XLM-RoBERTa: fairseq's four special tokens first, <mask> last."""
    model = _read(vocab_file)
    return assemble(model, settings, [*_FAIRSEQ, *plain_scores(model, 3), ("<mask>", 0.0)], unk_id=3)


def mbart(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """mBART: as XLM-RoBERTa, with 25 languages before <mask>."""
    return _with_languages(_read(vocab_file), settings, MBART)


def mbart50(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """mBART-50: as mBART, with 52 languages."""
    return _with_languages(_read(vocab_file), settings, MBART_50)


def _with_languages(model: SentencePieceFile, settings: Settings, languages: tuple[str, ...]) -> Tokenizer:
    codes = [(code, 0.0) for code in languages]
    return assemble(model, settings, [*_FAIRSEQ, *plain_scores(model, 3), *codes, ("<mask>", 0.0)], unk_id=3)


def nllb(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """NLLB: fairseq's special tokens first; languages are added tokens."""
    model = _read(vocab_file)
    return assemble(model, settings, [*_FAIRSEQ, *plain_scores(model, 3)], unk_id=3)


def camembert(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """CamemBERT: five special tokens first; the file's own <unk> is left unused."""
    model = _read(vocab_file)
    first: Scores = [
        ("<s>NOTUSED", 0.0),
        ("<pad>", 0.0),
        ("</s>NOTUSED", 0.0),
        ("<unk>", 0.0),
        ("<unk>NOTUSED", -100.0),
    ]
    return assemble(model, settings, [*first, *plain_scores(model, 1), ("<mask>", 0.0)], unk_id=3)


def pegasus(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """Pegasus: `offset` special tokens first, among them the masks of sentences and of words."""
    model = _read(vocab_file)
    offset = settings.get("offset", 103)
    first: Scores = [(str(settings["pad_token"]), 0.0), (str(settings["eos_token"]), 0.0)]
    for name in ("mask_token_sent", "mask_token"):
        if settings.get(name) is not None:
            first.append((str(settings[name]), 0.0))
    first += [(f"<unk_{index}>", -100.0) for index in range(2, offset)]
    tokenizer = assemble(model, settings, [*first, *plain_scores(model, 2)], unk_id=model.unk_id + offset)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=UNDERLINE, prepend_scheme=prepend_scheme(settings)),
        ]
    )
    return tokenizer


def albert(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """ALBERT and XLNet: quotes, accents and case are normalised; pieces such as "9," are avoided."""
    model = _read(vocab_file)
    scores = [(text, score - 100 if _number_and_comma(text) else score) for text, score in plain_scores(model)]
    tokenizer = assemble(model, settings, scores)
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.get("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _number_and_comma(text: str) -> bool:
    return len(text) >= 2 and text[-1] == "," and text[-2].isdigit()


def deberta_v2(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """DeBERTa-v2 and v3."""
    model = _read(vocab_file)
    tokenizer = assemble(model, settings)
    steps: list[Any] = [normalizers.Lowercase()] if settings.get("do_lower_case", False) else []
    steps.append(normalizers.Strip())
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    tokenizer.normalizer = normalizers.Sequence(steps)
    words = [pre_tokenizers.Punctuation(behavior="isolated")] if settings.get("split_by_punct", False) else []
    metaspace = pre_tokenizers.Metaspace(replacement=UNDERLINE, prepend_scheme=prepend_scheme(settings))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*words, metaspace])
    return tokenizer


def llama(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """Llama, Mistral and Phi-3: bytes for unknown characters; `legacy` and `add_prefix_space` say where spaces go."""
    model = _read(vocab_file)
    first = [(piece.text, 0.0) for piece in model.pieces[:3]]
    tokenizer = assemble(model, settings, first + plain_scores(model, 3), unk_id=0, byte_fallback=True)
    prefix = settings.get("add_prefix_space") is not False
    tokenizer.decoder = _byte_decoder(strip=prefix)
    if settings.get("legacy") in (None, True):
        steps = [normalizers.Prepend(UNDERLINE)] if prefix else []
        tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", UNDERLINE)])
        tokenizer.pre_tokenizer = None  # type: ignore[assignment]
    else:
        tokenizer.normalizer = None  # type: ignore[assignment]
        scheme = prepend_scheme(settings)
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=UNDERLINE, prepend_scheme=scheme, split=False)
    return tokenizer


def gemma(vocab_file: Any, settings: Settings, **_: Any) -> Tokenizer:
    """Gemma: bytes for unknown characters, no space before a text."""
    model = _read(vocab_file)
    first = [(str(settings[name]), 0.0) for name in ("pad_token", "eos_token", "bos_token")]
    scores = first + plain_scores(model, 3)
    texts = [text for text, _ in scores]
    extra: dict[str, int] = {}
    if "\t" not in texts and "<0x09>" in texts:
        # The first Gemma files lack the tab, which took the place of its byte.
        place = texts.index("<0x09>")
        scores[place] = ("\t", 0.0)
        extra = {"\t": place}
    tokenizer = assemble(
        model, settings, scores, unk_id=3, byte_fallback=True,
        special=("<start_of_turn>", "<end_of_turn>"), extra_pieces=extra,
    )  # fmt: skip
    tokenizer.normalizer = normalizers.Replace(" ", UNDERLINE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = _byte_decoder(strip=False)
    return tokenizer


def _byte_decoder(strip: bool) -> Any:
    steps: list[Any] = [decoders.Replace(UNDERLINE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(content=" ", left=1)] if strip else steps)
