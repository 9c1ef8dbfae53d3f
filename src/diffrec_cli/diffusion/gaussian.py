"""Corruption by Gaussian noise: forwards in training, backwards at inference.

A corruption is a value with few operations; nothing outside this package
knows which one runs.

- :meth:`Gaussian.corrupt` takes x_0 to x_t (Eq. 3);
- :attr:`Gaussian.weights` weighs the loss of each step (Eq. 9 to 12);
- :attr:`Gaussian.back` steps from x_t to x_{t-1} given a prediction (Eq. 10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.config import DiffusionConfig
from diffrec_cli.diffusion.schedule import linear_schedule

if TYPE_CHECKING:
    from torch import Tensor, device, dtype


class Gaussian:
    """The paper's corruption.

    Parameters
    ----------
    config
        Schedule, prediction type and loss weighting.

    Attributes
    ----------
    forward
        (T + 1, 2): x_t = forward[t, 0] x_0 + forward[t, 1] eps.
    weights
        (T + 1,) weight of the squared error of the *predicted quantity* at step t; entry 0 unused.
    back
        (T + 1, 2): x_{t-1} = back[t, 0] prediction + back[t, 1] x_t; entry 0 unused.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        self.T, self.T_prime = config.T, config.T_prime
        self.predicts_x0 = config.prediction == "x0"
        self.schedule = linear_schedule(
            config.T, config.s, config.alpha_min, config.alpha_max, config.first_beta
        )
        self.forward: NDArray[np.float64] = np.stack(
            [np.sqrt(self.schedule.alpha_bar), np.sqrt(self.schedule.noise)], axis=1
        )
        self.weights = self._loss_weights(config.weighted_loss)
        self.back = self._reverse_coefficients()
        self._tables: dict[tuple[str, device, dtype], Tensor] = {}

    def _loss_weights(self, weighted: bool) -> NDArray[np.float64]:
        """Eq. 11 (times two) for t > 1 and Eq. 12 for t = 1.

        A prediction of eps implies one of x_0 whose squared error is 1/SNR(t) times that of
        eps, so its weights are those of x_0 divided by SNR(t).
        """
        weights = np.ones(self.T + 1)
        if not weighted or self.schedule.noise[-1] == 0:
            return weights
        snr = self.schedule.snr
        weights[2:] = snr[1:-1] - snr[2:]
        return weights if self.predicts_x0 else weights / snr

    def _reverse_coefficients(self) -> NDArray[np.float64]:
        c_1, c_2 = self.schedule.posterior
        if self.predicts_x0:
            return np.stack([c_1, c_2], axis=1)
        signal, noise = self.forward.T
        # x_0 = (x_t - noise eps) / signal, put into mu = c_1 x_0 + c_2 x_t.
        return np.stack([-c_1 * noise / signal, c_1 / signal + c_2], axis=1)

    def corrupt(self, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Return x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (Eq. 3).

        Parameters
        ----------
        x_0, eps
            (B, D).
        t
            (B,) steps, 1 to T.
        """
        scale = self._at("forward", t, x_0)  # (B, 2)
        return (scale[:, 1:] * eps).addcmul_(x_0, scale[:, :1])

    def start(self, x_0: Any, eps: Any) -> Any:
        """Return x_{T'}, (B, D), where the reverse process starts (Algorithm 2, line 2).

        Only operators are used, so that NumPy arrays and tensors will do.
        """
        signal, noise = self.forward[self.T_prime].tolist()
        return signal * x_0 + noise * eps

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

    def _at(self, table: str, t: Tensor, like: Tensor) -> Tensor:
        """Look up rows of a table at steps t, in the precision of the tensor that they meet.

        A table is brought to a device once, in that precision (not all devices have float64).
        """
        import torch

        key = (table, t.device, like.dtype)
        if key not in self._tables:
            values = torch.as_tensor(getattr(self, table), dtype=like.dtype)
            self._tables[key] = values.to(t.device)
        return self._tables[key][t]
