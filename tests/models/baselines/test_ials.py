import numpy as np
import pytest

from diffrec_cli.catalogue.simple_models import IALSConfig
from diffrec_cli.models.backend import TorchBackend
from tests.models.baselines.conftest import fitted

pytest.importorskip("implicit")


@pytest.mark.parametrize("backend", [None, TorchBackend("cpu")], ids=["numpy", "torch"])
def test_a_users_vector_is_the_weighted_least_squares_on_the_items(train, rows, dense, backend):
    config = IALSConfig(dim=4, confidence=3.0, regularization=0.5)
    weights, scorer = fitted(config, train, backend=backend)
    V = weights["item_factors"].astype(np.float64)
    scores = np.asarray(scorer.scores(rows))
    for user in range(60):
        c = np.where(dense[user] > 0, 3.0 * dense[user], 1.0)  # confidence of each item
        target = (dense[user] > 0).astype(float)
        A = V.T @ (c[:, None] * V) + 0.5 * np.eye(4)
        expected = V @ np.linalg.solve(A, V.T @ (c * target))
        np.testing.assert_allclose(scores[user], expected, rtol=1e-4, atol=1e-5)


def test_factors_alternate_to_a_stationary_point(interactions, train):
    config = IALSConfig(dim=3, confidence=5.0, regularization=1.0, iterations=200)
    V = fitted(config, train)[0]["item_factors"].astype(np.float64)
    c = np.where(interactions > 0, 5.0, 1.0)
    U = np.array([solve(V, c[u], interactions[u], 1.0) for u in range(60)])
    again = np.array([solve(U, c[:, i], interactions[:, i], 1.0) for i in range(25)])
    np.testing.assert_allclose(again, V, atol=2e-3)


def solve(V, c, target, ridge):
    A = V.T @ (c[:, None] * V) + ridge * np.eye(V.shape[1])
    return np.linalg.solve(A, V.T @ (c * target))
