"""The linear noise schedule of Eq. 4 and the coefficients that follow from it.

Arrays are float64 of length T + 1, indexed by t: entry 0 is the clean x_0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Noise levels of a diffusion with T steps.

    Parameters
    ----------
    beta
        (T + 1,) beta_t, with beta_0 = 0.
    noise
        (T + 1,) 1 - alpha_bar_t, stored because alpha_bar_t near 1 would lose its digits.
    """

    beta: Array
    noise: Array

    @property
    def T(self) -> int:
        """Number of steps."""
        return len(self.beta) - 1

    @property
    def alpha_bar(self) -> Array:
        """(T + 1,) alpha_bar_t, the share of x_0's variance that is left at step t."""
        return 1.0 - self.noise

    @property
    def snr(self) -> Array:
        """(T + 1,) signal-to-noise ratio alpha_bar_t / (1 - alpha_bar_t), infinite at t = 0."""
        with np.errstate(divide="ignore"):
            return self.alpha_bar / self.noise

    @property
    def posterior(self) -> tuple[Array, Array]:
        """Coefficients (c_1, c_2), (T + 1,) each, of mu = c_1 x_0 + c_2 x_t (Eq. 8 and 10).

        They are (1, 0) at t = 1, and at every t without noise (s = 0).
        """
        c_1, c_2 = np.ones(self.T + 1), np.zeros(self.T + 1)
        noisy = np.flatnonzero(self.noise > 0)
        t = noisy[noisy > 1]
        c_1[t] = np.sqrt(self.alpha_bar[t - 1]) * self.beta[t] / self.noise[t]
        c_2[t] = np.sqrt(1.0 - self.beta[t]) * self.noise[t - 1] / self.noise[t]
        return c_1, c_2


def linear_schedule(
    T: int,
    s: float,
    alpha_min: float,
    alpha_max: float,
    first_beta: float | None = None,
) -> Schedule:
    """Return the schedule of Eq. 4; a single step (T = 1) has ``alpha_min``.

    ``1 - alpha_bar_t = s [alpha_min + (t-1)/(T-1) (alpha_max - alpha_min)]``

    Parameters
    ----------
    T, s, alpha_min, alpha_max
        As in the paper; :class:`~diffrec_cli.config.DiffusionConfig` checks their ranges.
    first_beta
        If given, replaces beta_1, and alpha_bar follows from the betas, not from Eq. 4. The
        released DiffRec and T-DiffRec code does so with 1e-5.

    Examples
    --------
    >>> linear_schedule(2, s=0.1, alpha_min=0.1, alpha_max=0.5).noise.round(3).tolist()
    [0.0, 0.01, 0.05]
    """
    steps = np.linspace(alpha_min, alpha_max, T) if T > 1 else np.array([alpha_min])
    noise = np.concatenate([[0.0], s * steps])
    beta = np.zeros(T + 1)
    beta[1:] = (noise[1:] - noise[:-1]) / (1.0 - noise[:-1])  # 1 - alpha_bar_t / alpha_bar_{t-1}
    if first_beta is not None and s > 0:
        beta[1] = first_beta
        noise = -np.expm1(np.cumsum(np.log1p(-beta)))
    return Schedule(beta, noise)
