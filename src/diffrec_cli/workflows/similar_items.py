"""Items that are similar to an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.data.arrow import numbers, strings
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows
from diffrec_cli.data.tables import write_stream
from diffrec_cli.errors import UsageError
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.scorer import Scorer, trained_alone
from diffrec_cli.ranking.item_vectors import ItemVectors, has_vectors
from diffrec_cli.ranking.top_k import Mask, from_scores
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.serving.loading import load_scorer
from diffrec_cli.workflows.serving.user_histories import known_index, some


@dataclass(frozen=True)
class Similar:
    """Items similar to others.

    Parameters
    ----------
    model
        Reference of the model.
    table
        Arrow table: item, rank (from 1), similar, score[, title].
    """

    model: str
    table: pa.Table

    @property
    def tables(self) -> list[pa.Table]:
        """The table, as one of several."""
        return [self.table]

    def write(self, stream: BinaryIO, form: str) -> None:
        """Write the table to a stream: ``csv``, ``jsonl`` or ``parquet``."""
        write_stream(stream, form, self.tables)


def similar(
    items: Sequence[str], model: str | None = None, *, k: int = 20, titles: bool = False
) -> Similar:
    """Return the items most similar to each of some items.

    The score is the cosine of :class:`~diffrec_cli.ranking.item_vectors.ItemVectors`; in a model
    without such vectors, what one item in a history adds to the other's score.

    Parameters
    ----------
    items
        Their ids.
    model
        Reference; ``None`` is the default model.
    k
        Items for each, at most.
    titles
        Add the titles of the similar items.

    Raises
    ------
    NotFoundError
        The model, or an item, is unknown.
    UsageError
        k is below 1, there are no titles, or all items are alike to the model.
    """
    artifact = registry.resolve(model)
    dataset, config = artifact.dataset(), artifact.config()
    if not isinstance(k, int | np.integer) or k < 1:
        raise UsageError(f"-k {k}: a list needs 1 item or more", "for example -k 20")
    dataset.require_titles(titles, artifact.record.reference)
    asked = known_index(dataset, items, "ITEM", artifact.record.reference)
    backend = NumpyBackend()
    scorer = trained_alone(load_scorer(artifact, config, dataset, backend))
    if (asked >= scorer.n_items).any():
        raise UsageError(
            f"{artifact.record.reference}: {_ids(dataset, asked[asked >= scorer.n_items])} came"
            " after it was trained, and what is similar to them is not known",
            "fit a model with them, or ask for other items",
        )
    likeness = _likeness(scorer, asked, config.newest_weight)  # (n, |I|)
    if (likeness == likeness[:, :1]).all():
        raise UsageError(
            f"{artifact.record.reference}: to {config.variant} all items are alike",
            "use a model that reads histories, such as base, l, t, lt or itemknn",
        )
    itself = Mask(np.arange(len(asked)), asked, np.empty(0, np.int64))
    found, scores = from_scores(likeness, itself, min(k, scorer.n_items), backend)
    row, place = np.nonzero(found >= 0)
    columns: dict[str, Any] = {
        "item": dataset.item_ids.array.take(numbers(asked[row])),
        "rank": numbers((place + 1).astype(np.int32)),
        "similar": dataset.item_ids.array.take(numbers(found[row, place])),
        "score": numbers(scores[row, place]),
    }
    if titles:
        columns["title"] = strings(dataset.titles(found[row, place]))
    return Similar(artifact.record.reference, pa.table(columns))


def _ids(dataset: Dataset, items: NDArray[np.int64]) -> str:
    return some(dataset.item_ids.at(items))


def _likeness(scorer: Scorer, items: NDArray[np.int64], weight: float) -> NDArray[np.float32]:
    """Return the similarity of all items to some, (n, |I|)."""
    if has_vectors(scorer):
        vectors = ItemVectors(scorer, weight)
        of_all = vectors.of(np.arange(scorer.n_items))
        product: NDArray[np.float32] = vectors.of(items) @ of_all.T
        return product
    n = len(items)
    rows = Rows(
        np.full(n + 1, -1),
        np.minimum(np.arange(n + 2), n),  # one item each, and an empty row
        items.astype(np.int32),
        np.full(n, weight, np.float32),
    )
    scores = scorer.backend.host(scorer.scores(rows))
    added: NDArray[np.float32] = scores[:n] - scores[n]
    return added
