import numpy as np
import pytest

from diffrec_cli.graph import judging
from diffrec_cli.graph.judging import K, places, quality, quality_of_places, top


@pytest.mark.parametrize("share", [1.0, 0.1, 0.001, 0.0], ids=lambda share: f"{share} above 0")
@pytest.mark.parametrize("n", [5, 700, 5000])
def test_top_is_what_a_stable_sort_has_first(n, share):
    rng = np.random.default_rng(6)
    scores = rng.random((30, n)).astype(np.float32) * (rng.random((30, n)) < share)
    scores[:3, : n // 2] = -np.inf
    found = top(scores, 10)
    values = np.take_along_axis(scores, found, 1)
    np.testing.assert_array_equal(values, -np.sort(-scores, axis=1)[:, :10])
    assert all(len(set(row)) == min(10, n) for row in found.tolist())


def test_the_quality_by_places_is_that_by_lists():
    rng = np.random.default_rng(8)
    scores = rng.integers(0, 60, (30, 200)).astype(np.float32)  # many are equal
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    hits = (rng.random(scores.shape) < 0.05) & np.isfinite(scores)
    relevant = hits.sum(axis=1) + 3
    listed = np.stack([np.lexsort((np.arange(200), -row))[:K] for row in scores])
    wanted = quality(np.take_along_axis(hits, listed, axis=1), relevant)
    users, items = np.nonzero(hits)
    assert quality_of_places(users, places(scores, users, items), relevant) == pytest.approx(wanted)


def test_places_do_not_depend_on_blocks(monkeypatch):
    scores = np.random.default_rng(9).random((6, 50)).astype(np.float32)
    rows, columns = np.nonzero(scores > 0.7)
    whole = places(scores, rows, columns)
    monkeypatch.setattr(judging, "_BLOCK_ENTRIES", 100)
    np.testing.assert_array_equal(places(scores, rows, columns), whole)
    np.testing.assert_array_equal(whole, (scores[rows] > scores[rows, columns, None]).sum(axis=1))
