"""Eq. 14 worked by hand and at its edges; tests/fidelity holds it against plain lists."""

import numpy as np
import torch

from diffrec_cli.diffusion.importance import StepSampler
from diffrec_cli.diffusion.randomness import Draws, Numbers


def numbers(n: int) -> Numbers:
    return Draws(1).at("step", np.arange(n), 1)


def test_sampling_is_uniform_until_every_step_has_ten_losses() -> None:
    sampler = StepSampler(3, by_importance=True)
    sampler.tell(torch.tensor([1] * 10 + [2] * 10 + [3] * 9), torch.rand(29))
    np.testing.assert_allclose(sampler.probabilities(), 1 / 3)
    sampler.tell(torch.tensor([3]), torch.tensor([9.0]))
    assert not np.allclose(sampler.probabilities(), 1 / 3)


def test_scale_keeps_the_expectation_of_the_loss() -> None:
    sampler = StepSampler(2, by_importance=True)
    t = torch.tensor([1] * 10 + [2] * 10)
    sampler.tell(t, torch.tensor([1.0] * 10 + [3.0] * 10))
    drawn, scale = sampler.draw(numbers(200_000))
    loss = torch.where(drawn == 1, 1.0, 3.0)
    assert abs(float((loss * scale).mean()) - 2.0) < 0.02  # the uniform mean of 1 and 3


def test_uniform_sampling_ignores_losses() -> None:
    sampler = StepSampler(4, by_importance=False)
    sampler.tell(torch.tensor([1, 2, 3, 4] * 10), torch.tensor([1.0, 2.0, 3.0, 4.0] * 10))
    _, scale = sampler.draw(numbers(50))
    np.testing.assert_allclose(scale, 1.0)


def test_losses_that_overflow_leave_sampling_uniform() -> None:
    sampler = StepSampler(2, by_importance=True)
    sampler.tell(torch.tensor([1, 2] * 10), torch.full((20,), 1e30))  # its square is infinite
    np.testing.assert_allclose(sampler.probabilities(), 0.5)


def test_losses_of_zero_leave_sampling_uniform() -> None:
    sampler = StepSampler(2, by_importance=True)
    sampler.tell(torch.tensor([1, 2] * 10), torch.zeros(20))
    np.testing.assert_allclose(sampler.probabilities(), 0.5)
