import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import UsageError
from diffrec_cli.models.baselines import itemknn
from diffrec_cli.models.baselines.itemknn import ItemKNN


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
    monkeypatch.setattr(itemknn, "_BLOCK_CELLS", block_cells)
    model = ItemKNN(train, interactions.shape[1], neighbours=neighbours)
    np.testing.assert_allclose(
        model.similarities.toarray(), nearest(interactions, neighbours), rtol=1e-6
    )


def test_scores_sum_the_similarities_to_the_history(interactions, train, rows, dense):
    scores = ItemKNN(train, interactions.shape[1], neighbours=5).scores(rows)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, dense @ nearest(interactions, 5), rtol=1e-5, atol=1e-6)


def test_by_hand():
    # Items 0 and 1 share two users, 0 and 2 one; item 0 has 3 users, 1 has 2, 2 has 1.
    users, items = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 2])
    model = ItemKNN(Sequences.from_rows(users, items, users=3), n_items=3, neighbours=1)
    near, far = 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 1)
    expected = [[0, near, far], [near, 0, 0], [0, 0, 0]]  # column j: the neighbour of item j
    np.testing.assert_allclose(model.similarities.toarray(), expected, rtol=1e-6)


def test_of_equally_near_neighbours_the_one_of_lower_index_is_kept():
    users, items = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    model = ItemKNN(Sequences.from_rows(users, items, users=4), n_items=4, neighbours=2)
    expected = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(model.similarities.toarray(), expected)


def test_without_any_interaction_all_scores_are_zero(rows, dense):
    nothing = Sequences.from_rows(np.empty(0, int), np.empty(0, int), users=2)
    assert not ItemKNN(nothing, dense.shape[1]).scores(rows).any()


def test_the_number_of_neighbours_must_be_positive(train):
    with pytest.raises(UsageError, match="neighbours"):
        ItemKNN(train, 25, neighbours=0)
