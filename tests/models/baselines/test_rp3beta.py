import numpy as np
import pytest

from diffrec_cli.catalogue.simple_models import RP3betaConfig
from tests.models.baselines.conftest import fitted, rows_of


def slow_weights(x, alpha, beta, neighbours):
    user, item = np.maximum(x.sum(1), 1e-12), np.maximum(x.sum(0), 1e-12)
    weights = np.zeros((x.shape[1],) * 2)
    for i in range(x.shape[1]):
        for j in range(x.shape[1]):
            for u in range(len(x)):
                walk = (x[u, i] / item[i]) ** alpha * (x[u, j] / user[u]) ** alpha
                weights[i, j] += (i != j) * walk / item[j] ** beta
        weights[i, np.argsort(-weights[i], kind="stable")[neighbours:]] = 0
    return weights


@pytest.mark.parametrize(("alpha", "beta", "neighbours"), [(1, 0, 25), (0.7, 0.6, 5)])
def test_weights_are_those_of_walks_counted_one_by_one(interactions, alpha, beta, neighbours):
    x = interactions * np.random.default_rng(3).random(interactions.shape)  # no ties
    _, scorer = fitted(RP3betaConfig(alpha, beta, neighbours), rows_of(x))
    expected = slow_weights(x, alpha, beta, neighbours)
    np.testing.assert_allclose(scorer.weights.toarray(), expected, rtol=1e-5, atol=1e-9)


def test_by_hand():
    # From item 0: half of the walks go to user 0, who has one other item of two, and stay with him.
    _, scorer = fitted(RP3betaConfig(1.0, 1.0), rows_of(np.array([[1, 1], [1, 0], [0, 1]])), 2)
    quarter = 0.5 * 0.5 / 2  # and each item has two users
    np.testing.assert_allclose(scorer.weights.toarray(), [[0, quarter], [quarter, 0]], rtol=1e-6)
