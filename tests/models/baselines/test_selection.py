"""Settings of closed forms that a fit with defaults tries on valid."""

import numpy as np
import pytest

from diffrec_cli.catalogue.simple_models import EASEConfig, IALSConfig, ItemKNNConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.baselines import fit_closed_form
from diffrec_cli.models.baselines.selection import judged, select_closed_form, selects_on_valid
from diffrec_cli.models.scorer import build_scorer
from tests.models.baselines.conftest import ITEMS, rows_of


@pytest.fixture
def split(interactions):
    held_out = interactions * (np.random.default_rng(3).random(interactions.shape) < 0.3)
    return rows_of(interactions - held_out), rows_of(held_out)


def quality_of(comparator, train, valid):
    config = FitConfig(comparator=comparator)
    arrays = fit_closed_form(config, train, ITEMS)
    return judged(build_scorer(config, arrays, NumpyBackend()), train, valid)


def test_defaults_are_the_first_of_some_tries_and_the_best_is_kept(split):
    tries = [ItemKNNConfig(), ItemKNNConfig(200, 10.0), ItemKNNConfig(200, 100.0)]
    best = max(tries, key=lambda tried: quality_of(tried, *split))
    config, arrays = select_closed_form(FitConfig(comparator=ItemKNNConfig()), *split, ITEMS)
    assert config.comparator == best
    for name, array in fit_closed_form(config, split[0], ITEMS).items():
        np.testing.assert_array_equal(arrays[name], array)


def test_settings_that_someone_chose_stay(split):
    chosen = FitConfig(comparator=ItemKNNConfig(30))
    assert select_closed_form(chosen, *split, ITEMS)[0] == chosen


def test_a_seed_is_no_choice_of_settings(split):
    pytest.importorskip("implicit")
    config, _ = select_closed_form(FitConfig(comparator=IALSConfig(seed=7)), *split, ITEMS)
    assert config.comparator.seed == 7


@pytest.mark.parametrize(("comparator", "does"), [(ItemKNNConfig(), True), (EASEConfig(), False)])
def test_whether_valid_has_a_say_is_known(comparator, does):
    assert selects_on_valid(FitConfig(comparator=comparator)) == does
