import itertools

import numpy as np
import pytest

from diffrec_cli.errors import UsageError
from diffrec_cli.evaluation import significance
from diffrec_cli.evaluation.significance import Paired, paired_randomisation


def exact_p(differences):
    """Enumerate all assignments of signs."""
    observed = abs(sum(differences)) - 1e-9
    totals = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return sum(total >= observed for total in totals) / len(totals)


@pytest.mark.parametrize(
    "differences",
    [
        [1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [0.5, -0.25, 0.75, 0.125, 0.5, -0.125],
        [0.1, 0.2, 0.3, -0.1, 0.7, 0.2, 0.1, -0.3, 0.4],  # sums that differ in their last bits
        [0.0, 0.0, 0.3, 0.1],
    ],
)
def test_the_p_value_agrees_with_exact_enumeration(differences):
    b = np.linspace(0.2, 0.8, len(differences))
    rounds = 20_000
    exact = exact_p(differences)
    result = paired_randomisation(b + differences, b, rounds=rounds)
    deviation = (exact * (1 - exact) / rounds) ** 0.5
    assert result.p_value == pytest.approx(exact, abs=4 * deviation + 1e-4)
    assert result.difference == pytest.approx(np.mean(differences))


def test_identical_values_have_a_p_value_of_one_and_an_interval_of_nothing():
    values = np.random.default_rng(1).random(100)
    assert paired_randomisation(values, values.copy()) == Paired(0.0, 1.0, 0.0, 0.0)


def test_the_order_of_the_models_only_changes_signs():
    rng = np.random.default_rng(2)
    a, b = rng.random(300), rng.random(300)
    forth, back = paired_randomisation(a, b), paired_randomisation(b, a)
    assert forth.p_value == back.p_value
    assert forth.difference == -back.difference
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


def test_the_smallest_p_value_counts_the_observed_assignment():
    a = np.full(500, 1.0)
    assert paired_randomisation(a, a - 1, rounds=99).p_value == 1 / 100


def test_the_interval_is_that_of_the_mean_of_many_differences():
    rng = np.random.default_rng(3)
    b = rng.random(2_000)
    differences = rng.normal(0.02, 0.3, len(b))
    result = paired_randomisation(b + differences, b)
    error = differences.std() / len(b) ** 0.5
    assert result.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.1 * error)
    assert result.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.1 * error)


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    rng = np.random.default_rng(4)
    a, b = rng.random(50), rng.random(50)
    assert paired_randomisation(a, b, seed=7) == paired_randomisation(a, b, seed=7)
    assert paired_randomisation(a, b, seed=7) != paired_randomisation(a, b, seed=8)


class TestManyUsers:
    def test_groups_give_the_p_value_and_interval_of_single_users(self, monkeypatch):
        rng = np.random.default_rng(5)
        b = rng.random(5_000)
        a = b + rng.normal(0.008, 0.3, len(b))
        single = paired_randomisation(a, b)
        monkeypatch.setattr(significance, "MAX_UNITS", 999)  # groups of 5 and of 6 users
        grouped = paired_randomisation(a, b)
        assert grouped.difference == single.difference
        assert grouped.p_value == pytest.approx(single.p_value, abs=0.02)
        width = single.high - single.low
        assert grouped.low == pytest.approx(single.low, abs=0.1 * width)
        assert grouped.high == pytest.approx(single.high, abs=0.1 * width)

    def test_the_test_keeps_its_level_in_groups(self, monkeypatch):
        monkeypatch.setattr(significance, "MAX_UNITS", 64)
        rng = np.random.default_rng(6)
        b = np.zeros(500)
        p_values = [
            paired_randomisation(rng.laplace(size=500), b, rounds=199, seed=trial).p_value
            for trial in range(400)
        ]
        rejected = np.mean(np.array(p_values) <= 0.05)
        assert rejected == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 400) ** 0.5)

    def test_a_million_users_need_little_memory(self):
        import tracemalloc

        rng = np.random.default_rng(7)
        a, b = rng.random(1_000_000), rng.random(1_000_000)
        tracemalloc.start()
        paired_randomisation(a, b, rounds=2_000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 200e6


@pytest.mark.parametrize(
    ("a", "b"),
    [([1, 2], [1]), ([], []), ([[1]], [[1]]), ([1, np.nan], [1, 2]), ([1, np.inf], [1, np.inf])],
)
def test_values_that_cannot_be_paired_are_a_usage_error(a, b):
    with pytest.raises(UsageError):
        paired_randomisation(a, b)


def test_rounds_must_be_positive():
    with pytest.raises(UsageError, match="rounds"):
        paired_randomisation([1], [0], rounds=0)
