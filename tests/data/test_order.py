"""Rows that carry an order are told from rows that are sorted, shuffled or split at random."""

from __future__ import annotations

import numpy as np
import pytest

from diffrec_cli.data.order import seems_to_precede, transition_excess, why_unordered
from diffrec_cli.data.reading.authors import read_authors_lists
from diffrec_cli.data.sequences import Sequences
from tests.data.toys import make_sequences
from tests.real_logs import real_log


def walks(users=300, items=60, length=12, seed=0):
    """Histories in which item i is mostly followed by i + 7 or i + 11, around a circle."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([7, 11], size=(users, length))
    walked = (rng.integers(items, size=(users, 1)) + np.cumsum(steps, axis=1)) % items
    return make_sequences(*[list(dict.fromkeys(row.tolist())) for row in walked])


def shuffled(history: Sequences, seed=0):
    rng = np.random.default_rng(seed)
    return make_sequences(*[rng.permutation(history.of(u)).tolist() for u in range(len(history))])


def ordered_by(history: Sequences, key, sign=1):
    return make_sequences(
        *[sorted(history.of(u).tolist(), key=lambda i: sign * key(i)) for u in range(len(history))]
    )


IDS = [str(i) for i in range(60)]


def test_histories_that_follow_the_same_paths_carry_an_order():
    assert why_unordered(walks(), IDS) is None
    assert transition_excess(walks()) > 20


def test_shuffled_histories_carry_none():
    assert "as it is in shuffled" in why_unordered(shuffled(walks()), IDS)
    assert abs(transition_excess(shuffled(walks()))) < 4


@pytest.mark.parametrize(("sign", "word"), [(1, "upwards"), (-1, "downwards")])
def test_rows_sorted_by_item_number_or_first_appearance_carry_none(sign, word):
    rows = ordered_by(walks(), lambda item: item, sign)
    assert word in why_unordered(rows, IDS)


def test_ids_are_compared_as_numbers_or_else_as_text():
    numbers = [str((i * 17) % 60) for i in range(60)]
    by_number = ordered_by(walks(), lambda item: int(numbers[item]))
    assert "upwards" in why_unordered(by_number, numbers)
    texts = [f"item {number}" for number in numbers]
    by_text = ordered_by(walks(), lambda item: sorted(texts).index(texts[item]))
    assert "upwards" in why_unordered(by_text, texts)


def test_single_rows_carry_none():
    assert why_unordered(make_sequences([0], [1], []), ["a", "b"]) == "no user has two rows"


def test_a_part_that_goes_on_where_train_ends_comes_first():
    history = walks(length=30)
    ends = history.lengths * 2 // 3
    place = np.arange(history.size) - history.indptr[history.row_index]
    train, near, far = (
        history.keep(part)
        for part in (
            place < ends[history.row_index],
            (place >= ends[history.row_index]) & (place < ends[history.row_index] + 3),
            place >= ends[history.row_index] + 3,
        )
    )
    assert seems_to_precede(near, far, train)
    assert not seems_to_precede(far, near, train)
    assert not seems_to_precede(shuffled(near), shuffled(near, 1), train)
    nobody = np.array([], np.int64)
    assert not seems_to_precede(near.take(nobody), far.take(nobody), train.take(nobody))


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("gowalla", "upwards"),
        ("yelp2018", "upwards"),
        ("citeulike", "upwards"),
        ("lastfm", "upwards"),
        ("steam", "upwards"),
        ("amazon-beauty", "as it is in shuffled"),
        ("ml-1m_clean", None),
        ("ml-1m_noisy", None),
    ],
)
def test_real_logs(log, reason):
    dataset = read_authors_lists(real_log(log), "d")
    found = why_unordered(dataset.train, dataset.item_ids.array.to_pylist())
    assert found is None if reason is None else reason in found
    parts = dataset.test, dataset.valid, dataset.train
    assert seems_to_precede(*parts) is (reason is None)  # MovieLens' lists, as released
