"""Ragged rows: each user's items in order, and a model's input.

A :class:`Sequences` is a compressed sparse row matrix with its columns in time order: the
interaction matrix and the interaction sequences at once, in 4 bytes an interaction.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]

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
        return Sequences(indptr, self.items[place])

    def keep(self, mask: NDArray[np.bool_]) -> Sequences:
        """Return all rows with only the interactions where `mask` is true."""
        return Sequences(_kept_before(mask)[self.indptr], self.items[mask])

    @staticmethod
    def from_rows(rows: IntArray, items: IntArray, users: int) -> Sequences:
        """Build from (user, item) pairs that are grouped by user, oldest first.

        Examples
        --------
        >>> Sequences.from_rows(np.array([0, 0, 2]), np.array([7, 5, 7]), users=3).of(0).tolist()
        [7, 5]
        """
        return Sequences(
            _indptr(np.bincount(rows, minlength=users)), np.ascontiguousarray(items, np.int32)
        )

    @staticmethod
    def concatenate(*parts: Sequences) -> Sequences:
        """Append the rows of later parts to those of earlier ones, user by user."""
        lengths = np.sum([part.lengths for part in parts], axis=0)
        indptr = _indptr(lengths)
        items = np.empty(indptr[-1], np.int32)
        start = indptr[:-1].copy()
        for part in parts:
            shift = np.repeat(start - part.indptr[:-1], part.lengths)
            items[np.arange(part.size) + shift] = part.items
            start += part.lengths
        return Sequences(indptr, items)


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
        (nnz,) float32 entries of x_0: 1, or the temporal weights.
    """

    users: NDArray[np.int64]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def row_index(self) -> NDArray[np.int64]:
        """(nnz,) the row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def take(self, rows: IntArray) -> Rows:
        """Return these rows, in this order."""
        indptr, place = _gather(self.indptr, rows)
        return Rows(self.users[rows], indptr, self.items[place], self.values[place])

    def keep(self, mask: NDArray[np.bool_]) -> Rows:
        """Return all rows with only the entries where `mask`, (nnz,), is true."""
        return Rows(
            self.users, _kept_before(mask)[self.indptr], self.items[mask], self.values[mask]
        )

    def newest(self, length: int) -> Rows:
        """Return all rows with only their last `length` entries."""
        return self.keep(ages(self.indptr) < length)

    def above(self, others: Rows) -> Rows:
        """Return these rows, and others after them."""
        return Rows(
            np.concatenate([self.users, others.users]),
            np.concatenate([self.indptr, self.indptr[-1] + others.indptr[1:]]),
            np.concatenate([self.items, others.items]),
            np.concatenate([self.values, others.values]),
        )


def input_rows(
    history: Sequences, temporal: TemporalConfig | None, users: NDArray[np.int64] | None = None
) -> Rows:
    """Return a model's input for these histories: ones, or weights by order (Eq. 16).

    Parameters
    ----------
    history
        Items of each user, oldest first.
    temporal
        The weights; ``None`` is ones.
    users
        (users,) indices in the dataset, -1 for unseen users; ``None``: row i is user i.
    """
    if temporal is None:
        values = np.ones(history.size, np.float32)
    else:
        values = temporal_weights(history.indptr, temporal.w_min, temporal.w_max)
    users = np.arange(len(history)) if users is None else users
    return Rows(users, history.indptr, history.items, values)
