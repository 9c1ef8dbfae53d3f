import numpy as np
import pytest

from diffrec_cli.graph import ridge
from diffrec_cli.graph.ridge import (
    Gram,
    gram_rows,
    joined_columns,
    mean_diagonal,
    neighbourhood_ridge,
    ridge_columns,
    ridge_memory,
)


def solved_alone(gram, j, lambda_, neighbours):
    """Return the column of item j, by a plain solver."""
    together = [i for i in range(len(gram)) if i != j and gram[i, j]]
    explains = {i: gram[i, j] ** 2 / (gram[i, i] + lambda_) for i in together}
    kept = sorted(together, key=lambda i: (-explains[i], i))[:neighbours]
    column = np.zeros(len(gram))
    if kept:
        square = gram[np.ix_(kept, kept)] + lambda_ * np.eye(len(kept))
        column[kept] = np.linalg.solve(square, gram[kept, j])
    return column


@pytest.mark.parametrize("neighbours", [1, 4, 25])
@pytest.mark.parametrize("dense_bytes", [1, 4 * 25 * 6, 2**29], ids=["few", "some", "all"])
def test_every_column_solves_its_neighbourhood(dense, x, monkeypatch, neighbours, dense_bytes):
    monkeypatch.setattr(ridge, "_DENSE_BYTES", dense_bytes)  # rows of the Gram matrix kept dense
    B = neighbourhood_ridge(x, neighbours, 2.0).toarray()
    gram = dense.T @ dense
    expected = np.column_stack([solved_alone(gram, j, 2.0, neighbours) for j in range(25)])
    assert B.dtype == np.float32
    np.testing.assert_allclose(B, expected, atol=2e-5)


def test_exponents_weight_users_and_items(dense, x):
    users, items = dense.sum(axis=1), dense.sum(axis=0)
    with np.errstate(divide="ignore"):
        of_users = np.where(users > 0, users**-0.125, 0)  # the root of degree^-.25
        of_items = np.where(items > 0, items**-0.5, 0)
    weighted = of_users[:, None] * dense * of_items
    gram = weighted.T @ weighted
    expected = np.column_stack([solved_alone(gram, j, 0.1, 25) for j in range(25)])
    expected = of_items[:, None] * expected * np.where(items > 0, items**0.5, 0)

    B = neighbourhood_ridge(x, 25, 0.1, user_exponent=-0.25, item_exponent=-0.5).toarray()

    np.testing.assert_allclose(B, expected, atol=2e-5)


@pytest.mark.parametrize("shares", [1, 2, 7, 30])  # of 25 items: some of 30 have none
def test_shares_of_the_items_are_solved_apart_and_joined(x, shares):
    gram = Gram([gram_rows(x, (place, shares)) for place in range(shares)])
    columns = [ridge_columns(gram, 4, 2.0, (place, shares)) for place in range(shares)]
    assert [c.shape[1] for c in columns] == [len(range(k, 25, shares)) for k in range(shares)]
    B, whole = joined_columns(columns), neighbourhood_ridge(x, 4, 2.0)
    np.testing.assert_array_equal(B.toarray(), whole.toarray())


def test_mean_diagonal_is_over_the_items_that_someone_has(dense, x):
    diagonal = np.diag(dense.T @ dense)
    assert mean_diagonal(x) == pytest.approx(diagonal[diagonal > 0].mean())


def test_the_bound_of_memory_holds_every_pair_of_items(dense):
    lengths = dense.sum(axis=1).astype(np.int64)
    assert ridge_memory(lengths, 25, 4) >= 12 * np.count_nonzero(dense.T @ dense)
