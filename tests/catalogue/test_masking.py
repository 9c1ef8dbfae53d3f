"""Masking among the variants: its names, what it reads, and what goes with it."""

import pytest

from diffrec_cli.catalogue import Variant, draws, preset, read_config, reads_order, space
from diffrec_cli.config import GraphSum, OrderedGraphSum
from diffrec_cli.errors import ConfigError


@pytest.mark.parametrize(
    "variant", ["t+masking", "base+masking", "t+masking+graph", "base+masking+graph"]
)
def test_settings_are_stored_and_read_under_the_name_of_the_variant(variant: str) -> None:
    config = preset("auto", variant, users=500, interactions=10_000)
    assert config.variant == variant
    assert read_config(config.to_dict()) == config
    assert reads_order(config) == variant.startswith("t")


def test_weights_by_order_are_no_setting_since_kernels_fade() -> None:
    config = preset("auto", "t+masking", users=500)
    assert config.temporal is None
    assert "w_min" not in config.values()
    assert "w_min" not in space("t+masking")
    assert len(list(draws(config, seed=1))) > 1


def test_without_half_lives_order_is_not_read_and_the_name_says_so() -> None:
    config = preset("auto", "t+masking", users=500).with_values({"half_lives": ""})
    assert config.variant == "base+masking"
    assert not reads_order(config)


@pytest.mark.parametrize("variant", ["l", "lt"])
def test_latent_variants_refuse_it(variant: str) -> None:
    with pytest.raises(ConfigError, match="not with variant") as refused:
        Variant.parse(variant).corrupted("masking")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("variant", ["t+masking+graph", "t+smoothing+graph", "t+graph", "lt+graph"])
def test_graphs_behind_a_model_that_reads_order_read_it_too(variant: str) -> None:
    graph = preset("auto", variant, users=500).graph
    assert isinstance(graph, OrderedGraphSum)
    assert "transitions" in graph.parts
    assert graph.half_life is None


def test_other_graphs_have_no_transitions() -> None:
    graph = preset("auto", "base+masking+graph", users=500).graph
    assert type(graph) is GraphSum
    with pytest.raises(ConfigError, match="parts"):
        preset("auto", "base+graph", users=500).with_values({"parts": "learned,transitions"})


def test_many_users_are_trained_in_epochs_of_some_updates() -> None:
    few, many = (preset("auto", "t+masking", users=users) for users in (5_000, 100_000))
    assert few.training.epoch_updates is None
    assert many.training.epoch_updates is not None
    assert many.training.valid_users is not None
