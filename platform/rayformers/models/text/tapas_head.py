"""TAPAS' head: which cells of a table answer a question, by which operation, and the losses that teach it.

Shape letters: B batch, T positions, D width, C cells (rows x columns), A operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import RelaxedBernoulli, RelaxedOneHotCategorical

from ...errors import ConfigError, InputError
from ..heads import Head
from ..outputs import ModelOutput, Tensors
from ..text_heads import recorded

TINY = 1e-10
NEVER = -10000.0
"""A logit whose probability is practically zero."""
COLUMN, ROW = 1, 2
"""Places in the last axis of token_type_ids."""


@dataclass
class TableQuestionAnsweringOutput(ModelOutput):
    """logits [B, T]: cell selection; logits_aggregation [B, A]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    logits_aggregation: Tensor | None = None
    hidden_states: Tensors = None
    attentions: Tensors = None


def reduce(values: Tensor, index: Tensor, count: int, how: str) -> Tensor:
    """[B, T] values by segment: [B, count]; `how` is "sum", "mean" or "amax"; zero where a segment is empty."""
    out = torch.zeros(len(values), count, device=values.device)
    out = out.scatter_reduce(1, index, values.float(), reduce=how, include_self=False)
    return out.to(values.dtype)


class Grid:
    """Where each token is in its table: cell number = row * columns + column; row and column 0 are no cells.

    Args:
        segments: token_type_ids [B, T, 7].
        text: attention mask [B, T].
    """

    def __init__(self, config: Any, segments: Tensor, text: Tensor) -> None:
        self.columns, self.count = config.max_num_columns, config.max_num_rows * config.max_num_columns
        self.column = segments[..., COLUMN].clamp(max=self.columns - 1)
        self.cell = segments[..., ROW].clamp(max=config.max_num_rows - 1) * self.columns + self.column
        self.column_of_cell = (torch.arange(self.count, device=segments.device) % self.columns)[None]
        self.text = text.float()
        self.mask = self.by_cell(self.text)
        """Which cells exist: [B, C]."""

    def by_cell(self, values: Tensor, how: str = "mean") -> Tensor:
        """[B, T] -> [B, C]."""
        return reduce(values, self.cell, self.count, how)

    def by_column(self, values: Tensor) -> Tensor:
        """Sums over the cells of each column: [B, C] -> [B, columns]."""
        return reduce(values, self.column_of_cell.expand(len(values), -1), self.columns, "sum")

    def to_tokens(self, cells: Tensor) -> Tensor:
        """[B, C] -> [B, T]."""
        return cells.gather(1, self.cell)


class TableReader(Head):
    """Selects cells, of one column where the configuration says so, and an operation over them."""

    inputs: ClassVar[tuple[str, ...]] = (
        "table_mask", "labels", "aggregation_labels", "float_answer", "numeric_values", "numeric_values_scale",
    )  # fmt: skip

    def __init__(self, config: Any, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.token_weight = nn.Parameter(torch.zeros(config.hidden_size))
        self.column_weight = nn.Parameter(torch.zeros(config.hidden_size))
        self.token_bias = nn.Parameter(torch.zeros(()))
        self.column_bias = nn.Parameter(torch.zeros(()))
        operations = config.num_aggregation_labels
        self.aggregation = nn.Linear(config.hidden_size, operations) if operations > 0 else None

    def forward(
        self, outputs: Any, inputs: Mapping[str, Any], labels: Tensor | None = None, table_mask: Tensor | None = None,
        **answers: Tensor | None,
    ) -> TableQuestionAnsweringOutput:  # fmt: skip
        states = self.dropout(outputs.last_hidden_state)
        segments = inputs.get("token_type_ids")
        if segments is None:
            segments = states.new_zeros(*states.shape[:2], len(self.config.type_vocab_sizes), dtype=torch.long)
        text = inputs.get("attention_mask")
        grid = Grid(self.config, segments, states.new_ones(states.shape[:2]) if text is None else text)
        logits = (states @ self.token_weight + self.token_bias) / self.config.temperature
        columns = self._column_logits(states, grid) if self.config.select_one_column else None
        operations = None if self.aggregation is None else self.aggregation(outputs.pooler_output)
        loss = None
        if labels is not None:
            table = segments[..., ROW] > 0 if table_mask is None else table_mask
            loss, logits = self._loss(logits, columns, operations, labels, grid, table.float(), answers)
        elif columns is not None:
            logits = self._one_column(logits, columns, grid)
        return TableQuestionAnsweringOutput(
            loss=loss, logits=logits, logits_aggregation=operations, **recorded(outputs)
        )

    def _column_logits(self, states: Tensor, grid: Grid) -> Tensor:
        """[B, columns]: the mean over each column's cells; very low where a column does not exist."""
        cells = grid.by_cell(states @ self.column_weight + self.column_bias)
        count = grid.by_column(grid.mask)
        logits = grid.by_column(cells * grid.mask) / (count + TINY)
        none = torch.arange(grid.columns, device=states.device)[None] == 0
        logits = logits + NEVER * ((count < 0.5) & ~none).float()
        return logits if self.config.allow_empty_column_selection else logits + NEVER * none.float()

    def _one_column(self, logits: Tensor, columns: Tensor, grid: Grid) -> Tensor:
        """Logits [B, T] that allow cells of the likeliest column only."""
        chosen = (grid.column_of_cell == columns.argmax(-1, keepdim=True)) & (grid.column_of_cell != 0)
        return grid.to_tokens(grid.by_cell(logits) + NEVER * (1.0 - grid.mask * chosen.float()))

    def _loss(
        self, logits: Tensor, columns: Tensor | None, operations: Tensor | None, labels: Tensor, grid: Grid,
        table: Tensor, answers: Mapping[str, Tensor | None],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The loss, and the logits after the choice of a column."""
        config = self.config
        weak = operations is not None and bool(config.use_answer_as_supervision)
        aggregates = self._aggregates(operations, labels, answers.get("float_answer")) if weak else None
        if config.average_logits_per_cell:
            logits = grid.to_tokens(grid.by_cell(logits))
        if columns is None:
            selection = self._free_selection_loss(logits, labels, grid)
        else:
            selection = self._column_selection_loss(logits, columns, labels, grid)
            logits = self._one_column(logits, columns, grid)
        loss = logits.new_zeros(())
        if not config.disable_per_token_loss:
            loss = loss + (selection if aggregates is None else selection * (1.0 - aggregates)).mean()
        if operations is not None:
            loss = loss + self._operation_loss(operations, aggregates, logits, table, answers).mean()
        return loss, logits

    def _free_selection_loss(self, logits: Tensor, labels: Tensor, grid: Grid) -> Tensor:
        """[B]: every token for itself, those of the answer weighted more."""
        weight = torch.where(labels == 0, 1.0, self.config.positive_label_weight)
        loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none") * weight
        return (loss * grid.text).sum(1) / (grid.text.sum(1) + TINY)

    def _column_selection_loss(self, logits: Tensor, columns: Tensor, labels: Tensor, grid: Grid) -> Tensor:
        """[B]: the column with most of the answer, or column 0 where there is none, then cells within it."""
        per_column = reduce(labels.float(), grid.column, grid.columns, "sum")
        nothing = per_column.amax(-1) == 0
        column = per_column.argmax(-1).masked_fill(nothing, 0)
        cells = grid.by_cell(logits)
        wanted = grid.by_cell(labels.long(), "amax").to(cells.dtype)
        inside = (grid.column_of_cell == column[:, None]).float() * grid.mask
        cell_loss = F.binary_cross_entropy_with_logits(cells, wanted, reduction="none") * inside
        cell_loss = cell_loss.sum(1) / (inside.sum(1) + TINY)
        return F.cross_entropy(columns, column, reduction="none") + cell_loss.masked_fill(nothing, 0)

    def _aggregates(self, operations: Tensor | None, labels: Tensor, answer: Tensor | None) -> Tensor:
        """[B]: 1 where the answer must be computed, 0 where cells hold it; the model's own belief decides ambiguity."""
        assert operations is not None
        preference = self.config.cell_selection_preference
        if answer is None:
            raise InputError("use_answer_as_supervision needs float_answer [batch], NaN where cells are the answer.")
        if preference is None:
            raise ConfigError("use_answer_as_supervision needs config.cell_selection_preference, such as 0.207951.")
        mass = operations.softmax(-1)[:, 1:].sum(1)
        selects = (mass <= preference) & (labels.sum(1) > 0)
        return (~answer.isnan() & ~selects).float().detach()

    def _operation_loss(
        self, operations: Tensor, aggregates: Tensor | None, logits: Tensor, table: Tensor,
        answers: Mapping[str, Tensor | None],
    ) -> Tensor:  # fmt: skip
        """[B]: of the operation, and with weak supervision of the number that it computes."""
        weight = self.config.aggregation_loss_weight
        if aggregates is None:
            target = answers.get("aggregation_labels")
            if target is None:
                raise InputError("labels of a model with operations need aggregation_labels [batch] too.")
            return weight * F.cross_entropy(operations, target, reduction="none")
        values, scale = answers.get("numeric_values"), answers.get("numeric_values_scale")
        if values is None or scale is None:
            raise InputError(
                "use_answer_as_supervision needs numeric_values and numeric_values_scale [batch, positions]."
            )
        known = F.cross_entropy(operations, torch.zeros_like(aggregates, dtype=torch.long), reduction="none")
        unknown = -operations.softmax(-1)[:, 1:].sum(1).log()
        loss = weight * (known * (1 - aggregates) + unknown * aggregates)
        answer = answers["float_answer"]
        assert answer is not None
        regression, kept = self._answer_loss(
            answer, aggregates, expected_answer(self.config, logits, operations, values, scale, table)
        )
        return (loss + regression) * kept

    def _answer_loss(self, answer: Tensor, aggregates: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """[B] distance between the computed and the true number, and 0 where it is beyond the cutoff."""
        config = self.config
        answer = answer.nan_to_num(0.0)
        delta = 1.0 if config.use_normalized_answer_loss else config.huber_loss_delta
        if delta is None:
            raise ConfigError("use_answer_as_supervision needs config.huber_loss_delta, such as 0.121194.")
        if config.use_normalized_answer_loss:
            size = (torch.maximum(expected.abs(), answer.abs()) + TINY).detach()
            answer, expected = answer / size, expected / size
        loss = F.huber_loss(expected * aggregates, answer * aggregates, reduction="none", delta=delta)
        cutoff = config.answer_loss_cutoff
        kept = torch.ones_like(loss) if cutoff is None else (loss <= cutoff).float()
        return config.answer_loss_importance * loss * aggregates, kept


def expected_answer(
    config: Any, logits: Tensor, operations: Tensor, values: Tensor, scale: Tensor, table: Tensor
) -> Tensor:
    """[B]: sum, average and count over the cells' probabilities, weighted by the operations' probabilities."""
    if config.use_gumbel_for_cells:
        chance = RelaxedBernoulli(torch.tensor(config.temperature), logits=logits * config.temperature).sample()
    else:
        chance = logits.sigmoid()
    chance = chance / scale * table
    count, values = chance.sum(1), values.nan_to_num(0.0)
    total = (chance * values).sum(1)
    results = torch.stack(
        (total, _average(config.average_approximation_function, chance, values, total, count), count), 1
    )
    if config.use_gumbel_for_aggregation:
        temperature = torch.tensor(config.aggregation_temperature)
        weights = RelaxedOneHotCategorical(temperature, logits=operations[:, 1:]).sample()
    else:
        weights = (operations[:, 1:] / config.aggregation_temperature).softmax(-1)
    return (results * weights).sum(1)


def _average(kind: str, chance: Tensor, values: Tensor, total: Tensor, count: Tensor) -> Tensor:
    """Approximations of an average over a random choice of cells (the paper's appendix D)."""
    if kind == "ratio":
        return total / (count + TINY)
    if kind not in ("first_order", "second_order"):
        raise ConfigError(
            f"average_approximation_function is {kind!r}; expected 'ratio', 'first_order' or 'second_order'."
        )
    others = chance.sum(1, keepdim=True) - chance + 1
    if kind == "first_order":
        return (values * chance / others).sum(1)
    spread = chance * (1 - chance)
    variance = spread.sum(1, keepdim=True) - spread
    return (values * chance * (variance / others.square() + 1) / others).sum(1)
