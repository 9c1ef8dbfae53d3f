"""Ordering and ranking of rows by group, without a loop over groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DIGIT = 16


def stable_order(keys: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the order that sorts `keys`, stably.

    Parameters
    ----------
    keys
        (n,) numbers from 0 to 2**31 - 1.

    Returns
    -------
    (n,) int64 positions.

    Examples
    --------
    >>> stable_order(np.array([70000, 1, 70000, 0], np.int32)).tolist()
    [3, 1, 0, 2]
    """
    if np.all(keys[1:] >= keys[:-1]):
        return np.arange(len(keys))
    # NumPy's stable sort of 16-bit numbers is a radix sort, in linear time.
    order = np.argsort(keys.astype(np.uint16), kind="stable")  # the low digit
    high = (keys >> _DIGIT).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")] if high.any() else order


def ranks_within(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the place, from 0, of each row in its group.

    Parameters
    ----------
    groups
        (n,) group of each row; a group's rows are adjacent.

    Examples
    --------
    >>> ranks_within(np.array([5, 5, 2, 7, 7, 7])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    if not len(groups):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    lengths = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups)) - np.repeat(starts, lengths)


def random_ranks(rng: np.random.Generator, groups: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a random place, from 0, for each row in its group.

    Parameters
    ----------
    rng
        Source of the places.
    groups
        (n,) group of each row, ascending.
    """
    shuffled = rng.permutation(len(groups))
    order = shuffled[stable_order(groups[shuffled])]
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = ranks_within(groups[order])
    return ranks
