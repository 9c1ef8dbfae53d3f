"""Eq. 3, 4, 8, 9 to 12 and 14: the tables of the corruption, its losses, the choice of steps."""

import numpy as np
import pytest
import torch

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.gaussian import Gaussian
from diffrec_cli.diffusion.importance import StepSampler
from tests import oracle
from tests.fidelity.cases import FIRST_BETAS, PREDICTIONS, STEPS, random_generator, random_schedule

SCHEDULES = ["random", "released", "noiseless"]
#: Without noise there is no epsilon to predict.
PREDICTED = [(s, p) for s in SCHEDULES for p in PREDICTIONS if (s, p) != ("noiseless", "epsilon")]


def both(schedule: str = "random", **values) -> tuple[Gaussian, oracle.Diffusion]:
    """The package's corruption and the oracle's."""
    settings = {
        "random": random_schedule(random_generator(**values)),
        "released": {"s": 0.005, "alpha_min": 0.005, "alpha_max": 0.01},
        "noiseless": {"s": 0.0, "alpha_min": 0.1, "alpha_max": 0.5},
    }[schedule] | values
    weighted = settings.pop("weighted_loss", False)
    gaussian = Gaussian(DiffusionConfig(**settings, weighted_loss=weighted))
    return gaussian, oracle.Diffusion(**settings, weighted=weighted)


@pytest.mark.parametrize("first_beta", FIRST_BETAS)
def test_the_oracle_s_posterior_is_bayes_rule_of_two_gaussians(first_beta: float | None) -> None:
    # q(x_{t-1} | x_t, x_0) by completing the square of q(x_t | x_{t-1}) q(x_{t-1} | x_0), Eq. 2
    # and 3: the precision is alpha_t / beta_t + 1 / (1 - alpha_bar_{t-1}), and so on.
    _, d = both(T=10, first_beta=first_beta)
    for t in range(2, 11):
        alpha, before = d.alpha[t], d.alpha_bar[t - 1]
        precision = alpha / (1 - alpha) + 1 / (1 - before)
        of_x_0 = np.sqrt(before) / (1 - before) / precision
        of_x_t = np.sqrt(alpha) / (1 - alpha) / precision
        np.testing.assert_allclose(d.posterior(t), (of_x_0, of_x_t, 1 / precision), rtol=1e-9)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("first_beta", FIRST_BETAS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_schedule_is_equation_4(T: int, first_beta: float | None, schedule: str) -> None:
    gaussian, d = both(schedule, T=T, first_beta=first_beta)
    np.testing.assert_allclose(gaussian.schedule.alpha_bar, d.alpha_bar, rtol=1e-14)
    np.testing.assert_allclose(gaussian.schedule.noise, 1 - d.alpha_bar, rtol=1e-9, atol=1e-18)
    np.testing.assert_allclose(gaussian.schedule.beta, 1 - d.alpha, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("first_beta", FIRST_BETAS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_corruption_is_equation_3(T: int, first_beta: float | None, schedule: str) -> None:
    gaussian, d = both(schedule, T=T, first_beta=first_beta)
    x_0, eps = np.random.default_rng(T).normal(size=(2, T, 4))
    t = np.arange(1, T + 1)
    x_t = gaussian.corrupt(*map(torch.from_numpy, (x_0, t, eps)))
    np.testing.assert_allclose(x_t, d.q(x_0, t, eps), rtol=1e-10)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("first_beta", FIRST_BETAS)
@pytest.mark.parametrize(("schedule", "prediction"), PREDICTED)
def test_a_step_back_is_equation_10(
    T: int, prediction: str, first_beta: float | None, schedule: str
) -> None:
    gaussian, d = both(schedule, T=T, prediction=prediction, first_beta=first_beta)
    x_t, predicted = np.random.default_rng(T).normal(size=(2, 4))
    for t in range(1, T + 1):
        stepped = gaussian.step_back(predicted, x_t, t)
        expected = d.mu(d.x_hat(predicted, x_t, t), x_t, t)
        np.testing.assert_allclose(stepped, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("first_beta", FIRST_BETAS)
@pytest.mark.parametrize(("schedule", "prediction"), PREDICTED)
def test_losses_are_equations_9_and_12(
    T: int, prediction: str, weighted: bool, first_beta: float | None, schedule: str
) -> None:
    # The package weighs by Eq. 11, the oracle compares the means of Eq. 9: the paper's step from
    # one to the other is thereby checked too.
    gaussian, d = both(
        schedule, T=T, prediction=prediction, weighted_loss=weighted, first_beta=first_beta
    )
    predicted, x_0, eps = np.random.default_rng(T).normal(size=(3, T, 4))
    t = np.arange(1, T + 1)
    target = gaussian.target(torch.from_numpy(x_0), torch.from_numpy(eps))
    losses = gaussian.losses(torch.from_numpy(predicted), target, torch.from_numpy(t))
    expected = [d.loss(*user) for user in zip(predicted, x_0, eps, t.tolist(), strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-7)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_x0_of_a_prediction_solves_equation_3(prediction: str) -> None:
    gaussian, d = both(T=6, prediction=prediction)
    predicted, x_t = np.random.default_rng(1).normal(size=(2, 6, 4))
    t = np.arange(1, 7)
    x_hat = gaussian.predicted_x0(*map(torch.from_numpy, (predicted, x_t, t)))
    expected = [d.x_hat(predicted[i], x_t[i], i + 1) for i in range(6)]
    np.testing.assert_allclose(x_hat, expected, rtol=1e-12)


def test_tensors_keep_their_precision() -> None:
    gaussian, _ = both(T=6, prediction="epsilon", weighted_loss=True)
    t = torch.arange(1, 7)
    for dtype in (torch.float32, torch.float64, torch.float32):
        x = torch.ones(6, 4, dtype=dtype)
        assert gaussian.corrupt(x, t, x).dtype == dtype
        assert gaussian.predicted_x0(x.bfloat16(), x, t).dtype == dtype
        assert gaussian.losses(x.bfloat16(), x, t).dtype == dtype


def test_history_and_probabilities_are_equation_14() -> None:
    T, rng = 7, np.random.default_rng(3)
    sampler, history = StepSampler(T, by_importance=True), oracle.LossHistory(T)
    for batch in range(30):
        # Batches from tiny to far more than ten samples of one step.
        n = [3, 50, 200][batch % 3]
        t = rng.integers(1, T + 1, n) if batch % 5 else np.full(n, 1 + batch % T)
        losses = rng.gamma(2.0, size=n) * t
        sampler.tell(torch.from_numpy(t), torch.from_numpy(losses))
        history.tell(t, losses)
        np.testing.assert_allclose(sampler.probabilities(), history.p(), rtol=1e-5)
        for step, values in enumerate(history.history, start=1):
            stored = sampler.losses[step]
            stored = stored[: len(values)] if len(values) < 10 else stored
            np.testing.assert_allclose(sorted(stored), sorted(values), rtol=1e-6)
