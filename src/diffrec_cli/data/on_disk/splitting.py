"""Splitting a log that is larger than memory: the rules of ``splitting``, some users at a time.

What a rule needs to know of other users is counted first, in a pass of its own: the highest rating,
the items with enough rows, the last moment of train, the items of train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.dataset import DROP_REASONS, Dataset
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.on_disk.reading import LogOnDisk, NeedsMemoryError
from diffrec_cli.data.on_disk.runs import Group, Runs, append_to
from diffrec_cli.data.on_disk.selection import value_at
from diffrec_cli.data.order import NONE, SAMPLE, TIMES
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.data.splitting.checks import check_needs, check_not_empty
from diffrec_cli.data.splitting.parts import (
    Cutter,
    cut_at,
    cut_at_ends,
    cut_by_user,
    in_train,
    last_rows,
    only_with,
    ties_at_cuts,
)
from diffrec_cli.data.splitting.rows import (
    liked_rows,
    oldest_first,
    one_rating_a_pair,
    positive_rows,
    rating_threshold,
    without_duplicates,
)
from diffrec_cli.data.splitting.split import (
    before_test,
    join_items,
    late_rows,
    order_of,
    split_record,
)
from diffrec_cli.data.splitting.window import Window, moment, nothing_inside

Mask = NDArray[np.bool_]
Drops = Counter[str]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a log is split, with all that its options leave open.

    Parameters
    ----------
    options
        The options.
    window
        Which rows count.
    start
        The first moment of test, if it is said.
    order
        What the order of a user's rows is.
    """

    options: SplitOptions
    window: Window
    start: float | None
    order: str

    def rated(self, log: LogOnDisk, dropped: Drops) -> Iterator[Group]:
        """Yield the rows in the window, with one rating a pair if one counts."""
        for group in log.groups():
            inside = self.window.rows(group.log)
            rows = group.log if inside is None else group.log.take(inside)
            dropped["outside_window"] += len(group.log) - len(rows)
            rows = rows if self.order == TIMES else replace(rows, time=None)
            late = late_rows(rows, self.start)
            yield replace(group, log=one_rating_a_pair(rows, self.options, dropped, late))


def split_on_disk(
    log: LogOnDisk,
    options: SplitOptions,
    *,
    order: tuple[str, str],
    name: str,
    item_table: pa.Table | None = None,
    source: dict[str, Any] | None = None,
) -> Dataset:
    """Split a log, as :func:`~diffrec_cli.data.splitting.split.split_log` does.

    In memory are, besides one group of users, what there is of every user and every item: ids,
    counts, masks.

    Parameters
    ----------
    log
        The rows.
    order
        That of :func:`order_on_disk`.
    options, name, item_table, source
        As for :func:`~diffrec_cli.data.splitting.split.split_log`.

    Returns
    -------
    The same dataset. The items of its parts are mapped from files in the log's directory; on POSIX
    they stay readable when that is removed.

    Raises
    ------
    DataError
        As :func:`~diffrec_cli.data.splitting.split.split_log`.
    StorageError
        The disk is full, or fails.
    """
    check_needs(log.head, options)
    dropped: Drops = Counter(dict.fromkeys(DROP_REASONS, 0))
    plan = _plan(log, options, order[0])
    kept, threshold = _kept(log, plan, dropped)
    dropped["missing_value"] = log.head.missing
    left = _k_core(kept, log.head, plan, dropped)
    cut = _cutter(left)
    users, items, ties = _catalogue(left, cut, dropped)
    check_not_empty(log.head, options, int(users.sum()), int(items.sum()))
    parts = _parts(left, cut, users, items, log.directory, dropped)
    told: dict[str, Any] = {"order": order[1]} if order[1] else {}
    if ties:
        told["ties"] = ties
    ids = log.head.item_ids.take(np.flatnonzero(items))
    return Dataset(
        name=name,
        setting=options.setting,
        order=plan.order,
        user_ids=log.head.user_ids.take(np.flatnonzero(users)),
        item_table=join_items(ids.array, item_table),
        dropped=dict(dropped),
        source={**(source or {}), "split": split_record(options, threshold), **told},
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
    )


def check_options(options: SplitOptions) -> None:
    """Raise a :class:`NeedsMemoryError` for an option that needs all rows at once."""
    asked = {
        "--setting noisy": options.setting == "noisy",
        "--target": options.target is not None,
        "--repeats keep": options.repeats == "keep",
        "--order none": options.order == NONE,
    }
    for option, asks in asked.items():
        if asks:
            raise NeedsMemoryError(option)


def order_on_disk(log: LogOnDisk, options: SplitOptions) -> tuple[str, str]:
    """Return what the order of a user's rows is, and how it was found out if no one said it.

    Raises
    ------
    NeedsMemoryError
        There is none: the split is drawn at random from the whole log.
    """
    known = options.order is not None or log.head.time is not None
    first = log.head if known else log.runs.first_users(log.head, SAMPLE)
    order, reason = order_of(first, options)
    if order == NONE:
        raise NeedsMemoryError("a log without times or another order, whose split is random,")
    return order, reason


# What options leave open -----------------------------------------------------------------


def _plan(log: LogOnDisk, options: SplitOptions, order: str) -> _Plan:
    plan = _Plan(options, Window.of(log.head, options), None, order)
    if options.test_from is None:
        return plan
    start = moment(_times_inside(log, plan.window), options.test_from, "--test-from")
    return replace(plan, start=start)


def _times_inside(log: LogOnDisk, window: Window) -> Log:
    """Return the log's head with the first and the last time in the window."""
    if window.rows(log.head) is None:
        return log.head
    ends: list[NDArray[Any]] = []
    for group in log.groups():
        inside = window.rows(group.log)
        if group.log.time is not None and inside is not None and len(inside):
            times = group.log.time[inside]
            ends.append(np.array([times.min(), times.max()]))
    if not ends:
        raise nothing_inside(log.head)
    return replace(log.head, time=np.concatenate(ends))


# Rows that stay --------------------------------------------------------------------------


def _kept(log: LogOnDisk, plan: _Plan, dropped: Drops) -> tuple[Runs, float | None]:
    """Return the rows that are liked, once a pair, oldest first; and the lowest rating of them."""
    threshold = _threshold(log, plan)
    kept = log.new_runs("kept")
    for group in plan.rated(log, dropped):
        rows = liked_rows(group.log, threshold)
        dropped["rating_below_threshold"] += len(group.log) - len(rows)
        rows = without_duplicates(group.log, oldest_first(group.log, rows), dropped)
        kept.append(replace(group.log.take(rows), rating=None), group.first)
    if dropped["outside_window"] == len(log.runs):
        raise nothing_inside(log.head)
    if not len(kept):
        positive_rows(_rating_ends(log, plan), threshold)  # raises
    log.runs.remove()
    return kept, threshold


def _threshold(log: LogOnDisk, plan: _Plan) -> float | None:
    if log.head.rating is None or plan.options.min_rating is not None:
        return rating_threshold(log.head, plan.options)
    return rating_threshold(_rating_ends(log, plan), plan.options)


def _rating_ends(log: LogOnDisk, plan: _Plan) -> Log:
    """Return the log's head with the lowest and the highest rating of all that count."""
    if plan.window.rows(log.head) is None and plan.options.repeats == "first":
        return log.head
    ratings = (g.log.rating for g in plan.rated(log, Counter()) if len(g.log))
    ends = [np.array([of.min(), of.max()]) for of in ratings if of is not None]
    if not ends:
        raise nothing_inside(log.head)
    return replace(log.head, rating=np.concatenate(ends))


@dataclass(frozen=True, slots=True)
class _Left:
    """Rows that are left when users and items with too few are dropped.

    Parameters
    ----------
    kept, head
        The rows before that, and what is known of the log.
    plan
        How the log is split.
    users, items
        Which users and items have enough; a row of the test part stays anyway, if its first moment
        was said.
    """

    kept: Runs
    head: Log
    plan: _Plan
    users: Mask
    items: Mask

    def groups(self, *, only_past: bool = False) -> Iterator[tuple[Group, NDArray[np.int64]]]:
        """Yield rows of some users at a time, and the numbers of those that are left.

        `only_past`: without those of the test part, if its first moment was said.
        """
        for group in self.kept.groups(self.head):
            log = group.log
            late = late_rows(log, self.plan.start)
            enough = self.users[group.users][log.user] & self.items[log.item]
            yield group, np.flatnonzero(enough & ~late if only_past else enough | late)


def _k_core(kept: Runs, head: Log, plan: _Plan, dropped: Drops) -> _Left:
    """Drop users and items with too few rows until none is left; each round reads all rows."""
    users, items = (np.ones(len(ids), np.bool_) for ids in (head.user_ids, head.item_ids))
    left = _Left(kept, head, plan, users, items)
    fewest = (plan.options.min_user_interactions, plan.options.min_item_interactions)
    lost = -1
    while lost and max(fewest) > 1:
        before = dropped["user_below_minimum"] + dropped["item_below_minimum"]
        counts = np.zeros(len(items), np.int64)
        for group, rows in left.groups(only_past=True):
            log = group.log
            of_user = np.bincount(log.user[rows], minlength=len(log.user_ids))
            few = of_user < fewest[0]
            dropped["user_below_minimum"] += int(of_user[few].sum())
            users[group.users] &= ~few
            counts += np.bincount(log.item[rows[~few[log.user[rows]]]], minlength=len(items))
        few = counts < fewest[1]
        dropped["item_below_minimum"] += int(counts[few].sum())
        items &= ~few
        lost = dropped["user_below_minimum"] + dropped["item_below_minimum"] - before
    return left


# Parts -----------------------------------------------------------------------------------


def _cutter(left: _Left) -> Cutter:
    """Return what cuts the rows of some users."""
    options, start = left.plan.options, left.plan.start
    ratios = options if start is None else before_test(options)
    before: Cutter = partial(cut_by_user, options=ratios)
    if options.split_by == "time":
        before = partial(cut_at_ends, ends=_ends(left, ratios.ratios))
    if start is None:
        return before
    return lambda log, rows: cut_at(log, rows, late_rows(log, start), before)


def _ends(left: _Left, ratios: tuple[float, float, float]) -> NDArray[Any]:
    """Return the last moment of train and the last one of valid, (2,)."""

    def times() -> Iterator[NDArray[Any]]:
        for group, rows in left.groups(only_past=True):
            if group.log.time is not None and len(rows):
                yield group.log.time[rows]

    count = sum(map(len, times()))
    places = last_rows(count, ratios) - 1 if count else ()
    return np.array([value_at(times, int(place)) for place in places] or [0, 0])


def _catalogue(left: _Left, cut: Cutter, dropped: Drops) -> tuple[Mask, Mask, int]:
    """Return which users and items have a row of train, and how many cuts divide equal times."""
    users, items = (np.zeros(len(mask), np.bool_) for mask in (left.users, left.items))
    ties = 0
    for group, rows in left.groups():
        log = group.log
        found = cut(log, rows)
        ties += ties_at_cuts(log, found)
        mine = in_train(log.user, found)
        users[group.first : group.first + len(mine)] = mine
        found = only_with(mine, log.user, found, "user_unseen_in_train", dropped)
        seen = in_train(log.item, found)
        items[: len(seen)] |= seen
    return users, items, ties


def _parts(
    left: _Left, cut: Cutter, users: Mask, items: Mask, directory: Path, dropped: Drops
) -> dict[str, Sequences]:
    """Return the parts of these users and items, which are numbered anew."""
    new_item = np.cumsum(items, dtype=np.int32) - np.int32(1)
    lengths: dict[str, list[NDArray[np.int64]]] = {part: [] for part in PARTS}
    for group, rows in left.groups():
        log, mine = group.log, users[group.users]
        new_user = np.cumsum(mine) - 1
        found = only_with(mine, log.user, cut(log, rows), "", Counter())  # they are counted
        found = only_with(items, log.item, found, "item_unseen_in_train", dropped)
        for label, part in enumerate(PARTS):
            of_part = found.rows[found.labels == label]
            append_to(directory / part, new_item[log.item[of_part]])
            counts = np.bincount(new_user[log.user[of_part]], minlength=int(mine.sum()))
            lengths[part].append(counts)
    left.kept.remove()
    return {part: _sequences(lengths[part], directory / part) for part in PARTS}


def _sequences(lengths: list[NDArray[np.int64]], path: Path) -> Sequences:
    """Return a part whose items are mapped from a file."""
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    if not indptr[-1]:
        return Sequences(indptr, np.zeros(0, np.int32))
    return Sequences(indptr, np.asarray(np.memmap(path, np.int32, "c")))
