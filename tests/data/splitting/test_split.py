from __future__ import annotations

import collections
import math
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.dataset import DROP_REASONS
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.splitting.parts import part_sizes
from diffrec_cli.data.splitting.split import join_items, split_log
from diffrec_cli.errors import ConfigError, DataError
from tests.data.toys import lists, make_log, random_rows


def half_up(x):
    return math.floor(round(x, 9) + 0.5)


def oracle(rows, ratios, k_user=1, k_item=1, by="user"):
    """Split with loops and dictionaries, straight from the rules."""
    dropped = collections.Counter()
    kept = []
    for place, (user, item, rating, time) in enumerate(rows):
        if rating >= 4:
            kept.append((time, place, user, item))
        else:
            dropped["rating_below_threshold"] += 1
    kept.sort()
    seen, unique = set(), []
    for row in kept:
        if row[2:] in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(row[2:])
            unique.append(row)
    kept, before = unique, None
    while before != len(kept):
        before = len(kept)
        for reason, column, least in (
            ("user_below_minimum", 2, k_user),
            ("item_below_minimum", 3, k_item),
        ):
            count = collections.Counter(row[column] for row in kept)
            good = [row for row in kept if count[row[column]] >= least]
            dropped[reason] += len(kept) - len(good)
            kept = good
    cut = oracle_by_user(kept, ratios) if by == "user" else oracle_by_time(kept, ratios)
    train_users = {row[2] for row, part in cut if part == "train"}
    train_items = {row[3] for row, part in cut if part == "train"}
    parts = {"train": {}, "valid": {}, "test": {}}
    for row, part in cut:
        if row[2] not in train_users:
            dropped["user_unseen_in_train"] += 1
        elif row[3] not in train_items:
            dropped["item_unseen_in_train"] += 1
        else:
            parts[part].setdefault(row[2], []).append(row[3])
    return parts, dropped


def oracle_by_user(kept, ratios):
    by_user = {}
    for row in kept:
        by_user.setdefault(row[2], []).append(row)
    cut = []
    for mine in by_user.values():
        n = len(mine)
        sizes = [max(1, half_up(n * r / sum(ratios))) if r and n >= 3 else 0 for r in ratios[1:]]
        while n >= 3 and sum(sizes) >= n:
            sizes[0 if sizes[0] > sizes[1] else 1] -= 1
        for k, row in enumerate(mine):
            part = "test" if k >= n - sizes[1] else "valid" if k >= n - sum(sizes) else "train"
            cut.append((row, part))
    return cut


def oracle_by_time(kept, ratios):
    n = len(kept)
    ends = [min(n, max(1, half_up(n * s / sum(ratios)))) for s in (ratios[0], sum(ratios[:2]))]
    first, second = (kept[end - 1][0] for end in ends)
    return [
        (row, "train" if row[0] <= first else "valid" if row[0] <= second else "test")
        for row in kept
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("ratios", "k_user", "k_item", "by"),
    [
        ((7, 1, 2), 1, 1, "user"),
        ((7, 2, 1), 4, 5, "user"),
        ((8, 0, 2), 1, 1, "user"),
        ((1, 0, 0), 1, 1, "user"),
        ((0.1, 5, 5), 1, 1, "user"),
        ((7, 1, 2), 1, 1, "time"),
        ((5, 0, 5), 3, 4, "time"),
    ],
)
def test_split_equals_a_plain_loop(seed, ratios, k_user, k_item, by):
    rows = random_rows(seed, n=500)
    parts, dropped = oracle(rows, ratios, k_user, k_item, by)
    options = SplitOptions(
        ratios=ratios, min_user_interactions=k_user, min_item_interactions=k_item, split_by=by
    )
    dataset = split_log(make_log(rows), options, name="d")
    for part, expected in parts.items():
        assert lists(dataset, part) == expected
    assert dataset.dropped == {reason: dropped[reason] for reason in DROP_REASONS}
    # Every row read is either here or accounted for.
    kept = dataset.train.size + dataset.valid.size + dataset.test.size
    assert kept + sum(dataset.dropped.values()) == len(rows)
    # Numbered in order of first appearance in the log.
    for ids, column in ((dataset.user_ids, 0), (dataset.item_ids, 1)):
        mine = ids.array.to_pylist()
        assert mine == [i for i in dict.fromkeys(r[column] for r in rows) if i in set(mine)]


def test_hand_worked_user():
    # Ten likes in shuffled order of time; an early duplicate; 7:1:2 cuts 7, 1 and 2.
    order = [3, 9, 0, 6, 1, 8, 5, 2, 7, 4]
    rows = [("a", f"i{t}", 5, t) for t in order] + [("a", "i9", 5, -1)]
    rows += [("b", f"i{t}", 4, t) for t in (9, 8)] + [("b", "i7", 3, 0)]
    dataset = split_log(make_log(rows), SplitOptions(), name="d")
    assert lists(dataset, "train") == {
        "a": ["i9", "i0", "i1", "i2", "i3", "i4", "i5"],
        "b": ["i8", "i9"],  # fewer than three stay whole
    }
    assert lists(dataset, "valid") == {}  # a's i6 is in nobody's train
    assert lists(dataset, "test") == {"a": ["i8"]}
    assert dataset.dropped["duplicate"] == 1
    assert dataset.dropped["rating_below_threshold"] == 1
    assert dataset.dropped["item_unseen_in_train"] == 2


@pytest.mark.parametrize(("timed", "order"), [(True, None), (True, "file"), (False, "file")])
def test_rows_of_equal_times_and_rows_in_the_order_of_the_file_stay_as_they_are(timed, order):
    rows = [(u, f"i{k}", 5, 0) for u in "ab" for k in (2, 0, 1)]
    options = SplitOptions(ratios=(1, 0, 0), order=order)
    dataset = split_log(make_log(rows, timed=timed), options, name="d")
    assert lists(dataset, "train")["a"] == ["i2", "i0", "i1"]
    assert dataset.order == (order or "times")
    assert "order" not in dataset.source  # it was said, or times were there


def test_the_order_of_the_file_goes_before_times_if_asked_for():
    rows = [(u, f"i{k}", 5, -k) for u in "ab" for k in range(3)]
    options = SplitOptions(ratios=(1, 0, 0))
    by_time = split_log(make_log(rows), options, name="d")
    as_in_file = split_log(make_log(rows), replace(options, order="file"), name="d")
    assert lists(by_time, "train")["a"] == ["i2", "i1", "i0"]
    assert lists(as_in_file, "train")["a"] == ["i0", "i1", "i2"]


def sorted_rows(users=40, items=30):
    """Rows sorted by item within users, of which the last ones are the same few items."""
    return [(f"u{u}", f"i{k:02d}", 5, 0) for u in range(users) for k in range(items)]


def test_a_log_without_an_order_is_split_at_random_by_the_seed():
    log = make_log(sorted_rows(), timed=False)
    first, again, other = (split_log(log, SplitOptions(seed=seed), name="d") for seed in (1, 1, 2))
    assert first.order == "none"
    assert "upwards" in first.source["order"]
    assert first.content_hash == again.content_hash != other.content_hash
    tested = Counter(item for items in lists(first, "test").values() for item in items)
    assert len(tested) == 30  # not only the last six
    assert first.user_ids.array.to_pylist() == [f"u{u}" for u in range(40)]


def test_no_order_can_be_said_of_a_log_with_times():
    rows = [(u, i, 5, t) for u, i, _, t in sorted_rows()]
    dataset = split_log(make_log(rows), SplitOptions(order="none"), name="d")
    assert dataset.order == "none"
    assert len({item for items in lists(dataset, "test").values() for item in items}) == 30
    with pytest.raises(DataError) as caught:
        dataset.require_order("t")
    assert "--order file" in caught.value.fix


def test_rows_without_times_that_show_an_order_are_taken_in_it():
    # Everyone goes the same way around a circle of items.
    rows = [(f"u{u}", f"i{(u + 7 * k) % 30}", 5, 0) for u in range(90) for k in range(10)]
    dataset = split_log(make_log(rows, timed=False), SplitOptions(), name="d")
    assert dataset.order == "file"
    assert "alike in many users" in dataset.source["order"]
    assert lists(dataset, "train")["u3"][:3] == ["i3", "i10", "i17"]


@pytest.mark.parametrize("asked", [{"setting": "temporal"}, {"split_by": "time"}])
@pytest.mark.parametrize("order", ["file", "none"])
def test_what_reads_times_contradicts_an_order_without_them(asked, order):
    with pytest.raises(ConfigError, match="goes without times"):
        SplitOptions(order=order, **asked)


def test_times_asked_for_and_not_there_are_an_error():
    with pytest.raises(DataError, match="--order times needs timestamps"):
        split_log(make_log(sorted_rows(), timed=False), SplitOptions(order="times"), name="d")


def test_float_times_and_unrated_logs():
    log = make_log([("a", "x", 0, 0), ("a", "y", 0, 0), ("b", "x", 0, 0)], rated=False)
    log = Log(log.user, log.item, None, np.array([0.5, 0.25, 0.0]), log.user_ids, log.item_ids)
    dataset = split_log(log, SplitOptions(), name="d")
    assert lists(dataset, "train") == {"a": ["y", "x"], "b": ["x"]}
    assert dataset.source["split"]["min_rating"] is None


def test_part_sizes_leave_one_for_train():
    lengths = np.arange(0, 60)
    for ratios in ((7, 1, 2), (1, 50, 50), (1, 0, 9), (1, 9, 0), (0.001, 1, 1)):
        valid, test = part_sizes(lengths, ratios)
        assert np.all((valid + test < lengths)[3:])
        assert np.all((valid[3:] >= 1) == (ratios[1] > 0))
        assert np.all((test[3:] >= 1) == (ratios[2] > 0))
        assert not valid[:3].any()
        assert not test[:3].any()


def test_cut_by_time_never_parts_a_moment():
    rows = [(f"u{k % 4}", f"i{k % 7}", 5, k // 4) for k in range(28)]
    dataset = split_log(make_log(rows), SplitOptions(split_by="time", ratios=(5, 2, 3)), name="d")
    assert [dataset.part(p).size for p in ("train", "valid", "test")] == [16, 4, 8]


def test_threshold_is_four_up_to_five_and_must_be_told_beyond():
    rows = [(u, i, 4, 0) for u in "ab" for i in "xy"] + [("c", "x", 3.5, 0)]
    assert split_log(make_log(rows), SplitOptions(), name="d").n_users == 2
    assert split_log(make_log(rows), SplitOptions(min_rating=3.5), name="d").n_users == 3
    with pytest.raises(DataError) as caught:
        split_log(make_log([("a", "x", 7, 0), ("b", "y", 1, 0)]), SplitOptions(), name="d")
    assert caught.value.exit_code == 3
    assert "from 1 to 7" in caught.value.what
    assert "--min-rating" in caught.value.fix


def test_threshold_of_a_fraction_is_compared_as_the_ratings_are():
    rows = [(u, i, 3.3, 0) for u in "ab" for i in "xy"]
    assert split_log(make_log(rows), SplitOptions(min_rating=3.3), name="d").train.size == 4


def test_all_ratings_below_threshold_tells_the_range():
    with pytest.raises(DataError) as caught:
        split_log(make_log([("a", "x", 0, 0), ("b", "y", 1, 0)]), SplitOptions(), name="d")
    assert "from 0 to 1" in caught.value.what
    assert "--min-rating" in caught.value.fix


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (SplitOptions(setting="temporal"), "--time-col"),
        (SplitOptions(split_by="time"), "--time-col"),
        (SplitOptions(setting="noisy"), "--noise random"),
    ],
)
def test_setting_without_what_it_needs_is_an_error(options, fix):
    log = make_log(random_rows(0), rated=False, timed=False)
    with pytest.raises(DataError) as caught:
        split_log(log, options, name="d")
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("rows", "options", "what"),
    [
        ([("a", "x", 5, 0), ("a", "y", 5, 0)], SplitOptions(), "1 user left"),
        ([("a", "x", 5, 0), ("b", "x", 5, 0)], SplitOptions(), "1 item left"),
        (random_rows(0), SplitOptions(min_user_interactions=99), "0 users left"),
    ],
)
def test_fewer_than_two_users_or_items_is_an_error(rows, options, what):
    with pytest.raises(DataError) as caught:
        split_log(make_log(rows), options, name="d")
    assert what in caught.value.what
    assert caught.value.fix


def test_temporal_is_clean_with_an_order():
    rows = random_rows(3)
    clean = split_log(make_log(rows), SplitOptions(), name="d")
    temporal = split_log(make_log(rows), SplitOptions(setting="temporal"), name="d")
    assert temporal.setting == "temporal"
    assert np.array_equal(temporal.test.items, clean.test.items)


def test_items_are_joined_by_id_and_unknown_ones_are_null():
    table = pa.table({"id": ["y", "z", "x"], "title": ["Y", "Z", "X"], "year": ["1", "2", None]})
    rows = [(u, i, 5, 0) for u in "ab" for i in ("x", "?", "y")]
    dataset = split_log(make_log(rows), SplitOptions(ratios=(1, 0, 0)), name="d", item_table=table)
    assert dataset.item_table.to_pylist() == [
        {"id": "x", "title": "X", "year": None},
        {"id": "?", "title": None, "year": None},
        {"id": "y", "title": "Y", "year": "1"},
    ]
    assert join_items(pa.array(["x"]), None).column_names == ["id"]


def test_source_records_options_and_resolved_threshold():
    dataset = split_log(
        make_log(random_rows(0)), SplitOptions(), name="d", source={"files": ["a.csv"]}
    )
    assert dataset.source["files"] == ["a.csv"]
    assert dataset.source["split"]["min_rating"] == 4.0
    assert dataset.source["split"]["setting"] == "clean"


# Options ----------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
RANDOM = {"setting": "noisy", "noise": "random"}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"ratios": (7, NAN, 2)}, "ratios"),
        ({"ratios": (NAN, 1, 2)}, "ratios"),
        ({"ratios": (INF, 1, 2)}, "ratios"),
        ({"ratios": (1e308, 1e308, 1e308)}, "ratios"),
        ({"min_rating": NAN}, "min_rating"),
        ({"min_rating": -INF}, "min_rating"),
        ({"order": "backwards"}, "order"),
        ({"parts": "test,train,valid"}, "parts"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({**RANDOM, "noise_ratio": NAN}, "noise_ratio"),
        ({**RANDOM, "noise_ratio": INF}, "noise_ratio"),
        ({**RANDOM, "noise_ratio": 0}, "noise_ratio"),
        (RANDOM, "noise_ratio"),
    ],
)
def test_impossible_options_name_their_field(values, field):
    with pytest.raises(ConfigError, match=f"^{field}"):
        SplitOptions(**values)


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        ({"noise_ratio": 0.3}, "--noise-ratio needs --setting noisy"),
        ({"setting": "temporal", "noise_ratio": 0.3}, "--noise-ratio needs --setting noisy"),
        ({"noise": "random"}, "--noise random needs --setting noisy"),
        ({"noise": "random", "noise_ratio": 0.3}, "--noise-ratio needs --setting noisy"),
        ({"setting": "noisy", "noise_ratio": 0.3}, "--noise-ratio needs --noise random"),
    ],
)
def test_noise_that_would_have_no_effect_is_refused(values, fix):
    with pytest.raises(ConfigError) as caught:
        SplitOptions(**values)
    assert caught.value.fix == fix


def test_the_largest_seed_and_any_finite_amount_of_noise_work():
    options = SplitOptions(**RANDOM, noise_ratio=1.7e308, seed=2**63 - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = split_log(make_log(random_rows(0)), options, name="d")
    assert dataset.train.lengths.max() <= dataset.n_items


# Pairs that were rated more than once, and equal times ------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("repeats", ["last", "max"])
def test_the_last_or_the_highest_rating_of_a_pair_counts(seed, repeats):
    rows = random_rows(seed, n=500)
    best = {}
    for place, (user, item, rating, time) in enumerate(rows):
        rank = (time, place) if repeats == "last" else (rating, -time, -place)
        if (user, item) not in best or rank > best[user, item][0]:
            best[user, item] = rank, place
    kept = sorted(place for _, place in best.values())
    parts, _ = oracle([rows[place] for place in kept], (7, 1, 2))
    dataset = split_log(make_log(rows), SplitOptions(repeats=repeats), name="d")
    for part, expected in parts.items():
        assert lists(dataset, part) == expected
    assert dataset.dropped["duplicate"] == len(rows) - len(kept)
    kept_rows = sum(dataset.part(part).size for part in PARTS)
    assert kept_rows + sum(dataset.dropped.values()) == len(rows)


def test_who_likes_no_longer_does_not_like():
    rows = [
        ("a", "x", 5, 1),
        ("a", "x", 1, 2),
        ("a", "y", 5, 3),
        ("b", "x", 4, 1),
        ("b", "y", 4, 2),
    ]
    options = {repeats: SplitOptions(repeats=repeats) for repeats in ("first", "last", "max")}
    liked = {
        name: lists(split_log(make_log(rows), o, name="d"), "train")["a"]
        for name, o in options.items()
    }
    assert liked == {"first": ["x", "y"], "last": ["y"], "max": ["x", "y"]}


def test_cuts_between_equal_times_are_counted():
    days = [("a", f"i{n}", 5, n // 3) for n in range(10)]
    days += [("b", f"i{n}", 5, n) for n in range(10)]
    # a: 7 rows to train, 1 to valid, 2 to test; rows 6 to 8 are of one day
    assert split_log(make_log(days), SplitOptions(), name="d").source["ties"] == 2
    apart = make_log([*days[10:], ("c", "i1", 5, 0)])
    assert "ties" not in split_log(apart, SplitOptions(), name="d").source


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (SplitOptions(), "give more data or lower --min-rating"),
        (
            SplitOptions(min_item_interactions=9),
            "give more data or lower --min-rating and --min-item-interactions",
        ),
    ],
)
def test_who_has_too_little_left_is_told_what_leaves_more(options, advice):
    with pytest.raises(DataError, match="needs two or more") as caught:
        split_log(make_log([("a", "x", 5, 1), ("b", "x", 5, 2)]), options, name="d")
    assert caught.value.fix == advice
