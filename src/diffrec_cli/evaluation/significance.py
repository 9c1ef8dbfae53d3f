"""A paired test of two models on the same users, and intervals of means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diffrec_cli.errors import UsageError

Floats = NDArray[np.float64]

#: More users than this are divided at random into this many groups.
MAX_UNITS = 8192
_BLOCK_CELLS = 2**22  # numbers in a block of rounds: 32 MiB of float64


@dataclass(frozen=True)
class Paired:
    """The difference of two models on the same users.

    Parameters
    ----------
    difference
        Mean of the first minus mean of the second.
    p_value
        Of the two-sided test that the difference is zero.
    low, high
        95% interval of the difference.
    """

    difference: float
    p_value: float
    low: float
    high: float


def paired_randomisation(
    a: ArrayLike, b: ArrayLike, *, rounds: int = 10_000, seed: int = 1
) -> Paired:
    """Compare two models by their values for the same users.

    If the models did not differ, each user's difference would be as likely with the other sign.
    The p-value is ``(1 + count) / (1 + rounds)`` (Phipson and Smyth 2010), where `count` random
    assignments of signs have a mean at least as far from zero as the observed one. The interval is
    the percentile bootstrap over users.

    More than :data:`MAX_UNITS` users are divided at random into that many groups, and whole groups
    change sign or are drawn. The test stays exact, and its time no longer depends on the users.

    Parameters
    ----------
    a, b
        (users,) finite values of a metric, user by user.
    rounds
        Number of random assignments, and of bootstrap samples.
    seed
        Seed of both.

    Raises
    ------
    UsageError
        The lengths differ, there is no user, or a value is not finite.

    Examples
    --------
    >>> paired_randomisation([0.5, 0.25], [0.5, 0.25]).p_value
    1.0
    """
    differences = _differences(a, b)
    if rounds < 1:
        raise UsageError(f"rounds = {rounds} is out of range", "rounds must be 1 or more")
    rng = np.random.default_rng(seed)
    mean = float(differences.mean())
    sums, sizes = _fold(differences, rng)
    p_value = (1 + _count_as_extreme(sums, rounds, rng)) / (1 + rounds)
    return Paired(mean, p_value, *_percentiles(mean, sums, sizes, rounds, rng))


def interval(values: ArrayLike, *, rounds: int = 10_000, seed: int = 1) -> tuple[float, float]:
    """Return a 95% interval of the mean of a metric: the percentile bootstrap over users.

    Parameters
    ----------
    values
        (users,) finite values of a metric; more than :data:`MAX_UNITS` are drawn in groups.
    rounds, seed
        Number of bootstrap samples, and their seed.

    Examples
    --------
    >>> interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    figures = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    return _percentiles(float(figures.mean()), *_fold(figures, rng), rounds, rng)


def _percentiles(
    mean: float, sums: Floats, sizes: NDArray[np.int64], rounds: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a mean, from the sums and sizes of groups."""
    # Centred, as groups of different sizes would shift the mean.
    shifts = _bootstrap(sums - sizes * mean, rounds, rng) / sizes.sum()  # (rounds,)
    low, high = np.quantile(shifts, (0.025, 0.975))
    return mean + float(low), mean + float(high)


def _differences(a: ArrayLike, b: ArrayLike) -> Floats:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError(
            f"values of shapes {first.shape} and {second.shape} cannot be paired",
            "evaluate both models on the same users",
        )
    if not len(first) or not np.isfinite([first, second]).all():
        raise UsageError(
            "a paired comparison needs a finite value of both models for every user",
            "leave out users without relevant items",
        )
    return first - second


def _fold(differences: Floats, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Return the sum and the number of users of each group; few users are a group each."""
    n = len(differences)
    if n <= MAX_UNITS:
        return differences, np.ones(n, np.int64)
    starts = np.arange(MAX_UNITS) * n // MAX_UNITS
    return np.add.reduceat(rng.permutation(differences), starts), np.diff(starts, append=n)


def _count_as_extreme(sums: Floats, rounds: int, rng: np.random.Generator) -> int:
    """Count random assignments of signs whose total is at least as large as the observed one."""
    total = sums.sum()
    # The order of additions changes the last bits of equal totals.
    bound = abs(total) - 1e-12 * np.abs(sums).sum()
    count = 0
    for block in _blocks(rounds, len(sums)):
        bits = np.frombuffer(rng.bytes(block * -(-len(sums) // 8)), np.uint8).reshape(block, -1)
        plus = np.unpackbits(bits, axis=1, count=len(sums))  # (block, units) of 0 and 1
        totals = 2 * (plus.astype(np.float64) @ sums) - total  # (block,)
        count += int(np.count_nonzero(np.abs(totals) >= bound))
    return count


def _bootstrap(values: Floats, rounds: int, rng: np.random.Generator) -> Floats:
    """Return (rounds,) totals of as many values, drawn with replacement."""
    n = len(values)
    draws = [
        values[rng.integers(0, n, size=(block, n), dtype=np.int32)].sum(axis=1)
        for block in _blocks(rounds, n)
    ]
    return np.concatenate(draws)


def _blocks(rounds: int, units: int) -> Iterator[int]:
    """Yield the sizes of blocks of rounds that fit into memory."""
    size = max(1, _BLOCK_CELLS // units)
    for start in range(0, rounds, size):
        yield min(size, rounds - start)
