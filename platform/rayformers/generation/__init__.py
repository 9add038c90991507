"""Generation: the decoding loop, logits rules, stopping, caches, streamers. Names are imported when first used."""

from __future__ import annotations

import importlib
from typing import Any

NAMES: dict[str, tuple[str, ...]] = {
    "generation.configuration": ("CompileConfig", "GenerationConfig"),
    "generation.modes": ("GenerationMode",),
    "generation.mixin": ("GenerationMixin",),
    "generation.watermark.config": (
        "BaseWatermarkingConfig", "SynthIDTextWatermarkingConfig", "WatermarkingConfig",
    ),
    "generation.watermark.green_list": (
        "WatermarkDetector", "WatermarkDetectorOutput", "WatermarkLogitsProcessor",
    ),
    "generation.watermark.synthid": ("SynthIDTextWatermarkLogitsProcessor", "SynthIDTextWatermarkState"),
    "generation.watermark.bayesian": (
        "BayesianDetectorConfig", "BayesianDetectorModel", "SynthIDTextWatermarkDetector",
    ),
    "generation.outputs": (
        "GenerateBeamDecoderOnlyOutput", "GenerateBeamEncoderDecoderOutput", "GenerateDecoderOnlyOutput",
        "GenerateEncoderDecoderOutput",
    ),
    "generation.rules.base": ("LogitsProcessor", "LogitsProcessorList"),
    "generation.rules.sampling": (
        "EpsilonLogitsWarper", "EtaLogitsWarper", "InfNanRemoveLogitsProcessor", "LogitNormalization",
        "MinPLogitsWarper", "TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper", "TypicalLogitsWarper",
    ),
    "generation.rules.lengths": (
        "ExponentialDecayLengthPenalty", "ForcedBOSTokenLogitsProcessor", "ForcedEOSTokenLogitsProcessor",
        "MinLengthLogitsProcessor", "MinNewTokensLengthLogitsProcessor", "SuppressTokensAtBeginLogitsProcessor",
        "SuppressTokensLogitsProcessor",
    ),
    "generation.rules.repetition": (
        "EncoderNoRepeatNGramLogitsProcessor", "EncoderRepetitionPenaltyLogitsProcessor",
        "HammingDiversityLogitsProcessor", "NoRepeatNGramLogitsProcessor", "RepetitionPenaltyLogitsProcessor",
    ),
    "generation.rules.sequences": (
        "NoBadWordsLogitsProcessor", "PrefixConstrainedLogitsProcessor", "SequenceBiasLogitsProcessor",
    ),
    "generation.rules.guidance": (
        "AlternatingCodebooksLogitsProcessor", "ClassifierFreeGuidanceLogitsProcessor",
        "UnbatchedClassifierFreeGuidanceLogitsProcessor", "WhisperTimeStampLogitsProcessor",
    ),
    "generation.stopping": (
        "ConfidenceCriteria", "EosTokenCriteria", "MaxLengthCriteria", "MaxTimeCriteria", "StopStringCriteria",
        "StoppingCriteria", "StoppingCriteriaList",
    ),
    "generation.streamers": ("AsyncTextIteratorStreamer", "BaseStreamer", "TextIteratorStreamer", "TextStreamer"),
    "generation.constraints": ("Constraint", "ConstraintListState", "DisjunctiveConstraint", "PhrasalConstraint"),
    "generation.beam_scorer": ("BeamHypotheses", "BeamScorer", "BeamSearchScorer"),
    "generation.constrained_scorer": ("ConstrainedBeamSearchScorer",),
    "nn.cache": (
        "Cache", "CacheProcessor", "DynamicCache", "EncoderDecoderCache", "HybridCache", "HybridChunkedCache",
        "OffloadedCache", "OffloadedStaticCache", "SlidingWindowCache", "StaticCache",
    ),
    "nn.cache_layers": ("CacheLayerMixin", "DynamicLayer", "SlidingWindowLayer", "StaticLayer"),
    "nn.cache_offload": ("OffloadedCacheProcessor",),
    "nn.cache_states": ("MambaCache",),
    "nn.cache_quantized": (
        "CacheConfig", "HQQQuantizedCache", "HQQQuantizedCacheProcessor", "QuantizedCache", "QuantizedCacheConfig",
        "QuantizedCacheProcessor", "QuantoQuantizedCache", "QuantoQuantizedCacheProcessor",
    ),
}  # fmt: skip
"""Module below the package -> the public names that it gives; the package root exports them all."""

_OWNERS = {name: module for module, names in NAMES.items() for name in names}
__all__ = sorted(_OWNERS)


def __getattr__(name: str) -> Any:
    if name not in _OWNERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"..{_OWNERS[name]}", __name__), name)
    globals()[name] = value
    return value
