import numpy as np

from diffrec_cli.graph.low_pass import low_pass


def test_scores_are_what_the_leading_singular_vectors_keep(dense, x):
    users, items = dense.sum(axis=1), dense.sum(axis=0)
    of_users = np.where(users > 0, np.maximum(users, 1) ** -0.5, 0)
    of_items = np.where(items > 0, np.maximum(items, 1) ** -0.5, 0)
    _, _, vectors = np.linalg.svd(of_users[:, None] * dense * of_items)
    kept = vectors[:5].T @ vectors[:5]  # the projection onto five
    expected = (dense * of_items) @ kept * np.where(items > 0, items**0.5, 0)

    A, B = low_pass(x, 5)

    assert A.shape == B.shape == (25, 5)
    np.testing.assert_allclose(dense @ A @ B.T, expected, atol=1e-4)


def test_a_rank_above_the_size_is_the_size(x):
    assert low_pass(x, 1000)[0].shape == (25, 24)


def test_one_item_or_none_at_all_leave_nothing_to_keep(x):
    for tiny in (x[:, :1], x[:1], x * 0):
        tiny = tiny.tocsr()
        tiny.eliminate_zeros()
        assert all(not part.any() for part in low_pass(tiny, 3))
