"""What models return: attributes, keys and a tuple at once (guide: main_classes/output)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch.utils._pytree as pytree
from torch import Tensor

Tensors = tuple[Tensor, ...] | None


class ModelOutput(OrderedDict):
    """Base of outputs. Fields are attributes and keys; a field that is None is neither a key nor in the tuple."""

    def __init_subclass__(cls) -> None:
        pytree.register_pytree_node(
            cls,
            lambda output: (list(output.values()), list(output.keys())),
            lambda values, keys: cls(**dict(zip(keys, values, strict=True))),
            serialized_type_name=f"{cls.__module__}.{cls.__name__}",
        )

    def __post_init__(self) -> None:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        first = getattr(self, names[0])
        if isinstance(first, Mapping) and all(getattr(self, name) is None for name in names[1:]):
            super().__setattr__(names[0], None)
            for key, value in first.items():
                super().__setattr__(key, value)
        for name in names:
            if getattr(self, name) is not None:
                super().__setitem__(name, getattr(self, name))

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setattr__(self, name: str, value: Any) -> None:
        if value is not None and name in {field.name for field in fields(self)}:  # type: ignore[arg-type]
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __delitem__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"{type(self).__name__} does not let items be deleted.")

    def setdefault(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{type(self).__name__} has no setdefault.")

    def pop(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{type(self).__name__} has no pop.")

    def update(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"{type(self).__name__} has no update.")

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), dict(self.items()))

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are not None, in order."""
        return tuple(self.values())


def _rebuild(cls: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    return cls(**values)


@dataclass
class BaseModelOutput(ModelOutput):
    """last_hidden_state [B, T, D]."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class BaseModelOutputWithPooling(ModelOutput):
    """pooler_output [B, D]: the first token, transformed."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class BaseModelOutputWithCrossAttentions(ModelOutput):
    """A stack that attends to a memory."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None
    cross_attentions: Tensors = None


@dataclass
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput):
    """An encoder that can also decode (BERT)."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors = None
    past_key_values: Any = None
    attentions: Tensors = None
    cross_attentions: Tensors = None


@dataclass
class BaseModelOutputWithPast(ModelOutput):
    """A decoder's states and cache."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class BaseModelOutputWithPastAndCrossAttentions(ModelOutput):
    """A decoder's states and cache, with a memory."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None
    cross_attentions: Tensors = None


@dataclass
class BaseModelOutputWithNoAttention(ModelOutput):
    """A convolutional backbone."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors = None


@dataclass
class BaseModelOutputWithPoolingAndNoAttention(ModelOutput):
    """A convolutional backbone with pooling."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors = None


@dataclass
class Seq2SeqModelOutput(ModelOutput):
    """An encoder-decoder's states."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors = None
    decoder_attentions: Tensors = None
    cross_attentions: Tensors = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors = None
    encoder_attentions: Tensors = None


@dataclass
class CausalLMOutput(ModelOutput):
    """logits [B, T, V]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class CausalLMOutputWithPast(ModelOutput):
    """logits [B, T, V] and the cache."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """logits [B, T, V], the cache, and attention to a memory."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None
    cross_attentions: Tensors = None


@dataclass
class MambaOutput(ModelOutput):
    """States of a state-space model and its cache."""

    last_hidden_state: Tensor | None = None
    cache_params: Any = None
    hidden_states: Tensors = None


@dataclass
class MambaCausalLMOutput(ModelOutput):
    """logits [B, T, V] of a state-space model and its cache."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    cache_params: Any = None
    hidden_states: Tensors = None


@dataclass
class MoeModelOutputWithPast(ModelOutput):
    """States of a mixture of experts; router_logits has [B * T, experts] for each layer with experts."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None
    router_logits: Tensors = None


@dataclass
class MoeCausalLMOutputWithPast(ModelOutput):
    """logits [B, T, V] of a mixture of experts; aux_loss is the balancing loss."""

    loss: Tensor | None = None
    aux_loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None
    router_logits: Tensors = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """logits [B, T, V]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class Seq2SeqLMOutput(ModelOutput):
    """Decoder logits [B, T, V]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors = None
    decoder_attentions: Tensors = None
    cross_attentions: Tensors = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors = None
    encoder_attentions: Tensors = None


@dataclass
class NextSentencePredictorOutput(ModelOutput):
    """logits [B, 2]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """logits [B, labels]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class SequenceClassifierOutputWithPast(ModelOutput):
    """logits [B, labels] of a decoder."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class Seq2SeqSequenceClassifierOutput(ModelOutput):
    """logits [B, labels] of an encoder-decoder."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors = None
    decoder_attentions: Tensors = None
    cross_attentions: Tensors = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors = None
    encoder_attentions: Tensors = None


@dataclass
class MultipleChoiceModelOutput(ModelOutput):
    """logits [B, choices]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class TokenClassifierOutput(ModelOutput):
    """logits [B, T, labels]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """start_logits and end_logits [B, T]."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class Seq2SeqQuestionAnsweringModelOutput(ModelOutput):
    """start_logits and end_logits [B, T] of an encoder-decoder."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors = None
    decoder_attentions: Tensors = None
    cross_attentions: Tensors = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors = None
    encoder_attentions: Tensors = None


@dataclass
class ImageClassifierOutput(ModelOutput):
    """logits [B, labels]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


@dataclass
class MaskedImageModelingOutput(ModelOutput):
    """reconstruction [B, C, height, width]."""

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None
