"""Spaces of settings: the paper's values, fields that exist, and draws without repetition."""

import pytest

from diffrec_cli.catalogue import draws, names, preset, space


@pytest.mark.parametrize("variant", names())
def test_every_value_is_one_of_the_model(variant: str) -> None:
    if variant == "pop":
        return
    config = preset("auto", variant, users=5949)
    beside = {"alpha_min": {"alpha_max": 0.02}, "alpha_max": {"alpha_min": 1e-4}}  # in between
    for name, choices in space(config.variant).items():
        for value in choices:
            config.with_values({name: value, **beside.get(name, {})})


def test_the_papers_grid() -> None:
    assert space("t")["T"] == (2, 5, 10, 40, 50, 100)
    assert space("lt")["C"] == (1, 2, 3, 4, 5)
    assert space("t")["w_min"] == (0.1, 0.3, 0.5)
    assert "w_min" not in space("base")
    assert space("multivae")["beta_updates"] == (0, 200, 500)


def test_the_models_own_settings_come_first_and_none_comes_twice() -> None:
    config = preset("auto", "ease", users=100)
    found = list(draws(config, seed=1))
    assert found[0] == {}
    assert len(found) == 1 + len(space("ease")["lambda"])
    assert {point["lambda"] for point in found[1:]} == set(space("ease")["lambda"])


def test_a_seed_gives_the_same_draws() -> None:
    config = preset("auto", "base", users=100)
    first, second, other = (
        [point for point, _ in zip(draws(config, seed), range(5), strict=False)]
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_impossible_settings_are_left_out() -> None:
    config = preset("auto", "base", users=100)
    for point, _ in zip(draws(config, 1), range(200), strict=False):
        assert point.get("alpha_min", 0) < point.get("alpha_max", 1)
