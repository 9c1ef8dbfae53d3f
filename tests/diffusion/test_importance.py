"""Eq. 14 against a sampler with plain lists, one sample at a time."""

from collections import deque

import numpy as np
import torch

from diffrec_cli.diffusion.importance import StepSampler


class ListSampler:
    """The paper's words, slowly: ten losses a step, first in first out."""

    def __init__(self, T: int) -> None:
        self.history = [deque(maxlen=10) for _ in range(T)]

    def tell(self, t: np.ndarray, losses: np.ndarray) -> None:
        for step, loss in zip(t, losses, strict=True):
            self.history[step - 1].append(loss)

    def probabilities(self) -> np.ndarray:
        T = len(self.history)
        if any(len(h) < 10 for h in self.history):
            return np.full(T, 1 / T)
        size = np.array([np.sqrt(np.mean(np.square(h))) for h in self.history])
        return 0.999 * size / size.sum() + 0.001 / T


def test_history_and_probabilities_follow_the_slow_sampler() -> None:
    T, rng = 7, np.random.default_rng(3)
    fast, slow = StepSampler(T, by_importance=True), ListSampler(T)
    for batch in range(30):
        # Batches from tiny to far more than ten samples of one step.
        n = [3, 50, 200][batch % 3]
        t = rng.integers(1, T + 1, n) if batch % 5 else np.full(n, 1 + batch % T)
        losses = rng.gamma(2.0, size=n) * t
        fast.tell(torch.from_numpy(t), torch.from_numpy(losses))
        slow.tell(t, losses)
        np.testing.assert_allclose(fast.probabilities(), slow.probabilities(), rtol=1e-5)
        for step, history in enumerate(slow.history, start=1):
            stored = fast.losses[step][: len(history)] if len(history) < 10 else fast.losses[step]
            np.testing.assert_allclose(sorted(stored), sorted(history), rtol=1e-6)


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
    drawn, scale = sampler.draw(200_000, torch.Generator().manual_seed(1))
    loss = torch.where(drawn == 1, 1.0, 3.0)
    assert abs(float((loss * scale).mean()) - 2.0) < 0.02  # the uniform mean of 1 and 3


def test_uniform_sampling_ignores_losses() -> None:
    sampler = StepSampler(4, by_importance=False)
    sampler.tell(torch.tensor([1, 2, 3, 4] * 10), torch.tensor([1.0, 2.0, 3.0, 4.0] * 10))
    _, scale = sampler.draw(50, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(scale, 1.0)


def test_losses_that_overflow_leave_sampling_uniform() -> None:
    sampler = StepSampler(2, by_importance=True)
    sampler.tell(torch.tensor([1, 2] * 10), torch.full((20,), 1e30))  # its square is infinite
    np.testing.assert_allclose(sampler.probabilities(), 0.5)


def test_losses_of_zero_leave_sampling_uniform() -> None:
    sampler = StepSampler(2, by_importance=True)
    sampler.tell(torch.tensor([1, 2] * 10), torch.zeros(20))
    np.testing.assert_allclose(sampler.probabilities(), 0.5)
