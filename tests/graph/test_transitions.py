import numpy as np

from diffrec_cli.graph.transitions import ages, faded, transitions

# Two users: 0 -> 1 -> 2, and 0 -> 2.
INDPTR, ITEMS = np.array([0, 3, 5]), np.array([0, 1, 2, 0, 2])


def test_pairs_count_by_one_over_their_gap_and_by_degrees():
    T = transitions(INDPTR, ITEMS, 4, places=2).toarray()
    counts = np.zeros((4, 4))
    counts[0, 1], counts[1, 2], counts[0, 2] = 1, 1, 1 / 2 + 1
    degree = np.array([2, 1, 2, 1])  # of the last, any
    expected = counts * degree[:, None] ** -0.5 * degree[None, :] ** -0.3
    np.testing.assert_allclose(T, expected, rtol=1e-6)


def test_a_gap_above_the_places_does_not_count():
    T = transitions(INDPTR, ITEMS, 4, places=1).toarray()
    assert T[0, 2] == np.float32(2**-0.5 * 2**-0.3)  # of the second user alone


def test_nothing_leads_from_one_user_to_the_next():
    assert not transitions(INDPTR, ITEMS, 4, places=5).toarray()[2].any()


def test_a_history_fades_from_its_newest_item_on():
    np.testing.assert_array_equal(ages(INDPTR), [2, 1, 0, 1, 0])
    np.testing.assert_allclose(faded(INDPTR, 1.0), [0.25, 0.5, 1, 0.5, 1])
    np.testing.assert_array_equal(faded(INDPTR, None), np.ones(5))
