"""Moving away from items, and the output layer's parts that it stands on."""

import numpy as np
import pytest

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.output import Output, OutputLayer
from diffrec_cli.ranking.batches import rank
from diffrec_cli.ranking.guidance import guided

rng = np.random.default_rng(3)
V = rng.standard_normal((9, 4)).astype(np.float32)
b = rng.standard_normal(9).astype(np.float32)
OF_COLUMNS = np.array([0, 3, 4, 8, 1, 2, 5, 6, 7])  # two groups of items
NONE = np.empty(0, np.int64)
BACKENDS = {"numpy": NumpyBackend(), "torch": TorchBackend("cpu")}


def two_heads(backend) -> Output:
    layers = [
        OutputLayer(backend.asarray(V[:4, :2]), backend.asarray(b[:4]), slice(0, 2)),
        OutputLayer(backend.asarray(V[4:, 2:]), backend.asarray(b[4:]), slice(2, 4)),
    ]
    return Output(backend, layers, OF_COLUMNS)


class Summing:
    """A model whose hidden vector is the sum of rows of W, or of nothing: 1."""

    n_items = 9
    W = rng.standard_normal((9, 4)).astype(np.float32)

    def __init__(self, backend, linear: bool = True) -> None:
        self.backend = backend
        output = two_heads(backend)
        self._output = output
        if linear:
            self.output = output
            self.hidden = self._hidden

    def _hidden(self, rows: Rows):
        return self.backend.sparse_product(rows, self.backend.asarray(self.W)) + 1.0

    def scores(self, rows: Rows):
        return self._output.all_scores(self._hidden(rows))


def histories(*lists: list[int]) -> Rows:
    indptr = np.cumsum([0, *map(len, lists)])
    items = np.array([i for row in lists for i in row], np.int32)
    return Rows(np.full(len(lists), -1), indptr, items, np.ones(len(items), np.float32))


@pytest.mark.parametrize("name", BACKENDS)
def test_some_scores_are_those_of_all(name: str) -> None:
    backend = BACKENDS[name]
    output, h = two_heads(backend), backend.asarray(rng.standard_normal((3, 4)).astype(np.float32))
    items = np.array([8, 1, 1, 0, 5])
    np.testing.assert_allclose(
        backend.host(output.scores_of(h, items)),
        backend.host(output.all_scores(h))[:, items],
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_shifted_scores_are_higher_by_the_offset(name: str) -> None:
    backend = BACKENDS[name]
    output, h = two_heads(backend), backend.asarray(rng.standard_normal((3, 4)).astype(np.float32))
    offset = np.arange(9, dtype=np.float32)
    np.testing.assert_allclose(
        backend.host(output.shifted(offset).all_scores(h)),
        backend.host(output.all_scores(h)) + offset,
        rtol=1e-4,
    )


@pytest.mark.parametrize("linear", [True, False])
def test_scores_lose_what_the_items_would_add_for_somebody_unknown(linear: bool) -> None:
    scorer = Summing(BACKENDS["numpy"], linear)
    moved = guided(scorer, NONE, np.array([2, 6]), strength=0.5)
    user, having, nothing = (scorer.scores(histories(x))[0] for x in ([1, 4], [2, 6], []))
    expected = user - 0.5 * (having - nothing)
    np.testing.assert_allclose(moved.scores(histories([1, 4]))[0], expected, rtol=1e-4)
    assert hasattr(moved, "output") == linear


def test_ranking_block_by_block_sees_the_same_scores() -> None:
    moved = guided(Summing(BACKENDS["torch"]), np.array([5]), np.array([3]))
    rows = histories([1, 4], [0])
    from diffrec_cli.data.sequences import Sequences

    (lists,) = rank(moved, Sequences(rows.indptr, rows.items), 9, items_per_block=2)
    scores = moved.scores(rows).numpy()
    np.testing.assert_array_equal(lists.items, np.argsort(-scores, axis=1, kind="stable"))
    np.testing.assert_allclose(lists.scores, -np.sort(-scores, axis=1), rtol=1e-4)


def test_without_strength_nothing_moves() -> None:
    scorer = Summing(BACKENDS["numpy"])
    moved = guided(scorer, np.array([1]), np.array([2]), strength=0.0)
    np.testing.assert_array_equal(moved.scores(histories([1])), scorer.scores(histories([1])))


def test_many_items_weigh_no_more_together_than_the_most() -> None:
    scorer, user = Summing(BACKENDS["numpy"]), histories([1, 4])
    moved = guided(scorer, np.array([0, 2, 5, 6]), NONE, weight=0.5, most=3)
    quarter = histories([0, 2, 5, 6])
    quarter.values[:] = 0.5 * 3 / 4
    expected = scorer.scores(user) + scorer.scores(quarter) - scorer.scores(histories([]))
    np.testing.assert_allclose(moved.scores(user), expected, rtol=1e-4)


def test_towards_is_the_opposite_of_away() -> None:
    scorer, items, user = Summing(BACKENDS["numpy"]), np.array([2, 6]), histories([1, 4])
    plain = scorer.scores(user)
    there = guided(scorer, items, NONE).scores(user)
    back = guided(scorer, NONE, items).scores(user)
    np.testing.assert_allclose(there - plain, plain - back, rtol=1e-3, atol=1e-5)
