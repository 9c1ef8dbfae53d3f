"""The noise of the noisy setting: low-rated interactions, or items drawn at random.

All draws are from the given generator, so a dataset depends on its seed alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.data.splitting.grouping import random_ranks, ranks_within

_TRAIN, _VALID, _TEST, _NONE = 0, 1, 2, -1


def natural(
    rng: np.random.Generator, users: NDArray[np.int32], clean: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Label clean and low-rated rows so that train and valid become noisy.

    A user's rows up to the last clean train row are the pool of train; those after it, up to the
    last clean valid row, the pool of valid. Each part draws as many rows from its pool, without
    replacement, as it has clean ones. Test stays as it is.

    Parameters
    ----------
    rng
        Source of the draws.
    users
        (n,) user of each row, ascending; a user's rows oldest first.
    clean
        (n,) label of clean rows (0 train, 1 valid, 2 test), -1 for low-rated ones.

    Returns
    -------
    (n,) int8 labels, -1 for a row that was not drawn.
    """
    pools = _pools(users, clean)
    labels = np.where(clean == _TEST, clean, np.int8(_NONE))
    for part in (_TRAIN, _VALID):
        rows = np.flatnonzero(pools == part)
        quota = np.bincount(users[clean == part], minlength=int(users.max()) + 1)
        drawn = random_ranks(rng, users[rows]) < quota[users[rows]]
        labels[rows[drawn]] = part
    return labels


def _pools(users: NDArray[np.int32], clean: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the pool of each row: a part, or -1."""
    place = np.arange(len(users))
    last = np.full((2, int(users.max()) + 1), -1)
    for part in (_TRAIN, _VALID):
        rows = np.flatnonzero(clean == part)
        last[part, users[rows]] = rows  # ascending: the last assignment stays
    pools = np.full(len(users), _NONE, np.int8)
    pools[place <= last[_VALID, users]] = _VALID
    pools[place <= last[_TRAIN, users]] = _TRAIN
    pools[clean == _TEST] = _NONE
    return pools


def random(
    rng: np.random.Generator,
    parts: tuple[Sequences, Sequences, Sequences],
    n_items: int,
    ratio: float,
    known: Sequences | None = None,
) -> tuple[Sequences, Sequences]:
    """Add items at random places to every user's train and valid parts.

    A part of n items gets round(ratio * n) more, halves up, from the items that the user has
    nothing to do with; fewer if the catalogue has no more.

    Parameters
    ----------
    rng
        Source of the draws.
    parts
        Train, valid and test.
    n_items
        Size of the catalogue.
    ratio
        Items added per item.
    known
        Distinct items of each user that are not drawn; ``None``: those of the parts.

    Returns
    -------
    The new train and valid parts.
    """
    train, valid, _ = parts
    known = Sequences.concatenate(*parts) if known is None else known
    free = n_items - known.lengths
    ratio = min(ratio, n_items)  # larger ones add no more, and could overflow
    wanted = [np.floor(ratio * part.lengths + 0.5).astype(np.int64) for part in (train, valid)]
    to_train = np.minimum(wanted[0], free)
    to_valid = np.minimum(wanted[1], free - to_train)
    users, items = _unseen_items(rng, known, n_items, to_train + to_valid)
    # The items are sorted; random ranks choose their part and order.
    ranks = random_ranks(rng, users)
    order = np.lexsort((ranks, users))
    users, items, ranks = users[order], items[order], ranks[order]
    for_train = ranks < to_train[users]
    return (
        _interleave(
            rng, train, Sequences.from_rows(users[for_train], items[for_train], len(train))
        ),
        _interleave(
            rng, valid, Sequences.from_rows(users[~for_train], items[~for_train], len(train))
        ),
    )


def _unseen_items(
    rng: np.random.Generator, seen: Sequences, n_items: int, counts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw `counts` distinct items for every user, none of those in `seen`.

    The j-th unseen item is j plus the number of seen items before it, so j alone is drawn.
    """
    keys = np.sort(seen.row_index * n_items + seen.items)  # grouped by user, ascending items
    users, items = np.divmod(keys, n_items)
    unseen_before = users * n_items + items - ranks_within(users)
    owners, j = _distinct(rng, n_items - seen.lengths, counts)
    before = np.searchsorted(unseen_before, owners * n_items + j, side="right")
    drawn = j + before - seen.indptr[owners]
    return owners.astype(np.int32), drawn.astype(np.int32)


def _distinct(
    rng: np.random.Generator, sizes: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw `counts[u]` distinct numbers below `sizes[u]` for every u, sorted by u and number.

    If more than half are wanted, the others are drawn, so that few rounds suffice.
    """
    stride = int(sizes.max(initial=0)) + 1
    most = counts * 2 > sizes
    drawn = _distinct_few(rng, sizes, np.where(most, sizes - counts, counts), stride)
    dense = np.repeat(np.flatnonzero(most), sizes[most])
    everything = dense * stride + ranks_within(dense)
    few = drawn[~most[drawn // stride]]
    rest = np.setdiff1d(everything, drawn, assume_unique=True)
    owners, numbers = np.divmod(np.sort(np.concatenate([few, rest])), stride)
    return owners, numbers


def _distinct_few(
    rng: np.random.Generator, sizes: NDArray[np.int64], counts: NDArray[np.int64], stride: int
) -> NDArray[np.int64]:
    """Draw with replacement, and again for repetitions; return sorted keys."""
    keys = np.zeros(0, np.int64)
    missing = counts
    while missing.any():
        owners = np.repeat(np.arange(len(sizes)), missing)
        fresh = owners * stride + rng.integers(sizes[owners])
        keys = np.union1d(keys, fresh)
        missing = counts - np.bincount(keys // stride, minlength=len(sizes))
    return keys


def _interleave(rng: np.random.Generator, clean: Sequences, extra: Sequences) -> Sequences:
    """Put the items of `extra` at random places among those of `clean`, which keep their order."""
    merged = Sequences.concatenate(clean, extra)
    users = merged.row_index.astype(np.int32)
    is_extra = random_ranks(rng, users) < extra.lengths[users]
    items = np.empty_like(merged.items)
    items[is_extra] = extra.items
    items[~is_extra] = clean.items
    return Sequences(merged.indptr, items)
