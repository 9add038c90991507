"""Decoders with rotary positions equal the reference."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tests.parity.harness import (
    Case,
    TestParity,
    assert_equal_outputs,
    pair,
    pytest_generate_tests,
    with_eager,
)

__all__ = ["TestParity", "pytest_generate_tests"]

SIZES = {
    "vocab_size": 71, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
WIDE = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 6}
SLIDING = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0]}
MIXTRAL = {"num_local_experts": 5, "sliding_window": 4}
QWEN = {"num_experts": 5, "moe_intermediate_size": 24}
EXPERTS = {"num_experts_per_tok": 2, "output_router_logits": True, "router_aux_loss_coef": 0.1}

Decoder = partial(Case, kind="decoder")
Language = partial(Decoder, heads=("ForCausalLM",))


def case(model_type: str, kind: type[Case] | partial[Case] = Decoder, *, name: str = "", **config: object) -> Case:
    """A case of the common sizes with further keys."""
    return kind(model_type=model_type, name=name, config={**SIZES, **config})


# The reference's release 5 scales embeddings inside of its embedding module, release 4 and we after it.
GivenScaled = partial(Decoder, skip=("inputs_embeds",))

# With long-range scaling a text that grows beyond the first length changes all its positions.
Short = partial(Language, skip=("cache",))
# The reference's release 5 puts router_logits of the bare model at another place of its output.
Backbone = partial(Decoder, heads=("Model",), skip=("recordings",))
# The reference cannot weigh the routers of a second call by a mask that covers the first.
Routers = partial(Language, skip=("cache_with_left_padding",))
Heads = partial(
    Decoder, heads=("ForCausalLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
)

CASES = (
    case("llama", attention_bias=True, mlp_bias=True),
    case("llama", Language, name="llama3-scaling", tie_word_embeddings=True, head_dim=12, rope_parameters=LLAMA3),
    case("llama", Language, name="llama-yarn", rope_parameters=YARN),
    case("llama", Language, name="llama-linear", rope_parameters={**YARN, "rope_type": "linear"}),
    case("mistral", sliding_window=4, head_dim=12),
    case("qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True),
    case("qwen3", head_dim=12, attention_bias=True),
    case("gemma", GivenScaled, head_dim=12),
    case("gemma2", GivenScaled, head_dim=12, query_pre_attn_scalar=7, attn_logit_softcapping=None, **WIDE),
    case("gemma3_text", head_dim=12, query_pre_attn_scalar=7, final_logit_softcapping=5.0, **SLIDING),
    case("olmo2", attention_bias=True),
    case("cohere", logit_scale=0.3),
    case("cohere", Language, name="cohere-normed", use_qk_norm=True, attention_bias=True),
    case("mixtral", Backbone, name="mixtral-alone", **MIXTRAL, **EXPERTS),
    case("mixtral", Heads, **MIXTRAL),
    case("mixtral", Routers, name="mixtral-routers", **MIXTRAL, **EXPERTS),
    case("qwen3_moe", Backbone, name="qwen3_moe-alone", **QWEN, **EXPERTS),
    case("qwen3_moe", Heads, **QWEN, mlp_only_layers=[1], num_experts_per_tok=2),
    case("qwen3_moe", Routers, name="qwen3_moe-routers", **QWEN, **EXPERTS),
    case("qwen3_moe", Language, name="qwen3_moe-normed", **QWEN, norm_topk_prob=True, num_experts_per_tok=3),
    case("phi", partial_rotary_factor=0.5),
    case("phi", Language, name="phi-normed", qk_layernorm=True, num_key_value_heads=4),
    case("phi3", sliding_window=4, partial_rotary_factor=0.5),
    case(
        "phi3", Short, name="phi3-long", partial_rotary_factor=0.5, original_max_position_embeddings=8,
        rope_parameters={**LONG, "original_max_position_embeddings": 8},
    ),
    case("stablelm", use_qkv_bias=True),
    case("stablelm", Language, name="stablelm-parallel", use_parallel_residual=True, qk_layernorm=True),
    case("gpt_neox", use_parallel_residual=True),
    case("gpt_neox", Language, name="gpt_neox-sequential", use_parallel_residual=False, attention_bias=False),
)  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("model_type", ["gemma", "gemma2"])
def test_given_embeddings_are_scaled(model_type: str) -> None:
    both = pair(next(case for case in CASES if case.model_type == model_type), "Model")
    ids = both.inputs["input_ids"]
    given = both.ours(inputs_embeds=both.ours.get_input_embeddings()(ids))
    torch.testing.assert_close(given.last_hidden_state, both.ours(input_ids=ids).last_hidden_state)


@torch.no_grad()
def test_gemma2_caps_scores_where_attention_is_written_out() -> None:
    capped = case("gemma2", name="gemma2-capped", head_dim=12, attn_logit_softcapping=1.5, **WIDE)
    reference, ours = pair(capped, "ForCausalLM").fresh()
    inputs = pair(capped, "ForCausalLM").inputs
    fused = ours(**inputs).logits
    expected = with_eager(reference)(**inputs)
    assert_equal_outputs(with_eager(ours)(**inputs), expected, capped)
    assert not torch.allclose(fused, expected.logits, atol=1e-3)  # the fused kernel cannot


@torch.no_grad()
def test_gemma3_in_both_directions() -> None:
    embedder = case("gemma3_text", name="embedder", head_dim=12, use_bidirectional_attention=True, **WIDE)
    both = pair(embedder, "Model")
    text = both.inputs["attention_mask"][..., None]
    answer, expected = both.ours(**both.inputs), both.reference(**both.inputs)
    torch.testing.assert_close(answer.last_hidden_state * text, expected.last_hidden_state * text, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_masks_of_four_dimensions() -> None:
    both = pair(CASES[0], "ForCausalLM")
    ids = both.inputs["input_ids"]
    length = ids.shape[1]
    mask = torch.ones(3, 1, length, length, dtype=torch.bool).tril()
    mask[:, :, :, 1] = False
    mask[:, :, 1, 1] = True
    expected = both.reference(input_ids=ids, attention_mask=mask).logits
    additive = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    for given in (mask, additive):
        torch.testing.assert_close(
            both.ours(input_ids=ids, attention_mask=given).logits, expected, atol=2e-5, rtol=1e-4
        )


@torch.no_grad()
def test_older_caches_of_tuples() -> None:
    both = pair(CASES[0], "ForCausalLM")
    ids = both.inputs["input_ids"]
    first = both.ours(input_ids=ids[:, :6], use_cache=True)
    second = both.ours(input_ids=ids[:, 6:], past_key_values=first.past_key_values.to_legacy_cache())
    torch.testing.assert_close(second.logits, both.ours(input_ids=ids).logits[:, 6:], atol=2e-5, rtol=1e-4)
