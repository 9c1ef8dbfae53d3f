"""Top-K lists: masks, ties, short catalogues, batches."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.evaluation import ranking
from diffrec_cli.evaluation.ranking import input_rows, rank, top_k
from diffrec_cli.models.backend import NumpyBackend, TorchBackend

BACKENDS = [NumpyBackend(), TorchBackend("cpu")]


def slow_top_k(scores: np.ndarray, k: int) -> list[list[int]]:
    best = [sorted(range(len(row)), key=lambda i: (-row[i], i))[:k] for row in scores]
    return [
        [i if np.isfinite(row[i]) else -1 for i in items]
        for row, items in zip(scores, best, strict=True)
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 3, 9, 10])
def test_ties_break_by_item_index(backend: NumpyBackend | TorchBackend, k: int) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 4, (200, 10)).astype(np.float32)  # ties everywhere
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    items, values = top_k(backend.asarray(scores.copy()), k, backend)
    assert items.tolist() == slow_top_k(scores, k)
    kept = items >= 0
    np.testing.assert_array_equal(
        values[kept], np.take_along_axis(scores, np.maximum(items, 0), axis=1)[kept]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_list_longer_than_the_catalogue_ends_in_empty_places(
    backend: NumpyBackend | TorchBackend,
) -> None:
    items, values = top_k(backend.asarray(np.float32([[1, 3, -np.inf]])), 5, backend)
    assert items.tolist() == [[1, 0, -1, -1, -1]]
    assert values.tolist() == [[3, 1, -np.inf, -np.inf, -np.inf]]


class Fixed:
    """Scores that do not hang on the history."""

    def __init__(self, scores: list[float], backend: NumpyBackend | TorchBackend) -> None:
        self.row, self.n_items = np.float32(scores), len(scores)
        self.backend = backend
        self.batches: list[int] = []

    def scores(self, rows: Rows) -> object:
        self.batches.append(len(rows.indptr) - 1)
        return self.backend.asarray(np.tile(self.row, (self.batches[-1], 1)))


HISTORY = Sequences.from_rows(np.array([0, 0, 1, 2]), np.array([3, 2, 0, 1]), users=3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_seen_and_excluded_items_are_not_recommended(backend: NumpyBackend | TorchBackend) -> None:
    scorer = Fixed([1, 2, 3, 4, 0], backend)
    excluded = np.array([False, True, False, False, False])
    (lists,) = rank(scorer, backend, HISTORY, 3, seen=HISTORY, excluded=excluded)
    assert lists.items.tolist() == [[0, 4, -1], [3, 2, 4], [3, 2, 0]]


@pytest.mark.parametrize("users_per_batch", [1, 2, 3, 7])
def test_lists_do_not_hang_on_the_batch_size(users_per_batch: int) -> None:
    backend = NumpyBackend()
    scorer = Fixed([1, 2, 3, 4, 0], backend)
    lists = list(rank(scorer, backend, HISTORY, 2, seen=HISTORY, users_per_batch=users_per_batch))
    assert np.concatenate([batch.items for batch in lists]).tolist() == [[1, 0], [3, 2], [3, 2]]
    assert max(scorer.batches) <= users_per_batch
    assert [batch.start for batch in lists] == list(range(0, 3, users_per_batch))


def test_batches_are_sized_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BATCH_BYTES", 12_000_000)
    assert ranking.batch_size(10_000) == 100
    assert ranking.batch_size(10**9) == 1


def test_input_is_ones_or_weights_by_order() -> None:
    assert input_rows(HISTORY, None).values.tolist() == [1, 1, 1, 1]
    weighted = input_rows(HISTORY, TemporalConfig(w_min=0.5, w_max=1.0))
    assert weighted.values.tolist() == [0.5, 1, 1, 1]


def test_torch_scores_may_be_in_bf16() -> None:
    backend = TorchBackend("cpu")
    scores = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.bfloat16)
    assert top_k(scores, 2, backend)[0].tolist() == [[1, 2]]
