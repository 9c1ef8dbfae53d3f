"""Items that lists may have: allowed, blocked, by condition, blocked for single users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.histories import read_histories, read_ids
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.progress import Listener, Note
from diffrec_cli.workflows.serving.options import RecommendOptions
from diffrec_cli.workflows.serving.user_histories import Request, some


@dataclass(frozen=True)
class ItemFilters:
    """Items that may not be recommended, besides those in the history.

    Parameters
    ----------
    excluded
        (|I|,) whether no user may get an item; ``None``: all are allowed.
    users
        Users with blocks of their own.
    blocked
        Items blocked for each of them, and an empty row.
    """

    excluded: NDArray[np.bool_] | None
    users: IdMap
    blocked: Sequences

    def masked(self, request: Request, include_seen: bool) -> Sequences | None:
        """Return the items that each user of a request may not get, B rows."""
        seen = None if include_seen else request.histories.closed
        if not len(self.users):
            return seen
        rows = self.users.indices(request.labels.to_pylist())
        blocked = self.blocked.take(np.where(rows >= 0, rows, len(self.users)))
        return blocked if seen is None else Sequences.concatenate(seen, blocked)


def item_filters(
    dataset: Dataset,
    options: RecommendOptions,
    disliked: NDArray[np.int64],
    listener: Listener,
) -> ItemFilters:
    """Return the items that the options rule out.

    Parameters
    ----------
    dataset
        The items that the model knows.
    options
        ``allow``, ``block``, ``where`` (see :mod:`diffrec_cli.data.conditions`), ``block_for``.
    disliked
        Indices of items that no user may get.
    listener
        Gets unknown ids, and a note if fewer than ``k`` items are left.

    Raises
    ------
    UsageError
        No item is left, or the condition is wrong.
    """
    excluded = np.zeros(dataset.n_items, bool)
    if options.allow is not None:
        excluded[:] = True
        excluded[_item_indices(dataset, options.allow, "--allow", listener)] = False
    if options.block is not None:
        excluded[_item_indices(dataset, options.block, "--block", listener)] = True
    if options.where is not None:
        from diffrec_cli.data.conditions import select_items

        excluded |= ~select_items(options.where, dataset.item_table)
    excluded[disliked] = True
    remaining = int((~excluded).sum())
    given = {
        "--allow": options.allow is not None,
        "--block": options.block is not None,
        "--where": options.where is not None,
        "--dislike": len(disliked) > 0,
    }
    names = " and ".join(option for option, is_given in given.items() if is_given)
    if remaining == 0:
        raise UsageError(f"{names} leave no item", "check the ids or the condition")
    if remaining < options.length and names:
        listener(
            Note(f"{names} leave {remaining:,} items: lists are shorter than {options.length}")
        )
    users, blocked = _blocked_for(dataset, options.block_for, listener)
    return ItemFilters(excluded if excluded.any() else None, users, blocked)


def holding(dataset: Dataset, condition: str | None, option: str) -> NDArray[np.int64]:
    """Return the indices of the items that meet a condition; none without one.

    Raises
    ------
    UsageError
        No item meets it, or it is wrong.
    """
    if condition is None:
        return np.zeros(0, np.int64)
    from diffrec_cli.data.conditions import select_items

    items = np.flatnonzero(select_items(condition, dataset.item_table, option))
    if len(items) == 0:
        raise UsageError(f"{option} {condition!r}: holds for no item", "check the condition")
    return items


def _blocked_for(
    dataset: Dataset, path: str | Path | None, listener: Listener
) -> tuple[IdMap, Sequences]:
    """Read the blocks of single users, who may be unseen users."""
    if path is None:
        return IdMap([]), Sequences(np.zeros(2, np.int64), np.zeros(0, np.int32))
    given = read_histories(path, of_users=True)
    items = dataset.item_ids.indices(given.item_ids.array.to_pylist())
    unlisted = given.item_ids.at(np.flatnonzero(items < 0))
    _tell_unknown(f"--block-for {path}", unlisted, listener)
    unknown = dataset.user_ids.indices(given.labels) < 0
    if unknown.any():
        names = some([given.labels[i] for i in np.flatnonzero(unknown)])
        listener(Note(f"--block-for {path}: {int(unknown.sum()):,} users are unknown: {names}"))
    known = items[given.item] >= 0
    rows = Sequences.from_rows(given.user[known], items[given.item[known]], len(given.labels) + 1)
    return IdMap(given.labels), rows


def _item_indices(
    dataset: Dataset, given: str | Path | Sequence[str], option: str, listener: Listener
) -> NDArray[np.int64]:
    """Return the indices of the items in a file, or of a list, that the model knows."""
    if isinstance(given, str | Path):
        ids, where = read_ids(given), f"{option} {given}"
    else:
        ids, where = list(given), option
    indices = dataset.item_ids.indices(ids)
    _tell_unknown(where, [ids[i] for i in np.flatnonzero(indices < 0)], listener)
    return indices[indices >= 0]


def _tell_unknown(where: str, ids: list[str], listener: Listener) -> None:
    if ids:
        listener(Note(f"{where}: {len(ids):,} items are unknown to the model: {some(ids)}"))
