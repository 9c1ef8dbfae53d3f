from __future__ import annotations

import numpy as np
import pytest

from diffrec_cli.data.sequences import Sequences, temporal_weights
from tests.data.toys import make_sequences


def as_lists(sequences):
    return [sequences.of(user).tolist() for user in range(len(sequences))]


def test_rows_keep_their_order_and_empty_users_their_place():
    sequences = make_sequences([], [7, 5], [], [1], [])
    assert as_lists(sequences) == [[], [7, 5], [], [1], []]
    assert (len(sequences), sequences.size) == (5, 3)
    assert sequences.lengths.tolist() == [0, 2, 0, 1, 0]
    assert sequences.row_index.tolist() == [1, 1, 3]
    assert (sequences.indptr.dtype, sequences.items.dtype) == (np.int64, np.int32)


def test_no_interactions_at_all():
    sequences = make_sequences([], [])
    assert as_lists(sequences.take(np.array([1, 0]))) == [[], []]
    assert Sequences.concatenate(sequences, sequences).size == 0


def test_take_reorders_and_repeats_users():
    sequences = make_sequences([1, 2], [], [3, 4, 5])
    assert as_lists(sequences.take(np.array([2, 1, 2, 0]))) == [[3, 4, 5], [], [3, 4, 5], [1, 2]]


def test_concatenate_appends_user_by_user():
    joined = Sequences.concatenate(
        make_sequences([1], [], [2, 3]), make_sequences([4], [5], []), make_sequences([], [6], [7])
    )
    assert as_lists(joined) == [[1, 4], [5, 6], [2, 3, 7]]


def test_weights_rise_linearly_to_the_newest():
    weights = temporal_weights(np.array([0, 0, 4, 5, 7]), 0.1, 1.0)
    assert weights.dtype == np.float32
    assert weights.tolist() == pytest.approx([0.1, 0.4, 0.7, 1.0, 1.0, 0.1, 1.0])


def test_merged_rows_have_each_item_once_at_its_last_place() -> None:
    rows = Sequences(
        np.array([0, 4, 4, 6]),
        np.array([7, 5, 7, 6, 7, 5], np.int32),
        np.array([2, 1, 1, 0.5, 1, 1], np.float32),
        np.array([True, True, False, True, True, True]),
    )
    merged = rows.merged()
    assert [merged.of(row).tolist() for row in range(3)] == [[5, 7, 6], [], [7, 5]]
    assert merged.strength.tolist() == [1, 2, 0.5, 1, 1]
    assert merged.again.tolist() == [True, False, True, True, True]
    added = rows.merged(adds=True)
    assert added.strength.tolist() == pytest.approx([1, np.log2(1 + 3 + 1), 0.5, 1, 1])
    once = rows.keep(np.array([False, True, True, True, True, True]))
    assert once.merged() is once


def test_rows_without_strengths_add_up_to_counts() -> None:
    rows = Sequences(np.array([0, 3]), np.array([4, 4, 4], np.int32))
    assert rows.merged().strength is None
    assert rows.merged(adds=True).strength.tolist() == pytest.approx([2.0])


def test_items_of_other_rows_are_taken_out_user_by_user() -> None:
    rows = Sequences(np.array([0, 2, 4]), np.array([1, 2, 1, 3], np.int32))
    others = Sequences(np.array([0, 1, 3]), np.array([2, 1, 9], np.int32))
    left = rows.without(others)
    assert [left.of(row).tolist() for row in range(2)] == [[1], [3]]


def test_parts_without_strengths_count_1_beside_others() -> None:
    weighed = Sequences(np.array([0, 1]), np.array([1], np.int32), np.array([0.2], np.float32))
    plain = Sequences(np.array([0, 1]), np.array([2], np.int32), again=np.array([True]))
    both = Sequences.concatenate(weighed, plain)
    assert both.strength.tolist() == pytest.approx([0.2, 1.0])
    assert both.again.tolist() == [False, True]
    assert both.closed.items.tolist() == [1]
