"""The tokenizer's call, alignment, padding, special tokens and decoding."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tests.unit.processing.tokenizer_samples import byte_level, word_piece
from tokenizers import AddedToken

from rayformers.errors import InputError, InputTypeError
from rayformers.processing.batch_encoding import BatchEncoding, CharSpan, TokenSpan
from rayformers.processing.tokenizer import PreTrainedTokenizerFast
from rayformers.processing.tokenizer_models.byte_level import GPT2Tokenizer, RobertaTokenizer
from rayformers.processing.tokenizer_models.word_piece import BertTokenizer


@pytest.fixture
def bert() -> BertTokenizer:
    return BertTokenizer(tokenizer_object=word_piece(), model_max_length=32)


def test_one_text_and_a_batch_agree_with_the_library(bert):
    raw = word_piece().encode("The with statement", "wraps a block")
    one = bert("The with statement", "wraps a block")
    assert one["input_ids"] == raw.ids
    assert one.token_type_ids == raw.type_ids
    assert one.attention_mask == raw.attention_mask
    batch = bert([["The with statement", "wraps a block"], ["a", "b"]], padding=True, return_tensors="pt")
    assert batch["input_ids"][0].tolist() == raw.ids
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["input_ids"].dtype == torch.int64
    assert batch["attention_mask"][1].sum() == len(bert("a", "b")["input_ids"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_truncation_sides(side):
    tokenizer = BertTokenizer(tokenizer_object=word_piece(), padding_side=side, truncation_side=side)
    whole = tokenizer("the statement is executed")["input_ids"]
    padded = tokenizer(["the statement is executed", "the"], padding="max_length", max_length=12)["input_ids"]
    pads = [0] * (12 - len(whole))
    assert padded[0] == (whole + pads if side == "right" else pads + whole)
    cut = tokenizer("the statement is executed", truncation=True, max_length=4)["input_ids"]
    kept = whole[1:3] if side == "right" else whole[-3:-1]
    assert cut == [2, *kept, 3]
    assert tokenizer(["a", "the statement is"], padding=True, pad_to_multiple_of=8)["input_ids"][0].__len__() % 8 == 0


def test_overflow_covers_the_text_with_its_stride(bert):
    text = "the statement is executed when the block is left and the value of the expression is assigned"
    encoded = bert(
        text, truncation=True, max_length=10, stride=3, return_overflowing_tokens=True, return_offsets_mapping=True
    )
    assert encoded["overflow_to_sample_mapping"] == [0] * len(encoded["input_ids"])
    for before, after in zip(encoded["input_ids"], encoded["input_ids"][1:], strict=False):
        assert before[-4:-1] == after[1:4]
    whole = bert(text, add_special_tokens=False)["input_ids"]
    rebuilt = encoded["input_ids"][0][1:-1] + [index for row in encoded["input_ids"][1:] for index in row[4:-1]]
    assert rebuilt == whole
    starts = [start for start, end in encoded["offset_mapping"][0] if end > start]
    assert starts == sorted(starts)


def test_alignment_methods(bert):
    encoded = bert(["the naïve statement", "a"], ["second text", "b"], padding=True)
    token = encoded.char_to_token(0, 4)
    word = encoded.token_to_word(0, token)
    assert word == encoded.char_to_word(0, 4) == 1
    assert encoded.word_to_chars(0, word) == CharSpan(4, 9)
    span = encoded.word_to_tokens(0, word)
    assert isinstance(span, TokenSpan)
    assert span.start == token
    assert encoded.token_to_chars(0, token).start == 4
    assert encoded.token_to_chars(0, 0) is None
    assert encoded.char_to_token(0, 3) is None
    second = encoded.char_to_token(0, 0, sequence_index=1)
    assert encoded.token_to_sequence(0, second) == 1
    assert encoded.sequence_ids(0)[0] is None
    assert encoded.word_ids(0) == encoded.words(0)
    assert len(encoded.tokens(1)) == len(encoded["input_ids"][1])
    assert encoded.n_sequences == 2
    assert encoded.encodings[0].ids == encoded["input_ids"][0] == encoded[0].ids
    assert encoded[:1]["input_ids"] == encoded["input_ids"][:1]
    again = pickle.loads(pickle.dumps(encoded))
    assert again.data == encoded.data
    assert again.word_ids(0) == encoded.word_ids(0)
    with pytest.raises(AttributeError, match="labels"):
        _ = encoded.labels
    with pytest.raises(InputError, match="fast tokenizer"):
        BatchEncoding({"input_ids": [1]}).word_ids()


def test_words_as_input(bert):
    words = ["the", "naïve", "statements"]
    encoded = bert(words, is_split_into_words=True)
    assert [word for word in dict.fromkeys(encoded.word_ids()) if word is not None] == [0, 1, 2]
    batch = bert([words, ["a"]], is_split_into_words=True)
    assert batch["input_ids"][0] == encoded["input_ids"]
    plain = GPT2Tokenizer(tokenizer_object=byte_level())
    with pytest.raises(InputError, match="add_prefix_space=True"):
        plain(words, is_split_into_words=True)
    spaced = GPT2Tokenizer(tokenizer_object=byte_level(), add_prefix_space=True)
    assert spaced(words, is_split_into_words=True)["input_ids"] == spaced("the naïve statements")["input_ids"]


def test_targets_become_labels(bert):
    encoded = bert(["a", "b"], text_target=["the", "value"])
    assert encoded["labels"] == bert(["the", "value"])["input_ids"]
    assert bert(text_target="the")["input_ids"] == bert("the")["input_ids"]


def test_tensors_and_moves(bert):
    encoded = bert("the", return_tensors="np")
    assert isinstance(encoded["input_ids"], np.ndarray)
    assert encoded["input_ids"].shape[0] == 1
    moved = bert(["the"], return_tensors="pt").to("cpu")
    assert moved["input_ids"].device.type == "cpu"
    with pytest.raises(InputTypeError, match="device"):
        moved.to(3.5)
    listed = bert("the").convert_to_tensors("pt", prepend_batch_axis=True)
    assert listed["input_ids"].shape[0] == 1


def test_pad_leaves_labels_alone(bert):
    features = [{"input_ids": [2, 9, 3], "labels": [7]}, {"input_ids": [2, 3], "labels": [7, 8]}]
    padded = bert.pad(features, padding=True)
    assert padded["input_ids"] == [[2, 9, 3], [2, 3, 0]]
    assert padded["attention_mask"] == [[1, 1, 1], [1, 1, 0]]
    assert padded["labels"] == [[7], [7, 8]]
    assert features[1]["input_ids"] == [2, 3]
    tensors = bert.pad(
        {"input_ids": [torch.tensor([1, 2]), torch.tensor([1])]}, return_tensors="pt", padding_side="left"
    )
    assert tensors["input_ids"].tolist() == [[1, 2], [0, 1]]
    assert bert.pad({"input_ids": [1, 2]}, padding="max_length", max_length=4)["input_ids"] == [1, 2, 0, 0]
    types = bert.pad([bert("a", "b"), bert("the statement")], return_tensors="np")
    assert types["token_type_ids"].shape == types["input_ids"].shape


def test_added_tokens_stay_whole(bert):
    size = len(bert)
    assert bert.add_tokens(["gizmo", AddedToken("Zurich", normalized=False)]) == 2
    assert bert.add_tokens("gizmo") == 0
    assert bert.add_special_tokens({"additional_special_tokens": ["<ent>"]}) == 1
    assert len(bert) == size + 3
    assert bert.vocab_size == size
    assert bert.tokenize("the gizmo in Zurich<ent>") == ["the", "gizmo", "in", "Zurich", "<ent>"]
    assert bert.additional_special_tokens_ids == [size + 2]
    assert bert.get_added_vocab()["gizmo"] == size
    assert bert.decode(bert("a <ent>")["input_ids"], skip_special_tokens=True) == "a"
    bert.add_special_tokens({"additional_special_tokens": ["<two>"]}, replace_additional_special_tokens=False)
    assert bert.additional_special_tokens == ["<ent>", "<two>"]


def test_special_tokens_by_attribute(bert):
    assert (bert.cls_token, bert.cls_token_id) == ("[CLS]", 2)
    assert bert.bos_token is None
    assert bert.bos_token_id is None
    assert bert.all_special_ids == [1, 3, 0, 2, 4]
    bert.pad_token = "[MASK]"
    assert bert.pad_token_id == 4
    bert.pad_token_id = 0
    assert bert.pad_token == "[PAD]"
    extra = BertTokenizer(tokenizer_object=word_piece(), extra_special_tokens={"image_token": "<image>"})
    assert extra.image_token == "<image>"
    assert extra.image_token_id == len(extra) - 1
    assert extra.get_special_tokens_mask(extra("a <image>")["input_ids"], already_has_special_tokens=True)[-2:] == [
        1,
        1,
    ]
    with pytest.raises(AttributeError, match="nonsense"):
        _ = extra.nonsense


def test_hand_made_ids(bert):
    assert bert.build_inputs_with_special_tokens([7, 8], [9]) == [2, 7, 8, 3, 9, 3]
    assert bert.create_token_type_ids_from_sequences([7, 8], [9]) == [0, 0, 0, 0, 1, 1]
    assert bert.get_special_tokens_mask([7, 8], [9]) == [1, 0, 0, 1, 0, 1]
    assert bert.num_special_tokens_to_add(pair=True) == 3
    prepared = bert.prepare_for_model([7, 8, 9, 10], [11, 12], truncation="only_first", max_length=7)
    assert prepared["input_ids"] == [2, 7, 8, 3, 11, 12, 3]
    assert bert.truncate_sequences([1, 2, 3, 4, 5], num_tokens_to_remove=2, stride=1) == ([1, 2, 3], None, [3, 4, 5])
    assert bert.truncate_sequences([1, 2, 3, 4], [5, 6], 3)[:2] == ([1, 2], [5])


def test_decoding(bert):
    ids = bert("the statement , isn ' t .")["input_ids"]
    assert bert.decode(torch.tensor(ids), skip_special_tokens=True, clean_up_tokenization_spaces=True).endswith(".")
    assert bert.batch_decode(np.array([ids, ids])) == [bert.decode(ids)] * 2
    assert bert.decode([ids, ids]) == [bert.decode(ids)] * 2
    assert bert.decode(ids[1]) == "the"
    assert bert.convert_ids_to_tokens(ids, skip_special_tokens=True)[0] == "the"
    assert bert.convert_tokens_to_ids(["the", "[MASK]", "nothing-like-it"]) == [ids[1], 4, 1]
    assert bert.convert_tokens_to_string(["state", "##ment"]) == "statement"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t(5), "must be a string"),
        (lambda t: t([1, 2]), "list of int"),
        (lambda t: t([]), "empty list"),
        (lambda t: t(), "text_target"),
        (lambda t: t(["a", None]), "Text 1 of the batch is no string"),
        (lambda t: t(["a", "b"], ["c"]), "2 items and text_pair 1"),
        (lambda t: t(["a"], "c"), "one string"),
        (lambda t: t("a \ud800 b"), "lone surrogate"),
        (lambda t: t("a", return_tensors="tf"), "Unknown tensor type"),
        (lambda t: t(["a", "the statement"], return_tensors="pt"), "different lengths"),
        (lambda t: t("a", trunction=True), "Did you mean 'truncation'"),
        (lambda t: t("a", padding="longst"), "no padding strategy"),
        (lambda t: t("a", truncation=True, max_length=1), "2 special tokens"),
        (lambda t: t("a", truncation=True, max_length=5, stride=3, return_overflowing_tokens=True), "stride=3"),
        (lambda t: t("a", max_length=-1), "too small"),
        (lambda t: t("a", max_length="9"), "number of tokens"),
        (lambda t: t("a", padding=True, truncation=True, max_length=9, pad_to_multiple_of=8), "multiple of 8"),
        (lambda t: t("a b c", "d e f g", truncation="only_second", max_length=5), "cannot be tokenized"),
        (lambda t: t.pad([]), "empty list"),
        (lambda t: t.pad([{"x": [1]}]), "needs 'input_ids'"),
        (lambda t: t.pad([1, 2]), "list of dicts"),
        (lambda t: t.pad([{"input_ids": [1], "a": 1}, {"input_ids": [1]}]), "different keys"),
        (lambda t: t.decode([1, -100]), "negative ids"),
        (lambda t: t.decode(["a"]), "whole numbers"),
        (lambda t: t.add_special_tokens({"pad_tokn": "x"}), "Did you mean 'pad_token'"),
        (lambda t: t.add_tokens([3]), "strings or AddedTokens"),
    ],
)
def test_bad_input_gets_a_clear_error(bert, call, message):
    with pytest.raises(InputError, match=message):
        call(bert)


def test_padding_needs_a_padding_token():
    tokenizer = GPT2Tokenizer(tokenizer_object=byte_level())
    with pytest.raises(InputError, match=r"tokenizer\.pad_token = tokenizer\.eos_token"):
        tokenizer(["a", "the statement"], padding=True)
    tokenizer.pad_token = tokenizer.eos_token
    assert len(tokenizer(["a", "the statement"], padding=True)["input_ids"][0]) > 1


def test_too_long_text_is_said_once(bert, caplog):
    long = "statement " * 60
    bert(long)
    bert(long)
    assert len([record for record in caplog.records if "more than the model's 32" in record.message]) == 1
    assert len(bert(long, truncation=True)["input_ids"]) == 32


def test_options_change_the_backend():
    cased = BertTokenizer(tokenizer_object=word_piece(), do_lower_case=False)
    assert cased.tokenize("The") != BertTokenizer(tokenizer_object=word_piece()).tokenize("The")
    spaced = RobertaTokenizer(tokenizer_object=byte_level(), add_prefix_space=True)
    assert spaced.tokenize("the")[0].startswith("Ġ")


def test_training_anew_keeps_the_kind(bert):
    texts = ["gizmos and gadgets", "gadgets in boxes"] * 20
    trained = bert.train_new_from_iterator(
        texts, 120, new_special_tokens=["<ent>"], special_tokens_map={"[PAD]": "<p>"}
    )
    assert isinstance(trained, BertTokenizer)
    assert trained.pad_token == "<p>"
    assert trained.additional_special_tokens == ["<ent>"]
    ids = trained("gadgets <ent>")["input_ids"]
    assert trained.convert_ids_to_tokens(ids) == ["[CLS]", "gadgets", "<ent>", "[SEP]"]


def test_copies_are_independent(bert):
    other = pickle.loads(pickle.dumps(bert))
    other.add_tokens(["gizmo"])
    assert len(other) == len(bert) + 1
    assert other("the")["input_ids"] == bert("the")["input_ids"]


def test_threads_may_share_a_tokenizer(bert):
    def lengths(size):
        rows = [bert(["the statement " * 30, "a"], padding=True, truncation=True, max_length=size) for _ in range(40)]
        return {len(row) for encoded in rows for row in encoded["input_ids"]}

    sizes = [5, 9, 17, 30]
    with ThreadPoolExecutor(len(sizes)) as threads:
        assert list(threads.map(lengths, sizes)) == [{size} for size in sizes]


def test_a_tokenizer_needs_a_vocabulary():
    with pytest.raises(InputError, match="from_pretrained"):
        PreTrainedTokenizerFast()


def test_torch_is_not_imported():
    code = (
        "import sys; from rayformers.processing import tokenizer_auto, tokenizer, chat; "
        "from rayformers.processing.tokenizer_models import word_piece, tapas; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
