"""Lists as Arrow tables, with titles and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.arrow import numbers, strings
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Sequences as Histories
from diffrec_cli.models.scorer import Scorer
from diffrec_cli.ranking.batches import Ranked
from diffrec_cli.ranking.reasons import gains
from diffrec_cli.workflows.serving.user_histories import Request

_REASONS = 3  # at most for an item

#: Items of a history and how much each raised a score, most first.
Reasons = list[tuple[int, float]]


def explained(
    scorer: Scorer,
    history: Histories,
    items: NDArray[np.int64],
    *,
    temporal: TemporalConfig | None,
    user: int,
) -> list[Reasons]:
    """Return for each item of a list, (k,), the history items that raised its score most.

    See :func:`~diffrec_cli.ranking.reasons.gains`.
    """
    raised = gains(scorer, history, items, temporal=temporal, user=user)  # (n, k)
    best = np.argsort(-raised, axis=0, kind="stable")[:_REASONS]  # (<= 3, k)
    return [
        [(int(history.items[place]), float(raised[place, column])) for place in best[:, column]
         if raised[place, column] > 0]
        for column in range(len(items))
    ]  # fmt: skip


def list_table(
    request: Request,
    lists: Ranked,
    dataset: Dataset,
    titles: bool,
    reasons: Sequence[Sequence[Reasons]] | None,
) -> pa.Table:
    """Return the lists of a batch as rows; empty places are left out.

    Parameters
    ----------
    request, lists
        The users, and their lists.
    dataset
        Has the items' ids and titles.
    titles
        Whether there is a column ``title``.
    reasons
        For each user those of each item, for the column ``because``; or ``None``.
    """
    row, place = np.nonzero(lists.items >= 0)
    items = lists.items[row, place]
    columns: dict[str, Any] = {
        "user": request.labels.take(numbers(row)),
        "rank": numbers((place + 1).astype(np.int32)),
        "item": dataset.item_ids.array.take(numbers(items)),
        "score": numbers(lists.scores[row, place].astype(np.float32)),
    }
    if titles:
        columns["title"] = strings(dataset.titles(items))
    if reasons is not None:
        columns["because"] = _because(list(chain.from_iterable(reasons)), dataset, titles)
    return pa.table(columns)


def _because(reasons: Sequence[Reasons], dataset: Dataset, titles: bool) -> Any:
    """Return reasons as an Arrow array of lists of ``{item, gain[, title]}``."""
    flat = list(chain.from_iterable(reasons))
    offsets = np.cumsum([0, *map(len, reasons)]).astype(np.int32)
    items = np.array([item for item, _ in flat], np.int64)
    fields: dict[str, Any] = {
        "item": dataset.item_ids.array.take(numbers(items)),
        "gain": numbers(np.array([gain for _, gain in flat], np.float32)),
    }
    if titles:
        fields["title"] = strings(dataset.titles(items))
    values = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return pa.ListArray.from_arrays(numbers(offsets), values)
