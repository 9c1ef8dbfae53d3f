"""What holds of every corruption, whatever it mixes into a history."""

import numpy as np
import pytest
import torch

from diffrec_cli.catalogue.corruptions import SmoothingConfig
from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.smoothing import Smoothing

rng = np.random.default_rng(4)
A = rng.random((6, 6))
X_0 = rng.random((3, 6))


def no_noise(x: np.ndarray) -> np.ndarray:
    return np.zeros_like(x)


def neighbours(x: np.ndarray) -> np.ndarray:
    return x @ A


#: Corruptions, and what each mixes into x when it draws nothing.
CASES = {
    "gaussian": (Gaussian(DiffusionConfig(T=6, T_prime=4, s=0.3)), no_noise),
    "gaussian, noise predicted": (
        Gaussian(DiffusionConfig(T=6, s=0.3, prediction="epsilon")),
        None,
    ),
    "smoothing": (Smoothing(SmoothingConfig(T=6, a=1.5, rho=0.3)), neighbours),
    "smoothing in one step": (Smoothing(SmoothingConfig(T=1, a=0.7, rho=1.0)), neighbours),
}


def at(corruption: Corruption, x_0: np.ndarray, t: int, y: np.ndarray) -> np.ndarray:
    """Return x_t, x_0 itself before the first step."""
    steps = torch.full((len(x_0),), t)
    return corruption.corrupt(torch.from_numpy(x_0), steps, torch.from_numpy(y)).numpy()


@pytest.mark.parametrize("name", CASES)
def test_no_step_is_no_corruption(name: str) -> None:
    corruption, _ = CASES[name]
    np.testing.assert_array_equal(at(corruption, X_0, 0, np.ones_like(X_0)), X_0)


@pytest.mark.parametrize("name", CASES)
def test_every_row_is_corrupted_at_a_step_of_its_own(name: str) -> None:
    corruption, _ = CASES[name]
    y, t = rng.random(X_0.shape), [1, corruption.T, 1]
    x_t = corruption.corrupt(torch.from_numpy(X_0), torch.tensor(t), torch.from_numpy(y))
    one_by_one = [at(corruption, X_0[[i]], t[i], y[[i]])[0] for i in range(3)]
    np.testing.assert_array_equal(x_t, one_by_one)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][1] is not None])
def test_a_perfect_prediction_leads_back_the_way_it_came(name: str) -> None:
    corruption, mixed = CASES[name]
    y = mixed(X_0)
    for t in range(corruption.T, 0, -1):
        stepped = corruption.step_back(X_0, at(corruption, X_0, t, y), t, _asked(corruption, y))
        np.testing.assert_allclose(stepped, at(corruption, X_0, t - 1, y), rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_reversal_starts_at_its_step(name: str) -> None:
    corruption, _ = CASES[name]
    y = rng.random(X_0.shape)
    expected = at(corruption, X_0, corruption.T_prime, y)
    np.testing.assert_allclose(corruption.start(X_0, y), expected, rtol=1e-12)


def _asked(corruption: Corruption, y: np.ndarray) -> np.ndarray | None:
    return y if corruption.back.shape[1] == 3 else None
