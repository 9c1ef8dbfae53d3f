"""New interactions for a stored model, as a new version, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import DataError
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.progress import Listener, silent
from diffrec_cli.workflows.serving.user_histories import Events, read_events


@dataclass(frozen=True)
class Updated:
    """A model with interactions since its training.

    Parameters
    ----------
    model
        Reference of the new version.
    before
        Reference of the version it was made from.
    events, users, new_users
        Numbers of added interactions, of their users, and of new users among them.
    path
        Directory of the new version.
    """

    model: str
    before: str
    events: int
    users: int
    new_users: int
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "model": self.model,
            "before": self.before,
            "events": self.events,
            "users": self.users,
            "new_users": self.new_users,
            "path": str(self.path),
        }


def update(
    model: str | None,
    events: str | Path,
    *,
    read: ReadOptions | None = None,
    listener: Listener = silent,
) -> Updated:
    """Add new interactions to a model's histories, as its next version.

    Weights and evaluation data stay the same; lists change because histories do. New users are
    added; unknown items are named and left out. The new version is the default if the old one was.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    events
        A log ``user,item[,time]``; ``-`` is stdin.
    read
        How to read it; ``None``: as the model's log was read, if it has its columns.
    listener
        Gets what is unknown or left out.

    Raises
    ------
    DataError
        The file is not such a log, or has nothing new.
    NotFoundError
        The model is unknown.
    LockedError
        Another process has stored a version meanwhile.
    """
    artifact = registry.resolve(model)
    latest = registry.latest_version(artifact.record.name)
    record, dataset = artifact.record, artifact.dataset()
    happened = read_events(dataset, events, listener, read)
    added = happened.of_known.size + happened.of_newcomers.size
    if added == 0:
        raise DataError(
            f"{events}: nothing that {record.reference} does not know", "give newer events"
        )
    grown = _grown(dataset, happened, {"file": str(events), "events": added})
    published = registry.publish(
        replace(record, packages={}, files={}),
        artifact.weights(),
        grown,
        artifact.epoch_log(),
        make_default=registry.is_default(artifact),
        after=latest,
    )
    known = int(np.count_nonzero(happened.of_known.lengths))
    new = len(happened.newcomers)
    return Updated(
        published.record.reference, record.reference, added, known + new, new, published.path
    )


def _grown(dataset: Dataset, happened: Events, line: Mapping[str, Any]) -> Dataset:
    """Return the dataset with these events as its fresh part, and with new users."""
    new = len(happened.newcomers)
    known = dataset.fresh or Events.none(dataset.n_users).of_known
    fresh = Sequences.concatenate(
        _with_empty_rows(known, new),
        _with_empty_rows(happened.of_known, new),
        _after(happened.of_newcomers.take(np.arange(new)), dataset.n_users),
    )
    ids = [*dataset.user_ids.array.to_pylist(), *happened.newcomers.array.to_pylist()]
    return replace(
        dataset,
        train=_with_empty_rows(dataset.train, new),
        valid=_with_empty_rows(dataset.valid, new),
        test=_with_empty_rows(dataset.test, new),
        fresh=fresh,
        user_ids=IdMap(ids),
        source={**dataset.source, "updates": [*dataset.source.get("updates", []), dict(line)]},
    )


def _with_empty_rows(sequences: Sequences, rows: int) -> Sequences:
    """Append rows without items."""
    more = np.full(rows, sequences.size)
    return Sequences(np.concatenate([sequences.indptr, more]), sequences.items)


def _after(sequences: Sequences, rows: int) -> Sequences:
    """Put rows without items in front."""
    return Sequences(np.concatenate([np.zeros(rows, np.int64), sequences.indptr]), sequences.items)
