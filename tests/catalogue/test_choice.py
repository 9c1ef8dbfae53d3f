"""The rule of ``--variant auto``."""

import pytest

from diffrec_cli.catalogue import AUTO, Variant, candidates, names, preset

LOGS = [(ordered, users) for ordered in (True, False) for users in (10, 100_000)]


@pytest.mark.parametrize(("ordered", "users"), LOGS)
def test_each_candidate_is_a_model_with_valid_settings(ordered: bool, users: int) -> None:
    for found in candidates(ordered=ordered, users=users):
        config = preset("auto", found.variant, users=users).with_values(found.values)
        assert config.variant == found.variant


@pytest.mark.parametrize(("ordered", "users"), LOGS)
def test_diffusion_comes_before_simple_models(ordered: bool, users: int) -> None:
    found = candidates(ordered=ordered, users=users)
    assert [one.simple for one in found] == sorted(one.simple for one in found)
    assert all(one.simple == (Variant.parse(one.variant).model is not None) for one in found)


@pytest.mark.parametrize("users", [10, 100_000])
def test_nothing_reads_an_order_that_is_not_there(users: int) -> None:
    assert not any(
        Variant.parse(one.variant).temporal for one in candidates(ordered=False, users=users)
    )


def test_the_first_one_depends_on_the_log() -> None:
    assert str(candidates(ordered=True, users=10)[0]) == "t+masking+graph"
    assert str(candidates(ordered=False, users=10)[0]) == "base+smoothing+graph"
    many = candidates(ordered=False, users=100_000)[0]
    assert str(many) == "base+smoothing+graph (confidence 20)"


@pytest.mark.parametrize(("ordered", "users"), LOGS)
def test_people_can_tell_them_apart(ordered: bool, users: int) -> None:
    shown = [str(one) for one in candidates(ordered=ordered, users=users)]
    assert len(set(shown)) == len(shown)


def test_it_is_the_name_of_no_model() -> None:
    assert AUTO not in names()
