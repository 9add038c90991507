"""Decoders with learned positions, ALiBi, and layouts of their own equal the reference."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tests.parity.harness import Case, TestParity, assert_equal_outputs, pair, pytest_generate_tests

from rayformers.errors import ConfigError, InputError
from rayformers.models.registry import model_class

__all__ = ["TestParity", "pytest_generate_tests"]

TOKENS = {"vocab_size": 71, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GPT2 = {**TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
SIZES = {**TOKENS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
NEO = {
    **TOKENS, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 64, "window_size": 6,
    "attention_types": [[["global", "local"], 1]],
}  # fmt: skip
OPT = {**SIZES, "ffn_dim": 48}
BLOOM = {**TOKENS, "hidden_size": 36, "n_layer": 2, "n_head": 6}
MPT = {**TOKENS, "d_model": 36, "n_layers": 2, "n_heads": 6, "max_seq_len": 64}
CLIPPED = {"clip_qkv": 0.5, "softmax_scale": 0.3, "alibi_bias_max": 4}
MAMBA = {**TOKENS, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 4}

Decoder = partial(Case, kind="decoder")
Language = partial(Decoder, heads=("ForCausalLM",))
OneHead = partial(Decoder, heads=("LMHeadModel",))
# The reference chooses Falcon's attention when it builds the model: see test_falcon_attentions.
Falcon = partial(Decoder, skip=("recordings",))
FalconLanguage = partial(Falcon, heads=("ForCausalLM",))
Recurrent = partial(Case, kind="encoder", skip=("recordings",))  # no attentions, and no key-value cache

CASES = (
    Decoder(model_type="gpt2", config=GPT2),
    OneHead(
        model_type="gpt2",
        name="gpt2-scaled",
        config={**GPT2, "n_inner": 40, "scale_attn_by_inverse_layer_idx": True, "activation_function": "relu"},
    ),
    Decoder(model_type="gpt_neo", config=NEO),
    # Windows in which padding is all that there is: answers are equal, gradients of those positions are not.
    Language(model_type="gpt_neo", name="gpt_neo-narrow", config={**NEO, "window_size": 3}, skip=("gradient",)),
    Decoder(model_type="gptj", config={**GPT2, "rotary_dim": 4}),
    Decoder(model_type="opt", config=OPT),
    Decoder(
        model_type="opt",
        name="opt-post-norm",
        config={**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 20, "enable_bias": False},
    ),
    Decoder(model_type="bloom", config=BLOOM),
    Language(
        model_type="bloom", name="bloom-normed", config={**BLOOM, "apply_residual_connection_post_layernorm": True}
    ),
    Falcon(model_type="falcon", config=SIZES),
    FalconLanguage(
        model_type="falcon",
        name="falcon-40b",
        config={**SIZES, "new_decoder_architecture": True, "num_kv_heads": 2, "bias": True},
    ),
    FalconLanguage(
        model_type="falcon",
        name="falcon-11b",
        config={**SIZES, "new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
    ),
    FalconLanguage(
        model_type="falcon",
        name="falcon-rw",
        config={**SIZES, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    Decoder(model_type="mpt", config=MPT),
    Language(model_type="mpt", name="mpt-clipped", config={**MPT, "attn_config": CLIPPED}),
    Recurrent(model_type="mamba", config=MAMBA),
    Recurrent(
        model_type="mamba",
        name="mamba-biased",
        heads=("ForCausalLM",),
        config={**MAMBA, "use_bias": True, "use_conv_bias": False, "conv_kernel": 3, "residual_in_fp32": False},
    ),
)


@torch.no_grad()
@pytest.mark.parametrize("name", ["falcon", "falcon-40b", "falcon-11b"])
def test_falcon_attentions(name: str) -> None:
    case = next(case for case in CASES if (case.name or case.model_type) == name)
    both = pair(case, "ForCausalLM")
    eager = type(both.reference).from_pretrained(both.folder, attn_implementation="eager").eval()
    flags = {"output_hidden_states": True, "output_attentions": True}
    ids = both.inputs["input_ids"]
    assert_equal_outputs(both.ours(input_ids=ids, **flags), eager(input_ids=ids, **flags), case)


@torch.no_grad()
def test_falcon_rw_attentions() -> None:
    """The reference adds the biases twice where it writes attention out, so that its fused answer is compared."""
    case = next(case for case in CASES if case.name == "falcon-rw")
    both = pair(case, "ForCausalLM")
    answer = both.ours(**both.inputs, output_attentions=True)
    text = both.inputs["attention_mask"][..., None]
    expected = both.reference(**both.inputs).logits
    torch.testing.assert_close(answer.logits * text, expected * text, atol=2e-5, rtol=1e-4)
    assert len(answer.attentions) == 2 and answer.attentions[0].shape == (3, 4, 9, 9)


@torch.no_grad()
def test_gpt2_attends_to_an_encoder() -> None:
    case = Case(model_type="gpt2", name="gpt2-cross", config={**GPT2, "add_cross_attention": True})
    both = pair(case, "LMHeadModel")
    ids, memory = both.inputs["input_ids"], torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    seen = {"encoder_hidden_states": memory, "encoder_attention_mask": mask}
    expected = both.reference(input_ids=ids, **seen)
    assert_equal_outputs(both.ours(input_ids=ids, **seen), expected, case)
    first = both.ours(input_ids=ids[:, :6], use_cache=True, **seen)
    second = both.ours(input_ids=ids[:, 6:], past_key_values=first.past_key_values, **seen)
    torch.testing.assert_close(second.logits, expected.logits[:, 6:], atol=2e-5, rtol=1e-4)
    alone = both.ours(input_ids=ids, output_attentions=True)  # without an encoder it only attends to itself
    torch.testing.assert_close(alone.logits, both.reference(input_ids=ids).logits, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_mamba_carries_its_state() -> None:
    case = next(case for case in CASES if case.model_type == "mamba")
    both = pair(case, "ForCausalLM")
    ids = torch.randint(3, 71, (2, 150), generator=torch.Generator().manual_seed(2))  # more than two chunks of the scan
    expected = both.reference(input_ids=ids).logits
    whole = both.ours(input_ids=ids)
    torch.testing.assert_close(whole.logits, expected, atol=5e-5, rtol=1e-3)
    logits, cache = [], None
    for part in ids.split((100, 47, 1, 1, 1), dim=1):
        answer = both.ours(input_ids=part, cache_params=cache, use_cache=True)
        cache = answer.cache_params
        logits.append(answer.logits)
    assert cache.get_seq_length() == 150
    torch.testing.assert_close(torch.cat(logits, dim=1), expected, atol=5e-5, rtol=1e-3)
    torch.testing.assert_close(cache.ssm_states, whole.cache_params.ssm_states, atol=5e-5, rtol=1e-3)
    cache.reset()
    again = both.ours(input_ids=ids[:, :5], cache_params=cache, use_cache=True)
    torch.testing.assert_close(again.logits, expected[:, :5], atol=5e-5, rtol=1e-3)


@torch.no_grad()
def test_mamba_ignores_padding_on_the_left() -> None:
    both = pair(next(case for case in CASES if case.model_type == "mamba"), "ForCausalLM")
    ids = torch.randint(3, 71, (1, 6), generator=torch.Generator().manual_seed(3))
    padded = torch.cat((torch.zeros(1, 3, dtype=torch.long), ids), dim=1)
    mask = (torch.arange(9) >= 3).long()[None]
    answer = both.ours(input_ids=padded, attention_mask=mask).logits[:, 3:]
    torch.testing.assert_close(answer, both.ours(input_ids=ids).logits, atol=1e-5, rtol=1e-4)


def test_too_long_a_text_is_refused() -> None:
    model = model_class("gpt2", "LMHeadModel")(model_class("gpt2", "LMHeadModel").config_class(**GPT2))
    with pytest.raises(InputError, match="65 positions; the model has learned 64"):
        model(input_ids=torch.ones(1, 65, dtype=torch.long))
    with pytest.raises(InputError, match="position_ids go up to 64"):
        model(input_ids=torch.ones(1, 1, dtype=torch.long), position_ids=torch.tensor([[64]]))


def test_heads_that_do_not_fit_are_refused() -> None:
    for model_type, keys in {
        "gpt2": {"n_embd": 30, "n_head": 4},
        "gpt_neo": {"num_layers": 3},
        "mpt": {"d_model": 30, "n_heads": 4},
        "llama": {"num_attention_heads": 6, "num_key_value_heads": 4, "hidden_size": 48},
    }.items():
        with pytest.raises(ConfigError):
            model_class(model_type, "Model").config_class(**keys)
