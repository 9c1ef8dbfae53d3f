"""New interactions for a stored model, as a new version, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import DataError, UsageError
from diffrec_cli.models.scorer import NEW
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.forgotten import Watch
from diffrec_cli.workflows.progress import Listener, silent
from diffrec_cli.workflows.serving.new_items import with_new_items
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
    events, users, new_users, new_items
        Numbers of added interactions, of their users, of new users among them, and of items.
    path
        Directory of the new version.
    """

    model: str
    before: str
    events: int
    users: int
    new_users: int
    new_items: int
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "model": self.model,
            "before": self.before,
            "events": self.events,
            "users": self.users,
            "new_users": self.new_users,
            "new_items": self.new_items,
            "path": str(self.path),
        }


def update(
    model: str | None,
    events: str | Path | None = None,
    *,
    items: str | Path | None = None,
    item_features: Sequence[str] = (),
    read: ReadOptions | None = None,
    listener: Listener = silent,
) -> Updated:
    """Add new items, or interactions to the histories, to a model, as its next version.

    Weights and evaluation data stay the same; lists change because histories do. New users are
    added; items that are unknown then are named and left out. The new version is the default if the
    old one was.

    Parameters
    ----------
    model
        Reference; ``None`` is the default model.
    events
        A log ``user,item[,time]``; ``-`` is stdin.
    items
        A table of items with new ones, see :func:`~.serving.new_items.with_new_items`.
    item_features
        Columns by which these are like known items; none: all.
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
        Another process has stored a version meanwhile, or taken users out of this one.
    """
    if events is None and items is None:
        raise UsageError("nothing to add", "give a log of events, or --items FILE, or both")
    if item_features and items is None:
        raise UsageError("--item-features goes with --items", "leave it out")
    watch = Watch()
    artifact = registry.resolve(model)
    latest = registry.latest_version(artifact.record.name)
    record, dataset, weights = artifact.record, artifact.dataset(), artifact.weights()
    known_items, origin = dataset.n_items, dataset.content_hash
    if items is not None:
        dataset, more = with_new_items(artifact, dataset, items, item_features, listener)
        weights = {name: array for name, array in weights.items() if not name.startswith(NEW)}
        weights |= more
    happened = Events.none(dataset.n_users)
    if events is not None:
        happened = read_events(dataset, events, listener, read)
    added = happened.of_known.size + happened.of_newcomers.size
    if added == 0 and items is None:
        raise DataError(
            f"{events}: nothing that {record.reference} does not know", "give newer events"
        )
    if added:
        dataset = _grown(dataset, happened, {"file": str(events), "events": added})
    published = registry.publish(
        replace(record, packages={}, files={}),
        weights,
        dataset,
        artifact.epoch_log(),
        make_default=registry.is_default(artifact),
        after=latest,
        require=lambda: watch.require_whole(origin),
    )
    known = int(np.count_nonzero(happened.of_known.lengths))
    new = len(happened.newcomers)
    return Updated(
        model=published.record.reference,
        before=record.reference,
        events=added,
        users=known + new,
        new_users=new,
        new_items=dataset.n_items - known_items,
        path=published.path,
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
    return replace(sequences, indptr=np.concatenate([sequences.indptr, more]))


def _after(sequences: Sequences, rows: int) -> Sequences:
    """Put rows without items in front."""
    none = np.zeros(rows, np.int64)
    return replace(sequences, indptr=np.concatenate([none, sequences.indptr]))
