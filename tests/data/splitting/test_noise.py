from __future__ import annotations

import numpy as np
import pytest

from diffrec_cli.config import SplitOptions
from diffrec_cli.data.splitting import noise
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.errors import DataError
from tests.data.toys import lists, make_log, make_sequences, random_rows

NATURAL = SplitOptions(setting="noisy", ratios=(5, 3, 2))
CLEAN = SplitOptions(ratios=(5, 3, 2))


@pytest.mark.parametrize("seed", range(6))
def test_natural_noise_keeps_test_and_the_sizes_of_the_clean_parts(seed):
    rows = random_rows(seed, n=900, users=20, items=60)
    clean = split_log(make_log(rows), CLEAN, name="d")
    noisy = split_log(make_log(rows), NATURAL, name="d")
    assert lists(noisy, "test") == lists(clean, "test")
    assert noisy.user_ids.array.equals(clean.user_ids.array)
    assert np.array_equal(noisy.train.lengths, clean.train.lengths)
    lost = noisy.dropped["item_unseen_in_train"] - clean.dropped["item_unseen_in_train"]
    assert noisy.valid.size == clean.valid.size - lost
    assert lists(noisy, "train") != lists(clean, "train")


@pytest.mark.parametrize("seed", range(6))
def test_every_row_is_accounted_for_in_the_noisy_setting(seed):
    rows = random_rows(seed, n=900, users=20, items=60)
    noisy = split_log(make_log(rows), NATURAL, name="d")
    kept = noisy.train.size + noisy.valid.size + noisy.test.size
    assert kept + sum(noisy.dropped.values()) == len(rows)
    assert noisy.dropped["replaced_by_low_rating"] > 0
    assert noisy.dropped["low_rating_not_sampled"] > 0
    assert min(noisy.dropped.values()) >= 0


@pytest.mark.parametrize("seed", range(6))
def test_natural_noise_comes_from_the_same_stretch_of_time_in_order(seed):
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(30 * 40)[:800]  # no duplicates, all moments distinct
    rows = [
        (f"u{p // 40}", f"i{p % 40}", int(rng.integers(1, 6)), int(t))
        for p, t in zip(pairs, rng.permutation(800), strict=True)
    ]
    when = {(u, i): t for u, i, _, t in rows}
    clean = {p: lists(split_log(make_log(rows), CLEAN, name="d"), p) for p in ("train", "valid")}
    noisy = split_log(make_log(rows), NATURAL, name="d")
    for user, items in lists(noisy, "train").items():
        moments = [when[user, i] for i in items]
        assert moments == sorted(moments)
        assert moments[-1] <= when[user, clean["train"][user][-1]]
    for user, items in lists(noisy, "valid").items():
        moments = [when[user, i] for i in items]
        assert moments == sorted(moments)
        assert moments[0] > when[user, clean["train"][user][-1]]
        assert moments[-1] <= when[user, clean["valid"][user][-1]]


def test_natural_pools_are_hand_worked():
    users = np.array([0] * 8 + [1] * 3, np.int32)
    # user 0: low, train, low, train | low, valid | test, low; user 1 has no valid part
    clean = np.array([-1, 0, -1, 0, -1, 1, 2, -1, 0, -1, 2], np.int8)
    counts = np.zeros(11)
    for seed in range(2000):
        labels = noise.natural(np.random.default_rng(seed), users, clean)
        assert labels[[6, 10]].tolist() == [2, 2]
        assert np.bincount(labels[:8] + 1).tolist() == [4, 2, 1, 1]
        assert labels[8:10].tolist() == [0, -1]
        counts += labels >= 0
    # Two of four train rows and one of two valid rows: half of the time each.
    assert np.abs(counts[:6] / 2000 - 0.5).max() < 0.05
    assert counts[7] == 0


def test_random_noise_adds_unseen_items_and_keeps_the_clean_order():
    rows = random_rows(1, n=900, users=20, items=60)
    clean = split_log(make_log(rows), CLEAN, name="d")
    options = SplitOptions(setting="noisy", noise="random", noise_ratio=0.5, ratios=(5, 3, 2))
    noisy = split_log(make_log(rows), options, name="d")
    assert np.array_equal(noisy.test.items, clean.test.items)
    for part in ("train", "valid"):
        expected = np.floor(clean.part(part).lengths * 1.5 + 0.5)
        assert noisy.part(part).lengths.tolist() == expected.tolist()
    for user in range(clean.n_users):
        everything = np.concatenate([noisy.part(p).of(user) for p in ("train", "valid", "test")])
        assert len(set(everything)) == len(everything)
        for part in ("train", "valid"):
            mine = set(clean.part(part).of(user))
            kept = [i for i in noisy.part(part).of(user) if i in mine]
            assert kept == clean.part(part).of(user).tolist()
    added = noisy.source["split"]["noise_added"]
    kept = noisy.train.size + noisy.valid.size + noisy.test.size
    assert kept - added + sum(noisy.dropped.values()) == len(rows)


def test_random_noise_adds_nothing_that_the_user_has_rated_low():
    seen = [(u, i) for u in range(8) for i in range(40) if (u + i) % 4]
    rows = [(f"u{u}", f"i{i:02d}", 1 if (u + i) % 4 == 1 else 5, i) for u, i in seen]
    options = SplitOptions(setting="noisy", noise="random", noise_ratio=0.5)
    noisy = split_log(make_log(rows), options, name="d")
    ids = noisy.item_ids.at(noisy.train.items)
    low = {(u, i) for u, i, rating, _ in rows if rating == 1}
    users = noisy.user_ids.at(noisy.train.row_index)
    assert noisy.source["split"]["noise_added"] > 0
    assert not low & set(zip(users, ids, strict=True))


def test_random_noise_stops_where_the_catalogue_ends():
    parts = make_sequences([0, 1, 2], [4]), make_sequences([3], []), make_sequences([5], [0])
    train, valid = noise.random(np.random.default_rng(0), parts, 8, 5.0)
    # User 0 has seen five of eight items: the three others go to train, none is left for valid.
    assert sorted(train.of(0)) == [0, 1, 2, 4, 6, 7]
    assert valid.of(0).tolist() == [3]
    assert len(train.of(1)) == 6
    assert 0 not in train.of(1)


def test_random_noise_is_uniform_over_items_and_places():
    parts = make_sequences([0], [1]), make_sequences([], []), make_sequences([2], [])
    counts, first = np.zeros(6), 0
    for seed in range(3000):
        train, _ = noise.random(np.random.default_rng(seed), parts, 6, 2.0)
        assert train.lengths.tolist() == [3, 3]
        counts[train.of(0)] += 1
        first += train.of(0)[0] == 0
    assert counts[2] == 0
    assert np.abs(counts[[1, 3, 4, 5]] / 3000 - 0.5).max() < 0.05
    assert abs(first / 3000 - 1 / 3) < 0.04


def test_noise_depends_on_the_seed_alone():
    rows = random_rows(1, n=900, users=20, items=60)
    for extra in ({}, {"noise": "random", "noise_ratio": 0.3}):
        hashes = [
            split_log(make_log(rows), SplitOptions(setting="noisy", seed=s, **extra), name="d")
            for s in (1, 1, 2)
        ]
        first, again, other = (d.content_hash for d in hashes)
        assert first == again != other


def test_natural_noise_without_any_low_rating_is_an_error():
    log = make_log([(u, i, 5, 0) for u in "ab" for i in "xy"])
    with pytest.raises(DataError) as caught:
        split_log(log, NATURAL, name="d")
    assert "no user has one" in caught.value.what
    assert "--noise random" in caught.value.fix
