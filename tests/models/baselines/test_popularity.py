import numpy as np

from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.models.baselines.popularity import Popularity


def test_scores_are_the_train_counts_for_everyone():
    train = Sequences.from_rows(np.array([0, 0, 1, 2]), np.array([2, 0, 2, 2]), users=3)
    rows = Rows(np.array([5, -1]), np.array([0, 1, 1]), np.array([2]), np.ones(1, np.float32))
    scores = Popularity(train, n_items=4).scores(rows)
    assert scores.tolist() == [[1, 0, 3, 0], [1, 0, 3, 0]]


def test_rows_of_scores_can_be_masked_one_by_one():
    train = Sequences.from_rows(np.array([0]), np.array([1]), users=1)
    rows = Rows(np.arange(2), np.zeros(3, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    scores = Popularity(train, n_items=2).scores(rows)
    scores[0, 1] = -np.inf
    assert scores[1, 1] == 1
