import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models import softmax_output
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.softmax_output import softmax_loss

N, ITEMS, WIDTH = 7, 11, 3


def sparse(x: np.ndarray) -> Rows:
    row, column = np.nonzero(x)
    indptr = np.searchsorted(row, np.arange(len(x) + 1))
    return Rows(np.arange(len(x)), indptr, column.astype(np.int32), x[row, column])


@pytest.fixture
def problem():
    rng = np.random.default_rng(5)
    y = rng.random((N, ITEMS)) * (rng.random((N, ITEMS)) < 0.3)
    y[np.arange(N), rng.integers(0, ITEMS, N)] += 1
    y /= y.sum(axis=1, keepdims=True)
    barred = ((rng.random((N, ITEMS)) < 0.3) & (y == 0)).astype(np.float32)
    arrays = [
        torch.tensor(rng.normal(size=shape), dtype=torch.float64, requires_grad=True)
        for shape in ((N, WIDTH), (ITEMS, WIDTH), (ITEMS,))
    ]
    return arrays, y, barred


def dense_loss(arrays, y, barred):
    h, V, b = arrays
    scores = (h @ V.T + b).masked_fill(torch.tensor(barred > 0), -torch.inf)
    logs = log_softmax(scores, dim=1)
    return -torch.where(torch.tensor(y > 0), torch.tensor(y) * logs, 0.0).sum() / N


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("with_barred", [False, True])
def test_loss_and_gradients_are_those_of_all_scores(
    problem, rows: int, with_barred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax_output, "rows_at_a_time", lambda n_items: rows)
    arrays, y, barred = problem
    barred = barred if with_barred else np.zeros_like(barred)
    expected = dense_loss(arrays, y, barred)
    of_dense = torch.autograd.grad(2.5 * expected, arrays)
    loss = softmax_loss(*arrays, sparse(y), sparse(barred), TorchBackend("cpu"))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for found, right in zip(torch.autograd.grad(2.5 * loss, arrays), of_dense, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_nothing_hidden_can_be_left_out(problem) -> None:
    arrays, y, _ = problem
    loss = softmax_loss(*arrays, sparse(y), None, TorchBackend("cpu"))
    assert loss.item() == pytest.approx(dense_loss(arrays, y, np.zeros_like(y)).item())
