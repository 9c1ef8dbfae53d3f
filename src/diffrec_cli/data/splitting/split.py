"""From a log to the train, valid and test parts of a dataset (paper, section 4.1.1).

Each rule shortens an int64 array of row numbers, `rows`, grouped by user and oldest first, and
counts the rows that it drops under a reason. Where there is no order, the log is shuffled first.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.dataset import DROP_REASONS, Dataset
from diffrec_cli.data.order import FILE, NONE, TIMES, why_unordered
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.data.splitting import noise
from diffrec_cli.data.splitting.grouping import ranks_within, stable_order
from diffrec_cli.errors import DataError

#: Values of a row's label; `PARTS[label]` is the part's name.
TRAIN, VALID, TEST = range(3)
#: How train is cut where files have no valid part.
_WITHOUT_VALID = (7, 1, 0)
#: Users with fewer interactions stay whole in train.
MIN_TO_CUT = 3

_LARGEST_COMMON_SCALE = 5.0
_COMMON_THRESHOLD = 4.0

RowNumbers = NDArray[np.int64]
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
    """

    rows: RowNumbers
    labels: Labels

    def keep(self, mask: NDArray[np.bool_]) -> Cut:
        """Return the rows where `mask` holds."""
        return Cut(self.rows[mask], self.labels[mask])


def split_log(
    log: Log,
    options: SplitOptions,
    *,
    name: str,
    item_table: pa.Table | None = None,
    source: dict[str, Any] | None = None,
) -> Dataset:
    """Split a log by the rules of a setting.

    In this order: find out whether its rows have an order, and shuffle them if not; if a pair's
    last or highest rating counts, drop its others; drop ratings below the threshold; keep the
    oldest of repeated (user, item) pairs; drop users and
    items with too few interactions, until none is left; cut each user's rows by ratio; drop
    users without train rows, and valid and test rows of items not in train; add noise (noisy
    setting). Users and items are numbered by first appearance in the log.

    Parameters
    ----------
    log
        The rows.
    options
        Setting, threshold, ratios and so on.
    name
        Name of the dataset.
    item_table
        ``id``, ``title`` and others as strings, for any items
        (:func:`~diffrec_cli.data.reading.items.read_item_table`).
    source
        How the log came to be, for the record; the split's own options are added.

    Returns
    -------
    Dataset whose `dropped` accounts for every row of the log that is not in it, and whose `source`
    tells under ``order`` how the order was found out, if no one said it, and under ``ties`` how
    many cuts are between rows of the same time.

    Raises
    ------
    DataError
        The log lacks what the setting needs (ratings, timestamps), the threshold is unknown, or
        fewer than two users or two items are left.
    """
    _check_needs(log, options)
    order, reason = _order(log, options)
    dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
    if order != TIMES:
        log = dataclasses.replace(log, time=None)
    log = _one_rating_a_pair(log, options, dropped)
    if order == NONE:
        log = _rows_of(log, np.random.default_rng(options.seed).permutation(len(log)))
    threshold = _threshold(log, options)
    positive = _positive_rows(log, threshold)
    dropped["missing_value"] = log.missing
    dropped["rating_below_threshold"] = len(log) - len(positive)

    rows = _oldest_first(log, positive)
    rows = _without_duplicates(log, rows, dropped)
    rows = _k_core(log, rows, options, dropped)
    cut_rows = _cut_by_time if options.split_by == "time" else _cut_by_user
    cut_rows = cut_rows if log.part is None else _cut_as_given
    cut = cut_rows(log, rows, options)
    ties = _ties_at_cuts(log, cut)
    cut = _only_seen_in_train(log, cut, dropped)
    _check_not_empty(log, cut, options)
    if options.setting == "noisy" and options.noise == "natural":
        cut = _mix_in_low_ratings(log, cut, positive, options, dropped)

    record = {**dataclasses.asdict(options), "min_rating": threshold}
    told: dict[str, Any] = {"order": reason} if reason else {}
    if ties:
        told["ties"] = ties
    dataset = dataclasses.replace(
        _dataset(log, cut, name, options.setting, order, item_table),
        dropped=dict(dropped),
        source={**(source or {}), "split": record, **told},
    )
    if options.noise == "random":
        return add_random_items(dataset, options, _all_pairs(log, cut))
    return dataset


def _order(log: Log, options: SplitOptions) -> tuple[str, str]:
    """Return what the order of a user's rows is, and how it was found out if no one said it."""
    if options.order is not None:
        return options.order, ""
    if log.time is not None:
        return TIMES, ""
    rows = stable_order(log.user)
    history = Sequences.from_rows(log.user[rows], log.item[rows], len(log.user_ids))
    return found_order(history, log.item_ids.array.to_pylist())


def found_order(history: Sequences, ids: list[str]) -> tuple[str, str]:
    """Return whether rows without times stand in an order, ``file`` or ``none``, and the reason.

    Parameters
    ----------
    history, ids
        As in :func:`~diffrec_cli.data.order.why_unordered`.
    """
    reason = why_unordered(history, ids)
    if reason is None:
        return FILE, "which item follows which is alike in many users"
    return NONE, reason


def _check_needs(log: Log, options: SplitOptions) -> None:
    askers = {
        "--setting temporal": options.setting == "temporal",
        "--split-by time": options.split_by == "time",
        "--order times": options.order == TIMES,
    }
    asker = next((option for option, asks in askers.items() if asks), None)
    if log.time is None and asker is not None:
        raise DataError(
            f"{asker} needs timestamps and the log has no time column",
            "name the column with --time-col, or leave that option out",
        )
    if log.rating is None and options.min_rating is not None:
        raise DataError(
            "--min-rating needs ratings and the log has no rating column",
            "name the column with --rating-col, or leave that option out",
        )
    natural = options.setting == "noisy" and options.noise == "natural"
    if natural and log.rating is None:
        raise DataError(
            "--setting noisy takes its noise from low ratings and the log has no rating column",
            "name the column with --rating-col, or use --noise random --noise-ratio 0.3",
        )


# Which rows ------------------------------------------------------------------------------


def _threshold(log: Log, options: SplitOptions) -> float | None:
    if log.rating is None or options.min_rating is not None:
        return None if log.rating is None else options.min_rating
    if float(log.rating.max()) <= _LARGEST_COMMON_SCALE:
        return _COMMON_THRESHOLD
    raise DataError(
        f"ratings run from {log.rating.min():g} to {log.rating.max():g}: the lowest that counts as "
        "liked is only known for scales up to 5",
        "give --min-rating (or the right --rating-col, if these are not ratings)",
    )


def _positive_rows(log: Log, threshold: float | None) -> RowNumbers:
    if log.rating is None or threshold is None:
        return np.arange(len(log))
    rows = np.flatnonzero(log.rating >= np.float32(threshold))
    if not len(rows):
        raise DataError(
            f"all ratings are below the threshold {threshold:g}: they run from "
            f"{log.rating.min():g} to {log.rating.max():g}",
            "give a lower --min-rating",
        )
    return rows


def _one_rating_a_pair(log: Log, options: SplitOptions, dropped: Counter[str]) -> Log:
    """Return the log with each pair's last or highest rating alone, if that is what counts."""
    if options.repeats == "first":  # the oldest that is liked counts, see _without_duplicates
        return log
    rows = _oldest_first(log, np.arange(len(log)))
    if options.repeats == "last":
        rows = rows[::-1]
    elif log.rating is not None:
        rows = rows[np.argsort(-log.rating[rows], kind="stable")]
    order = stable_order(log.item[rows])
    rows = rows[order][stable_order(log.user[rows[order]])]
    users, items = log.user[rows], log.item[rows]
    repeated = np.zeros(len(rows), np.bool_)
    repeated[1:] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    dropped["duplicate"] += int(np.count_nonzero(repeated))
    return _rows_of(log, np.sort(rows[~repeated]))


def _rows_of(log: Log, rows: RowNumbers) -> Log:
    rating = None if log.rating is None else log.rating[rows]
    time = None if log.time is None else log.time[rows]
    part = None if log.part is None else log.part[rows]
    user, item = log.user[rows], log.item[rows]
    return dataclasses.replace(log, user=user, item=item, rating=rating, time=time, part=part)


def _oldest_first(log: Log, rows: RowNumbers) -> RowNumbers:
    """Sort ascending rows by (user, time, row)."""
    if log.time is not None:
        times = log.time[rows]
        if np.any(times[1:] < times[:-1]):
            rows = rows[np.argsort(times, kind="stable")]
    if log.part is not None:  # whatever the times are: a pair counts in the first part it is in
        rows = rows[np.argsort(log.part[rows], kind="stable")]
    return rows[stable_order(log.user[rows])]


def _without_duplicates(log: Log, rows: RowNumbers, dropped: Counter[str]) -> RowNumbers:
    """Keep the first row of each (user, item); rows are grouped by user."""
    order = stable_order(log.item[rows])
    order = order[stable_order(log.user[rows[order]])]
    users, items = log.user[rows[order]], log.item[rows[order]]
    repeated = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    dropped["duplicate"] += int(np.count_nonzero(repeated))
    keep = np.ones(len(rows), np.bool_)
    keep[order[1:][repeated]] = False
    return rows[keep]


def _k_core(log: Log, rows: RowNumbers, options: SplitOptions, dropped: Counter[str]) -> RowNumbers:
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


# Which part ------------------------------------------------------------------------------


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


def _cut_by_user(log: Log, rows: RowNumbers, options: SplitOptions) -> Cut:
    users = log.user[rows]
    lengths = np.bincount(users, minlength=len(log.user_ids))
    valid, test = part_sizes(lengths, options.ratios)
    place = ranks_within(users)
    labels = np.full(len(rows), TRAIN, np.int8)
    labels[place >= (lengths - valid - test)[users]] = VALID
    labels[place >= (lengths - test)[users]] = TEST
    return Cut(rows, labels)


def _ties_at_cuts(log: Log, cut: Cut) -> int:
    """Return between how many neighbours of a user's rows there is a cut, but no time."""
    if log.time is None:
        return 0
    users, times = log.user[cut.rows], log.time[cut.rows]
    same = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    return int(np.count_nonzero(same & (cut.labels[1:] != cut.labels[:-1])))


def _cut_as_given(log: Log, rows: RowNumbers, options: SplitOptions) -> Cut:
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


def _cut_by_time(log: Log, rows: RowNumbers, options: SplitOptions) -> Cut:
    """Cut the whole log at two moments; rows of the same moment stay together."""
    if log.time is None or not len(rows):
        return Cut(rows, np.zeros(len(rows), np.int8))
    times = log.time[rows]
    shares = np.cumsum(options.ratios)[:2] / sum(options.ratios)
    counts = np.clip(round_half_up(len(rows) * shares), 1, len(rows))
    # The last moment of train and the last one of valid.
    ends = np.partition(times, counts - 1)[counts - 1]
    labels = (times > ends[0]).astype(np.int8) + (times > ends[1]).astype(np.int8)
    return Cut(rows, labels)


def _only_seen_in_train(log: Log, cut: Cut, dropped: Counter[str]) -> Cut:
    """Drop the users without a train row, then valid and test rows of items not in train."""
    for reason, codes in (("user_unseen_in_train", log.user), ("item_unseen_in_train", log.item)):
        seen = np.zeros(int(codes.max()) + 1, np.bool_)
        seen[codes[cut.rows[cut.labels == TRAIN]]] = True
        keep = seen[codes[cut.rows]]
        dropped[reason] += len(keep) - int(np.count_nonzero(keep))
        cut = cut.keep(keep)
    return cut


def _check_not_empty(log: Log, cut: Cut, options: SplitOptions) -> None:
    for what, codes in (("user", log.user), ("item", log.item)):
        left = len(np.unique(codes[cut.rows]))
        if left < 2:
            raise DataError(
                f"{left} {what}{'' if left == 1 else 's'} left after filtering; "
                "a recommender needs two or more",
                _what_leaves_more(log, options),
            )


def _what_leaves_more(log: Log, options: SplitOptions) -> str:
    """Return the advice for a log of which too little is left, by what it has and what was said."""
    filters = {
        "--min-user-interactions": options.min_user_interactions > 1,
        "--min-item-interactions": options.min_item_interactions > 1,
    }
    lower = [option for option, said in filters.items() if said]
    if log.rating is not None:
        lower.insert(0, "--min-rating")
    return " or ".join(["give more data", *([f"lower {' and '.join(lower)}"] if lower else [])])


# Noise -----------------------------------------------------------------------------------


def _mix_in_low_ratings(
    log: Log, cut: Cut, positive: RowNumbers, options: SplitOptions, dropped: Counter[str]
) -> Cut:
    """Draw train and valid from clean and low-rated rows of the same period."""
    low = _low_rows(log, cut, positive, dropped)
    if not len(low):
        raise DataError(
            "--setting noisy takes its noise from low ratings and no user has one",
            "give a higher --min-rating, or use --noise random --noise-ratio 0.3",
        )
    clean = np.full(len(log), -1, np.int8)
    clean[cut.rows] = cut.labels
    rows = _oldest_first(log, np.sort(np.concatenate([cut.rows, low])))
    rng = np.random.default_rng(options.seed)
    labels = noise.natural(rng, log.user[rows], clean[rows])

    was_clean = clean[rows] >= 0
    drawn = labels >= 0
    dropped["rating_below_threshold"] -= int(np.count_nonzero(drawn & ~was_clean))
    dropped["low_rating_not_sampled"] = int(np.count_nonzero(~drawn & ~was_clean))
    dropped["rating_below_threshold"] -= dropped["low_rating_not_sampled"]
    dropped["replaced_by_low_rating"] = int(np.count_nonzero(~drawn & was_clean))
    return _only_in_catalogue(log, Cut(rows[drawn], labels[drawn]), dropped)


def _low_rows(log: Log, cut: Cut, positive: RowNumbers, dropped: Counter[str]) -> RowNumbers:
    """Return the low-rated rows of the dataset's users, without repeated pairs."""
    candidates = np.zeros(len(log.user_ids), np.bool_)
    candidates[log.user[cut.rows]] = True
    is_low = candidates[log.user]
    is_low[positive] = False
    low = _oldest_first(log, np.flatnonzero(is_low))
    # Clean rows come before low ones, so that the clean one of equal pairs stays.
    both = np.concatenate([cut.rows, low])
    both = both[stable_order(log.user[both])]
    kept = _without_duplicates(log, both, dropped)
    dropped["rating_below_threshold"] -= len(both) - len(kept)
    return kept[is_low[kept]]


def _only_in_catalogue(log: Log, cut: Cut, dropped: Counter[str]) -> Cut:
    """Drop valid rows of items that neither train nor test has."""
    known = np.zeros(len(log.item_ids), np.bool_)
    known[log.item[cut.rows[cut.labels != VALID]]] = True
    keep = known[log.item[cut.rows]]
    dropped["item_unseen_in_train"] += len(keep) - int(np.count_nonzero(keep))
    return cut.keep(keep)


def _all_pairs(log: Log, cut: Cut) -> Sequences:
    """Return the items of each user in the whole log, low-rated ones too, as the dataset has them.

    Users and items that the dataset lacks are left out.
    """
    places = []
    for codes, ids in ((log.user, log.user_ids), (log.item, log.item_ids)):
        used = np.zeros(len(ids), np.bool_)
        used[codes[cut.rows]] = True
        places.append((np.where(used, np.cumsum(used) - 1, -1)[codes], int(used.sum())))
    (users, n_users), (items, n_items) = places
    present = (users >= 0) & (items >= 0)
    keys = np.unique(users[present] * n_items + items[present])
    return Sequences.from_rows(*np.divmod(keys, n_items), users=n_users)


def add_random_items(
    dataset: Dataset, options: SplitOptions, known: Sequences | None = None
) -> Dataset:
    """Return the dataset with random noise in train and valid, recorded in its source.

    `known` are items of each user that are not drawn; ``None``: those of the dataset.
    """
    train, valid = noise.random(
        np.random.default_rng(options.seed),
        (dataset.train, dataset.valid, dataset.test),
        dataset.n_items,
        float(options.noise_ratio or 0.0),
        known,
    )
    added = train.size + valid.size - dataset.train.size - dataset.valid.size
    record = {**dataclasses.asdict(options), **dataset.source.get("split", {})}
    source = {**dataset.source, "split": {**record, "noise_added": added}}
    return dataclasses.replace(dataset, train=train, valid=valid, source=source)


# The dataset -----------------------------------------------------------------------------


def _dataset(
    log: Log, cut: Cut, name: str, setting: str, order: str, item_table: pa.Table | None
) -> Dataset:
    users, user_codes = _renumber(log.user[cut.rows], len(log.user_ids))
    items, item_codes = _renumber(log.item[cut.rows], len(log.item_ids))
    train, valid, test = (
        Sequences.from_rows(users[mask], items[mask], len(user_codes))
        for mask in (cut.labels == label for label in (TRAIN, VALID, TEST))
    )
    return Dataset(
        name=name,
        setting=setting,
        order=order,
        user_ids=log.user_ids.take(user_codes),
        item_table=join_items(log.item_ids.take(item_codes).array, item_table),
        train=train,
        valid=valid,
        test=test,
    )


def _renumber(codes: NDArray[np.int32], size: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return dense indices of `codes`, and the code of each index (codes are by appearance)."""
    used = np.zeros(size, np.bool_)
    used[codes] = True
    index = np.cumsum(used, dtype=np.int32) - 1
    return index[codes].astype(np.int32), np.flatnonzero(used)


def join_items(ids: pa.Array, item_table: pa.Table | None) -> pa.Table:
    """Return the rows of `item_table` for `ids`, in that order; null for missing ones.

    Parameters
    ----------
    ids
        (items,) strings.
    item_table
        First column ``id``, distinct.
    """
    if item_table is None:
        return pa.table({"id": ids})
    place = pc.index_in(ids, value_set=item_table["id"].combine_chunks())
    others = {
        column: item_table[column].take(place)
        for column in item_table.column_names
        if column != "id"
    }
    return pa.table({"id": ids, **others})
