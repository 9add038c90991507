"""Checks that every text model makes of its inputs."""

from __future__ import annotations

from torch import Tensor, nn

from ...errors import InputError


def embed_tokens(embedding: nn.Module, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    """The embeddings [B, T, D] of token ids [B, T], or those that were given in their place.

    Raises:
        InputError: both or neither are given, their rank is wrong, or an id is outside of the vocabulary.
    """
    if (input_ids is None) == (inputs_embeds is None):
        given = "neither" if input_ids is None else "both"
        raise InputError(f"Give either input_ids or inputs_embeds; {given} were given.")
    if inputs_embeds is not None:
        if inputs_embeds.ndim != 3:
            raise InputError(
                f"inputs_embeds has shape {tuple(inputs_embeds.shape)}; expected [batch, positions, width]."
            )
        return inputs_embeds
    assert input_ids is not None
    if input_ids.ndim != 2:
        raise InputError(
            f"input_ids has shape {tuple(input_ids.shape)}; expected [batch, positions]. "
            "Add the batch axis with input_ids[None], or tokenize with return_tensors='pt' and padding=True."
        )
    if input_ids.is_floating_point():
        raise InputError(f"input_ids are {input_ids.dtype}; token ids must be whole numbers (torch.long).")
    advice = "Use the tokenizer of this checkpoint, or grow the model with resize_token_embeddings(len(tokenizer))."
    return look_up(embedding, input_ids, "input_ids", advice)


def look_up(embedding: nn.Module, ids: Tensor, name: str, advice: str = "") -> Tensor:
    """Rows of an embedding.

    Args:
        name: what the ids are called in the error; `advice` ends it.

    Raises:
        InputError: an id is outside of the table (found on the CPU; a GPU would have to be waited for).
    """
    try:
        return embedding(ids)
    except IndexError as error:
        low, high = (int(value) for value in ids.aminmax())
        last = len(embedding.weight) - 1  # type: ignore[arg-type]
        raise InputError(f"{name} go from {low} to {high}; the model knows 0 to {last}. {advice}".rstrip()) from error


def check_length(end: int, positions: int, name: str = "max_position_embeddings") -> None:
    """Refuse texts that end beyond the learned positions.

    Args:
        end: positions that the text and what is cached before it take.
        positions: positions that the model has learned.
        name: the configuration's key for them.

    Raises:
        InputError: the text is too long.
    """
    if end > positions:
        raise InputError(
            f"The text has {end} positions; the model has learned {positions} ({name}). "
            f"Truncate it: tokenizer(..., truncation=True, max_length={positions})."
        )
