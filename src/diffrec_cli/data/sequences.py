"""Ragged rows: each user's items in order, and a model's input.

A :class:`Sequences` is a compressed sparse row matrix with its columns in time order: the
interaction matrix and the interaction sequences at once, in 4 bytes an interaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import TemporalConfig

IntArray = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Items of each user, oldest first.

    Parameters
    ----------
    indptr
        (users + 1,) int64: user u's items are ``items[indptr[u]:indptr[u + 1]]``.
    items
        (interactions,) int32 item indices.
    strength
        (interactions,) float32, above 0: how much each counts. ``None``: all are 1.
    again
        (interactions,) whether the item may be recommended all the same, as one that was viewed and
        not bought. ``None``: none may.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    strength: NDArray[np.float32] | None = None
    again: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def size(self) -> int:
        """Number of interactions."""
        return int(self.indptr[-1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(users,) int64: number of items of each user."""
        return np.diff(self.indptr)

    @property
    def row_index(self) -> NDArray[np.int64]:
        """(interactions,) int64: the user of each interaction."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def of(self, user: int) -> NDArray[np.int32]:
        """Return the items of one user, oldest first."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def take(self, users: IntArray) -> Sequences:
        """Return the rows of `users`, in that order."""
        indptr, place = _gather(self.indptr, users)
        return self._with(indptr, lambda of_each: of_each[place])

    def keep(self, mask: NDArray[np.bool_]) -> Sequences:
        """Return all rows with only the interactions where `mask` is true."""
        return self._with(_kept_before(mask)[self.indptr], lambda of_each: of_each[mask])

    @property
    def closed(self) -> Sequences:
        """The rows without what may be recommended again: items that lists leave out."""
        return self if self.again is None else self.keep(~self.again)

    def without(self, others: Sequences) -> Sequences:
        """Return the rows without the items that the same rows of `others` have."""
        n = int(max(self.items.max(initial=-1), others.items.max(initial=-1))) + 1
        theirs = others.row_index * n + others.items
        return self.keep(~np.isin(self.row_index * n + self.items, theirs))

    def merged(self, *, adds: bool = False) -> Sequences:
        """Return the rows with each item once, at its last place.

        Its strength is the largest, or that of all its rows if it `adds`: log2(1 + sum(2**s - 1)).
        It may be recommended again if it may so at each of its places.
        """
        n = int(self.items.max(initial=-1)) + 1
        keys = self.row_index * n + self.items
        order = np.argsort(keys, kind="stable")
        last = np.append(keys[order][1:] != keys[order][:-1], len(keys) > 0)[: len(keys)]
        if last.all():
            return self
        first = np.flatnonzero(np.append(True, last[:-1]))
        kept = np.zeros(len(keys), np.bool_)
        kept[order[last]] = True

        strength, again = self.strength, self.again
        if adds or strength is not None:
            pair = np.empty(len(keys), np.int64)
            pair[order] = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(keys))))
            of_pairs = joined_strength(self.strengths, pair, len(first), adds=adds)
            strength = of_pairs[pair[kept]]
        if again is not None:
            of_each = again.copy()
            of_each[order[last]] = np.logical_and.reduceat(again[order], first)
            again = of_each[kept]
        return Sequences(_kept_before(kept)[self.indptr], self.items[kept], strength, again)

    @property
    def strengths(self) -> NDArray[np.float32]:
        """(interactions,) float32: how much each counts."""
        return np.ones(self.size, np.float32) if self.strength is None else self.strength

    def _with(
        self, indptr: NDArray[np.int64], chosen: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> Sequences:
        """Return rows with these boundaries, of the interactions that are chosen."""
        strength = None if self.strength is None else chosen(self.strength)
        again = None if self.again is None else chosen(self.again)
        return Sequences(indptr, chosen(self.items), strength, again)

    @staticmethod
    def from_rows(
        rows: IntArray,
        items: IntArray,
        users: int,
        strength: NDArray[np.float32] | None = None,
        again: NDArray[np.bool_] | None = None,
    ) -> Sequences:
        """Build from (user, item) pairs that are grouped by user, oldest first.

        Examples
        --------
        >>> Sequences.from_rows(np.array([0, 0, 2]), np.array([7, 5, 7]), users=3).of(0).tolist()
        [7, 5]
        """
        indptr = _indptr(np.bincount(rows, minlength=users))
        return Sequences(indptr, np.ascontiguousarray(items, np.int32), strength, again)

    @staticmethod
    def concatenate(*parts: Sequences) -> Sequences:
        """Append the rows of later parts to those of earlier ones, user by user."""
        lengths = np.sum([part.lengths for part in parts], axis=0)
        indptr = _indptr(lengths)
        items = np.empty(indptr[-1], np.int32)
        weighed = any(part.strength is not None for part in parts)
        strength = np.ones(len(items), np.float32) if weighed else None
        opened = any(part.again is not None for part in parts)
        again = np.zeros(len(items), np.bool_) if opened else None
        start = indptr[:-1].copy()
        for part in parts:
            place = np.arange(part.size) + np.repeat(start - part.indptr[:-1], part.lengths)
            items[place] = part.items
            if strength is not None and part.strength is not None:
                strength[place] = part.strength
            if again is not None and part.again is not None:
                again[place] = part.again
            start += part.lengths
        return Sequences(indptr, items, strength, again)

    def above(self, others: Sequences) -> Sequences:
        """Return these rows, and others after them.

        Examples
        --------
        >>> one = Sequences(np.array([0, 2]), np.array([7, 5], np.int32))
        >>> other = Sequences(np.array([0, 0, 1]), np.array([9], np.int32))
        >>> one.above(other).indptr.tolist(), one.above(other).items.tolist()
        ([0, 2, 2, 3], [7, 5, 9])
        """
        none_here = np.zeros(len(others), np.int64)
        none_there = np.zeros(len(self), np.int64)
        return Sequences.concatenate(
            self._with(np.append(self.indptr, self.indptr[-1] + none_here), lambda each: each),
            others._with(np.append(none_there, others.indptr), lambda each: each),
        )


def joined_strength(
    strength: NDArray[np.float32], pair: NDArray[np.int64], pairs: int, *, adds: bool
) -> NDArray[np.float32]:
    """Return the strength of pairs of a user and an item that have several rows, (pairs,).

    Parameters
    ----------
    strength
        (n,) that of each row.
    pair
        (n,) the pair of each row.
    pairs
        Number of pairs.
    adds
        Whether rows add up, as counts do: log2(1 + sum(2**s - 1)). Otherwise the largest counts.

    Examples
    --------
    >>> rows, pair = np.ones(4, np.float32), np.array([0, 1, 0, 0])
    >>> joined_strength(rows, pair, 2, adds=True).tolist()
    [2.0, 1.0]
    """
    if adds:
        counts = np.bincount(pair, np.exp2(strength.astype(np.float64)) - 1, pairs)
        return np.log2(1 + counts).astype(np.float32)
    found = np.zeros(pairs, np.float32)
    np.maximum.at(found, pair, strength)
    return found


def _gather(
    indptr: NDArray[np.int64], rows: IntArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the boundaries of some rows, joined, and the places of their entries."""
    lengths = indptr[rows + 1] - indptr[rows]
    gathered = _indptr(lengths)
    return gathered, np.arange(gathered[-1]) + np.repeat(indptr[rows] - gathered[:-1], lengths)


def _kept_before(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of kept entries before each place, and in all."""
    return np.concatenate([[0], np.cumsum(mask)]).astype(np.int64)


def _indptr(lengths: IntArray) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def temporal_weights(indptr: NDArray[np.int64], w_min: float, w_max: float) -> NDArray[np.float32]:
    """Return the weight of each interaction by its place in its user's sequence.

    ``w_m = w_min + (m - 1) / (M - 1) (w_max - w_min)`` (paper, section 3.6); one item: ``w_max``.

    Parameters
    ----------
    indptr
        (users + 1,) int64.
    w_min, w_max
        Weights of the oldest and the newest interaction.

    Returns
    -------
    (interactions,) float32.

    Examples
    --------
    >>> temporal_weights(np.array([0, 3, 4]), 0.5, 1.0).tolist()
    [0.5, 0.75, 1.0, 1.0]
    """
    lengths = np.diff(indptr)
    m = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)  # 0-based place
    last = np.repeat(lengths - 1, lengths)  # M - 1
    share = np.where(last > 0, m / np.maximum(last, 1), 1.0)
    return (w_min + share * (w_max - w_min)).astype(np.float32)


def ages(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the age of each interaction, in interactions back from its user's newest.

    Examples
    --------
    >>> ages(np.array([0, 3, 4])).tolist()
    [2, 1, 0, 0]
    """
    lengths = np.diff(indptr)
    return np.repeat(indptr[1:], lengths) - 1 - np.arange(indptr[-1])


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of sparse user vectors, as NumPy arrays or as tensors of one device.

    Parameters
    ----------
    users
        (B,) indices of the users in the dataset, -1 for unseen users.
    indptr
        (B + 1,) row boundaries.
    items
        (nnz,) item indices.
    values
        (nnz,) float32 entries of x_0: the strengths, times the weights by order if there are any.
    strength, again
        (nnz,) as in :class:`Sequences`.
    """

    users: NDArray[np.int64]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    strength: NDArray[np.float32] | None = None
    again: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def row_index(self) -> NDArray[np.int64]:
        """(nnz,) the row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def take(self, rows: IntArray) -> Rows:
        """Return these rows, in this order."""
        indptr, place = _gather(self.indptr, rows)
        return self._with(self.users[rows], indptr, lambda of_each: of_each[place])

    def keep(self, mask: NDArray[np.bool_]) -> Rows:
        """Return all rows with only the entries where `mask`, (nnz,), is true."""
        indptr = _kept_before(mask)[self.indptr]
        return self._with(self.users, indptr, lambda of_each: of_each[mask])

    def _with(
        self,
        users: NDArray[np.int64],
        indptr: NDArray[np.int64],
        chosen: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> Rows:
        """Return rows of these users and boundaries, of the entries that are chosen."""
        strength = None if self.strength is None else chosen(self.strength)
        again = None if self.again is None else chosen(self.again)
        return Rows(users, indptr, chosen(self.items), chosen(self.values), strength, again)

    @property
    def closed(self) -> Rows:
        """The rows without what may be recommended again: items that lists leave out."""
        return self if self.again is None else self.keep(~self.again)

    @property
    def strengths(self) -> NDArray[np.float32]:
        """(nnz,) float32: how much each interaction counts, whatever its place in time."""
        return np.ones(len(self.items), np.float32) if self.strength is None else self.strength

    def newest(self, length: int) -> Rows:
        """Return all rows with only their last `length` entries."""
        return self.keep(ages(self.indptr) < length)

    def above(self, others: Rows) -> Rows:
        """Return these rows, and others after them: of all, or none, the strength is known."""

        def both(mine: NDArray[Any] | None, theirs: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if mine is None or theirs is None else np.concatenate([mine, theirs])

        return Rows(
            np.concatenate([self.users, others.users]),
            np.concatenate([self.indptr, self.indptr[-1] + others.indptr[1:]]),
            np.concatenate([self.items, others.items]),
            np.concatenate([self.values, others.values]),
            both(self.strength, others.strength),
            both(self.again, others.again),
        )


def input_rows(
    history: Sequences, temporal: TemporalConfig | None, users: NDArray[np.int64] | None = None
) -> Rows:
    """Return a model's input for these histories: strengths, or weights by order (Eq. 16) of them.

    Parameters
    ----------
    history
        Items of each user, oldest first.
    temporal
        The weights by order; ``None`` is ones.
    users
        (users,) indices in the dataset, -1 for unseen users; ``None``: row i is user i.
    """
    if temporal is None:
        values = np.ones(history.size, np.float32)
    else:
        values = temporal_weights(history.indptr, temporal.w_min, temporal.w_max)
    if history.strength is not None:
        values = values * history.strength
    users = np.arange(len(history)) if users is None else users
    return Rows(users, history.indptr, history.items, values, history.strength, history.again)
