"""Noise and dropout: right in distribution, and the same however they are asked for."""

import numpy as np
import pytest
import torch

from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.diffusion import randomness
from diffrec_cli.diffusion.randomness import (
    Draws,
    Numbers,
    dropout,
    normal_product,
    sparse_dropout,
)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(users: int, columns: int, seed: int = 1, what: str = "noise") -> Numbers:
    return Draws(seed).at(what, np.arange(users), columns)


def users(*those: int) -> np.ndarray:
    return np.array(those, np.int64)


KINDS = {
    "uniform": lambda some: some.uniform(),
    "normal": lambda some: some.normal(),
    "kept": lambda some: some.kept(0.3),
    "below": lambda some: some.below(7),
}


@pytest.mark.parametrize("kind", KINDS)
class TestAddresses:
    def test_a_user_has_the_same_numbers_in_any_batch(self, kind: str) -> None:
        draw = KINDS[kind]
        all_of_them = draw(numbers(9, 21))
        some = draw(Draws(1).at("noise", users(7, 2, 7), 21))
        assert torch.equal(some, all_of_them[[7, 2, 7]])

    @pytest.mark.parametrize(("first", "stop"), [(0, 1), (0, 20), (3, 4), (5, 18), (20, 21)])
    def test_a_column_has_the_same_numbers_in_any_part(
        self, kind: str, first: int, stop: int
    ) -> None:
        draw = KINDS[kind]
        part = draw(Draws(1).at("noise", users(0, 1, 2), slice(first, stop)))
        assert torch.equal(part, draw(numbers(3, 21))[:, first:stop])

    def test_it_does_not_matter_how_many_are_computed_at_once(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        draw = KINDS[kind]
        wanted = draw(numbers(9, 21))
        monkeypatch.setattr(randomness, "_AT_ONCE", 4)
        assert torch.equal(draw(numbers(9, 21)), wanted)

    def test_other_seeds_epochs_updates_and_purposes_have_other_numbers(self, kind: str) -> None:
        draw = KINDS[kind]
        first = draw(Draws(1, 2, 3).at("noise", users(4), 500))
        for other in (Draws(2, 2, 3), Draws(1, 3, 3), Draws(1, 2, 4)):
            assert not torch.equal(draw(other.at("noise", users(4), 500)), first)
        assert not torch.equal(draw(Draws(1, 2, 3).at("dropout", users(4), 500)), first)


def test_pairs_on_the_host_are_the_numbers_of_the_device() -> None:
    table = numbers(6, 30).uniform().numpy()
    row, place = np.array([5, 0, 3, 3]), np.array([29, 0, 7, 8])
    np.testing.assert_array_equal(Draws(1).pairs("noise", row, place), table[row, place])


def test_large_and_negative_users_are_users_like_others() -> None:
    some = Draws(1).at("noise", users(-1, 2**62, 2**40), 50).uniform()
    assert len(some.unique()) > 140


def test_a_word_is_the_published_hash_of_an_affine_function() -> None:
    """Held to integers without limit, cut to 32 bits by hand."""

    def hashed(x: int) -> int:
        for shift, multiplier in ((16, 0x21F0AAAD), (15, 0xD35A2D97), (15, 1)):
            x = (x ^ x >> shift) * multiplier % 2**32
        return x

    some = numbers(3, 5)
    found = (some.uniform().double() * 2**24).long().tolist()
    for row in range(3):
        offset, slope = int(some.offset[row]), int(some.slope[row])
        words = [hashed((offset + place * 0x9E3779B9) * slope % 2**32) for place in range(5)]
        assert found[row] == [word >> 8 for word in words]


@pytest.mark.parametrize("size", [1000, 2 * randomness._AT_ONCE + 3])
def test_noise_is_standard_normal(size: int) -> None:
    noise = numbers(1, size).normal(torch.float64)
    assert noise.mean().item() == pytest.approx(0.0, abs=4 / size**0.5)
    assert noise.std().item() == pytest.approx(1.0, abs=4 / size**0.5)
    assert (noise.shape, noise.dtype) == ((1, size), torch.float64)


@pytest.mark.parametrize(("down", "right"), [(0, 1), (0, 2), (1, 0), (1, 1), (1, -1), (5, 0)])
def test_neighbouring_users_and_items_have_independent_noise(down: int, right: int) -> None:
    noise = numbers(1200, 1200).normal().double()
    here = noise[: 1200 - down, max(0, -right) : 1200 - max(0, right)]
    there = noise[down:, max(0, right) : 1200 + min(0, right)]
    for a, b in ((here, there), (here.square() - 1, there.square() - 1)):
        correlation = (a * b).mean() / (a.std() * b.std())
        assert abs(float(correlation)) < 4.5 / here.numel() ** 0.5


def test_uniform_numbers_fill_their_interval_evenly() -> None:
    u = numbers(1000, 1000).uniform()
    assert 0 <= u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    counts = torch.histc(u, 1000, 0, 1).double()
    assert float(((counts - 1000) ** 2 / 1000).sum()) == pytest.approx(999, abs=5 * 45)


def test_numbers_below_n_are_all_those() -> None:
    drawn = numbers(100, 100).below(7)
    counts = torch.bincount(drawn.flatten(), minlength=7)
    assert len(counts) == 7
    assert counts.tolist() == pytest.approx([10_000 / 7] * 7, rel=0.15)


def test_dropout_keeps_the_expectation_and_the_shape() -> None:
    x = torch.ones(1000, 5, 10)
    dropped = dropout(x, 0.3, numbers(1000, 50))
    assert dropped.shape == x.shape
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert dropout(x, 0.0, numbers(1000, 50)) is x


@pytest.mark.parametrize("rate", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
def test_dropout_decides_for_each_number_by_itself(rate: float, columns: int) -> None:
    mask = numbers(100_000, columns).kept(rate).double()
    assert mask.mean(dim=0).tolist() == pytest.approx([1 - rate] * columns, abs=0.01)
    if columns > 1:
        covariance = torch.cov(mask.T) / (rate * (1 - rate))
        torch.testing.assert_close(covariance, torch.eye(columns).double(), atol=0.15, rtol=0)


def test_sparse_dropout_decides_for_each_interaction_whatever_the_batch() -> None:
    history = Sequences.from_rows(np.repeat([0, 1, 2], 40), np.tile(np.arange(40), 3), 3)
    rows, draws = input_rows(history, None), Draws(1)
    dropped = sparse_dropout(rows, 0.25, draws)
    assert 60 < len(dropped.items) < 110
    np.testing.assert_allclose(dropped.values, 1 / 0.75)
    alone = sparse_dropout(rows.take(np.array([1])), 0.25, draws)
    np.testing.assert_array_equal(alone.items, dropped.take(np.array([1])).items)
    assert dropped.take(np.array([0])).items.tolist() != alone.items.tolist()


@pytest.mark.parametrize("some", [None, slice(0, 60, 2)])
def test_a_product_with_noise_has_the_covariance_of_its_table(some: slice | None) -> None:
    W = torch.randn(60, 4, generator=generator(3), dtype=torch.float64)
    rows = None if some is None else torch.arange(60)[some]
    drawn = normal_product(W, numbers(200_000, 4), rows)
    used = W.numpy() if some is None else W.numpy()[some]
    wanted = used.T @ used
    np.testing.assert_allclose(np.cov(drawn.numpy().T), wanted, atol=0.02 * wanted.max())
    np.testing.assert_allclose(drawn.mean(dim=0).numpy(), 0, atol=0.1)
    assert torch.equal(drawn[:9], normal_product(W, numbers(200_000, 4), rows)[:9])


@pytest.mark.parametrize("some", [None, slice(0, 60, 2)])
def test_its_gradient_is_that_of_the_noise_itself_without_what_the_product_hides(
    some: slice | None,
) -> None:
    W = torch.randn(60, 4, generator=generator(3), dtype=torch.float64, requires_grad=True)
    rows = None if some is None else torch.arange(60)[some]
    g = torch.randn(50, 4, generator=generator(4), dtype=torch.float64)
    drawn = normal_product(W, numbers(50, 4), rows)
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
    explicit, compact = gradient(eps @ W), gradient(normal_product(W, numbers(n, 3)))
    assert explicit.abs().max() > 0.1
    torch.testing.assert_close(compact, explicit, rtol=0, atol=5 / n**0.5)


def test_a_table_that_is_not_finite_gives_noise_that_is_not() -> None:
    W = torch.full((10, 2), torch.inf)
    assert normal_product(W, numbers(3, 2)).isnan().all()
