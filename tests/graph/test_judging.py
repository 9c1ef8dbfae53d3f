import numpy as np
import pytest

from diffrec_cli.graph.judging import top


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
