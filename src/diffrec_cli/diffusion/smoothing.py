"""Corruption by smoothing on the item graph: a heat equation, forwards and backwards.

Nothing is drawn: x_t lies on the way from a history to what its neighbourhood says of it,
``x_t = F(x, t) = x + a (t / T) (A x - x)`` for the graph's matrix A (Zhu et al., "Graph Signal
Diffusion Model for Collaborative Filtering", SIGIR 2024).
"""

from __future__ import annotations

import numpy as np

from diffrec_cli.catalogue.corruptions import SmoothingConfig
from diffrec_cli.diffusion.corruption import Corruption


class Smoothing(Corruption):
    """Smoothing; what it mixes into x is ``A x``.

    The step back is ``x_{t-1} = F(p, t - 1) + rho (x_t - F(p, t))`` for the predicted x_0 p, and
    the last one ends in p itself. All steps weigh the same.

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
