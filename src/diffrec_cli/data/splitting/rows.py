"""Which rows of a log count: those that are liked, once a pair, of users and items with enough.

Each rule shortens an int64 array of row numbers, `rows`, and counts those that it drops under a
reason.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.splitting.grouping import stable_order
from diffrec_cli.errors import DataError

_LARGEST_COMMON_SCALE = 5.0
_COMMON_THRESHOLD = 4.0

RowNumbers = NDArray[np.int64]


def rating_threshold(log: Log, options: SplitOptions) -> float | None:
    """Return the lowest rating that counts as liked; ``None`` without ratings."""
    if log.rating is None or options.min_rating is not None:
        return None if log.rating is None else options.min_rating
    if float(log.rating.max()) <= _LARGEST_COMMON_SCALE:
        return _COMMON_THRESHOLD
    raise DataError(
        f"ratings run from {log.rating.min():g} to {log.rating.max():g}: the lowest that counts as "
        "liked is only known for scales up to 5",
        "give --min-rating (or the right --rating-col, if these are not ratings)",
    )


def positive_rows(log: Log, threshold: float | None) -> RowNumbers:
    """Return the rows that are liked; raise a DataError if there are none."""
    rows = liked_rows(log, threshold)
    if log.rating is not None and threshold is not None and not len(rows):
        raise DataError(
            f"all ratings are below the threshold {threshold:g}: they run from "
            f"{log.rating.min():g} to {log.rating.max():g}",
            "give a lower --min-rating",
        )
    return rows


def liked_rows(log: Log, threshold: float | None) -> RowNumbers:
    """Return the rows whose ratings are not below the threshold; all without ratings."""
    if log.rating is None or threshold is None:
        return np.arange(len(log))
    return np.flatnonzero(log.rating >= np.float32(threshold))


def one_rating_a_pair(
    log: Log, options: SplitOptions, dropped: Counter[str], late: NDArray[np.bool_]
) -> Log:
    """Return the log with each pair's last or highest rating alone, if that is what counts.

    `late` rows, (n,), are of a future that may not change the past: they count apart.
    """
    if options.repeats in ("first", "keep"):  # the oldest, or all; see without_duplicates
        return log
    rows = oldest_first(log, np.arange(len(log)))
    if options.repeats == "last":
        rows = rows[::-1]
    elif log.rating is not None:
        rows = rows[np.argsort(-log.rating[rows], kind="stable")]
    rows = rows[np.argsort(late[rows], kind="stable")]
    order = stable_order(log.item[rows])
    rows = rows[order][stable_order(log.user[rows[order]])]
    users, items, future = log.user[rows], log.item[rows], late[rows]
    repeated = np.zeros(len(rows), np.bool_)
    repeated[1:] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    repeated[1:] &= future[1:] == future[:-1]
    dropped["duplicate"] += int(np.count_nonzero(repeated))
    return log.take(np.sort(rows[~repeated]))


def oldest_first(log: Log, rows: RowNumbers) -> RowNumbers:
    """Sort ascending rows by (user, time, row)."""
    if log.time is not None:
        times = log.time[rows]
        if np.any(times[1:] < times[:-1]):
            rows = rows[np.argsort(times, kind="stable")]
    if log.part is not None:  # whatever the times are: a pair counts in the first part it is in
        rows = rows[np.argsort(log.part[rows], kind="stable")]
    return rows[stable_order(log.user[rows])]


def without_duplicates(
    log: Log, rows: RowNumbers, dropped: Counter[str], apart: NDArray[np.bool_] | None = None
) -> RowNumbers:
    """Keep the first row of each (user, item); rows are grouped by user.

    `apart`, (n,): a pair may have one row where this holds, and one where it does not.
    """
    item = log.item if apart is None else 2 * log.item + apart
    order = stable_order(item[rows])
    order = order[stable_order(log.user[rows[order]])]
    users, items = log.user[rows[order]], item[rows[order]]
    repeated = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    dropped["duplicate"] += int(np.count_nonzero(repeated))
    keep = np.ones(len(rows), np.bool_)
    keep[order[1:][repeated]] = False
    return rows[keep]


def k_core_of_the_past(
    log: Log,
    rows: RowNumbers,
    options: SplitOptions,
    dropped: Counter[str],
    late: NDArray[np.bool_],
) -> RowNumbers:
    """Do as :func:`k_core` with rows that are not `late`, (n,) of the log; keep the others."""
    past = ~late[rows]
    keep = np.ones(len(rows), np.bool_)
    keep[past] = np.isin(rows[past], k_core(log, rows[past], options, dropped))
    return rows[keep]


def k_core(log: Log, rows: RowNumbers, options: SplitOptions, dropped: Counter[str]) -> RowNumbers:
    """Drop users and items with too few rows, until none is left."""
    filters = (
        ("user_below_minimum", log.user, options.min_user_interactions),
        ("item_below_minimum", log.item, options.min_item_interactions),
    )
    before = -1
    while before != len(rows):
        before = len(rows)
        for reason, codes, minimum in filters:
            if minimum > 1:
                enough = np.bincount(codes[rows]) >= minimum
                keep = enough[codes[rows]]
                dropped[reason] += len(rows) - int(np.count_nonzero(keep))
                rows = rows[keep]
    return rows
