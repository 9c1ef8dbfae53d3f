"""Pairs with several rows: views before a purchase, and purchases of the same item.

Each part has a pair once. How much it counts, and whether it may be recommended again, is by its
rows of the same period alone: what came later may not change the past.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.sequences import joined_strength
from diffrec_cli.data.splitting.parts import TEST, TRAIN, VALID, Cut, Labels
from diffrec_cli.data.splitting.rows import RowNumbers
from diffrec_cli.errors import DataError

Mask = NDArray[np.bool_]


def target_rows(log: Log, options: SplitOptions) -> Mask | None:
    """Return which rows valid and test count, (n,); ``None``: all of them.

    Raises
    ------
    DataError
        No row is of that kind.
    """
    if not options.targets:
        return None
    if log.events is None:
        raise DataError(
            "--target needs kinds of events and the log has none",
            "name their column with --event-col, or leave --target out",
        )
    found = np.isin(log.events.kind, log.events.places(options.targets, "--target"))
    if not found.any():
        raise DataError(
            f"--target {options.target}: no row of that kind is left",
            "keep it: see --event-kinds, --event-weights and the window",
        )
    return found


def periods(
    log: Log, cut: Cut, rows: RowNumbers, late: Mask, *, by_time: bool, leads: bool
) -> Labels:
    """Return the part in whose time each row is, (len(rows),): also of rows that no part has.

    Where all users' parts end at the same moments, these count. Otherwise a row is in the time of
    the user's last one before it that has a part, or of the next one if it `leads` to that, as a
    view does to the purchase a minute later.

    Parameters
    ----------
    log
        The log.
    cut
        The parts of some of the rows.
    rows
        These and others, grouped by user, oldest first.
    late
        (n,) whether a row is of the test part, if its first moment was said.
    by_time
        Whether train and valid of all users end at the same moments.
    leads
        Whether rows without a part belong to what comes next.
    """
    if log.part is not None:
        if (log.part == VALID).any():
            return log.part[rows]
        late = log.part == TEST
    if by_time and log.time is not None:
        ends = [_end(log, cut, label) for label in (TRAIN, VALID)]
        found = (log.time[rows] > ends[0]).astype(np.int8) + (log.time[rows] > max(ends))
        early = np.minimum(found, VALID) if late.any() else found
        return np.where(late[rows], TEST, early).astype(np.int8)
    labels = np.full(len(log), -1)
    labels[cut.rows] = cut.labels
    labels = labels[rows]
    group = 2 * log.user[rows].astype(np.int64) + late[rows]
    having = np.flatnonzero(labels >= 0)
    every = np.arange(len(rows))
    following = np.append(having, -1)[np.searchsorted(having, every)]
    before = np.append(-1, having)[np.searchsorted(having, every, side="right")]
    found = np.where(late[rows], TEST, TRAIN)
    for other in (before, following) if leads else (following, before):  # the latter counts
        same = (other >= 0) & (group[other] == group)
        found[same] = labels[other[same]]
    return found.astype(np.int8)


def _end(log: Log, cut: Cut, label: int) -> float:
    """Return the last moment of a part; before all others if it has no row."""
    times = cast(NDArray[np.number], log.time)[cut.rows[cut.labels == label]]
    return float(times.max()) if len(times) else -np.inf


def with_history(
    cut: Cut, rows: RowNumbers, times: Labels, dropped: Counter[str], size: int
) -> Cut:
    """Return a cut of the rows that valid and test count, with the others of train's time in train.

    Parameters
    ----------
    cut
        The parts of the rows that count.
    rows
        These and the others, grouped by user, oldest first.
    times
        Those of :func:`periods`.
    dropped
        Counts the others after train.
    size
        Number of rows of the log.
    """
    labels = np.full(size, -1, np.int8)
    labels[cut.rows] = cut.labels
    labels = np.where((labels[rows] < 0) & (times == TRAIN), TRAIN, labels[rows])
    dropped["no_target_after_train"] += int(np.count_nonzero(labels < 0))
    return Cut(rows[labels >= 0], labels[labels >= 0])


def once_a_part(
    log: Log,
    cut: Cut,
    rows: RowNumbers,
    times: Labels,
    aim: Mask | None,
    sums: bool,
    dropped: Counter[str],
) -> Cut:
    """Return a cut with each pair once a part, at its last row, and with its strength.

    Parameters
    ----------
    log, cut
        The log, and the parts.
    rows
        All rows that are liked, grouped by user, oldest first: those of the cut, and others.
    times
        Those of :func:`periods`.
    aim
        As :func:`target_rows` returns them.
    sums
        Whether a pair's rows add up, as counts do: log2(1 + sum(2**s - 1)) for strengths s.
        Otherwise the strongest one counts.
    dropped
        Counts repeated rows of the cut as duplicates.
    """
    keys = (log.user[rows].astype(np.int64) * len(log.item_ids) + log.item[rows]) * 3 + times
    groups, of_row = np.unique(keys, return_inverse=True)
    place = np.full(len(log), -1)
    place[rows] = np.arange(len(rows))
    of_cut = of_row[place[cut.rows]]
    last = np.zeros(len(groups), np.int64)
    np.maximum.at(last, of_cut, np.arange(len(of_cut)))
    kept = last[of_cut] == np.arange(len(of_cut))
    dropped["duplicate"] += len(kept) - int(np.count_nonzero(kept))
    ones = np.ones(len(rows), np.float32)
    strength = joined_strength(
        ones if log.strength is None else log.strength[rows], of_row, len(groups), adds=sums
    )
    again = None
    if aim is not None:
        again = np.bincount(of_row[aim[rows]], minlength=len(groups)) == 0
    alike = bool(np.all(strength[of_cut[kept]] == 1))
    return replace(
        cut.keep(kept),
        strength=None if alike else strength[of_cut[kept]],
        again=None if again is None else again[of_cut[kept]],
    )
