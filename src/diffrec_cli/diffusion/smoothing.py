"""Corruption by smoothing on the item graph: a heat equation, forwards and backwards.

Nothing is drawn: x_t lies on the way from a history to what its neighbourhood says of it,
``x_t = F(x, t) = x + a (t / T) (A x - x)`` for the graph's matrix A (Zhu et al., "Graph Signal
Diffusion Model for Collaborative Filtering", SIGIR 2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from diffrec_cli.config import SmoothingConfig


class Smoothing:
    """The corruption and the step back.

    Parameters
    ----------
    config
        Steps, strength and rho.

    Attributes
    ----------
    forward
        (T + 1, 2): x_t = forward[t, 0] x_0 + forward[t, 1] A x_0.
    back
        (T + 1, 3): x_{t-1} = back[t, 0] p + back[t, 1] A p + back[t, 2] x_t for the predicted x_0
        p, which is ``F(p, t - 1) + rho (x_t - F(p, t))``; entry 0 unused. The last step ends in p.

    Examples
    --------
    >>> from diffrec_cli.config import SmoothingConfig
    >>> Smoothing(SmoothingConfig(T=2, a=1.0)).forward.tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """

    def __init__(self, config: SmoothingConfig) -> None:
        self.T = config.T
        share = config.a * np.arange(config.T + 1) / config.T
        self.forward: NDArray[np.float64] = np.stack([1.0 - share, share], axis=1)
        before = np.concatenate([self.forward[:1], self.forward[:-1]])  # F at t - 1
        rho = np.full((config.T + 1, 1), config.rho)
        self.back: NDArray[np.float64] = np.concatenate(
            [before - config.rho * self.forward, rho], axis=1
        )
        self.back[1] = 1.0, 0.0, 0.0
