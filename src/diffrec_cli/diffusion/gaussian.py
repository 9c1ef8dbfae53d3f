"""The paper's corruption: Gaussian noise, and its reversal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.corruption import Corruption, Table
from diffrec_cli.diffusion.schedule import linear_schedule

if TYPE_CHECKING:
    from torch import Tensor


class Gaussian(Corruption):
    """Gaussian noise; what it mixes into x_0 is eps (Eq. 3), which the step back needs no more.

    The weights (Eq. 9 to 12) are of the squared error of the *predicted quantity*, x_0 or eps; so
    is what the step back (Eq. 10) takes as the prediction.

    Parameters
    ----------
    config
        Schedule, prediction type and loss weighting.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        self.predicts_x0 = config.prediction == "x0"
        self.schedule = linear_schedule(
            config.T, config.s, config.alpha_min, config.alpha_max, config.first_beta
        )
        forward = np.stack([np.sqrt(self.schedule.alpha_bar), np.sqrt(self.schedule.noise)], axis=1)
        weights = self._loss_weights(config.weighted_loss)
        super().__init__(forward, self._reverse_coefficients(forward), weights, config.T_prime)

    def _loss_weights(self, weighted: bool) -> Table:
        """Eq. 11 (times two) for t > 1 and Eq. 12 for t = 1.

        A prediction of eps implies one of x_0 whose squared error is 1/SNR(t) times that of
        eps, so its weights are those of x_0 divided by SNR(t).
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

    def predicted_x0(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the x_0 that a prediction of the denoiser at step t means, (B, D)."""
        if self.predicts_x0:
            return prediction
        scale = self._at("forward", t, x_t)
        return (x_t - scale[:, 1:] * prediction) / scale[:, :1]

    def target(self, x_0: Tensor, eps: Tensor) -> Tensor:
        """Return what the denoiser is to predict, (B, D)."""
        return x_0 if self.predicts_x0 else eps

    def losses(self, prediction: Tensor, target: Tensor, t: Tensor) -> Tensor:
        """Return the weighted loss L_t of each sample, (B,): the mean over D, where Eq. 9 sums.

        It is computed in the precision of the target, whatever that of the prediction.
        """
        from torch.nn.functional import mse_loss  # one pass each way, where operators take three

        error = mse_loss(prediction.to(target.dtype), target, reduction="none").mean(dim=1)  # (B,)
        return error * self._at("weights", t, error)
