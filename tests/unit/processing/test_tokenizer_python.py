"""A tokenizer of one's own in Python."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from rayformers.errors import InputError, InputTypeError
from rayformers.processing.tokenizer_python import PreTrainedTokenizer


class CharacterTokenizer(PreTrainedTokenizer):
    """Every character is a token."""

    vocab_files_names = {"vocab_file": "vocab.json"}  # noqa: RUF012

    def __init__(self, vocab_file, **kwargs):
        self.ids = json.loads(Path(vocab_file).read_text())
        self.characters = {index: character for character, index in self.ids.items()}
        super().__init__(**kwargs)

    @property
    def vocab_size(self):
        return len(self.ids)

    def get_vocab(self):
        return {**self.ids, **self.added_tokens_encoder}

    def _tokenize(self, text):
        return list(text)

    def _convert_token_to_id(self, token):
        return self.ids.get(token, self.ids["?"])

    def _convert_id_to_token(self, index):
        return self.characters[index]

    def convert_tokens_to_string(self, tokens):
        return "".join(tokens)

    def save_vocabulary(self, save_directory, filename_prefix=None):
        path = Path(save_directory) / "vocab.json"
        path.write_text(json.dumps(self.ids))
        return (str(path),)


@pytest.fixture
def characters(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({character: index for index, character in enumerate("?abcdefghij ")}))
    tokenizer = CharacterTokenizer(str(path), pad_token="<pad>", unk_token="?")
    assert tokenizer.add_tokens(["bad"]) == 1
    assert tokenizer.add_special_tokens({"eos_token": "</s>"}) == 1
    return tokenizer


def test_added_tokens_stay_whole(characters):
    assert characters.tokenize("abad z</s>") == ["a", "bad", " ", "z", "</s>"]
    assert characters("abad z</s>")["input_ids"] == [1, 13, 11, 0, 14]
    assert len(characters) == 15
    assert characters.vocab_size == 12
    assert characters.decode([1, 13, 14], skip_special_tokens=True) == "a bad"


def test_batches(characters):
    encoded = characters(["a", "abc"], padding=True, return_special_tokens_mask=True, return_tensors="np")
    assert encoded["input_ids"].tolist() == [[1, 12, 12], [1, 2, 3]]
    assert encoded["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    pairs = characters([("ab", "c"), ("a", "b")], return_token_type_ids=True)
    assert pairs["token_type_ids"] == [[0, 0, 1], [0, 1]]
    cut = characters("abcdef", truncation=True, max_length=4, stride=1, return_overflowing_tokens=True)
    assert (cut["input_ids"], cut["overflowing_tokens"], cut["num_truncated_tokens"]) == ([1, 2, 3, 4], [4, 5, 6], 2)
    assert characters(["ab", "c"], is_split_into_words=True)["input_ids"] == [1, 2, 3]
    assert characters(["ab"], return_length=True)["length"] == [2]


def test_it_saves_and_pickles(characters, tmp_path):
    characters.save_pretrained(tmp_path / "saved")
    again = CharacterTokenizer.from_pretrained(tmp_path / "saved", padding_side="left")
    assert again("abad z</s>")["input_ids"] == characters("abad z</s>")["input_ids"]
    assert again.special_tokens_map == characters.special_tokens_map
    assert again.padding_side == "left"
    assert pickle.loads(pickle.dumps(again))("ab")["input_ids"] == [1, 2]


def test_what_it_cannot_do(characters):
    with pytest.raises(InputError, match="no offsets"):
        characters("ab", return_offsets_mapping=True)
    with pytest.raises(InputError, match="fast tokenizer"):
        characters("ab").word_ids()
    with pytest.raises(InputError, match="first sequence has only 1"):
        characters("a", "bcdef", truncation="only_first", max_length=2)
    with pytest.raises(InputTypeError, match="not int"):
        characters.tokenize(5)
