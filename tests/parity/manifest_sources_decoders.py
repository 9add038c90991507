"""Configurations of public checkpoints of decoders, where they differ from the defaults: see manifests.py."""

from __future__ import annotations

from typing import Any


def _llama(
    width: int, inner: int, layers: int, heads: int, groups: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    """The keys that say how large a decoder of Llama's family is."""
    return {
        "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": groups, **more,
    }  # fmt: skip


TIED = {"tie_word_embeddings": True}
FALCON_40B = {
    "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8,
    "new_decoder_architecture": True,
}  # fmt: skip
FALCON_RW = {
    "vocab_size": 50304, "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "alibi": True,
    "multi_query": False, "parallel_attn": False, "bias": True,
}  # fmt: skip
OPT_350M = {
    "hidden_size": 1024, "ffn_dim": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "word_embed_proj_dim": 512, "do_layer_norm_before": False,
}  # fmt: skip
GPT_NEO = {
    "hidden_size": 768, "num_layers": 12, "num_heads": 12, "attention_types": [[["global", "local"], 6]],
}  # fmt: skip
PYTHIA = {
    "vocab_size": 50304, "hidden_size": 512, "num_hidden_layers": 6, "num_attention_heads": 8,
    "intermediate_size": 2048,
}  # fmt: skip
COMMAND_R_PLUS = _llama(12288, 33792, 64, 96, 8, 256000, use_qk_norm=True)
STABLELM_12B = _llama(5120, 13824, 40, 32, 8, 100352, qk_layernorm=True, use_parallel_residual=True)

DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-2-7b-hf": ("LlamaForCausalLM", _llama(4096, 11008, 32, 32, 32, 32000)),
    "llama-3.1-8b": ("LlamaForCausalLM", _llama(4096, 14336, 32, 32, 8, 128256)),
    "llama-3.2-1b": ("LlamaForCausalLM", _llama(2048, 8192, 16, 32, 8, 128256, head_dim=64, **TIED)),
    "tinyllama-1.1b-chat-v1.0": ("LlamaForCausalLM", _llama(2048, 5632, 22, 32, 4, 32000)),
    "mistral-7b-v0.1": ("MistralForCausalLM", _llama(4096, 14336, 32, 32, 8, 32000)),
    "mixtral-8x7b-v0.1": ("MixtralForCausalLM", _llama(4096, 14336, 32, 32, 8, 32000)),
    "qwen2-0.5b": ("Qwen2ForCausalLM", _llama(896, 4864, 24, 14, 2, 151936, **TIED)),
    "qwen2.5-7b-instruct": ("Qwen2ForCausalLM", _llama(3584, 18944, 28, 28, 4, 152064)),
    "qwen3-0.6b": ("Qwen3ForCausalLM", _llama(1024, 3072, 28, 16, 8, 151936, head_dim=128, **TIED)),
    "qwen3-30b-a3b": ("Qwen3MoeForCausalLM", _llama(2048, 6144, 48, 32, 4, 151936, head_dim=128)),
    "gemma-2b": ("GemmaForCausalLM", _llama(2048, 16384, 18, 8, 1, 256000)),
    "gemma-2-2b": ("Gemma2ForCausalLM", _llama(2304, 9216, 26, 8, 4, 256000)),
    "gemma-3-1b-it": ("Gemma3ForCausalLM", _llama(1152, 6912, 26, 4, 1, 262144)),
    "olmo-2-1124-7b": ("Olmo2ForCausalLM", _llama(4096, 11008, 32, 32, 32, 100352)),
    "phi-2": ("PhiForCausalLM", _llama(2560, 10240, 32, 32, 32, 51200)),
    "phi-3-mini-4k-instruct": ("Phi3ForCausalLM", _llama(3072, 8192, 32, 32, 32, 32064)),
    "stablelm-2-1_6b": ("StableLmForCausalLM", _llama(2048, 5632, 24, 32, 32, 100352, use_qkv_bias=True)),
    "stablelm-2-12b": ("StableLmForCausalLM", STABLELM_12B),
    "c4ai-command-r-v01": ("CohereForCausalLM", _llama(8192, 22528, 40, 64, 64, 256000)),
    "c4ai-command-r-plus": ("CohereForCausalLM", COMMAND_R_PLUS),
    "gpt2": ("GPT2LMHeadModel", {}),
    "gpt2-xl": ("GPT2LMHeadModel", {"n_embd": 1600, "n_layer": 48, "n_head": 25}),
    "distilgpt2": ("GPT2LMHeadModel", {"n_layer": 6}),
    "opt-125m": ("OPTForCausalLM", {}),
    "opt-350m": ("OPTForCausalLM", OPT_350M),
    "gpt-neo-125m": ("GPTNeoForCausalLM", GPT_NEO),
    "gpt-j-6b": ("GPTJForCausalLM", {}),
    "gpt-neox-20b": ("GPTNeoXForCausalLM", {}),
    "pythia-70m": ("GPTNeoXForCausalLM", PYTHIA),
    "bloom-560m": ("BloomForCausalLM", {"hidden_size": 1024, "n_layer": 24, "n_head": 16}),
    "falcon-7b": ("FalconForCausalLM", {}),
    "falcon-40b": ("FalconForCausalLM", FALCON_40B),
    "falcon-rw-1b": ("FalconForCausalLM", FALCON_RW),
    "mpt-7b": ("MptForCausalLM", {"d_model": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": 50432}),
    "mamba-130m-hf": ("MambaForCausalLM", {"hidden_size": 768, "num_hidden_layers": 24}),
}
