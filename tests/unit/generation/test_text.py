"""Stop strings, streamers and configurations."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
import torch

from rayformers import (
    AsyncTextIteratorStreamer,
    GenerationConfig,
    StoppingCriteriaList,
    StopStringCriteria,
    TextIteratorStreamer,
    TextStreamer,
    WatermarkingConfig,
)
from rayformers.errors import ConfigError, InputError

TEXT = "the quick brown fox. stop here"


def ends(tokenizer: Any, text: str, strings: str | list[str]) -> bool:
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    return bool(StopStringCriteria(tokenizer, strings)(ids, None)[0])


@pytest.mark.parametrize("text", [TEXT, "the stopper", "stops", "the lazy dog", "a", "xstopx"])
def test_a_stop_string_counts_when_it_ends_in_the_last_token(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    before = tokenizer.decode(ids[:-1])
    for string in ("stop", "dog", "st", "p h", "here", "."):
        whole = tokenizer.decode(ids)
        expected = any(
            whole[start : start + len(string)] == string and start + len(string) > len(before)
            for start in range(len(whole))
        )
        assert ends(tokenizer, text, string) is expected, (text, string)


def test_stop_strings_stop_generate(tokenizer: Any, make: Any) -> None:
    model = make(vocab_size=len(tokenizer), eos_token_id=None)
    ids = tokenizer("the quick", return_tensors="pt", add_special_tokens=False)["input_ids"]
    free = tokenizer.decode(model.generate(ids, max_new_tokens=12)[0, ids.shape[1] :])
    string = next(c for c in free[4:] if c.isascii() and c.isprintable())
    stopped = model.generate(ids, max_new_tokens=12, stop_strings=[string], tokenizer=tokenizer)
    text = tokenizer.decode(stopped[0, ids.shape[1] :])
    assert string in text
    assert string not in tokenizer.decode(stopped[0, ids.shape[1] : -1])


def test_a_stop_string_that_cannot_occur_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="never occur"):
        StopStringCriteria(tokenizer, ["stop", "\u4e2d"])
    with pytest.raises(ConfigError, match="not empty"):
        StopStringCriteria(tokenizer, "")


def feed(streamer: Any, tokenizer: Any, prompt: str, text: str) -> None:
    streamer.put(torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]]))
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        streamer.put(torch.tensor([token]))
    streamer.end()


def test_text_is_printed_word_by_word(tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    feed(TextStreamer(tokenizer, skip_prompt=True), tokenizer, "left out", TEXT)
    assert capsys.readouterr().out == TEXT + "\n"
    feed(TextStreamer(tokenizer), tokenizer, "kept ", TEXT)
    assert capsys.readouterr().out == "kept " + TEXT + "\n"


def test_pieces_end_at_words_and_ideographs(tokenizer: Any) -> None:
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    feed(streamer, tokenizer, "x", "the quick \u4e2d\u6587 dog\nend")
    pieces = list(streamer)
    assert "".join(pieces) == "the quick \u4e2d\u6587 dog\nend"
    assert all(piece == "" or piece[-1] in " \n" or "\u4e00" <= piece[-1] <= "\u9fff" for piece in pieces[:-1])


def test_an_iterating_thread_gets_the_text_of_generate(tokenizer: Any, make: Any) -> None:
    model = make(vocab_size=len(tokenizer), eos_token_id=None)
    ids = tokenizer("the quick", return_tensors="pt", add_special_tokens=False)["input_ids"]
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=30)
    worker = threading.Thread(target=model.generate, args=(ids,), kwargs={"streamer": streamer, "max_new_tokens": 8})
    worker.start()
    text = "".join(streamer)
    worker.join()
    assert text == tokenizer.decode(model.generate(ids, max_new_tokens=8)[0, ids.shape[1] :])


def test_iterators_time_out(tokenizer: Any) -> None:
    with pytest.raises(Empty):
        next(TextIteratorStreamer(tokenizer, timeout=0.01))

    async def wait() -> None:
        await anext(AsyncTextIteratorStreamer(tokenizer, timeout=0.01))

    with pytest.raises(TimeoutError):
        asyncio.run(wait())


def test_async_for_gets_the_text(tokenizer: Any) -> None:
    async def collect() -> str:
        streamer = AsyncTextIteratorStreamer(tokenizer, skip_prompt=True)
        worker = threading.Thread(target=feed, args=(streamer, tokenizer, "x", TEXT))
        worker.start()
        text = "".join([piece async for piece in streamer])
        worker.join()
        return text

    assert asyncio.run(collect()) == TEXT


def test_a_streamer_takes_one_text(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="one text"):
        TextStreamer(tokenizer).put(torch.zeros(2, 3, dtype=torch.long))


def test_configurations_round_trip(tmp_path: Path) -> None:
    config = GenerationConfig(
        max_new_tokens=7, do_sample=True, top_k=3, eos_token_id=[4, 5], own_key="kept",
        sequence_bias={(3, 4): -2.0}, watermarking_config=WatermarkingConfig(bias=3.0),
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    assert "num_beams" not in written
    again = GenerationConfig.from_pretrained(tmp_path)
    assert again.own_key == "kept"
    assert again.watermarking_config.bias == 3.0
    assert again.to_diff_dict().keys() == config.to_diff_dict().keys()
    assert again.sequence_bias == [[[3, 4], -2.0]]


def test_update_gives_back_what_is_no_parameter() -> None:
    config = GenerationConfig()
    assert config.update(num_beams=3, colour="red") == {"colour": "red"}
    assert config.num_beams == 3


def test_settings_without_effect_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        GenerationConfig(temperature=0.3).save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_modes() -> None:
    def mode(**values: Any) -> str:
        return GenerationConfig(**values).get_generation_mode().value

    assert mode() == "greedy_search"
    assert mode(do_sample=True) == "sample"
    assert mode(num_beams=2) == "beam_search"
    assert mode(num_beams=2, do_sample=True) == "beam_sample"
    assert mode(num_beams=4, num_beam_groups=2) == "group_beam_search"
    assert mode(num_beams=4, force_words_ids=[[3]]) == "constrained_beam_search"
    assert mode(penalty_alpha=0.6, top_k=4) == "contrastive_search"
    assert mode(dola_layers="high") == "dola_generation"
    assert mode(prompt_lookup_num_tokens=3) == "assisted_generation"


def test_lists_of_criteria_stop_where_any_does() -> None:
    rows = StoppingCriteriaList([lambda ids, scores: ids[:, -1] == 3, lambda ids, scores: ids[:, -1] == 4])
    assert rows(torch.tensor([[3], [4], [5]]), None).tolist() == [True, True, False]
