import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from diffrec_cli.catalogue.simple_models import UserKNNConfig
from diffrec_cli.data.sequences import Rows
from tests.models.baselines.conftest import dense_of, fitted, rows_of


def slow_scores(dense, interactions, neighbours, known):
    cosines = cosine_similarity(dense, interactions).round(12)  # so that ties are ties
    if known:
        np.fill_diagonal(cosines, 0)
    for row in cosines:
        row[np.argsort(-row, kind="stable")[neighbours:]] = 0
    return cosines @ interactions


@pytest.mark.parametrize("neighbours", [1, 7, 100])
@pytest.mark.parametrize("known", [False, True], ids=["strangers", "known users"])
def test_scores_are_those_of_dense_cosines(interactions, train, neighbours, known):
    rng = np.random.default_rng(2)  # weights of no ties
    values = rng.random(len(train.items)).astype(np.float32)
    users = np.arange(60) if known else np.full(60, -1)
    rows = Rows(users, train.indptr, train.items, values)
    dense = dense_of(rows, 25)
    scores = fitted(UserKNNConfig(neighbours), train)[1].scores(rows)
    expected = slow_scores(dense, interactions, neighbours, known)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_by_hand():
    train = rows_of(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]))
    asks = rows_of(np.array([[1, 1, 0, 0]]))
    stranger = Rows(np.array([-1]), asks.indptr, asks.items, asks.values)
    scorer = fitted(UserKNNConfig(2), train, 4)[1]
    np.testing.assert_allclose(scorer.scores(stranger), [[1.5, 1, 0.5, 0]], rtol=1e-6)
    np.testing.assert_allclose(scorer.scores(asks), [[0.5, 0, 0.5, 0]], rtol=1e-6)  # user 0 himself
