import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from diffrec_cli.catalogue.simple_models import ItemKNNConfig
from diffrec_cli.errors import UsageError
from diffrec_cli.models.baselines import sparse
from tests.models.baselines.conftest import fitted, rows_of


def nearest(interactions, neighbours):
    """Return dense cosines, each column cut to its largest; of equal ones the first."""
    cosines = cosine_similarity(interactions.T).round(12)  # so that ties are ties
    np.fill_diagonal(cosines, 0)
    for column in cosines.T:
        column[np.argsort(-column, kind="stable")[neighbours:]] = 0
    return cosines


@pytest.mark.parametrize("neighbours", [1, 5, 24, 100])
@pytest.mark.parametrize("block_cells", [1, 200, 2**23])
def test_neighbours_are_those_of_dense_cosines(
    interactions, train, monkeypatch, neighbours, block_cells
):
    monkeypatch.setattr(sparse, "_BLOCK_CELLS", block_cells)
    _, scorer = fitted(ItemKNNConfig(neighbours), train)
    np.testing.assert_allclose(
        scorer.weights.toarray(), nearest(interactions, neighbours), rtol=1e-6
    )


def test_scores_sum_the_similarities_to_the_history(interactions, train, rows, dense):
    scores = fitted(ItemKNNConfig(5), train)[1].scores(rows)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, dense @ nearest(interactions, 5), rtol=1e-5, atol=1e-6)


def test_by_hand():
    # Items 0 and 1 share two users, 0 and 2 one; item 0 has 3 users, 1 has 2, 2 has 1.
    train = rows_of(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]]))
    near, far = 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 1)
    expected = [[0, near, far], [near, 0, 0], [0, 0, 0]]  # column j: the neighbour of item j
    found = fitted(ItemKNNConfig(1), train, 3)[1].weights.toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_shrinking_by_hand():
    train = rows_of(np.array([[1, 1], [1, 1], [1, 0]]))
    near = 2 / (np.sqrt(3 * 2) + 10)
    found = fitted(ItemKNNConfig(1, shrink=10), train, 2)[1].weights.toarray()
    np.testing.assert_allclose(found, [[0, near], [near, 0]], rtol=1e-6)


def test_of_equally_near_neighbours_the_one_of_lower_index_is_kept():
    _, scorer = fitted(ItemKNNConfig(2), rows_of(np.ones((4, 4))), 4)
    expected = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(scorer.weights.toarray(), expected)


def test_without_any_interaction_all_scores_are_zero(rows):
    assert not fitted(ItemKNNConfig(), rows_of(np.zeros((2, 25))))[1].scores(rows).any()


def test_the_number_of_neighbours_must_be_positive():
    with pytest.raises(UsageError, match="neighbours"):
        ItemKNNConfig(0)
