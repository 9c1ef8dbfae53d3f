"""Losses without the scores of all items, held to the same losses from the scores."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models import likelihood, linear_output
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.output import Output, OutputLayer

CPU = TorchBackend("cpu")
USERS, ITEMS, H, F = 7, 40, 5, 3


def some_rows(dtype: type = np.float64) -> tuple[Rows, Tensor]:
    """Return weighted histories, one of them empty, and the same as a dense array."""
    rng = np.random.default_rng(3)
    x = np.where(rng.random((USERS, ITEMS)) < 0.2, rng.uniform(0.1, 1, (USERS, ITEMS)), 0)
    x[2] = 0
    user, item = np.nonzero(x)
    indptr = np.concatenate([[0], np.cumsum((x > 0).sum(1))])
    rows = Rows(np.arange(USERS), indptr, item.astype(np.int32), x[user, item].astype(dtype))
    return rows, torch.from_numpy(x.astype(dtype))


def drawn(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


def same_gradients(
    compact: Callable[..., Tensor], wanted: Callable[..., Tensor], *inputs: Tensor
) -> None:
    """Compare the values and the gradients of two functions of the same inputs."""
    results = [function(*inputs) for function in (compact, wanted)]
    torch.testing.assert_close(*results)
    weights = torch.linspace(0.5, 2, results[0].numel(), dtype=results[0].dtype)
    learned = [torch.autograd.grad((r.view(-1) * weights).sum(), inputs) for r in results]
    for of_compact, of_wanted in zip(*learned, strict=True):
        assert of_wanted.abs().max() > 0
        torch.testing.assert_close(of_compact, of_wanted)


def test_the_squared_error_is_that_of_the_scores() -> None:
    rows, x = some_rows()

    def compact(h: Tensor, V: Tensor, b: Tensor) -> Tensor:
        VV, bV = linear_output.own_products(V, b)
        xV = CPU.sparse_product(rows, V)
        return linear_output.squared_errors(rows, rows, xV, h, VV, bV, b, CPU)

    def from_scores(h: Tensor, V: Tensor, b: Tensor) -> Tensor:
        return (x - (h @ V.T + b)).square().sum(dim=1)

    same_gradients(compact, from_scores, *drawn((USERS, H), (ITEMS, H), (ITEMS,)))


def test_a_sparse_part_of_the_output_is_a_change_of_the_target() -> None:
    rows, x = some_rows()
    s = torch.where(x > 0, torch.linspace(-1, 1, ITEMS, dtype=x.dtype), torch.zeros_like(x))
    h, V, b = (t.detach() for t in drawn((USERS, H), (ITEMS, H), (ITEMS,)))
    left = Rows(rows.users, rows.indptr, rows.items, (x - s)[x > 0].numpy())
    VV, bV = linear_output.own_products(V, b)
    xV = CPU.sparse_product(left, V)
    errors = linear_output.squared_errors(left, left, xV, h, VV, bV, b, CPU)
    torch.testing.assert_close(errors, (x - (h @ V.T + b + s)).square().sum(dim=1))


@pytest.mark.parametrize("block", [8, 1000])
def test_products_of_a_table_with_itself_and_with_a_constant(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_output, "_ROWS", block)
    V, b, Q = drawn((ITEMS, H), (ITEMS,), (ITEMS, F))
    Q = Q.detach()

    def compact(V: Tensor, b: Tensor) -> Tensor:
        VV, bV = linear_output.own_products(V, b, Q)
        return torch.cat([VV, bV[:, None]], 1)

    def plain(V: Tensor, b: Tensor) -> Tensor:
        both = torch.cat([V, Q], 1)
        return torch.cat([both.T @ V, (b @ both)[:, None]], 1)

    same_gradients(compact, plain, V, b)


@pytest.mark.parametrize("block", [8, 1000])
def test_scores_at_some_interactions(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_output, "_ENTRIES", block)
    rows, x = some_rows()

    def compact(h: Tensor, V: Tensor) -> Tensor:
        return linear_output.scores_at(h, V, rows, CPU)

    same_gradients(compact, lambda h, V: (h @ V.T)[x > 0], *drawn((USERS, H), (ITEMS, H)))


@pytest.mark.parametrize("block", [USERS * 6, 10**6])
def test_the_normaliser_of_a_softmax_in_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_output, "_SCORES", block)
    h, V, b = drawn((USERS, H), (ITEMS, H), (ITEMS,))
    same_gradients(
        linear_output.log_normalisers,
        lambda h, V, b: torch.logsumexp(h @ V.T + b, dim=1),
        *(h, V, b),
    )


def test_the_multinomial_likelihood_of_layers_side_by_side() -> None:
    rows, _ = some_rows()
    items = np.random.default_rng(5).permutation(ITEMS)
    items = np.concatenate([np.sort(items[:15]), np.sort(items[15:])])

    def output(V: Tensor, W: Tensor, b: Tensor) -> Output:
        layers = [OutputLayer(V, b[:15], slice(0, 2)), OutputLayer(W, b[15:], slice(2, H))]
        return Output(CPU, layers, items)

    def compact(h: Tensor, V: Tensor, W: Tensor, b: Tensor) -> Tensor:
        return linear_output.multinomial(output(V, W, b), h, rows, CPU)

    def from_scores(h: Tensor, V: Tensor, W: Tensor, b: Tensor) -> Tensor:
        return likelihood.multinomial(output(V, W, b).all_scores(h), rows, CPU)

    same_gradients(compact, from_scores, *drawn((USERS, H), (15, 2), (ITEMS - 15, 3), (ITEMS,)))


def test_under_autocast_the_sums_of_products_are_in_float32() -> None:
    V, b = drawn((20_000, H), (20_000,), dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        VV, bV = linear_output.own_products(V, b)
    assert (VV.dtype, bV.dtype) == (torch.float32, torch.float32)
    wanted = V.double().T @ V.double()
    torch.testing.assert_close(VV.double(), wanted, rtol=5e-3, atol=5e-3 * wanted.max().item())


def test_the_form_is_chosen_by_its_cost() -> None:
    def chosen(users: int, H: int, form: str = "auto") -> bool:
        return linear_output.is_compact(form, users=users, of_user=3 * H, of_batch=2 * H * H)

    assert [chosen(users, 200) for users in (10, 100, 1000)] == [False, True, True]
    assert [chosen(100, H) for H in (50, 200, 1000)] == [True, True, False]
    assert [chosen(1, 200, "compact"), chosen(10**6, 200, "scores")] == [True, False]
