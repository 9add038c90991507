"""Tokenizers of translation models: languages, targets, two vocabularies."""

from __future__ import annotations

import json

import pytest
from tests.unit.processing.tokenizer_samples import configured, sentencepiece_folder, sentencepiece_model

from rayformers.errors import CheckpointError, InputError
from rayformers.processing.tokenizer_auto import AutoTokenizer
from rayformers.processing.tokenizer_models.marian import MarianTokenizer


def pieces_of(model: bytes, folder) -> list[str]:
    from rayformers.processing.convert.sentencepiece_file import read_sentencepiece

    (folder / "probe.model").write_bytes(model)
    return [piece.text for piece in read_sentencepiece(folder / "probe.model").pieces]


@pytest.mark.parametrize(
    ("name", "source", "target", "form"),
    [
        ("MBartTokenizer", "en_XX", "ro_RO", "{text} </s> {code}"),
        ("MBart50Tokenizer", "en_XX", "fr_XX", "{code} {text} </s>"),
        ("NllbTokenizer", "eng_Latn", "fra_Latn", "{code} {text} </s>"),
    ],
)
def test_the_language_marks_texts(tmp_path, name, source, target, form):
    folder = sentencepiece_folder(
        tmp_path, "sentencepiece.bpe.model", tokenizer_class=name, src_lang=source, tgt_lang=target
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer("the", text_target="the")
    assert encoded.tokens() == form.format(code=source, text="▁the").split()
    assert tokenizer.convert_ids_to_tokens(encoded["labels"]) == form.format(code=target, text="▁the").split()
    assert tokenizer("the").tokens() == encoded.tokens()
    tokenizer.src_lang = target
    assert tokenizer("the").tokens() == form.format(code=target, text="▁the").split()
    assert tokenizer.build_inputs_with_special_tokens([7]) == [*tokenizer.prefix_tokens, 7, *tokenizer.suffix_tokens]
    inputs = tokenizer._build_translation_inputs("the", src_lang=source, tgt_lang=target)
    assert inputs["forced_bos_token_id"] == tokenizer.lang_code_to_id[target]
    with pytest.raises(InputError, match=f"Did you mean '{target}'"):
        tokenizer.src_lang = target + "x"
    with pytest.raises(InputError, match="src_lang= and tgt_lang="):
        tokenizer._build_translation_inputs("the", src_lang=source, tgt_lang=None)
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved", src_lang=target)
    assert again("the")["input_ids"] == tokenizer("the", text_target="the")["labels"]


def test_nllb_of_the_first_release(tmp_path):
    folder = sentencepiece_folder(
        tmp_path, "sentencepiece.bpe.model", tokenizer_class="NllbTokenizer", legacy_behaviour=True
    )
    assert AutoTokenizer.from_pretrained(folder)("the").tokens() == ["▁the", "</s>", "eng_Latn"]


@pytest.fixture
def m2m(tmp_path):
    folder = sentencepiece_folder(tmp_path, "sentencepiece.bpe.model", tokenizer_class="M2M100Tokenizer", src_lang="en")
    pieces = pieces_of(sentencepiece_model(), tmp_path)
    order = ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:]]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(order)}))
    return AutoTokenizer.from_pretrained(folder)


def test_m2m_100(m2m, tmp_path):
    ids = m2m("the statement is here")["input_ids"]
    assert m2m.convert_ids_to_tokens(ids)[0] == "__en__"
    assert ids[-1] == m2m.eos_token_id
    assert m2m.decode(ids, skip_special_tokens=True) == "the statement is here"
    m2m.tgt_lang = "fr"
    assert m2m(["the"], text_target=["the"])["labels"][0][0] == m2m.get_lang_id("fr")
    assert m2m._build_translation_inputs("the", src_lang="de", tgt_lang="fr")["forced_bos_token_id"] == m2m.get_lang_id(
        "fr"
    )
    assert not m2m.is_fast
    with pytest.raises(InputError, match="'frr' is no language"):
        m2m.src_lang = "frr"
    with pytest.raises(InputError, match="no offsets"):
        m2m("the", return_offsets_mapping=True)
    m2m.src_lang = "en"
    m2m.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again("the statement")["input_ids"] == m2m("the statement")["input_ids"]
    assert len(again) == len(m2m)


@pytest.fixture
def marian(tmp_path):
    (tmp_path / "source.spm").write_bytes(sentencepiece_model())
    (tmp_path / "target.spm").write_bytes(sentencepiece_model("bpe"))
    pieces = pieces_of(sentencepiece_model(), tmp_path) + pieces_of(sentencepiece_model("bpe"), tmp_path)
    order = dict.fromkeys(["</s>", "<unk>", *pieces, ">>fra<<", "<pad>"])
    (tmp_path / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(order)}))
    return configured(tmp_path, tokenizer_class="MarianTokenizer")


def test_marian_uses_one_model_a_language(marian, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(marian)
    assert isinstance(tokenizer, MarianTokenizer)
    encoded = tokenizer(["the statement"], text_target=["the statement"], padding=True, return_tensors="pt")
    source, target = encoded["input_ids"][0].tolist(), encoded["labels"][0].tolist()
    assert source[-1] == target[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(target, skip_special_tokens=True) == "the statement"
    assert tokenizer.decode(source, skip_special_tokens=True, use_source_tokenizer=True) == "the statement"
    coded = tokenizer(">>fra<< the statement")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(coded)[0] == ">>fra<<"
    assert tokenizer.supported_language_codes == [">>fra<<"]
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again("the statement")["input_ids"] == source


def test_marian_without_its_files(marian):
    vocabulary = json.loads((marian / "vocab.json").read_text())
    del vocabulary["<pad>"]
    (marian / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(CheckpointError, match="<pad>"):
        AutoTokenizer.from_pretrained(marian)
    with pytest.raises(InputError, match=r"source\.spm"):
        MarianTokenizer()
