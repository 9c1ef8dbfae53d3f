"""From a log to the train, valid and test parts of a dataset (paper, section 4.1.1).

Where there is no order, the log is shuffled first.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial
from typing import Any

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
from diffrec_cli.data.splitting.checks import check_needs, check_not_empty
from diffrec_cli.data.splitting.grouping import stable_order
from diffrec_cli.data.splitting.parts import (
    TEST,
    TRAIN,
    VALID,
    Cut,
    cut_as_given,
    cut_at,
    cut_by_time,
    cut_by_user,
    only_seen_in_train,
    ties_at_cuts,
)
from diffrec_cli.data.splitting.repeats import once_a_part, periods, target_rows, with_history
from diffrec_cli.data.splitting.rows import (
    RowNumbers,
    k_core_of_the_past,
    oldest_first,
    one_rating_a_pair,
    positive_rows,
    rating_threshold,
    without_duplicates,
)
from diffrec_cli.data.splitting.window import moment, within
from diffrec_cli.errors import DataError


def split_log(
    log: Log,
    options: SplitOptions,
    *,
    name: str,
    item_table: pa.Table | None = None,
    source: dict[str, Any] | None = None,
) -> Dataset:
    """Split a log by the rules of a setting.

    In this order: drop rows outside of the window; find out whether rows have an order, and shuffle
    them if not; if a pair's last or highest rating counts, drop its others; drop ratings below the
    threshold; keep the oldest of repeated (user, item) pairs, unless repeats are kept; drop users
    and items with too few interactions, until none is left; cut each user's rows by ratio, or all
    at a moment, and if some kinds of events are the target, by these: of the others, those before
    are train; let each part have a pair once; drop users without train rows, and valid and test
    rows of items not in train; add noise (noisy setting). Users and items are numbered by first
    appearance in the log.

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
    check_needs(log, options)
    dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
    log = within(log, options, dropped)
    start = None
    if options.test_from is not None:
        start = moment(log, options.test_from, "--test-from")
    order, reason = order_of(log, options)
    if order != TIMES:
        log = dataclasses.replace(log, time=None)
    log = one_rating_a_pair(log, options, dropped, late_rows(log, start))
    if order == NONE and options.target is not None:
        raise DataError(
            f"--target needs to know what came before a purchase, and rows have no order: {reason}",
            "name the column of times with --time-col, or say --order file if rows stand in order",
        )
    if order == NONE:
        log = log.take(np.random.default_rng(options.seed).permutation(len(log)))
    threshold = rating_threshold(log, options)
    positive = positive_rows(log, threshold)
    dropped["missing_value"] = log.missing
    dropped["event_left_out"] = log.left_out
    dropped["rating_below_threshold"] = len(log) - len(positive)

    rows = liked = oldest_first(log, positive)
    aim, keep, late = target_rows(log, options), options.repeats == "keep", late_rows(log, start)
    if not keep:
        rows = without_duplicates(log, rows, dropped, aim)
    rows = k_core_of_the_past(log, rows, options, dropped, late)
    cut = _cut(log, rows if aim is None else rows[aim[rows]], options, start)
    ties = ties_at_cuts(log, cut)
    if keep or aim is not None or log.strength is not None:
        by_time, leads = options.split_by == "time", aim is not None
        times = periods(log, cut, liked, late, by_time=by_time, leads=leads)
        if aim is not None:
            mine = np.isin(liked, rows)
            cut = with_history(cut, rows, times[mine], dropped, len(log))
        cut = once_a_part(log, cut, liked, times, aim, keep, dropped)
    cut = only_seen_in_train(log, cut, dropped)
    left = (len(np.unique(codes[cut.rows])) for codes in (log.user, log.item))
    check_not_empty(log, options, *left)
    if options.setting == "noisy" and options.noise == "natural":
        cut = _mix_in_low_ratings(log, cut, positive, options, dropped)

    told: dict[str, Any] = {"order": reason} if reason else {}
    if ties:
        told["ties"] = ties
    if log.events is not None:
        told["events"] = dict(log.event_counts)
    dataset = dataclasses.replace(
        _dataset(log, cut, name, options.setting, order, item_table),
        dropped=dict(dropped),
        source={**(source or {}), "split": split_record(options, threshold), **told},
    )
    if options.noise == "random":
        return add_random_items(dataset, options, _all_pairs(log, cut))
    return dataset


def split_record(options: SplitOptions, threshold: float | None) -> dict[str, Any]:
    """Return the options of a split as a dataset's source has them."""
    return {**dataclasses.asdict(options), "min_rating": threshold}


def order_of(log: Log, options: SplitOptions) -> tuple[str, str]:
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


def _cut(log: Log, rows: RowNumbers, options: SplitOptions, start: float | None) -> Cut:
    if log.part is not None:
        return cut_as_given(log, rows, options)
    by_ratio = cut_by_time if options.split_by == "time" else cut_by_user
    if start is None:
        return by_ratio(log, rows, options)
    before = before_test(options)
    return cut_at(log, rows, late_rows(log, start), partial(by_ratio, options=before))


def before_test(options: SplitOptions) -> SplitOptions:
    """Return how what is before the first moment of test is cut: into train and valid."""
    return dataclasses.replace(options, ratios=(*options.ratios[:2], 0))


def late_rows(log: Log, start: float | None) -> NDArray[np.bool_]:
    """Return which rows are of the test part that begins at this moment, (n,); none without it."""
    if start is None or log.time is None:
        return np.zeros(len(log), np.bool_)
    late: NDArray[np.bool_] = log.time >= start
    return late


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
    rows = oldest_first(log, np.sort(np.concatenate([cut.rows, low])))
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
    low = oldest_first(log, np.flatnonzero(is_low))
    # Clean rows come before low ones, so that the clean one of equal pairs stays.
    both = np.concatenate([cut.rows, low])
    both = both[stable_order(log.user[both])]
    kept = without_duplicates(log, both, dropped)
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
        Sequences.from_rows(
            users[mask],
            items[mask],
            len(user_codes),
            None if cut.strength is None else cut.strength[mask],
            None if cut.again is None else cut.again[mask],
        )
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
