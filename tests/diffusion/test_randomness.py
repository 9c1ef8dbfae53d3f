"""Noise and dropout: right in distribution, repeatable, the same on every machine."""

import pytest
import torch

from diffrec_cli.diffusion import randomness
from diffrec_cli.diffusion.randomness import dropout, kept, normal_like


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
