"""TAPAS (Herzig et al. 2020, arXiv:2004.02349): BERT over a question and a flattened table.

Hub: google/tapas-base-finetuned-wtq, google/tapas-base-finetuned-sqa, google/tapas-base-finetuned-tabfact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...weights import Drop, Rename, WeightMap
from ..config import PretrainedConfig
from ..registry import Architecture, HeadSpec, register
from ..text_heads import MaskedLM
from .bert import prediction_options, predictions
from .encoder import TIED, Encoder, heads, layer_rules
from .inputs import check_length, embed_tokens, look_up
from .tapas_head import COLUMN, ROW, TableReader


@dataclass(kw_only=True, init=False, repr=False)
class TapasConfig(PretrainedConfig):
    """config.json of TAPAS."""

    model_type: ClassVar[str] = "tapas"

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 1024
    type_vocab_sizes: list[int] = field(default_factory=lambda: [3, 256, 256, 2, 256, 256, 10])
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    positive_label_weight: float = 10.0
    num_aggregation_labels: int = 0
    aggregation_loss_weight: float = 1.0
    use_answer_as_supervision: bool | None = None
    answer_loss_importance: float = 1.0
    use_normalized_answer_loss: bool = False
    huber_loss_delta: float | None = None
    temperature: float = 1.0
    aggregation_temperature: float = 1.0
    use_gumbel_for_cells: bool = False
    use_gumbel_for_aggregation: bool = False
    average_approximation_function: str = "ratio"
    cell_selection_preference: float | None = None
    answer_loss_cutoff: float | None = None
    max_num_rows: int = 64
    max_num_columns: int = 32
    average_logits_per_cell: bool = False
    select_one_column: bool = True
    allow_empty_column_selection: bool = False
    init_cell_selection_weights_to_zero: bool = False
    reset_position_index_per_cell: bool = True
    disable_per_token_loss: bool = False
    aggregation_labels: dict[int, str] | None = None
    no_aggregation_label_index: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.aggregation_labels, dict):
            self.aggregation_labels = {int(key): value for key, value in self.aggregation_labels.items()}


class TableEmbedding(nn.Module):
    """Tokens, positions within their cells, and one embedding for each kind of token type: [B, T] -> [B, T, D]."""

    def __init__(self, config: TapasConfig) -> None:
        super().__init__()
        dim = config.hidden_size
        self.config = config
        self.token = nn.Embedding(config.vocab_size, dim, config.pad_token_id)
        self.position = nn.Embedding(config.max_position_embeddings, dim)
        self.segments = nn.ModuleList(nn.Embedding(size, dim) for size in config.type_vocab_sizes)
        self.norm = nn.LayerNorm(dim, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: Tensor | None, token_type_ids: Tensor | None = None, position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None, seen: int = 0,
    ) -> Tensor:  # fmt: skip
        x = embed_tokens(self.token, input_ids, inputs_embeds)
        if token_type_ids is None:
            token_type_ids = x.new_zeros(*x.shape[:2], len(self.segments), dtype=torch.long)
        if token_type_ids.shape != (*x.shape[:2], len(self.segments)):
            raise InputError(
                f"token_type_ids has shape {tuple(token_type_ids.shape)}; TAPAS takes [batch, positions, "
                f"{len(self.segments)}]. Make them with the TAPAS tokenizer from a table and a question."
            )
        positions = self._positions(token_type_ids) if position_ids is None else position_ids
        x = x + look_up(self.position, positions, "position_ids")
        for number, segment in enumerate(self.segments):
            x = x + look_up(segment, token_type_ids[..., number], f"token_type_ids[..., {number}]")
        return self.dropout(self.norm(x))

    def _positions(self, segments: Tensor) -> Tensor:
        """[1 or B, T]: counted from the first token of each cell."""
        length, last = segments.shape[1], self.config.max_position_embeddings - 1
        positions = torch.arange(length, device=segments.device)[None]
        if not self.config.reset_position_index_per_cell:
            check_length(length, last + 1)
            return positions
        rows = self.config.type_vocab_sizes[ROW]
        cells = segments[..., COLUMN] * rows + segments[..., ROW]
        starts = positions.new_full((len(cells), self.config.type_vocab_sizes[COLUMN] * rows), length)
        starts = starts.scatter_reduce(1, cells, positions.expand_as(cells), reduce="amin")
        return (positions - starts.gather(1, cells)).clamp(max=last)


class Tapas(Encoder):
    """A Transformer encoder: input_ids [B, T], token_type_ids [B, T, 7] -> last_hidden_state [B, T, D]."""

    def __init__(self, config: TapasConfig, *, pooler: bool = True) -> None:
        super().__init__(config, pooler=pooler, embed=TableEmbedding)


@torch.no_grad()
def initialise(module: nn.Module, config: Any) -> bool:
    """The cell selection's vectors: drawn, or zero so that every cell is as likely as not."""
    if not isinstance(module, TableReader):
        return False
    for weight in (module.token_weight, module.column_weight):
        if config.init_cell_selection_weights_to_zero:
            nn.init.zeros_(weight)
        else:
            nn.init.normal_(weight, std=config.initializer_range)
    for bias in (module.token_bias, module.column_bias):
        nn.init.zeros_(bias)
    return True


WEIGHTS = WeightMap(
    Rename("embeddings.word_embeddings", "embed.token"),
    Rename("embeddings.position_embeddings", "embed.position"),
    Rename("embeddings.token_type_embeddings_{n}", "embed.segments.{n}"),
    Rename("embeddings.LayerNorm", "embed.norm"),
    Drop("embeddings.position_ids"),
    *layer_rules("encoder.layer.{i}."),
    Rename("pooler.dense", "pooler.dense"),
)
READER = (
    Rename("output_weights", "head.token_weight"),
    Rename("column_output_weights", "head.column_weight"),
    Rename("output_bias", "head.token_bias"),
    Rename("column_output_bias", "head.column_bias"),
    Rename("aggregation_classifier", "head.aggregation"),
)

register(
    "tapas",
    Architecture(
        config=TapasConfig,
        backbone=Tapas,
        weights=WEIGHTS,
        hub_prefix="tapas",
        has_pooler=True,
        optional=("pooler.*",),
        initialise=initialise,
        heads=heads(
            ForMaskedLM=HeadSpec(
                build=lambda c, b: MaskedLM(c, b, **prediction_options(c)), weights=predictions, tied=TIED
            ),
            ForQuestionAnswering=HeadSpec(build=TableReader, weights=READER, pooler=True),
            ForMultipleChoice=None,
            ForTokenClassification=None,
        ),
    ),
)
