"""Thirds of users by activity and of interactions by the popularity of their item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences

ACTIVITY = ("few", "some", "many")
POPULARITY = ("popular", "middle", "rare")


@dataclass(frozen=True)
class Group:
    """A group of users or of items, and a model's metrics for it.

    Parameters
    ----------
    of
        ``users`` or ``items``.
    name
        One of :data:`ACTIVITY` or :data:`POPULARITY`.
    size
        Number of users or items in the group.
    least, most
        Fewest and most train interactions of one of them.
    users
        Number of evaluated users with relevant items in the group.
    metrics
        Means over these users; in a group of items only its items are relevant.
    """

    of: str
    name: str
    size: int
    least: int
    most: int
    users: int
    metrics: dict[str, float]


def user_thirds(train: Sequences, users: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each user's third by number of train interactions, 0, 1 or 2, (U,).

    Users of equal activity are in the same third, so sizes may differ.

    Examples
    --------
    >>> train = Sequences(np.array([0, 1, 3, 4, 9]), np.arange(9, dtype=np.int32))
    >>> user_thirds(train, np.arange(4)).tolist()
    [0, 1, 0, 2]
    """
    activity = train.lengths[users]
    below = np.searchsorted(np.sort(activity), activity)  # users of less activity
    return np.asarray(3 * below // max(1, len(users)))


def item_thirds(train: Sequences, n_items: int) -> NDArray[np.int64]:
    """Return each item's third of the train interactions, 0 (most popular), 1 or 2, (|I|,).

    Examples
    --------
    >>> train = Sequences(np.array([0, 6]), np.array([0, 0, 0, 1, 1, 2], np.int32))
    >>> item_thirds(train, 4).tolist()
    [0, 1, 2, 2]
    """
    counts = np.bincount(train.items, minlength=n_items)
    order = np.argsort(-counts, kind="stable")
    above = np.cumsum(counts[order]) - counts[order]  # interactions of more popular items
    third = np.empty(n_items, np.int64)
    third[order] = np.minimum(3 * above // max(1, train.size), 2)
    return third
