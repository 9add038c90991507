"""generate gives the reference's tokens and scores, on the same weights and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import rayformers

IDS = torch.tensor([[5, 9, 33, 17, 60, 9, 33], [0, 0, 41, 8, 12, 41, 8]])
MASK = torch.tensor([[1] * 7, [0, 0, 1, 1, 1, 1, 1]])
COMMON = {"vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": (
        "AutoModelForCausalLM",
        {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "eos_token_id": 2, "max_position_embeddings": 128},
    ),
    "gpt2": ("AutoModelForCausalLM", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "eos_token_id": 2}),
    "t5": (
        "AutoModelForSeq2SeqLM",
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "eos_token_id": 1,
         "decoder_start_token_id": 0, "bos_token_id": None},
    ),
    "bart": (
        "AutoModelForSeq2SeqLM",
        {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "eos_token_id": 2,
         "decoder_start_token_id": 2, "forced_eos_token_id": 2, "max_position_embeddings": 128},
    ),
}  # fmt: skip

CALLS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "two ends": {"eos_token_id": [2, 33, 41, 60, 8]},
    "sample": {"do_sample": True},
    "temperature, top k, top p": {"do_sample": True, "temperature": 0.8, "top_k": 20, "top_p": 0.9},
    "min p": {"do_sample": True, "top_k": 0, "min_p": 0.05},
    "typical": {"do_sample": True, "top_k": 0, "typical_p": 0.8},
    "epsilon": {"do_sample": True, "top_k": 0, "epsilon_cutoff": 0.01},
    "eta": {"do_sample": True, "top_k": 0, "eta_cutoff": 0.02},
    "several draws": {"do_sample": True, "num_return_sequences": 3},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "beams, early, two ends": {"num_beams": 4, "early_stopping": True, "eos_token_id": [2, 33, 41, 60, 8]},
    "beams, never, length": {"num_beams": 3, "early_stopping": "never", "length_penalty": -0.5, "eos_token_id": 33},
    "beam sample": {"num_beams": 3, "do_sample": True, "top_k": 12},
    # version 5 does not count padding as said before; version 4, which is followed here, does
    "penalties": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "rows": 1},
    "minimum": {"min_new_tokens": 5, "eos_token_id": [33, 41, 60]},
    "bans": {"bad_words_ids": [[33], [41, 8]], "suppress_tokens": [9], "begin_suppress_tokens": [60]},
    "bias": {"sequence_bias": [[[33], 5.0], [[9, 33], -9.0]]},
    "decay": {"exponential_decay_length_penalty": (2, 1.8), "eos_token_id": 33},
    "forced": {"forced_bos_token_id": 9, "forced_eos_token_id": 33},
    "normalised": {"renormalize_logits": True, "repetition_penalty": 0.8, "rows": 1},
    "lookup": {"prompt_lookup_num_tokens": 3, "rows": 1},
    "static": {"cache_implementation": "static"},
    "no cache": {"use_cache": False, "num_beams": 2},
}
RECORDED = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}


@pytest.fixture(scope="module", params=list(MODELS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """(ours, the reference's) of one checkpoint."""
    auto, values = MODELS[request.param]
    torch.manual_seed(0)
    model = getattr(rayformers, auto).from_config(rayformers.AutoConfig.for_model(request.param, **COMMON | values))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.3)
    folder: Path = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return (
        getattr(rayformers, auto).from_pretrained(folder).eval(),
        getattr(transformers, auto).from_pretrained(folder).eval(),
    )


@pytest.mark.parametrize("name", CALLS)
def test_tokens_and_scores(pair: tuple[Any, Any], name: str) -> None:
    options = dict(CALLS[name])
    rows = options.pop("rows", 2)
    answers = []
    for model in pair:
        torch.manual_seed(11)
        with torch.no_grad():
            answers.append(
                model.generate(
                    input_ids=IDS[:rows].clone(),
                    attention_mask=MASK[:rows].clone(),
                    max_new_tokens=8,
                    **options,
                    **RECORDED,
                )
            )
    ours, theirs = answers
    assert torch.equal(ours.sequences, theirs.sequences)
    assert len(ours.scores) == len(theirs.scores)
    for mine, other in zip(ours.scores, theirs.scores, strict=True):
        assert torch.allclose(mine, other, atol=1e-4, rtol=1e-4)
    if "sequences_scores" in theirs:
        assert torch.allclose(ours.sequences_scores, theirs.sequences_scores, atol=1e-4)
        assert torch.equal(ours.beam_indices, theirs.beam_indices)


def test_recorded_layers(pair: tuple[Any, Any]) -> None:
    for model in pair:
        model.set_attn_implementation("eager")
    calls = {"max_new_tokens": 3, "output_attentions": True, "output_hidden_states": True, "eos_token_id": None}
    ours, theirs = (model.generate(input_ids=IDS[:1], attention_mask=MASK[:1], **calls, **RECORDED) for model in pair)
    for name in theirs:
        if "attentions" not in name and "hidden_states" not in name:
            continue
        for mine, other in zip(ours[name], theirs[name], strict=True):
            layers = zip(mine, other, strict=True) if isinstance(other, tuple) else [(mine, other)]
            for a, b in layers:
                assert torch.allclose(a, b, atol=1e-4), name


def test_the_reference_reads_the_settings(pair: tuple[Any, Any], tmp_path: Path) -> None:
    rayformers.GenerationConfig(max_new_tokens=5, do_sample=True, top_k=7, eos_token_id=[2, 5]).save_pretrained(
        tmp_path
    )
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    assert (theirs.max_new_tokens, theirs.top_k, theirs.eos_token_id) == (5, 7, [2, 5])
    theirs.num_beams = 4
    theirs.save_pretrained(tmp_path)
    ours = rayformers.GenerationConfig.from_pretrained(tmp_path)
    assert (ours.num_beams, ours.do_sample, ours.eos_token_id) == (4, True, [2, 5])
