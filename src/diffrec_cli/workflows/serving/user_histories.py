"""Users to make lists for: known users with new events, and unseen users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.arrow import numbers, strings, to_numpy
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.histories import (
    Histories,
    one_history,
    printable,
    read_histories,
    stream_ids,
)
from diffrec_cli.data.sequences import Sequences, joined_strength
from diffrec_cli.data.stored_options import read_options_of
from diffrec_cli.errors import DataError, NotFoundError, UsageError
from diffrec_cli.workflows.progress import Listener, Note

#: Users that are ranked and written at a time.
CHUNK = 4096
#: Users in the first request of a stream, which is answered soon.
FIRST = 64
_NAMED = 5  # unknown ids that a message names


@dataclass(frozen=True)
class Request:
    """Some of the users asked for.

    Parameters
    ----------
    labels
        Arrow string array of their ids.
    users
        (B,) indices in the training data, -1 for unseen users.
    histories
        What the model reads, B rows.
    unknown
        (B,) whether nothing is known of them.
    """

    labels: Any
    users: NDArray[np.int64]
    histories: Sequences
    unknown: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[np.int64]) -> Request:
        """Return the users of these rows, in that order."""
        return Request(
            self.labels.take(numbers(rows)),
            self.users[rows],
            self.histories.take(rows),
            self.unknown[rows],
        )

    def above(self, others: Request) -> Request:
        """Return these users, and others after them."""
        return Request(
            pa.concat_arrays([self.labels, others.labels]),
            np.concatenate([self.users, others.users]),
            self.histories.above(others.histories),
            np.concatenate([self.unknown, others.unknown]),
        )


@dataclass(frozen=True)
class Events:
    """Interactions since the model was trained.

    Parameters
    ----------
    of_known
        New items of each known user, oldest first, |U| rows.
    newcomers
        Ids of new users.
    of_newcomers
        Their items, a row each, and an empty row.
    """

    of_known: Sequences
    newcomers: IdMap
    of_newcomers: Sequences

    @staticmethod
    def none(users: int) -> Events:
        """Return no events, for a dataset of `users` users."""
        items = np.zeros(0, np.int32)
        return Events(
            Sequences(np.zeros(users + 1, np.int64), items),
            IdMap([]),
            Sequences(np.zeros(2, np.int64), items),
        )


@dataclass(frozen=True)
class Entries:
    """Interactions of users in a file, by user, oldest first.

    Parameters
    ----------
    user, item
        (n,) place of the user in the file, and index of the item.
    strength, again
        (n,) as in :class:`~diffrec_cli.data.sequences.Sequences`.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    strength: NDArray[np.float32] | None
    again: NDArray[np.bool_] | None

    def by_user(self, places: NDArray[np.int64], rows: int, mine: NDArray[np.bool_]) -> Sequences:
        """Return some of the entries as so many rows; `places` has that of each user."""
        users, chosen = places[self.user], np.flatnonzero(mine)
        order = chosen[np.argsort(users[chosen], kind="stable")]
        strength = None if self.strength is None else self.strength[order]
        again = None if self.again is None else self.again[order]
        return Sequences.from_rows(users[order], self.item[order], rows, strength, again)


class UserHistories:
    """The users of a model's dataset, with their whole histories.

    Parameters
    ----------
    dataset
        What the model was trained on.
    events
        Interactions since.
    """

    def __init__(self, dataset: Dataset, events: Events | None = None) -> None:
        self.dataset, self._as_trained = dataset, events is None
        self.events = events or Events.none(dataset.n_users)

    def at(self, users: NDArray[np.int64]) -> Request:
        """Return users by their indices in the dataset."""
        histories, fresh = self.dataset.known_of(users), np.zeros(len(users), np.int64)
        if not self._as_trained:
            events = self.events.of_known.take(users)
            histories, fresh = self.dataset.joined(histories, events), events.lengths
        # A user added by `update` has no trained vector, and new events make a vector out of date.
        if self.dataset.fresh is not None:
            fresh = fresh + self.dataset.fresh.take(users).lengths
        learned_from = (self.dataset.train.take(users).lengths > 0) & (fresh == 0)
        return Request(
            self.dataset.user_ids.array.take(numbers(users)),
            np.where(learned_from, users, -1),
            histories,
            np.zeros(len(users), bool),
        )

    def named(self, ids: Sequence[str]) -> Request:
        """Return users by their ids, in that order; some may be unknown."""
        indices, new = self.dataset.user_ids.indices(ids), self.events.newcomers.indices(ids)
        old, is_new = indices >= 0, (indices < 0) & (new >= 0)
        known = self.at(np.maximum(indices, 0))
        if self._as_trained and old.all():
            return replace(known, labels=strings(printable(ids)))
        nobody = len(self.events.newcomers)  # the empty row
        return Request(
            strings(printable(ids)),
            np.where(old, known.users, -1),
            Sequences.concatenate(
                known.histories.keep(old[known.histories.row_index]),
                self.events.of_newcomers.take(np.where(is_new, new, nobody)),
            ),
            ~old & ~is_new,
        )

    def everyone(self, shard: tuple[int, int] = (1, 1)) -> tuple[int, Iterator[Request]]:
        """Return the number of users in a shard, and the users, a chunk at a time.

        New users are among them. Ids are sorted byte by byte, as by ``LC_ALL=C sort``.
        """
        ids = pa.concat_arrays([self.dataset.user_ids.array, self.events.newcomers.array])
        order = to_numpy(pc.sort_indices(ids)).astype(np.int64)
        number, shards = shard
        start, stop = (len(order) * part // shards for part in (number - 1, number))
        chunks = (
            self._mixed(order[first : min(first + CHUNK, stop)])
            for first in range(start, max(stop, start + 1), CHUNK)  # no users are one chunk
        )
        return stop - start, chunks

    def _mixed(self, places: NDArray[np.int64]) -> Request:
        """Return users by their indices; those of new users follow the dataset's."""
        if not len(self.events.newcomers):
            return self.at(places)
        new = places - self.dataset.n_users
        known = self.at(np.where(new < 0, places, 0))
        newcomers = self.events.of_newcomers.take(
            np.where(new < 0, len(self.events.newcomers), new)
        )
        labels = pa.concat_arrays([self.dataset.user_ids.array, self.events.newcomers.array])
        return Request(
            labels.take(numbers(places)),
            np.where(new < 0, known.users, -1),
            Sequences.concatenate(
                known.histories.keep((new < 0)[known.histories.row_index]), newcomers
            ),
            np.zeros(len(places), bool),
        )

    def streamed(
        self, path: str | Path, skipped: Callable[[list[int]], None] | None = None
    ) -> Iterator[Request]:
        """Yield the users whose ids are in a file, as they arrive; `skipped`: as `stream_ids`."""
        return (self.named(ids) for ids in stream_ids(path, FIRST, CHUNK, skipped))


def read_events(
    dataset: Dataset, path: str | Path, listener: Listener, read: ReadOptions | None = None
) -> Events:
    """Return the events of a log ``user,item[,time]`` that are new to the dataset.

    Low ratings, unknown items and known interactions are left out, with a note. The log is read
    as that of the dataset was, if it has its columns; what `read` says goes before.

    Raises
    ------
    DataError
        The file is not such a log; it may have no rows.
    """
    read = read_options_of(dataset).with_changes(read)
    given = read_histories(path, min_rating=liked_from(dataset), of_users=True, read=read)
    entries = known_items(dataset, given, f"{path}: ", listener)
    if not len(entries.user):
        listener(Note(f"{path}: no events of items that are known"))
    indices = dataset.user_ids.indices(given.labels)
    known = indices >= 0
    old = known[entries.user]
    of_known = entries.by_user(indices, dataset.n_users, old)
    fresh = ~_contained(of_known, dataset)
    if dataset.pairs_repeat:  # bought again, or at last
        fresh[:] = True
    if not fresh.all():
        repeated = int((~fresh).sum())
        listener(Note(f"{path}: {repeated:,} events are known already"))
    # A new user without a known item is unknown.
    new = ~known & (np.bincount(entries.user, minlength=len(known)) > 0)
    places = np.cumsum(new) - 1  # of each label among the newcomers
    newcomers = [label for label, is_new in zip(given.labels, new, strict=True) if is_new]
    return Events(
        of_known.keep(fresh),
        IdMap(newcomers),
        entries.by_user(places, len(newcomers) + 1, ~old),
    )


def unseen_users(
    dataset: Dataset,
    history: str | Path | None,
    like: Sequence[str],
    listener: Listener,
    read: ReadOptions | None = None,
) -> Request:
    """Return unseen users by the histories in a file, or by one history of `like`.

    The file is read as `read` says, or else as for :func:`read_events`.
    """
    if history is None:
        given = one_history("like", like)
    else:
        liked = liked_from(dataset)
        read = read_options_of(dataset).with_changes(read)
        given = read_histories(history, min_rating=liked, read=read)
    if not len(given.item):
        raise DataError(
            f"{history}: every rating is below {liked_from(dataset):g}, the lowest that counts",
            "give what is liked, or leave the ratings out",
        )
    entries = known_items(dataset, given, "", listener)
    if not len(entries.user):
        names = some(given.item_ids.array.to_pylist())
        raise NotFoundError(
            f"unknown item {names}: no item of the history is known to the model",
            "item ids are as written in the log",
        )
    return as_request(given.labels, entries)


def as_request(labels: Sequence[str], entries: Entries) -> Request:
    """Return unseen users by their entries; who has none is unknown."""
    everyone, every = np.arange(len(labels)), np.ones(len(entries.user), np.bool_)
    histories = entries.by_user(everyone, len(labels), every)
    nobody = np.full(len(labels), -1)
    return Request(strings(labels), nobody, histories, histories.lengths == 0)


def liked_from(dataset: Dataset) -> float | None:
    """Return the lowest rating that counted as liked in the dataset, if it had ratings."""
    rating = dataset.source.get("split", {}).get("min_rating")
    return None if rating is None else float(rating)


def known_items(dataset: Dataset, given: Histories, where: str, listener: Listener) -> Entries:
    """Return what is known of each entry, by user; name unknown items in a note.

    A user's repeated item counts once, at its first place: with the largest of its strengths, or
    with that of all its rows if the dataset's repeats were kept. `where` begins the notes.
    """
    for note in given.notes:
        listener(Note(note))
    # Look each distinct item up once.
    indices = dataset.item_ids.indices(given.item_ids.array.to_pylist())[given.item]
    unknown = indices < 0
    if unknown.any():
        codes = given.item[unknown]
        appearance = np.sort(np.unique(codes, return_index=True)[1])
        names = some(given.item_ids.at(codes[appearance]))
        what = "events are of unknown items" if where else "items of the history are unknown"
        listener(Note(f"{where}{int(unknown.sum()):,} {what}: {names}"))
    keys = given.user[~unknown] * dataset.n_items + indices[~unknown]
    pairs, first, pair = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    users, items = np.divmod(pairs[order], dataset.n_items)
    strength, adds = given.strength, dataset.keeps_repeats
    if strength is not None or (adds and len(pairs) < len(keys)):
        ones = np.ones(len(unknown), np.float32) if strength is None else strength
        strength = joined_strength(ones[~unknown], pair, len(pairs), adds=adds)[order]
    again = None
    targets = dataset.targets
    if targets and given.events is not None:
        kinds = np.array(given.events.kinds)[given.events.kind[~unknown]]
        again = (np.bincount(pair[np.isin(kinds, targets)], minlength=len(pairs)) == 0)[order]
    return Entries(users, items, strength, again)


def known_index(dataset: Dataset, ids: Sequence[str], option: str, model: str) -> NDArray[np.int64]:
    """Return the indices of items by their ids, (n,).

    Raises
    ------
    NotFoundError
        The model does not know one of them.
    """
    indices = dataset.item_ids.indices(list(dict.fromkeys(ids)))
    if (indices < 0).any():
        unknown = [item for item in dict.fromkeys(ids) if dataset.item_ids.indices([item])[0] < 0]
        raise NotFoundError(
            f"{model}: unknown item {some(unknown)} ({option})",
            "item ids are as written in the log",
        )
    return indices


def some(ids: Sequence[str | int]) -> str:
    """Return the first few ids, quoted, or numbers, and how many more there are.

    Examples
    --------
    >>> some(["a", "b"])
    "'a', 'b'"
    """
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return ", ".join(repr(i) for i in ids[:_NAMED]) + more


def parse_shard(text: str) -> tuple[int, int]:
    """Return i and n of ``i/n``: the i-th of n parts, from 1.

    Raises
    ------
    UsageError
        The text is not a shard.

    Examples
    --------
    >>> parse_shard("2/8")
    (2, 8)
    """
    number, slash, shards = text.partition("/")
    if slash and number.isdecimal() and shards.isdecimal() and 1 <= int(number) <= int(shards):
        return int(number), int(shards)
    raise UsageError(f"--shard {text}: not I/N with I from 1 to N", "for example --shard 1/4")


def _contained(events: Sequences, dataset: Dataset) -> NDArray[np.bool_]:
    """Return whether each event is in the dataset already, (events,)."""
    users = np.flatnonzero(events.lengths)
    known = dataset.known_of(users)
    keys = users[known.row_index] * dataset.n_items + known.items
    return np.isin(events.row_index * dataset.n_items + events.items, keys)
