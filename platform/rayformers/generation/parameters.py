"""Every parameter of generation with its default, in the groups of the guide (main_classes/text_generation)."""

from __future__ import annotations

from typing import Any

LENGTH: dict[str, Any] = {
    "max_length": 20,  # prompt included; max_new_tokens wins
    "max_new_tokens": None,
    "min_length": 0,
    "min_new_tokens": None,
    "early_stopping": False,  # of beams: True, False or "never"
    "max_time": None,  # seconds
    "stop_strings": None,
}
STRATEGY: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "num_beam_groups": 1,
    "penalty_alpha": None,  # contrastive search
    "dola_layers": None,  # "low", "high" or a list of layers
}
CACHE: dict[str, Any] = {
    "use_cache": True,
    "cache_implementation": None,
    "cache_config": None,
    "return_legacy_cache": None,
    "prefill_chunk_size": None,  # tokens
}
LOGITS: dict[str, Any] = {
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "diversity_penalty": 0.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "force_words_ids": None,
    "renormalize_logits": False,
    "constraints": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,  # (start, factor)
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "sequence_bias": None,
    "token_healing": False,
    "guidance_scale": None,
    "low_memory": None,
    "watermarking_config": None,
}
OUTPUTS: dict[str, Any] = {
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": None,
    "return_dict_in_generate": False,
}
TOKENS: dict[str, Any] = {
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,  # one or several
    "encoder_no_repeat_ngram_size": 0,
    "decoder_start_token_id": None,  # one, or one for each row
}
ASSISTANT: dict[str, Any] = {
    "is_assistant": False,
    "num_assistant_tokens": 20,
    "num_assistant_tokens_schedule": "constant",  # "heuristic", "heuristic_transient"
    "assistant_confidence_threshold": 0.4,
    "prompt_lookup_num_tokens": None,
    "max_matching_ngram_size": None,
    "assistant_early_exit": None,
    "assistant_lookbehind": 10,
    "target_lookbehind": 10,
}
PERFORMANCE: dict[str, Any] = {"compile_config": None, "disable_compile": False}

DEFAULTS: dict[str, Any] = LENGTH | STRATEGY | CACHE | LOGITS | OUTPUTS | TOKENS | ASSISTANT | PERFORMANCE

SAMPLING_ONLY = ("temperature", "top_p", "min_p", "typical_p", "top_k", "epsilon_cutoff", "eta_cutoff")
BEAMS_ONLY = ("early_stopping", "num_beam_groups", "diversity_penalty", "length_penalty", "constraints")
CACHE_ONLY = ("cache_implementation", "cache_config", "return_legacy_cache")
EXTRA_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")
CALL_ARGUMENTS = (
    "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "synced_gpus", "assistant_model", "streamer",
    "negative_prompt_ids", "negative_prompt_attention_mask", "use_model_defaults",
)  # fmt: skip
"""Arguments of generate that no configuration may hold."""

DYNAMIC_CACHES = ("dynamic", "dynamic_full", "offloaded", "quantized")
STATIC_CACHES = (
    "static", "offloaded_static", "sliding_window", "hybrid", "hybrid_chunked", "offloaded_hybrid",
    "offloaded_hybrid_chunked", "mamba",
)  # fmt: skip
