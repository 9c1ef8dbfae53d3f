"""Which part of a dataset a row is in: train, valid or test (paper, section 4.1.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.splitting.grouping import ranks_within
from diffrec_cli.data.splitting.rows import RowNumbers

#: Values of a row's label; `PARTS[label]` is the part's name.
TRAIN, VALID, TEST = range(3)
#: How train is cut where files have no valid part.
_WITHOUT_VALID = (7, 1, 0)
#: Users with fewer interactions stay whole in train.
MIN_TO_CUT = 3

Labels = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows of the log that are in the dataset, and the part of each.

    Parameters
    ----------
    rows
        (n,) int64 row numbers, grouped by user, oldest first.
    labels
        (n,) int8: 0 train, 1 valid, 2 test.
    strength, again
        (n,) as in :class:`~diffrec_cli.data.sequences.Sequences`.
    """

    rows: RowNumbers
    labels: Labels
    strength: NDArray[np.float32] | None = None
    again: NDArray[np.bool_] | None = None

    def keep(self, mask: NDArray[np.bool_]) -> Cut:
        """Return the rows where `mask` holds."""
        strength = None if self.strength is None else self.strength[mask]
        again = None if self.again is None else self.again[mask]
        return Cut(self.rows[mask], self.labels[mask], strength, again)


#: Cuts some rows of a log by ratio.
Cutter = Callable[[Log, RowNumbers], Cut]


def part_sizes(
    lengths: NDArray[np.int64], ratios: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many of a user's last interactions are valid and test.

    Shares are rounded half up: at least 1 if the ratio is above 0, and at least 1 is left for
    train. Users with fewer than three interactions give none.

    Parameters
    ----------
    lengths
        (users,) number of interactions.
    ratios
        Shares of train, valid and test, of any sum.

    Returns
    -------
    (users,) sizes of valid and (users,) sizes of test.

    Examples
    --------
    >>> valid, test = part_sizes(np.array([2, 3, 10, 25]), (7, 1, 2))
    >>> valid.tolist(), test.tolist()
    ([0, 1, 1, 3], [0, 1, 2, 5])
    """
    total = sum(ratios)
    valid, test = (_share(lengths, ratio / total) for ratio in ratios[1:])
    for _ in range(2):  # rounding can take at most two too many
        over = (valid + test >= lengths) & (lengths >= MIN_TO_CUT)
        from_test = over & (test >= valid)
        test = test - from_test
        valid = valid - (over & ~from_test)
    return valid, test


def _share(lengths: NDArray[np.int64], ratio: float) -> NDArray[np.int64]:
    if ratio == 0:
        return np.zeros_like(lengths)
    share = np.maximum(1, round_half_up(lengths * ratio))
    return np.where(lengths < MIN_TO_CUT, 0, share)


def round_half_up(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Round to whole numbers, halves up; a share such as 25 * 0.1 counts as 2.5 exactly."""
    return np.floor(np.round(values, 9) + 0.5).astype(np.int64)


def cut_by_user(log: Log, rows: RowNumbers, options: SplitOptions) -> Cut:
    """Cut each user's rows by ratio."""
    users = log.user[rows]
    lengths = np.bincount(users, minlength=len(log.user_ids))
    valid, test = part_sizes(lengths, options.ratios)
    place = ranks_within(users)
    labels = np.full(len(rows), TRAIN, np.int8)
    labels[place >= (lengths - valid - test)[users]] = VALID
    labels[place >= (lengths - test)[users]] = TEST
    return Cut(rows, labels)


def ties_at_cuts(log: Log, cut: Cut) -> int:
    """Return between how many neighbours of a user's rows there is a cut, but no time."""
    if log.time is None:
        return 0
    users, times = log.user[cut.rows], log.time[cut.rows]
    same = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    return int(np.count_nonzero(same & (cut.labels[1:] != cut.labels[:-1])))


def cut_as_given(log: Log, rows: RowNumbers, options: SplitOptions) -> Cut:
    """Return the parts that the files say; without a valid file it is an eighth of train."""
    part = cast(NDArray[np.int8], log.part)
    labels = part[rows]
    if (part == VALID).any():
        return Cut(rows, labels)
    in_train = labels == TRAIN
    users = log.user[rows]
    lengths = np.bincount(users[in_train], minlength=len(log.user_ids))
    valid, _ = part_sizes(lengths, _WITHOUT_VALID)
    labels = labels.copy()
    labels[in_train & (ranks_within(users) >= (lengths - valid)[users])] = VALID
    return Cut(rows, labels)


def cut_by_time(log: Log, rows: RowNumbers, options: SplitOptions) -> Cut:
    """Cut the whole log at two moments; rows of the same moment stay together."""
    if log.time is None or not len(rows):
        return Cut(rows, np.zeros(len(rows), np.int8))
    times = log.time[rows]
    places = last_rows(len(rows), options.ratios) - 1
    ends = np.partition(times, places)[places]
    return cut_at_ends(log, rows, ends)


def last_rows(count: int, ratios: tuple[float, float, float]) -> NDArray[np.int64]:
    """Return how many of so many rows are up to the last of train, and up to the last of valid."""
    shares = np.cumsum(ratios)[:2] / sum(ratios)
    return np.clip(round_half_up(count * shares), 1, count)


def cut_at_ends(log: Log, rows: RowNumbers, ends: NDArray[Any]) -> Cut:
    """Cut at the last moment of train and the last one of valid, (2,)."""
    times = cast(NDArray[Any], log.time)[rows]
    return Cut(rows, (times > ends[0]).astype(np.int8) + (times > ends[1]).astype(np.int8))


def cut_at(log: Log, rows: RowNumbers, late: NDArray[np.bool_], before: Cutter) -> Cut:
    """Put what is `late`, (n,) of the log, into test; cut what is before it with `before`."""
    late = late[rows]
    labels = np.full(len(rows), TEST, np.int8)
    labels[~late] = before(log, rows[~late]).labels
    return Cut(rows, labels)


def only_seen_in_train(log: Log, cut: Cut, dropped: Counter[str]) -> Cut:
    """Drop the users without a train row, then valid and test rows of items not in train."""
    cut = only_with(in_train(log.user, cut), log.user, cut, "user_unseen_in_train", dropped)
    return only_with(in_train(log.item, cut), log.item, cut, "item_unseen_in_train", dropped)


def in_train(codes: NDArray[np.int32], cut: Cut) -> NDArray[np.bool_]:
    """Return which users, or items, have a row of train; `codes`, (n,), are those of the log."""
    seen = np.zeros(int(codes.max(initial=-1)) + 1, np.bool_)
    seen[codes[cut.rows[cut.labels == TRAIN]]] = True
    return seen


def only_with(
    seen: NDArray[np.bool_], codes: NDArray[np.int32], cut: Cut, reason: str, dropped: Counter[str]
) -> Cut:
    """Return the rows of users, or items, that are `seen`; count the others under a reason."""
    keep = seen[codes[cut.rows]]
    dropped[reason] += len(keep) - int(np.count_nonzero(keep))
    return cut.keep(keep)
