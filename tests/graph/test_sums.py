import numpy as np
import pytest

from diffrec_cli.graph.sums import best_weights, candidates, scales


@pytest.fixture
def parts():
    """Return the scores of a part that is right and of one that is noise, on other scales."""
    rng = np.random.default_rng(4)
    right, noise = rng.random((50, 40)), 1000 * rng.random((50, 40))

    def read(users):
        return [right[users].astype(np.float32), noise[users].astype(np.float32)]

    return read


@pytest.fixture
def held_out(parts):
    """Return what the first part and a little of the second rank highest, of unseen items."""
    from scipy.sparse import csr_matrix

    right, noise = parts(np.arange(50))
    total = right + 0.0003 * noise
    total[:, :5] = -np.inf
    places = np.argsort(-total, axis=1)[:, :3]
    return csr_matrix((np.ones(150), places.ravel(), np.arange(0, 151, 3)), (50, 40))


@pytest.fixture
def seen():
    from scipy.sparse import csr_matrix

    x = np.zeros((50, 40))
    x[:, :5] = 1
    return csr_matrix(x)


SINGLE = [[1.0, 0.0], [0.0, 1.0]]


def test_a_scale_is_the_mean_deviation_over_items(parts):
    of_each = parts(np.arange(50))
    expected = [part.std(axis=1).mean() for part in of_each]
    np.testing.assert_allclose(scales(parts, np.arange(50)), expected, rtol=1e-5)


def test_the_weights_that_made_the_answer_are_found(parts, held_out, seen):
    users = np.arange(50)
    scale = scales(parts, users)
    found = candidates(parts, scale, SINGLE, seen, held_out, users)
    weights, value = best_weights(found, SINGLE)
    assert value == pytest.approx(1.0, abs=0.01)
    assert weights[1] / weights[0] == pytest.approx(0.0003 * scale[1] / scale[0], abs=0.15)


def test_a_sum_is_never_behind_its_best_part(parts, held_out, seen):
    users = np.arange(50)
    found = candidates(parts, scales(parts, users), SINGLE, seen, held_out, users)
    alone = [found.quality(weights) for weights in SINGLE]
    assert best_weights(found, SINGLE)[1] >= max(alone)


def test_seen_items_are_in_no_list(parts, held_out, seen):
    users = np.arange(50)
    found = candidates(parts, scales(parts, users), SINGLE, seen, held_out, users)
    assert (~found.banned).sum(axis=1).max() <= 35  # of 40, 5 are seen
