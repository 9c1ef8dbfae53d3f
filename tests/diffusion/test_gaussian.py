"""Corruption, loss weights and the step back, against the paper's formulas in plain NumPy."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.gaussian import Gaussian

CONFIG = DiffusionConfig(T=6, s=0.5, alpha_min=0.1, alpha_max=0.9, weighted_loss=True)


def noise_levels(config: DiffusionConfig) -> np.ndarray:
    t = np.arange(1, config.T + 1)
    share = (t - 1) / (config.T - 1)
    return config.s * (config.alpha_min + share * (config.alpha_max - config.alpha_min))


def with_prediction(prediction: str) -> DiffusionConfig:
    return DiffusionConfig(
        T=6, s=0.5, alpha_min=0.1, alpha_max=0.9, weighted_loss=True, prediction=prediction
    )


def test_corruption_is_the_weighted_sum_of_signal_and_noise() -> None:
    x_0, eps = torch.randn(6, 3), torch.randn(6, 3)
    t = torch.arange(1, 7)
    x_t = Gaussian(CONFIG).corrupt(x_0, t, eps)
    n = noise_levels(CONFIG)[:, None]
    np.testing.assert_allclose(
        x_t, np.sqrt(1 - n) * x_0.numpy() + np.sqrt(n) * eps.numpy(), rtol=1e-5
    )


def test_loss_of_a_step_is_the_weighted_mean_squared_error() -> None:
    x_0, prediction = torch.randn(6, 3), torch.randn(6, 3)
    t = torch.arange(1, 7)
    losses = Gaussian(CONFIG).losses(prediction, x_0, torch.zeros(6, 3), t)
    n = noise_levels(CONFIG)
    snr = (1 - n) / n
    weights = np.concatenate([[1.0], snr[:-1] - snr[1:]])  # Eq. 12, then Eq. 11 without the 1/2
    error = ((prediction - x_0).numpy() ** 2).mean(axis=1)
    np.testing.assert_allclose(losses, weights * error, rtol=1e-4)


def test_unweighted_losses_are_the_bare_error() -> None:
    x_0, prediction = torch.randn(5, 3), torch.randn(5, 3)
    losses = Gaussian(DiffusionConfig(weighted_loss=False)).losses(
        prediction, x_0, x_0, torch.arange(1, 6)
    )
    np.testing.assert_allclose(losses, ((prediction - x_0) ** 2).mean(dim=1), rtol=1e-6)


def test_predicting_epsilon_has_the_loss_of_the_x0_that_it_implies() -> None:
    x_0, eps, eps_hat = (torch.randn(6, 3, dtype=torch.float64) for _ in range(3))
    t = torch.arange(1, 7)
    by_x0, by_eps = Gaussian(with_prediction("x0")), Gaussian(with_prediction("epsilon"))
    x_t = by_eps.corrupt(x_0, t, eps)
    implied = by_eps.predicted_x0(eps_hat, x_t, t)
    np.testing.assert_allclose(
        by_eps.losses(eps_hat, x_0, eps, t), by_x0.losses(implied, x_0, eps, t), rtol=1e-3
    )


@pytest.mark.parametrize("T", [1, 2, 6])
def test_stepping_back_from_epsilon_is_the_posterior_mean_of_the_implied_x0(T: int) -> None:
    config = {"T": T, "s": 0.5, "alpha_min": 0.1, "alpha_max": 0.9}
    by_x0 = Gaussian(DiffusionConfig(**config))
    by_eps = Gaussian(DiffusionConfig(**config, prediction="epsilon"))
    x_t, eps = np.random.default_rng(1).normal(size=(2, 4))
    for t in range(1, T + 1):
        signal, noise = by_x0.forward[t]
        x_0 = (x_t - noise * eps) / signal
        expected = by_x0.back[t, 0] * x_0 + by_x0.back[t, 1] * x_t
        np.testing.assert_allclose(by_eps.back[t, 0] * eps + by_eps.back[t, 1] * x_t, expected)


def test_weights_are_one_without_noise() -> None:
    gaussian = Gaussian(DiffusionConfig(s=0.0, weighted_loss=True))
    np.testing.assert_array_equal(gaussian.weights, 1)
