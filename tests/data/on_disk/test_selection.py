import numpy as np
import pytest

from diffrec_cli.data.on_disk.selection import value_at

RNG = np.random.default_rng(0)
EXTREMES = np.iinfo(np.int64)


@pytest.mark.parametrize(
    "values",
    [
        RNG.integers(-50, 50, 300),
        RNG.integers(EXTREMES.min, EXTREMES.max, 300),
        np.array([EXTREMES.max, EXTREMES.min, 0, -1, 1, 1 << 16, 1 << 48]),
        RNG.normal(0, 1e9, 300),
        np.array([0.0, 5e-324, -5e-324, np.inf, -np.inf, -1.0, 1.0]),
    ],
    ids=["small", "any", "extreme", "floats", "extreme floats"],
)
def test_the_value_at_a_place_is_that_of_the_sorted_values(values) -> None:
    for place in {0, len(values) // 3, len(values) - 1}:
        found = value_at(lambda: iter(np.array_split(values, 4)), place)
        assert found == np.sort(values)[place]
        assert found.dtype == values.dtype
