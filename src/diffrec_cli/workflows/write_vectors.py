"""Vectors whose inner products are a model's scores, for a vector index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.data.arrays import save_array, save_blocks
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.errors import UsageError
from diffrec_cli.files import dump_json, publish_directory, put_in_place, sync_tree
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.output import Output
from diffrec_cli.models.scorer import LinearScorer, trained_alone
from diffrec_cli.registry import versions as registry
from diffrec_cli.system_errors import writing
from diffrec_cli.training.devices import choose_device, memory_errors, ranking_fix
from diffrec_cli.workflows.progress import Listener, Note, Step, silent
from diffrec_cli.workflows.serving.loading import load_scorer
from diffrec_cli.workflows.serving.user_histories import CHUNK, UserHistories


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

    The directory has ``items.npy`` (|I|, H + 1), ``users.npy`` (|U|, H + 1), both float32, their
    ids in ``item_ids.npy`` and ``user_ids.npy``, and ``vectors.json``. The last number is an item's
    bias, and 1 for users. Items in a history are not masked: ask the index for more.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    out
        The directory; it must not exist.
    users
        Whether to write users' vectors, too.
    device
        Where to compute.
    listener
        Gets progress.

    Raises
    ------
    UsageError
        The directory exists, or the model's scores are not inner products.
    """
    out = Path(out)
    with writing(out):
        if out.exists():
            raise UsageError(f"{out} exists", "give another directory, or remove it first")
        if not out.absolute().parent.is_dir():
            raise UsageError(f"{out}: there is no such directory to make it in", "make that first")
    artifact = registry.resolve(model)
    dataset, config = artifact.dataset(), artifact.config()
    device = choose_device(device)
    with writing(out), memory_errors(device, ranking_fix(device)):
        scorer = trained_alone(load_scorer(artifact, config, dataset, TorchBackend(device)))
        new = dataset.n_items - scorer.n_items
        if new:
            listener(Note(f"{new:,} items came after the fit and have no vectors: left out"))
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
                artifact.record.reference, out, scorer.n_items, dataset.n_users * users, size
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
    save_array(directory / "items.npy", vectors)
    ids = dataset.item_ids.array.to_pylist()[: output.n_items]
    save_array(directory / "item_ids.npy", np.array(ids, np.str_))
    return width + 1


def _write_users(
    directory: Path,
    scorer: LinearScorer,
    dataset: Dataset,
    config: FitConfig,
    size: int,
    listener: Listener,
) -> None:
    """Write the hidden vector of each user's whole history, some users at a time."""
    items = 0 if scorer.output is None else scorer.output.n_items
    users_of_model = UserHistories(dataset)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, dataset.n_users, CHUNK):
            stop = min(start + CHUNK, dataset.n_users)
            request = users_of_model.at(np.arange(start, stop))
            histories = request.histories
            histories = histories.keep(histories.items < items)
            rows = input_rows(histories, config.temporal, request.users)
            vectors = np.ones((stop - start, size), np.float32)
            vectors[:, :-1] = scorer.backend.host(scorer.hidden(rows))
            yield vectors
            listener(Step("vectors", stop, dataset.n_users))

    shape = (dataset.n_users, size)
    save_blocks(directory / "users.npy", shape, np.dtype(np.float32), blocks())
    save_array(directory / "user_ids.npy", np.array(dataset.user_ids.array.to_pylist(), np.str_))
