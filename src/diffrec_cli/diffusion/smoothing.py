"""Corruption by smoothing on the item graph, without randomness.

``x_t = F(x, t) = x + a (t / T) (A x - x)`` for the graph's matrix A (Zhu et al., "Graph Signal
Diffusion Model for Collaborative Filtering", SIGIR 2024).
"""

from __future__ import annotations

import numpy as np

from diffrec_cli.catalogue.corruptions import SmoothingConfig
from diffrec_cli.diffusion.corruption import Corruption


class Smoothing(Corruption):
    """Smoothing: y is ``A x``.

    The step back is ``x_{t-1} = F(p, t - 1) + rho (x_t - F(p, t))`` for the predicted x_0 p, and
    ``x_0 = p``. The loss weighs all steps equally.

    Parameters
    ----------
    config
        Steps, strength and rho.

    Examples
    --------
    >>> Smoothing(SmoothingConfig(T=2, a=1.0)).forward.tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """

    def __init__(self, config: SmoothingConfig) -> None:
        share = config.a * np.arange(config.T + 1) / config.T
        forward = np.stack([1.0 - share, share], axis=1)
        before = np.concatenate([forward[:1], forward[:-1]])  # F at t - 1
        of_p, of_smooth_p = (before - config.rho * forward).T
        back = np.stack([of_p, np.full(config.T + 1, config.rho), of_smooth_p], axis=1)
        back[1] = 1.0, 0.0, 0.0
        super().__init__(forward, back, np.ones(config.T + 1), T_prime=config.T)
