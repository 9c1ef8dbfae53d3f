"""Maximal marginal relevance, held to a loop."""

import numpy as np
import pytest

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.output import Output, OutputLayer
from diffrec_cli.ranking.item_vectors import ItemVectors
from diffrec_cli.ranking.rerank import candidates, diversified

rng = np.random.default_rng(5)
DIRECTIONS = rng.standard_normal((30, 6)).astype(np.float32)


class Embedded:
    """A model whose hidden vector is the sum of its items' vectors."""

    n_items, backend = 30, NumpyBackend()
    output = Output(backend, [OutputLayer(DIRECTIONS, np.zeros(30, np.float32), slice(None))])

    def hidden(self, rows: Rows) -> np.ndarray:
        return self.backend.sparse_product(rows, DIRECTIONS) + 1.0

    def scores(self, rows: Rows) -> np.ndarray:
        return self.output.all_scores(self.hidden(rows))


def by_a_loop(items: list[int], scores: list[float], k: int, strength: float) -> list[int]:
    unit = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    low, high = min(scores), max(scores)
    relevance = {i: (s - low) / (high - low) for i, s in zip(items, scores, strict=True)}
    chosen: list[int] = []
    while len(chosen) < min(k, len(items)):
        gain = {
            i: (1 - strength) * relevance[i]
            - strength * max((float(unit[i] @ unit[j]) for j in chosen), default=0.0)
            for i in items
            if i not in chosen
        }
        chosen.append(max(gain, key=lambda i: gain[i]))
    return chosen


@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 0.9])
def test_lists_are_those_of_a_loop(strength: float) -> None:
    items = np.stack([rng.permutation(30)[:12] for _ in range(70)])  # more than one batch
    scores = -np.sort(-rng.standard_normal((70, 12)).astype(np.float32), axis=1)
    vectors = ItemVectors(Embedded())
    found, kept = diversified((items, scores), vectors, 5, strength)
    for row in range(70):
        assert found[row].tolist() == by_a_loop(
            items[row].tolist(), scores[row].tolist(), 5, strength
        )
        places = [items[row].tolist().index(item) for item in found[row]]
        assert kept[row].tolist() == scores[row][places].tolist()


def test_without_strength_a_list_stays_as_it_is() -> None:
    items = np.arange(12)[None]
    scores = -np.arange(12, dtype=np.float32)[None]
    found, _ = diversified((items, scores), ItemVectors(Embedded()), 4, 0.0)
    assert found.tolist() == [[0, 1, 2, 3]]


def test_empty_places_stay_empty() -> None:
    items = np.array([[3, 7, -1, -1], [-1, -1, -1, -1]])
    scores = np.where(items < 0, -np.inf, 1.0).astype(np.float32)
    found, kept = diversified((items, scores), ItemVectors(Embedded()), 3, 0.5)
    assert sorted(found[0].tolist()) == [-1, 3, 7]
    assert found[1].tolist() == [-1, -1, -1]
    assert np.isneginf(kept[found < 0]).all()


def test_a_list_is_chosen_from_a_hundred_items_or_five_times_its_length() -> None:
    assert [candidates(k, 3000) for k in (5, 20, 50)] == [100, 100, 250]
    assert candidates(20, 40) == 40


def test_vectors_are_what_an_item_changes_and_are_computed_once() -> None:
    scorer, read = Embedded(), []
    hidden = scorer.hidden
    scorer.hidden = lambda rows: read.append(len(rows)) or hidden(rows)  # type: ignore[method-assign]
    vectors = ItemVectors(scorer)
    found = vectors.of(np.array([[4, 2], [4, 4]]))
    unit = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    np.testing.assert_allclose(found, unit[[[4, 2], [4, 4]]], rtol=1e-5)
    vectors.of(np.array([2, 4, 5]))
    assert read == [1, 2, 1]  # nothing; 2 and 4; 5
