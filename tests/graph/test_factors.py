import numpy as np
import pytest
from scipy.sparse import csr_matrix

from diffrec_cli.graph.factors import inverse, masked_factors, user_factors

SETTINGS = {"alpha_0": 0.02, "lambda_": 0.7, "mask": 0.4, "kept_weight": 0.5, "seed": 3}


def least(histories, F, alpha_0, lambda_):
    """Return the h of least weighted squared error of each row, one normal equation at a time."""
    everything = alpha_0 * F.T @ F + lambda_ * np.eye(F.shape[1])
    found = [
        np.linalg.solve(everything + (F * w[:, None]).T @ F, w @ F)
        for w in histories.astype(np.float64)
    ]
    return np.array(found)


@pytest.mark.parametrize("rank", [3, 40], ids=["fewer than interactions", "more"])
def test_a_users_factors_have_the_least_error(dense, x, rank):
    V = np.random.default_rng(0).normal(size=(x.shape[1], rank)).astype(np.float32)
    found = user_factors(x.indptr, x.indices, x.data, V, inverse(V, 0.02, 0.7))
    np.testing.assert_allclose(found, least(dense, V, 0.02, 0.7), rtol=1e-3, atol=1e-4)


def test_a_sweep_restores_masked_interactions_from_those_that_are_kept(dense, x):
    before, _ = masked_factors(x, 4, sweeps=1, **SETTINGS)
    after, P = masked_factors(x, 4, sweeps=2, **SETTINGS)

    random = np.random.default_rng(3)
    random.standard_normal((x.shape[1], 4), np.float32)  # the first factors
    random.random(x.nnz)  # the masks of the first sweep
    masked = random.random(x.nnz) < 0.4
    weights = np.where(masked, 1.0, 0.5)
    kept = csr_matrix((1.0 - masked, x.indices, x.indptr), x.shape).toarray()
    H = least(kept, before, 0.02, 0.7)
    of_items = csr_matrix((weights, x.indices, x.indptr), x.shape).toarray().T
    np.testing.assert_allclose(after, least(of_items, H, 0.02, 0.7), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(P, inverse(after, 0.02, 0.7))


def test_fits_depend_on_the_seed_alone(x):
    one, _ = masked_factors(x, 4, sweeps=2, **SETTINGS)
    same, _ = masked_factors(x, 4, sweeps=2, **SETTINGS)
    other, _ = masked_factors(x, 4, sweeps=2, **SETTINGS | {"seed": 4})
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_without_interactions_factors_are_0(x):
    V, P = masked_factors(x[:0], 4, sweeps=1, **SETTINGS)
    nothing = user_factors(np.array([0, 0]), np.zeros(0, np.int32), np.zeros(0, "f4"), V, P)
    assert nothing.tolist() == [[0.0] * 4]
