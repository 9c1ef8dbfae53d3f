"""A sum with a trained model is never behind its graphs on valid, whatever the model is worth."""

import numpy as np
import pytest

from diffrec_cli.catalogue.graphs import GraphConfig
from diffrec_cli.config import FitConfig, GraphSum
from diffrec_cli.config.graphs import FILTER, LEARNED, RIDGE
from diffrec_cli.data.sequences import Rows, Sequences, input_rows
from diffrec_cli.graph.exponents import START
from diffrec_cli.graph.judging import K, quality, top
from diffrec_cli.models import graph_selection
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.graph_selection import select_graph
from diffrec_cli.models.graph_sum import GraphScorer

USERS, ITEMS = 80, 60


@pytest.fixture(scope="module")
def log() -> tuple[Rows, Rows]:
    """Two groups of users and of items, and some noise."""
    rng = np.random.default_rng(3)
    liked = rng.random((USERS, ITEMS)) < 0.1
    liked[:40, :30] |= rng.random((40, 30)) < 0.4
    liked[40:, 30:] |= rng.random((40, 30)) < 0.4
    valid = liked & (rng.random(liked.shape) < 0.2)
    return tuple(
        input_rows(Sequences.from_rows(*np.nonzero(part), users=USERS), None)
        for part in (liked & ~valid, valid)
    )


def valid_quality(scores: np.ndarray, train: Rows, valid: Rows) -> float:
    seen, held_out = (np.zeros((USERS, ITEMS), bool) for _ in range(2))
    seen[train.row_index, train.items] = True
    held_out[valid.row_index, valid.items] = True
    best = top(np.where(seen, -np.inf, scores).astype(np.float32), K)
    some = held_out.any(axis=1)
    return quality(np.take_along_axis(held_out, best, 1)[some], held_out.sum(axis=1)[some])


def test_a_model_of_noise_does_not_harm_the_sum(log) -> None:
    train, valid = log
    noise = np.random.default_rng(0).normal(size=(USERS, ITEMS)).astype(np.float32)

    def learned(rows: Rows) -> np.ndarray:
        return noise[rows.users]

    known = {"neighbours": 10, "p": 0.3, "q_in": 0.3, "q_out": 0.3}
    both = GraphSum(parts=(LEARNED, FILTER, RIDGE), **known)
    found, arrays = select_graph(both, train, valid, ITEMS, learned)
    summed = GraphScorer(FitConfig(graph=found), arrays, NumpyBackend(), learned)
    alone, of_graph = select_graph(GraphConfig(parts=(FILTER, RIDGE), **known), train, valid, ITEMS)
    graph = GraphScorer(FitConfig(comparator=alone), of_graph, NumpyBackend())
    of_sum, of_graphs = (
        valid_quality(np.asarray(scorer.scores(train)), train, valid) for scorer in (summed, graph)
    )
    assert of_sum >= of_graphs - 1e-6


def test_sums_of_one_log_fit_their_parts_once(log, monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid = log
    fitted = []
    fit_parts = graph_selection.fit_parts
    monkeypatch.setattr(
        graph_selection, "fit_parts", lambda *of: fitted.append(1) or fit_parts(*of)
    )
    one = GraphSum(parts=(LEARNED, FILTER, RIDGE), neighbours=10)
    other = GraphConfig(parts=(FILTER, RIDGE), neighbours=10)

    def select(settings: GraphSum, train: Rows = train) -> tuple[GraphSum, dict]:
        return select_graph(
            settings, train, valid, ITEMS, lambda rows: np.eye(USERS, ITEMS)[rows.users]
        )

    apart = select(other)
    assert len(fitted) == 1
    with graph_selection.reused_parts():
        select(one)
        again = select(other)
        assert len(fitted) == 2
        select(GraphSum(parts=(LEARNED, FILTER, RIDGE), neighbours=9))
        assert len(fitted) == 3
        select(other, valid)  # another log
        assert len(fitted) == 4
    assert again[0] == apart[0]
    assert all(np.array_equal(again[1][name], array) for name, array in apart[1].items())


def test_who_is_late_gets_a_sum_that_is_not_behind_its_best_part(log) -> None:
    train, valid = log
    settings = GraphConfig(parts=(FILTER, RIDGE), neighbours=10)
    found, arrays = select_graph(settings, train, valid, ITEMS, late=lambda: True)
    assert (found.p, found.q_in, found.q_out) == (START.p, START.q_in, START.q_out)
    scorer = GraphScorer(FitConfig(comparator=found), arrays, NumpyBackend())
    of_sum = valid_quality(np.asarray(scorer.scores(train)), train, valid)
    for part in ((FILTER,), (RIDGE,)):
        alone = GraphConfig(parts=part, weights=(1.0,), neighbours=10)
        one, of_one = select_graph(alone, train, valid, ITEMS, late=lambda: True)
        scorer = GraphScorer(FitConfig(comparator=one), of_one, NumpyBackend())
        assert of_sum >= valid_quality(np.asarray(scorer.scores(train)), train, valid) - 1e-6


def test_who_becomes_late_stops_within_a_step(log) -> None:
    train, valid = log
    asked = []

    def late() -> bool:
        asked.append(1)
        return len(asked) > 10

    settings = GraphConfig(parts=(FILTER, RIDGE), neighbours=10)
    found, _ = select_graph(settings, train, valid, ITEMS, late=late)
    assert len(asked) < 40  # in time, it is asked hundreds of times
    assert found.p is not None
