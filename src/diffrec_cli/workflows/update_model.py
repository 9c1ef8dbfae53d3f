"""Fresh events into a stored model, as a new version of it, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import DataError
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.progress import Listener, silent
from diffrec_cli.workflows.serving.user_histories import Events, read_events


@dataclass(frozen=True)
class Updated:
    """A model with more events than it was trained on.

    Parameters
    ----------
    model
        Reference of the new version.
    before
        Reference of the version that it was made from.
    events, users, new_users
        Interactions that were added, of how many users, and how many of these are new.
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


def update(model: str | None, events: str | Path, *, listener: Listener = silent) -> Updated:
    """Store a model with fresh events in its users' histories, as its next version.

    Its weights stay as they are: lists change because histories do. Users that it does not know
    are taken in; items that it does not know are named and left out. What it is evaluated by stays
    as it is, too. The new version becomes the default if the old one was.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    events
        A log ``user,item[,time]``; ``-`` is stdin.
    listener
        Is told what is unknown or left out.

    Raises
    ------
    DataError
        The file is no such log, or has nothing new.
    NotFoundError
        The model is unknown.
    LockedError
        Another process has stored a version of it in the meantime.
    """
    artifact = registry.resolve(model)
    latest = registry.latest_version(artifact.record.name)
    record, dataset = artifact.record, artifact.dataset()
    happened = read_events(dataset, events, listener)
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
    """Return the dataset with these events as what is fresh in it, and with its newcomers."""
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
