"""What is masked, what is read and who counts when a model is evaluated."""

import numpy as np
import pytest

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.errors import DataError
from diffrec_cli.evaluation.evaluate import evaluate
from diffrec_cli.models.backend import NumpyBackend


class ByIndex:
    """Prefers items of low index, and remembers what it was asked with."""

    def __init__(self, n_items: int) -> None:
        self.n_items, self.backend = n_items, NumpyBackend()
        self.read: list[int] = []

    def scores(self, rows: Rows) -> np.ndarray:
        self.read += np.diff(rows.indptr).tolist()
        return np.tile(-np.arange(self.n_items, dtype=np.float32), (len(rows.indptr) - 1, 1))


@pytest.fixture
def tiny(checkerboard: Dataset) -> Dataset:
    """Three users; user 1 has nothing in test."""
    from dataclasses import replace

    def part(*pairs: tuple[int, int]) -> Sequences:
        rows, items = np.array(pairs).T
        return Sequences.from_rows(rows, items, users=3)

    return replace(
        checkerboard,
        user_ids=type(checkerboard.user_ids)(["a", "b", "c"]),
        item_table=checkerboard.item_table.slice(0, 6),
        train=part((0, 0), (1, 1), (2, 2)),
        valid=part((0, 1), (1, 0), (2, 0)),
        test=part((0, 2), (0, 5), (2, 4)),
    )


def test_valid_masks_train_and_test_masks_train_and_valid(tiny: Dataset) -> None:
    valid = evaluate(ByIndex(6), tiny, "valid", ks=(1,), metrics=("recall",))
    # Best unseen: user 0 gets 1 (right), user 1 gets 0 (right), user 2 gets 0 (right).
    assert valid.values["recall@1"].tolist() == [1, 1, 1]
    test = evaluate(ByIndex(6), tiny, "test", ks=(1, 2), metrics=("recall",))
    # User 0 (has 0, 1) gets 2, 3: one of {2, 5}. User 2 (has 2, 0) gets 1, 3: none of {4}.
    assert test.users.tolist() == [0, 2]
    assert test.values["recall@1"].tolist() == [1 / 2, 0]
    assert test.means["recall@2"] == 1 / 4


@pytest.mark.parametrize(("history", "lengths"), [("train", [1, 1]), ("train+valid", [2, 2])])
def test_history_decides_what_the_model_reads(
    tiny: Dataset, history: str, lengths: list[int]
) -> None:
    scorer = ByIndex(6)
    evaluate(scorer, tiny, "test", history=history)
    assert scorer.read == lengths


def test_validation_never_reads_valid(tiny: Dataset) -> None:
    scorer = ByIndex(6)
    evaluate(scorer, tiny, "valid", history="train+valid")
    assert scorer.read == [1, 1, 1]


def test_coverage_is_the_share_of_items_in_any_list(tiny: Dataset) -> None:
    found = evaluate(ByIndex(6), tiny, "test", ks=(1, 2), metrics=("coverage",))
    assert found.means == {"coverage@1": 2 / 6, "coverage@2": 3 / 6}  # {2, 1}, {2, 3, 1}


def test_progress_ends_at_the_number_of_users(tiny: Dataset) -> None:
    told = []
    evaluate(ByIndex(6), tiny, "test", on_progress=lambda *args: told.append(args))
    assert told[-1] == (2, 2)


def test_a_split_without_interactions_is_a_data_error(tiny: Dataset) -> None:
    from dataclasses import replace

    empty = replace(tiny, test=Sequences(np.zeros(4, np.int64), np.zeros(0, np.int32)))
    with pytest.raises(DataError, match="test"):
        evaluate(ByIndex(6), empty, "test")
