import numpy as np
import pytest

from diffrec_cli.graph import degree_filter as degree_filter_module
from diffrec_cli.graph.degree_filter import SYMMETRIC, DegreeFilter, Exponents


def powers(degrees, exponent):
    return np.where(degrees > 0, np.maximum(degrees, 1) ** exponent, 0)


@pytest.mark.parametrize(
    "exponents", [SYMMETRIC, Exponents(0.2, 0.7, -0.1), Exponents(-0.1, 0.0, 1.2)]
)
@pytest.mark.parametrize("sparse_cost", [0.0, np.inf], ids=["sparse products", "dense products"])
def test_scores_are_the_formula(dense, x, exponents, sparse_cost, monkeypatch):
    monkeypatch.setattr(degree_filter_module, "_SPARSE_COST", sparse_cost)
    users, items = dense.sum(axis=1), dense.sum(axis=0)
    of_items = np.diag(powers(items, -exponents.q_in)) @ dense.T
    of_users = np.diag(powers(users, -2 * exponents.p)) @ dense
    expected = dense @ of_items @ of_users @ np.diag(powers(items, -exponents.q_out))

    scores = DegreeFilter(x, exponents).scores(x)

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cells", [1, 100, 2**25])
def test_smoothed_is_the_filter_of_any_signal(dense, x, monkeypatch, cells):
    monkeypatch.setattr(degree_filter_module, "_CELLS", cells)  # dense at a time
    degree_filter = DegreeFilter(x, Exponents(0.2, 0.7, -0.1))
    np.testing.assert_allclose(
        degree_filter.smoothed(dense.astype(np.float32)), degree_filter.scores(x), rtol=1e-5
    )


def test_the_symmetric_filter_never_lets_a_signal_grow(x):
    """Its eigenvalues are at most 1, in the norm that divides by degrees."""
    operator = DegreeFilter(x, SYMMETRIC).smoothed(np.eye(x.shape[1], dtype=np.float32))
    assert np.abs(np.linalg.eigvals(operator)).max() == pytest.approx(1, abs=1e-5)


def test_an_item_that_nobody_has_scores_nothing(x):
    assert not DegreeFilter(x, SYMMETRIC).scores(x)[:, 7].any()
