"""generate: what a call gives, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import rayformers
from rayformers.errors import ConfigError, InputError, InputTooLargeError

IDS = torch.tensor([[5, 9, 33, 17, 60]])


def alone(model: Any, ids: torch.Tensor, steps: int) -> torch.Tensor:
    """Greedy search by hand, without a cache."""
    for _ in range(steps):
        ids = torch.cat((ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)), 1)
    return ids


def test_greedy_is_the_best_token_each_time(decoder: Any) -> None:
    expected = alone(decoder, IDS, 9)
    assert torch.equal(decoder.generate(IDS, max_new_tokens=9, eos_token_id=None), expected)


def test_a_padded_batch_gives_what_each_text_gives_alone(decoder: Any, prompts: dict[str, Any]) -> None:
    both = decoder.generate(**prompts, max_new_tokens=8, eos_token_id=None)
    assert torch.equal(both[1:, 5:], alone(decoder, prompts["input_ids"][1:, 2:], 8)[:, 3:])
    assert torch.equal(both[:1], alone(decoder, prompts["input_ids"][:1], 8))


def test_the_end_of_text_stops_a_row_and_pads_it(decoder: Any, prompts: dict[str, Any]) -> None:
    free = decoder.generate(**prompts, max_new_tokens=8, eos_token_id=None)
    end = int(free[0, 7])
    first = free[0, 5:].tolist().index(end)
    stopped = decoder.generate(**prompts, max_new_tokens=8, eos_token_id=end, pad_token_id=0)
    assert stopped[0, 5 : 5 + first + 1].tolist() == free[0, 5 : 5 + first + 1].tolist()
    assert set(stopped[0, 5 + first + 1 :].tolist()) <= {0}


@pytest.mark.parametrize("kind", ["static", "quantized", "offloaded", "offloaded_static", "hybrid", "dynamic_full"])
def test_every_cache_gives_the_same_tokens(decoder: Any, prompts: dict[str, Any], kind: str) -> None:
    expected = decoder.generate(**prompts, max_new_tokens=12)
    config = {"nbits": 8, "q_group_size": 8, "residual_length": 4} if kind == "quantized" else None
    given = decoder.generate(**prompts, max_new_tokens=12, cache_implementation=kind, cache_config=config)
    assert torch.equal(given, expected)


def test_prefill_in_chunks_gives_the_same_tokens(decoder: Any, prompts: dict[str, Any]) -> None:
    expected = decoder.generate(**prompts, max_new_tokens=6)
    assert torch.equal(decoder.generate(**prompts, max_new_tokens=6, prefill_chunk_size=2), expected)


@pytest.mark.slow  # the first trace
def test_a_compiled_step_gives_the_same_tokens(make: Any) -> None:
    model = make(num_hidden_layers=1)
    expected = model.generate(IDS, max_new_tokens=6)
    config = rayformers.CompileConfig(backend="eager", mode=None)
    assert torch.equal(model.generate(IDS, max_new_tokens=6, compile_config=config), expected)


def test_one_seed_gives_one_text(decoder: Any) -> None:
    def draw(seed: int) -> list[int]:
        torch.manual_seed(seed)
        return decoder.generate(IDS, do_sample=True, temperature=2.0, top_k=0, max_new_tokens=10)[0].tolist()

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_many_beams_find_a_text_at_least_as_likely_as_greedy_search(decoder: Any) -> None:
    def best(beams: int) -> float:
        out = decoder.generate(
            IDS, num_beams=beams, max_new_tokens=6, eos_token_id=None, return_dict_in_generate=True, output_scores=True
        )
        return float(out.sequences_scores[0])

    greedy = decoder.generate(IDS, max_new_tokens=6, eos_token_id=None)
    logits = decoder(greedy).logits.detach().log_softmax(-1)[0, 4:-1]
    score = float(logits.gather(1, greedy[0, 5:, None]).sum()) / 6
    assert best(20) >= score - 1e-5


def test_transition_scores_add_up_to_the_sequences_scores(decoder: Any, prompts: dict[str, Any]) -> None:
    out = decoder.generate(
        **prompts, num_beams=3, num_return_sequences=2, max_new_tokens=5, return_dict_in_generate=True,
        output_scores=True,
    )  # fmt: skip
    steps = decoder.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    lengths = (out.beam_indices >= 0).sum(1)
    assert torch.allclose(steps.sum(1) / lengths, out.sequences_scores, atol=1e-5)


def test_a_draft_model_changes_no_greedy_text(decoder: Any, draft: Any) -> None:
    expected = decoder.generate(IDS, max_new_tokens=14)
    assert torch.equal(decoder.generate(IDS, max_new_tokens=14, assistant_model=draft), expected)
    assert torch.equal(decoder.generate(IDS, max_new_tokens=14, prompt_lookup_num_tokens=3), expected)
    assert torch.equal(decoder.generate(IDS, max_new_tokens=14, assistant_early_exit=1), expected)


def test_a_draft_with_another_tokenizer_changes_no_greedy_text(tokenizer: Any, make: Any) -> None:
    other_tokenizer = tokenizer.train_new_from_iterator(["dogs and foxes over there"], vocab_size=300)
    model = make(vocab_size=len(tokenizer), eos_token_id=None)
    other = make(vocab_size=len(other_tokenizer), seed=7)
    ids = tokenizer("the quick brown", return_tensors="pt")["input_ids"]
    expected = model.generate(ids, max_new_tokens=10, do_sample=False)
    drafted = model.generate(
        ids, max_new_tokens=10, do_sample=False, assistant_model=other, tokenizer=tokenizer,
        assistant_tokenizer=other_tokenizer,
    )  # fmt: skip
    assert torch.equal(drafted, expected)


def test_outputs_hold_one_entry_for_each_token(decoder: Any, seq2seq: Any) -> None:
    options = {"output_scores": True, "output_logits": True, "output_hidden_states": True, "output_attentions": True}
    out = decoder.generate(IDS, max_new_tokens=4, eos_token_id=None, return_dict_in_generate=True, **options)
    assert [len(out[name]) for name in ("scores", "logits", "hidden_states", "attentions")] == [4] * 4
    assert [layers[0].shape[-2:] for layers in out.attentions] == [(5, 5), (1, 6), (1, 7), (1, 8)]
    out = seq2seq.generate(IDS, max_new_tokens=4, eos_token_id=None, return_dict_in_generate=True, **options)
    assert len(out.cross_attentions) == len(out.decoder_hidden_states) == 4
    assert len(out.encoder_attentions) == 2
    assert out.past_key_values.get_seq_length() == 4


def test_constraints_are_kept(decoder: Any) -> None:
    out = decoder.generate(IDS, num_beams=6, max_new_tokens=8, force_words_ids=[[44, 45], [[50], [51]]])
    text = out[0, 5:].tolist()
    assert any(text[n : n + 2] == [44, 45] for n in range(len(text)))
    assert {50, 51} & set(text)


def test_groups_of_beams_differ(decoder: Any) -> None:
    out = decoder.generate(
        IDS, num_beams=4, num_beam_groups=4, num_return_sequences=4, diversity_penalty=50.0, max_new_tokens=3
    )
    assert len(set(out[:, 5].tolist())) == 4


def test_settings_of_the_checkpoint_count_and_calls_override_them(decoder: Any, tmp_path: Path) -> None:
    decoder.save_pretrained(tmp_path)
    rayformers.GenerationConfig(max_new_tokens=3, eos_token_id=None, pad_token_id=0).save_pretrained(tmp_path)
    model = rayformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.generate(IDS).shape == (1, 8)
    assert model.generate(IDS, max_new_tokens=5).shape == (1, 10)
    assert model.generate(IDS, generation_config=rayformers.GenerationConfig(do_sample=True)).shape == (1, 8)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"input_ids": torch.zeros(1, 0, dtype=torch.long)}, InputError, "empty"),
        ({"input_ids": IDS, "max_new_tokens": 0}, ConfigError, "max_new_tokens"),
        ({"input_ids": IDS, "max_length": 5}, InputTooLargeError, "max_length"),
        ({"input_ids": IDS, "do_sample": True, "temperature": -1.0}, ConfigError, "temperature"),
        ({"input_ids": IDS, "do_sample": True, "temperature": float("nan")}, ConfigError, "temperature"),
        ({"input_ids": IDS, "do_sample": True, "temperature": 0.0}, ConfigError, "do_sample=False"),
        ({"input_ids": IDS, "num_return_sequences": 2}, ConfigError, "num_beams"),
        ({"input_ids": IDS, "num_beams": 2, "streamer": object()}, ConfigError, "streamer"),
        ({"input_ids": IDS, "max_new_token": 3}, InputError, "max_new_tokens"),
        ({"input_ids": IDS, "inputs": IDS}, InputError, "Give one"),
        ({"input_ids": IDS, "force_words_ids": [[3]]}, ConfigError, "num_beams"),
        ({"input_ids": IDS, "stop_strings": "x"}, InputError, "tokenizer"),
        ({"input_ids": IDS, "cache_implementation": "magic"}, ConfigError, "static"),
        ({"input_ids": IDS.float()}, InputError, "whole numbers"),
        ({"input_ids": IDS, "dola_layers": "low", "num_beams": 2}, ConfigError, "dola_layers"),
        ({"input_ids": IDS, "top_p": 3.0, "do_sample": True, "top_k": 0, "min_p": 7.0}, ConfigError, "min_p"),
    ],
)
def test_bad_input_says_what_to_do(decoder: Any, options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        decoder.generate(**options)


def test_drafts_of_another_vocabulary_are_refused_without_tokenizers(decoder: Any, draft: Any) -> None:
    import copy

    other = copy.deepcopy(draft)
    other.resize_token_embeddings(90)
    with pytest.raises(InputError, match="assistant_tokenizer"):
        decoder.generate(IDS, assistant_model=other, max_new_tokens=3)


def test_a_model_without_a_head_does_not_generate(decoder: Any) -> None:
    with pytest.raises(InputError, match="language modelling head"):
        rayformers.AutoModel.from_config(decoder.config).generate(IDS)
