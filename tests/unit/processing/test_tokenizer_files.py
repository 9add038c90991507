"""Loading, converting and saving tokenizers, and AutoTokenizer's choice of a class."""

from __future__ import annotations

import importlib
import json

import pytest
import sentencepiece
from tests.unit.processing.tokenizer_samples import (
    TEXTS,
    bert_folder,
    byte_level,
    byte_level_folder,
    configured,
    corpus,
    sentencepiece_folder,
    word_piece,
)

from rayformers.errors import CheckpointError, InputError, InputTypeError, NotFoundError, UnknownNameError
from rayformers.processing import tokenizer_classes
from rayformers.processing.convert.sentence_piece_text import SentencePieces
from rayformers.processing.tokenizer import PreTrainedTokenizerFast
from rayformers.processing.tokenizer_auto import TOKENIZERS, AutoTokenizer
from rayformers.processing.tokenizer_base import PreTrainedTokenizerBase
from rayformers.processing.tokenizer_catalog import BASE_NAMES, MODEL_TYPES, class_names
from rayformers.processing.tokenizer_models.byte_level import GPT2Tokenizer
from rayformers.processing.tokenizer_models.sentence_piece import LlamaTokenizer, T5Tokenizer, XLMRobertaTokenizer
from rayformers.processing.tokenizer_models.word_piece import BertTokenizer


def same(first, second):
    assert first(TEXTS)["input_ids"] == second(TEXTS)["input_ids"]
    assert first.special_tokens_map == second.special_tokens_map
    assert first.get_vocab() == second.get_vocab()
    assert (first.model_max_length, first.padding_side) == (second.model_max_length, second.padding_side)
    assert type(first) is type(second)


def test_vocab_txt_is_converted(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(bert_folder(tmp_path, model_max_length=40))
    assert isinstance(tokenizer, BertTokenizer)
    assert tokenizer(TEXTS)["input_ids"] == [encoding.ids for encoding in word_piece().encode_batch(TEXTS)]
    assert tokenizer.model_max_length == 40
    assert tokenizer.clean_up_tokenization_spaces
    same(BertTokenizer(str(tmp_path / "vocab.txt"), model_max_length=40), tokenizer)


@pytest.mark.parametrize(
    ("name", "single", "pair"),
    [
        ("GPT2Tokenizer", ["the"], ["the", "the"]),
        ("RobertaTokenizer", ["<s>", "the", "</s>"], ["<s>", "the", "</s>", "</s>", "the", "</s>"]),
        ("BartTokenizer", ["<s>", "the", "</s>"], ["<s>", "the", "</s>", "</s>", "the", "</s>"]),
        ("BlenderbotTokenizer", ["the", "</s>"], ["the", "the"]),
        ("DebertaTokenizer", ["[CLS]", "the", "[SEP]"], ["[CLS]", "the", "[SEP]", "the", "[SEP]"]),
        ("Qwen2Tokenizer", ["the"], ["the", "the"]),
        ("GPTNeoXTokenizer", ["the"], ["the", "the"]),
    ],
)
def test_vocab_json_and_merges_are_converted(tmp_path, name, single, pair):
    tokenizer = AutoTokenizer.from_pretrained(byte_level_folder(tmp_path, tokenizer_class=name))
    assert isinstance(tokenizer, TOKENIZERS.get(name))
    assert tokenizer(TEXTS[1], add_special_tokens=False)["input_ids"] == byte_level().encode(TEXTS[1]).ids
    assert tokenizer("the").tokens() == single
    assert tokenizer("the", "the").tokens() == pair
    assert tokenizer.decode(tokenizer(TEXTS[1])["input_ids"], skip_special_tokens=True) == TEXTS[1]
    tokenizer.save_pretrained(tmp_path / "saved")
    same(AutoTokenizer.from_pretrained(tmp_path / "saved"), tokenizer)


@pytest.mark.parametrize(
    ("name", "file", "single"),
    [
        ("T5Tokenizer", "spiece.model", ["▁the", "</s>"]),
        ("XLMRobertaTokenizer", "sentencepiece.bpe.model", ["<s>", "▁the", "</s>"]),
        ("CamembertTokenizer", "sentencepiece.bpe.model", ["<s>", "▁the", "</s>"]),
        ("PegasusTokenizer", "spiece.model", ["▁the", "</s>"]),
        ("AlbertTokenizer", "spiece.model", ["[CLS]", "▁the", "[SEP]"]),
        ("DebertaV2Tokenizer", "spm.model", ["[CLS]", "▁the", "[SEP]"]),
        ("XLNetTokenizer", "spiece.model", ["▁the", "<sep>", "<cls>"]),
    ],
)
def test_unigram_models_are_converted(tmp_path, name, file, single):
    tokenizer = AutoTokenizer.from_pretrained(sentencepiece_folder(tmp_path, file, tokenizer_class=name))
    assert tokenizer("the").tokens() == single
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / file))
    lines = [line.lower() for line in corpus()[:200]]
    known = [line for line in lines if pieces.unk_id() not in pieces.encode(line)]
    assert len(known) > 100
    same_tokens = [tokenizer.tokenize(line) == pieces.encode(line, out_type=str) for line in known]
    assert sum(same_tokens) >= 0.95 * len(known)
    tokenizer.save_pretrained(tmp_path / "saved")
    same(AutoTokenizer.from_pretrained(tmp_path / "saved"), tokenizer)
    assert (tmp_path / "saved" / file).read_bytes() == (tmp_path / file).read_bytes()


@pytest.mark.parametrize("legacy", [True, False])
def test_llama_falls_back_to_bytes(tmp_path, legacy):
    folder = sentencepiece_folder(
        tmp_path, "tokenizer.model", "bpe", {"byte_fallback": True}, tokenizer_class="LlamaTokenizer", legacy=legacy
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, LlamaTokenizer)
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    tokenizer.add_eos_token = True
    assert tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id
    tokenizer.add_bos_token = False
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert (again.add_bos_token, again.add_eos_token) == (False, True)
    assert again("a")["input_ids"] == tokenizer("a")["input_ids"]
    plain = AutoTokenizer.from_pretrained(folder, add_prefix_space=False)
    assert not plain.tokenize("the")[0].startswith("▁")


def test_sentencepiece_text_is_sentencepiece(tmp_path):
    for kind in ("unigram", "bpe"):
        file = sentencepiece_folder(tmp_path, f"{kind}.model", kind) / f"{kind}.model"
        theirs, ours = sentencepiece.SentencePieceProcessor(model_file=str(file)), SentencePieces(file)
        for text in [*TEXTS, " leading", "trailing ▁", "<s> </s> <unk>", *corpus()[:100]]:
            pieces = theirs.encode(text, out_type=str)
            assert ours.encode(text) == pieces
            assert ours.decode(pieces) == theirs.decode_pieces(pieces)


def test_t5_sentinels(tmp_path):
    folder = sentencepiece_folder(tmp_path, "spiece.model", tokenizer_class="T5Tokenizer", extra_ids=5)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, T5Tokenizer)
    assert tokenizer.get_sentinel_tokens() == [f"<extra_id_{index}>" for index in range(5)]
    assert tokenizer.get_sentinel_token_ids() == [504, 503, 502, 501, 500]
    with pytest.raises(InputError, match="sentinels"):
        T5Tokenizer(str(folder / "spiece.model"), extra_ids=3, additional_special_tokens=["<extra_id_0>"])


def test_mask_takes_the_space_before_it(tmp_path):
    folder = sentencepiece_folder(tmp_path, "sentencepiece.bpe.model", tokenizer_class="XLMRobertaTokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, XLMRobertaTokenizer)
    ids = tokenizer("the <mask>", add_special_tokens=False)["input_ids"]
    assert ids == [*tokenizer("the", add_special_tokens=False)["input_ids"], tokenizer.mask_token_id]


def test_files_of_a_saved_tokenizer(tmp_path):
    tokenizer = BertTokenizer(
        tokenizer_object=word_piece(), model_max_length=32, extra_special_tokens={"image_token": "<image>"}
    )
    tokenizer.add_tokens(["gizmo"])
    tokenizer(["a", "b c"], padding="max_length", truncation=True, max_length=7)
    tokenizer.chat_template = {"default": "{{ messages[0].content }}", "tool_use": "tools"}
    paths = tokenizer.save_pretrained(tmp_path)
    assert all(path.startswith(str(tmp_path)) for path in paths)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
        "chat_template.jinja", "additional_chat_templates/tool_use.jinja",
    }  # fmt: skip
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["padding"] is None
    assert saved["truncation"] is None
    assert json.loads((tmp_path / "added_tokens.json").read_text()) == {"<image>": 600, "gizmo": 601}
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "BertTokenizer"
    assert config["extra_special_tokens"] == {"image_token": "<image>"}
    again = AutoTokenizer.from_pretrained(tmp_path, padding_side="left", use_fast=False)
    assert again.image_token_id == 600
    assert again.padding_side == "left"
    assert again.chat_template == tokenizer.chat_template
    assert again("a gizmo <image>")["input_ids"] == tokenizer("a gizmo <image>")["input_ids"]
    with pytest.raises(InputTypeError, match="is a file"):
        tokenizer.save_pretrained(tmp_path / "vocab.txt")


def test_older_folders_without_added_tokens_decoder(tmp_path):
    folder = bert_folder(tmp_path)
    special = {"mask_token": {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False},
               "additional_special_tokens": ["<ent>"]}  # fmt: skip
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "added_tokens.json").write_text(json.dumps({"gizmo": 601, "<ent>": 600}))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(["<ent>", "gizmo"]) == [600, 601]
    assert tokenizer.additional_special_tokens == ["<ent>"]
    assert tokenizer.decode(tokenizer("a <ent> gizmo")["input_ids"], skip_special_tokens=True) == "a gizmo"


def test_the_class_is_found_without_a_tokenizer_class(tmp_path):
    word_piece().save(str(tmp_path / "tokenizer.json"))
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is PreTrainedTokenizerFast
    assert type(AutoTokenizer.from_pretrained(tmp_path / "tokenizer.json")) is PreTrainedTokenizerFast
    (tmp_path / "config.json").write_text('{"model_type": "distilbert"}')
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_input_names == ["input_ids", "attention_mask"]
    assert tokenizer.mask_token == "[MASK]"
    configured(tmp_path, tokenizer_class="SomethingOfMyOwnTokenizer", pad_token="[PAD]")
    assert AutoTokenizer.from_pretrained(tmp_path).pad_token_id == 0
    assert isinstance(AutoTokenizer.from_pretrained(tmp_path, tokenizer_type="bert"), BertTokenizer)


def test_every_class_of_the_tables_exists():
    for name in class_names():
        assert issubclass(getattr(tokenizer_classes, name), PreTrainedTokenizerBase)
    for module, names in BASE_NAMES.items():
        for name in names:
            assert hasattr(importlib.import_module(f"rayformers.{module}"), name)
    with pytest.raises(AttributeError, match="NoTokenizer"):
        _ = tokenizer_classes.NoTokenizer
    for name in TOKENIZERS:
        assert hasattr(TOKENIZERS.get(name), "from_pretrained")
    for name in MODEL_TYPES.values():
        assert f"{name}Tokenizer" in TOKENIZERS


def test_a_class_of_ones_own(tmp_path):
    class MineTokenizer(GPT2Tokenizer):
        """GPT-2's with another name."""

    AutoTokenizer.register("mine", fast_tokenizer_class=MineTokenizer, exist_ok=True)
    byte_level().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text('{"model_type": "mine"}')
    assert isinstance(AutoTokenizer.from_pretrained(tmp_path), MineTokenizer)
    with pytest.raises(InputError, match="exist_ok"):
        AutoTokenizer.register("bert", fast_tokenizer_class=MineTokenizer)
    with pytest.raises(InputTypeError, match="from_pretrained"):
        AutoTokenizer()


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"looked for tokenizer\.json"):
        AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(NotFoundError, match=r"BertTokenizer reads vocab\.txt, tokenizer\.json|reads tokenizer\.json"):
        BertTokenizer.from_pretrained(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'bert'"):
        AutoTokenizer.from_pretrained(tmp_path, tokenizer_type="bertt")
    configured(tmp_path, tokenizer_class="BertTokeniser")
    with pytest.raises(NotFoundError, match="Did you mean 'BertTokenizer'"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", ')
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_broken_vocabularies_are_named(tmp_path):
    folder = sentencepiece_folder(tmp_path, "spiece.model", tokenizer_class="T5Tokenizer")
    whole = (folder / "spiece.model").read_bytes()
    for broken in (whole[: len(whole) // 2 + 1], b"", b"\x0f\x0f"):
        (folder / "spiece.model").write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"spiece\.model"):
            AutoTokenizer.from_pretrained(folder)
    folder = byte_level_folder(tmp_path, tokenizer_class="GPT2Tokenizer")
    (folder / "merges.txt").write_text("#version: 0.2\na b c\n")
    with pytest.raises(CheckpointError, match=r"merges\.txt, line 2"):
        AutoTokenizer.from_pretrained(folder)
    (folder / "vocab.json").write_text('{"a": "b"}')
    with pytest.raises(CheckpointError, match=r"vocab\.json"):
        AutoTokenizer.from_pretrained(folder)
    with pytest.raises(InputError, match=r"merges\.txt"):
        GPT2Tokenizer(str(folder / "vocab.json"))
