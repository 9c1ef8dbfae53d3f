"""Noise and dropout: right in distribution, repeatable, the same on every machine."""

import numpy as np
import pytest
import torch

from diffrec_cli.diffusion import randomness
from diffrec_cli.diffusion.randomness import dropout, kept, normal_like, normal_product


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_dropout_keeps_the_expectation_and_repeats_by_its_generator() -> None:
    x = torch.ones(1000, 50)
    dropped = dropout(x, 0.3, generator())
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert torch.equal(dropped, dropout(x, 0.3, generator()))


@pytest.mark.parametrize("rate", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
def test_dropout_decides_for_each_number_by_itself(rate: float, columns: int) -> None:
    mask = kept(torch.Size((100_000, columns)), rate, generator(2)).double()
    assert mask.mean(dim=0).tolist() == pytest.approx([1 - rate] * columns, abs=0.01)
    if columns > 1:
        covariance = torch.cov(mask.T) / (rate * (1 - rate))
        torch.testing.assert_close(covariance, torch.eye(columns).double(), atol=0.15, rtol=0)


@pytest.mark.parametrize("size", [1000, 2 * randomness._LARGE + 3])
def test_noise_is_standard_normal_and_repeats_by_its_generator(size: int) -> None:
    x = torch.empty(size, 1, dtype=torch.float64)
    noise = normal_like(x, generator())
    assert torch.equal(noise, normal_like(x, generator()))
    assert not torch.equal(noise, normal_like(x, generator(2)))
    assert noise.mean().item() == pytest.approx(0.0, abs=4 / size**0.5)
    assert noise.std().item() == pytest.approx(1.0, abs=4 / size**0.5)
    assert (noise.shape, noise.dtype) == (x.shape, x.dtype)


def test_large_noise_has_no_part_twice() -> None:
    noise = normal_like(torch.empty(2 * randomness._LARGE), generator())
    assert len(noise.unique()) > 0.8 * len(noise)  # float32 repeats some by chance


def test_what_follows_a_large_draw_is_new() -> None:
    g = generator()
    first, second = (normal_like(torch.empty(2 * randomness._LARGE), g) for _ in "ab")
    assert not torch.equal(first, second)


@pytest.mark.parametrize("some", [None, slice(0, 60, 2)])
def test_a_product_with_noise_has_the_covariance_of_its_table(some: slice | None) -> None:
    W = torch.randn(60, 4, generator=generator(3), dtype=torch.float64)
    rows = None if some is None else torch.arange(60)[some]
    drawn = normal_product(W, 200_000, generator(), rows)
    used = W.numpy() if some is None else W.numpy()[some]
    wanted = used.T @ used
    np.testing.assert_allclose(np.cov(drawn.numpy().T), wanted, atol=0.02 * wanted.max())
    np.testing.assert_allclose(drawn.mean(dim=0).numpy(), 0, atol=0.1)
    assert torch.equal(drawn[:9], normal_product(W, 200_000, generator(), rows)[:9])


@pytest.mark.parametrize("some", [None, slice(0, 60, 2)])
def test_its_gradient_is_that_of_the_noise_itself_without_what_the_product_hides(
    some: slice | None,
) -> None:
    W = torch.randn(60, 4, generator=generator(3), dtype=torch.float64, requires_grad=True)
    rows = None if some is None else torch.arange(60)[some]
    g = torch.randn(50, 4, generator=generator(4), dtype=torch.float64)
    drawn = normal_product(W, 50, generator(), rows)
    (learned,) = torch.autograd.grad(drawn, W, g)
    # The mean of eps, given eps W, lies in the columns of W; explicit noise would learn eps^T g.
    used = W.detach().numpy() if some is None else W.detach().numpy()[some]
    eps = drawn.detach().numpy() @ np.linalg.pinv(used)
    wanted = np.zeros((60, 4))
    wanted[slice(None) if some is None else some] = eps.T @ g.numpy()
    np.testing.assert_allclose(learned.numpy(), wanted, rtol=1e-4, atol=1e-6)


def test_over_many_draws_it_is_the_mean_gradient_of_explicit_noise() -> None:
    W = 0.1 * torch.randn(30, 3, generator=generator(3), dtype=torch.float64)
    W.requires_grad_()
    n = 400_000

    def gradient(drawn: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(torch.tanh(drawn).square().sum() / n, W)[0]

    eps = torch.randn(n, 30, generator=generator(6), dtype=torch.float64)
    explicit, compact = gradient(eps @ W), gradient(normal_product(W, n, generator()))
    assert explicit.abs().max() > 0.1
    torch.testing.assert_close(compact, explicit, rtol=0, atol=5 / n**0.5)


def test_a_table_that_is_not_finite_gives_noise_that_is_not() -> None:
    W = torch.full((10, 2), torch.inf)
    assert normal_product(W, 3, generator()).isnan().all()
