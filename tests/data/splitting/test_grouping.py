from __future__ import annotations

import numpy as np
import pytest

from diffrec_cli.data.splitting.grouping import random_ranks, ranks_within, stable_order


@pytest.mark.parametrize("largest", [1, 50, 2**16 - 1, 2**16, 2**31 - 1])
def test_stable_order_equals_a_stable_sort(largest):
    keys = np.random.default_rng(0).integers(largest, size=3000, endpoint=True).astype(np.int32)
    assert np.array_equal(stable_order(keys), np.argsort(keys, kind="stable"))
    assert np.array_equal(stable_order(np.sort(keys)), np.arange(3000))


def test_nothing_has_an_order_too():
    nothing = np.zeros(0, np.int32)
    assert len(stable_order(nothing)) == len(ranks_within(nothing)) == 0
    assert len(random_ranks(np.random.default_rng(0), nothing)) == 0


def test_random_ranks_are_a_permutation_of_each_group():
    groups = np.repeat(np.arange(50), np.arange(50)).astype(np.int32)
    ranks = random_ranks(np.random.default_rng(0), groups)
    for group in range(50):
        assert sorted(ranks[groups == group]) == list(range(group))
    assert not np.array_equal(ranks, ranks_within(groups))
