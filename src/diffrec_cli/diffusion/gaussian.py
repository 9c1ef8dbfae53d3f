"""The paper's corruption: Gaussian noise, and its reversal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.corruption import Corruption, Table
from diffrec_cli.diffusion.schedule import linear_schedule

if TYPE_CHECKING:
    from torch import Tensor

    from diffrec_cli.diffusion.randomness import Numbers


class Gaussian(Corruption):
    """Gaussian noise: y is eps (Eq. 3), and the step back (Eq. 10) does not need it.

    The loss weights (Eq. 9 to 12) and the step back are for the predicted quantity, x_0 or eps.

    Parameters
    ----------
    config
        Schedule, prediction type and loss weighting.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        self.predicts_x0 = self.has_product = config.prediction == "x0"
        self.schedule = linear_schedule(
            config.T, config.s, config.alpha_min, config.alpha_max, config.first_beta
        )
        forward = np.stack([np.sqrt(self.schedule.alpha_bar), np.sqrt(self.schedule.noise)], axis=1)
        weights = self._loss_weights(config.weighted_loss)
        back = self._reverse_coefficients(forward)
        by_importance = config.step_sampling == "importance"
        super().__init__(forward, back, weights, config.T_prime, by_importance=by_importance)

    def _loss_weights(self, weighted: bool) -> Table:
        """Return the weights of Eq. 11 (times two) for t > 1 and of Eq. 12 for t = 1.

        The squared error of x_0 is 1/SNR(t) times that of eps, so weights for eps are divided by
        SNR(t).
        """
        weights = np.ones_like(self.schedule.noise)
        if not weighted or self.schedule.noise[-1] == 0:
            return weights
        snr = self.schedule.snr
        weights[2:] = snr[1:-1] - snr[2:]
        return weights if self.predicts_x0 else weights / snr

    def _reverse_coefficients(self, forward: Table) -> Table:
        c_1, c_2 = self.schedule.posterior
        if self.predicts_x0:
            return np.stack([c_1, c_2], axis=1)
        signal, noise = forward.T
        # x_0 = (x_t - noise eps) / signal, put into mu = c_1 x_0 + c_2 x_t.
        return np.stack([-c_1 * noise / signal, c_1 / signal + c_2], axis=1)

    def mixed_in(self, x_0: Tensor, numbers: Numbers) -> Tensor:
        """Draw eps, (B, D)."""
        return numbers.normal(x_0.dtype)

    def mixed_in_product(
        self,
        W: Tensor,
        numbers: Numbers,
        rows: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> Tensor:
        """Draw eps W, (n, H)."""
        from diffrec_cli.diffusion.randomness import normal_product

        return normal_product(W, numbers, rows, total)

    def target(self, x_0: Tensor, y: Tensor) -> Tensor:
        """Return what the denoiser should predict, (B, D): x_0 or eps."""
        return x_0 if self.predicts_x0 else y

    def predicted_x0(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return x_0, (B, D), as a prediction at step t implies it."""
        if self.predicts_x0:
            return prediction
        scale = self._at("forward", t, x_t)
        return (x_t - scale[:, 1:] * prediction) / scale[:, :1]
