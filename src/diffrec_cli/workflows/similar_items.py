"""Items that are like an item, and the vectors behind a model's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.arrow import numbers, strings
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows, input_rows
from diffrec_cli.data.tables import write_stream
from diffrec_cli.errors import UsageError
from diffrec_cli.files import dump_json, publish_directory, put_in_place, storage_errors, sync_tree
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.output import Output
from diffrec_cli.models.scorer import LinearScorer, Scorer
from diffrec_cli.ranking.item_vectors import ItemVectors, has_vectors
from diffrec_cli.ranking.top_k import Mask, from_scores
from diffrec_cli.registry import versions as registry
from diffrec_cli.training.devices import choose_device, memory_errors, ranking_fix
from diffrec_cli.workflows.progress import Listener, Step, silent
from diffrec_cli.workflows.serving.loading import load_scorer
from diffrec_cli.workflows.serving.user_histories import CHUNK, UserHistories, known_index


@dataclass(frozen=True)
class Similar:
    """Items that are like others.

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
    """Return the items that a model takes for most like each of some items.

    Likeness is the cosine of :class:`~diffrec_cli.ranking.item_vectors.ItemVectors`; of a
    model without such vectors, what the one item adds to the score of the other.

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
        k is below 1, there are no titles, or the model tells no items apart.
    """
    artifact = registry.resolve(model)
    dataset, config = artifact.dataset(), artifact.config()
    if not isinstance(k, int | np.integer) or k < 1:
        raise UsageError(f"-k {k}: a list needs 1 item or more", "for example -k 20")
    dataset.require_titles(titles, artifact.record.reference)
    asked = known_index(dataset, items, "ITEM", artifact.record.reference)
    backend = NumpyBackend()
    scorer = load_scorer(artifact, config, dataset, backend)
    likeness = _likeness(scorer, asked, config.newest_weight)  # (n, |I|)
    if (likeness == likeness[:, :1]).all():
        raise UsageError(
            f"{artifact.record.reference}: to {config.variant} all items are alike",
            "use a model that reads histories, such as base, l, t, lt or itemknn",
        )
    itself = Mask(np.arange(len(asked)), asked, np.empty(0, np.int64))
    found, scores = from_scores(likeness, itself, min(k, dataset.n_items), backend)
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


def _likeness(scorer: Scorer, items: NDArray[np.int64], weight: float) -> NDArray[np.float32]:
    """Return how like every item is to some, (n, |I|)."""
    if has_vectors(scorer):
        vectors = ItemVectors(scorer, weight)
        of_all = vectors.of(np.arange(scorer.n_items))
        product: NDArray[np.float32] = vectors.of(items) @ of_all.T
        return product
    n = len(items)
    rows = Rows(
        np.full(n + 1, -1),
        np.minimum(np.arange(n + 2), n),  # one item each, and nothing
        items.astype(np.int32),
        np.full(n, weight, np.float32),
    )
    scores = scorer.backend.host(scorer.scores(rows))
    added: NDArray[np.float32] = scores[:n] - scores[n]
    return added


@dataclass(frozen=True)
class Vectors:
    """Vectors that were written.

    Parameters
    ----------
    model
        Reference of the model.
    path
        The directory.
    items, users, size
        Vectors of each, and numbers in a vector.
    """

    model: str
    path: Path
    items: int
    users: int
    size: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        counts = {"items": self.items, "users": self.users, "size": self.size}
        return {"model": self.model, "path": str(self.path), **counts}


def export_vectors(
    model: str | None,
    out: str | Path,
    *,
    users: bool = True,
    device: str = "auto",
    listener: Listener = silent,
) -> Vectors:
    """Write vectors whose inner products are the model's scores, for a vector index.

    The directory has ``items.npy`` (|I|, H + 1) and ``item_ids.npy``, ``users.npy`` (|U|, H + 1)
    and ``user_ids.npy``, float32 and text, row by row, and ``vectors.json``. The last number of an
    item's vector is its bias, of a user's 1. A user's items are not masked: ask the index for so
    many more.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    out
        The directory, which is not there yet.
    users
        Whether users' vectors are written, too.
    device
        Where to compute.
    listener
        Is told of progress.

    Raises
    ------
    UsageError
        The directory exists, or the model's scores are no inner products.
    """
    out = Path(out)
    if out.exists():
        raise UsageError(f"{out} exists", "give another directory, or remove it first")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"{out}: there is no such directory to make it in", "make that first")
    artifact = registry.resolve(model)
    dataset, config = artifact.dataset(), artifact.config()
    device = choose_device(device)
    with storage_errors(out), memory_errors(device, ranking_fix(device)):
        scorer = load_scorer(artifact, config, dataset, TorchBackend(device))
        if not isinstance(scorer, LinearScorer) or scorer.output is None:
            raise UsageError(
                f"{artifact.record.reference}: scores of {config.variant} are no inner products",
                "export a model such as base, l, t, lt, multivae, mf or lightgcn",
            )
        with publish_directory(out.absolute().parent) as directory:
            size = _write_items(directory, scorer.output, dataset)
            if users:
                _write_users(directory, scorer, dataset, config, size, listener)
            written = Vectors(
                artifact.record.reference, out, dataset.n_items, dataset.n_users * users, size
            )
            head = {"schema_version": 1, "metric": "inner product"}
            (directory / "vectors.json").write_bytes(dump_json({**head, **written.to_dict()}))
            sync_tree(directory)
            put_in_place(directory, out)
    return written


def _write_items(directory: Path, output: Output, dataset: Dataset) -> int:
    """Write the rows of the output layer with their biases; return the size of a vector."""
    width = max(int(layer.reads.stop or layer.V.shape[1]) for layer in output.layers)
    vectors = np.zeros((output.n_items, width + 1), np.float32)
    for block in output.blocks(CHUNK):
        items = output.items_of(np.arange(block.start, block.stop))
        part = np.arange(width)[block.layer.reads]
        vectors[items[:, None], part] = output.backend.host(block.layer.V)
        vectors[items, -1] = output.backend.host(block.layer.b)
    np.save(directory / "items.npy", vectors)
    np.save(directory / "item_ids.npy", np.array(dataset.item_ids.array.to_pylist(), np.str_))
    return width + 1


def _write_users(
    directory: Path,
    scorer: LinearScorer,
    dataset: Dataset,
    config: FitConfig,
    size: int,
    listener: Listener,
) -> None:
    """Write what the model makes of every user's whole history, some users at a time."""
    from numpy.lib.format import open_memmap

    shape = (dataset.n_users, size)
    vectors = open_memmap(directory / "users.npy", "w+", np.float32, shape)
    users_of_model = UserHistories(dataset)
    for start in range(0, dataset.n_users, CHUNK):
        stop = min(start + CHUNK, dataset.n_users)
        request = users_of_model.at(np.arange(start, stop))
        rows = input_rows(request.histories, config.temporal, request.users)
        vectors[start:stop, :-1] = scorer.backend.host(scorer.hidden(rows))
        vectors[start:stop, -1] = 1.0
        listener(Step("vectors", stop, dataset.n_users))
    vectors.flush()
    np.save(directory / "user_ids.npy", np.array(dataset.user_ids.array.to_pylist(), np.str_))
