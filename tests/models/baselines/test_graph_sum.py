"""Sums of item graphs: ``graph``, ``graph-t`` and ``markov``."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from diffrec_cli.catalogue.graphs import GraphConfig, GraphTConfig, MarkovConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.errors import ConfigError
from diffrec_cli.graph.degree_filter import DegreeFilter, Exponents
from diffrec_cli.graph.factors import masked_factors, user_factors
from diffrec_cli.graph.low_pass import low_pass
from diffrec_cli.graph.ridge import neighbourhood_ridge
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.baselines.selection import select_closed_form
from diffrec_cli.models.scorer import build_scorer
from tests.models.baselines.conftest import ITEMS, USERS, fitted, rows_of

EXPONENTS = {"p": 0.2, "q_in": 0.6, "q_out": 0.1}


def histories(train):
    return csr_matrix((train.values, train.items, train.indptr), (USERS, ITEMS))


def of_factors(x):
    """Return the mean scores of two fits."""
    settings = {"alpha_0": 0.003, "lambda_": 1.0, "mask": 0.4, "kept_weight": 0.5, "sweeps": 2}
    fits = [masked_factors(x, 3, seed=[1, fit], **settings) for fit in range(2)]
    return np.mean([user_factors(x.indptr, x.indices, x.data, V, P) @ V.T for V, P in fits], axis=0)


def test_each_part_alone_is_that_part(train):
    x = histories(train)
    degree_filter = DegreeFilter(x, Exponents(**EXPONENTS))
    first = degree_filter.scores(x)
    A, B = low_pass(x, 5)
    alone = {
        "filter": first,
        "sharpening": degree_filter.smoothed(first),
        "ridge": (x @ neighbourhood_ridge(x, 4, 3.0)).toarray(),
        "low_pass": (x @ A) @ B.T,
        "factors": of_factors(x),
    }
    values = {"neighbours": 4, "ridge_lambda": 3.0, "user_exponent": 0.0, "low_pass_rank": 5}
    values |= {"factors_rank": 3, "factors_fits": 2, "factors_sweeps": 2}
    for part, expected in alone.items():
        config = GraphConfig((part,), (1.0,), **EXPONENTS, **values)
        scores = fitted(config, train)[1].scores(train)
        deviation = expected.std(axis=1).mean()
        np.testing.assert_allclose(scores, expected / deviation, rtol=1e-4, atol=1e-5)


def test_a_sum_is_its_parts_by_their_weights(train):
    of_parts = [
        fitted(GraphConfig((part,), (1.0,), **EXPONENTS), train)[1].scores(train)
        for part in ("filter", "ridge")
    ]
    both = GraphConfig(("filter", "ridge"), (2.0, -0.5), **EXPONENTS)
    total = fitted(both, train)[1].scores(train)
    np.testing.assert_allclose(total, 2 * of_parts[0] - 0.5 * of_parts[1], rtol=1e-4, atol=1e-4)


@pytest.fixture
def split(interactions):
    """Return the interactions of the users as train and valid rows."""
    held_out = interactions * (np.random.default_rng(3).random(interactions.shape) < 0.3)
    return rows_of(interactions - held_out), rows_of(held_out)


def test_what_is_left_open_is_found_on_valid_and_recorded(split):
    config, arrays = select_closed_form(FitConfig(comparator=GraphConfig()), *split, ITEMS)
    found = config.comparator
    assert None not in (found.p, found.q_in, found.q_out, found.weights)
    assert len(found.weights) == len(arrays["scales"]) == 3
    scorer = build_scorer(config, arrays, NumpyBackend())
    assert scorer.scores(split[0]).shape == (USERS, ITEMS)


def test_what_is_given_stays(split):
    given = GraphConfig(weights=(1.0, -0.25, 0.5), p=0.1)
    config, _ = select_closed_form(FitConfig(comparator=given), *split, ITEMS)
    assert (config.comparator.weights, config.comparator.p) == (given.weights, 0.1)
    assert config.comparator.q_in is not None


def test_without_valid_interactions_the_search_has_no_say(train):
    empty = Sequences(np.zeros(USERS + 1, np.int64), np.zeros(0, np.int32))
    nothing = Rows(np.arange(USERS), empty.indptr, empty.items, np.zeros(0, np.float32))
    config, arrays = select_closed_form(FitConfig(comparator=GraphConfig()), train, nothing, ITEMS)
    assert config.comparator == GraphConfig()
    assert np.isfinite(build_scorer(config, arrays, NumpyBackend()).scores(train)).all()


def test_graph_reads_no_order_but_graph_t_does(train):
    backwards = Rows(train.users, train.indptr, train.items.copy(), train.values)
    for start, end in zip(train.indptr[:-1], train.indptr[1:], strict=True):
        backwards.items[start:end] = backwards.items[start:end][::-1]
    for config, same in ((GraphConfig(**EXPONENTS), True), (GraphTConfig(**EXPONENTS), False)):
        scorer = fitted(config, train)[1]
        close = np.allclose(scorer.scores(train), scorer.scores(backwards), atol=1e-4)
        assert close == same


def test_a_half_life_is_found_on_valid(split):
    config, _ = select_closed_form(FitConfig(comparator=GraphTConfig()), *split, ITEMS)
    assert config.comparator.half_life in (5.0, 20.0, 80.0)


def test_markov_scores_what_follows_the_newest_item():
    items = np.array([0, 1, 2, 0, 1, 2, 3, 4], np.int32)
    train = Rows(np.arange(3), np.array([0, 3, 6, 8]), items, np.ones(8, np.float32))
    scorer = fitted(MarkovConfig(), train, n_items=5)[1]
    newest = Rows(np.array([-1]), np.array([0, 1]), np.array([1], np.int32), np.ones(1, np.float32))
    assert scorer.scores(newest)[0].argmax() == 2


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (GraphConfig, {"parts": ()}),
        (GraphConfig, {"parts": ("filter", "filter")}),
        (GraphConfig, {"parts": ("transitions",)}),
        (GraphConfig, {"parts": ("tree",)}),
        (GraphConfig, {"weights": (1.0,)}),
        (GraphConfig, {"weights": (1.0, float("nan"), 1.0)}),
        (GraphConfig, {"weights": (0.0, 0.0, 0.0)}),
        (GraphConfig, {"neighbours": 0}),
        (GraphConfig, {"factors_mask": 1.0}),
        (GraphConfig, {"factors_lambda": 0.0}),
        (GraphTConfig, {"half_life": 0.0}),
        (MarkovConfig, {"places": 0}),
    ],
)
def test_settings_out_of_range_are_refused(kind, values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        kind(**values)


def test_parts_and_weights_are_given_as_text_or_as_values():
    config = FitConfig(comparator=GraphConfig())
    of_text = config.with_values({"parts": "filter, ridge", "weights": "1,-0.5"})
    of_values = config.with_values({"parts": ("filter", "ridge"), "weights": [1, -0.5]})
    assert of_text == of_values
    assert of_text.comparator.weights == (1.0, -0.5)
    with pytest.raises(ConfigError, match="weights=a,b: not numbers, separated by commas"):
        config.with_values({"weights": "a,b"})
