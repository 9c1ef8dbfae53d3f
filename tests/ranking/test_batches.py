"""Top-K lists: masks, ties, short catalogues, batches."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import TemporalConfig
from diffrec_cli.data.sequences import Rows, Sequences, input_rows
from diffrec_cli.models.backend import NumpyBackend, TorchBackend
from diffrec_cli.models.output import Output, OutputLayer
from diffrec_cli.ranking import batches
from diffrec_cli.ranking.batches import rank
from diffrec_cli.ranking.top_k import top_k

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
    (lists,) = rank(scorer, HISTORY, 3, seen=HISTORY, excluded=excluded)
    assert lists.items.tolist() == [[0, 4, -1], [3, 2, 4], [3, 2, 0]]


@pytest.mark.parametrize("users_per_batch", [1, 2, 3, 7])
def test_lists_do_not_hang_on_the_batch_size(users_per_batch: int) -> None:
    backend = NumpyBackend()
    scorer = Fixed([1, 2, 3, 4, 0], backend)
    lists = list(rank(scorer, HISTORY, 2, seen=HISTORY, users_per_batch=users_per_batch))
    assert np.concatenate([batch.items for batch in lists]).tolist() == [[1, 0], [3, 2], [3, 2]]
    assert max(scorer.batches) <= users_per_batch
    assert [batch.start for batch in lists] == list(range(0, 3, users_per_batch))


def test_batches_are_sized_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 12_000_000)
    assert batches.batch_size(10_000) == 100
    assert batches.batch_size(10**9) == 1


def test_input_is_ones_or_weights_by_order() -> None:
    assert input_rows(HISTORY, None).values.tolist() == [1, 1, 1, 1]
    weighted = input_rows(HISTORY, TemporalConfig(w_min=0.5, w_max=1.0))
    assert weighted.values.tolist() == [0.5, 1, 1, 1]


def test_torch_scores_may_be_in_bf16() -> None:
    backend = TorchBackend("cpu")
    scores = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.bfloat16)
    assert top_k(scores, 2, backend)[0].tolist() == [[1, 2]]


class Linear:
    """Scores that are a linear layer over the count of a user's items, as a model's are."""

    def __init__(self, V: np.ndarray, backend: NumpyBackend | TorchBackend, groups: int = 1):
        n = len(V)
        of_item = np.arange(n) % groups
        items = np.argsort(of_item, kind="stable")
        b = np.linspace(-1, 1, n, dtype=np.float32)
        layers = [
            OutputLayer(backend.asarray(V[mine]), backend.asarray(b[mine]), slice(None))
            for mine in (items[of_item[items] == c] for c in range(groups))
        ]
        self.n_items, self.width, self.backend = n, V.shape[1], backend
        self.output = Output(backend, layers, items if groups > 1 else None)

    def hidden(self, rows: Rows) -> object:
        rng = np.random.default_rng(5)
        return self.backend.asarray(rng.standard_normal((len(rows), self.width)).astype(np.float32))

    def scores(self, rows: Rows) -> object:
        return self.output.all_scores(self.hidden(rows))


def lists_of(scorer: object, history: Sequences, k: int, **options) -> np.ndarray:
    lists = rank(scorer, history, k, seen=history, **options)
    return np.concatenate([batch.items for batch in lists])


def random_history(users: int, n_items: int) -> Sequences:
    rng = np.random.default_rng(2)
    items = [rng.permutation(n_items)[: rng.integers(0, n_items)] for _ in range(users)]
    rows = np.repeat(np.arange(users), [len(i) for i in items])
    return Sequences.from_rows(rows, np.concatenate(items).astype(np.int32), users)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("width", [1, 7, 50, 1000])
def test_blocks_of_items_give_the_lists_of_all_items_at_once(
    backend: NumpyBackend | TorchBackend, groups: int, width: int
) -> None:
    # Small whole numbers, so that sums are exact and ties are many.
    V = np.random.default_rng(1).integers(-1, 2, (50, 4)).astype(np.float32)
    history = random_history(40, 50)
    scorer = Linear(V, backend, groups)
    scorer.hidden = lambda rows: backend.asarray(np.ones((len(rows), 4), np.float32))
    wanted = slow_top_k(masked(scorer, history), 6)
    got = lists_of(scorer, history, 6, items_per_block=width)
    assert got.tolist() == wanted


def masked(scorer: Linear, history: Sequences) -> np.ndarray:
    scores = np.asarray(scorer.scores(input_rows(history, None))).copy()
    scores[history.row_index, history.items] = -np.inf
    return scores


@pytest.mark.parametrize("width", [100, 700, 5000])
@pytest.mark.parametrize("k", [1, 20, 600])
def test_candidates_in_bf16_give_the_lists_of_fp32(width: int, k: int) -> None:
    V = np.random.default_rng(1).standard_normal((3000, 16)).astype(np.float32)
    scorer, history = Linear(V, TorchBackend("cpu")), random_history(30, 3000)
    exact = lists_of(scorer, history, k)
    np.testing.assert_array_equal(
        lists_of(scorer, history, k, precision="bf16", items_per_block=width), exact
    )


def test_scores_that_bf16_cannot_tell_apart_are_ranked_in_full() -> None:
    base = np.float32([[3.0, -1.0, 2.0, 0.5]])
    noise = np.random.default_rng(1).standard_normal((2000, 4)).astype(np.float32)
    scorer, history = Linear(base + 1e-4 * noise, TorchBackend("cpu")), random_history(20, 2000)
    scorer.output.layers[0].b.zero_()
    exact = lists_of(scorer, history, 5)
    np.testing.assert_array_equal(lists_of(scorer, history, 5, precision="bf16"), exact)


@pytest.mark.parametrize("n", [1, 63, 64, 1300, 3000, 3001])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_largest_scores_are_found_by_chunks(n: int, k: int, dtype: torch.dtype) -> None:
    scores = torch.randn(20, n, generator=torch.Generator().manual_seed(1)).to(dtype)
    scores[0] = 0.0  # all equal
    scores[1, : n - 1] = -torch.inf
    k = min(k, n)
    values, place = TorchBackend("cpu").largest(scores, k)
    torch.testing.assert_close(values, scores.gather(1, place))
    torch.testing.assert_close(
        values.sort(1, descending=True).values, scores.sort(1, descending=True).values[:, :k]
    )
    assert all(len(set(row)) == k for row in place.tolist())
