import numpy as np

from diffrec_cli.catalogue.simple_models import PopularityConfig
from diffrec_cli.data.sequences import Rows
from tests.models.baselines.conftest import fitted, rows_of


def test_scores_are_the_train_counts_for_everyone():
    train = rows_of(np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]]))
    rows = Rows(np.array([5, -1]), np.array([0, 1, 1]), np.array([2]), np.ones(1, np.float32))
    _, scorer = fitted(PopularityConfig(), train, 4)
    assert scorer.scores(rows).tolist() == [[1, 0, 3, 0], [1, 0, 3, 0]]


def test_rows_of_scores_can_be_masked_one_by_one():
    _, scorer = fitted(PopularityConfig(), rows_of(np.array([[0, 1]])), 2)
    empty = np.empty(0, np.int32), np.empty(0, np.float32)
    scores = scorer.scores(Rows(np.arange(2), np.zeros(3, np.int64), *empty))
    scores[0, 1] = -np.inf
    assert scores[1, 1] == 1
