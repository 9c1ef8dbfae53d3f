"""The reverse process x_T -> x_0 without variance (Algorithm 2), for NumPy and for torch.

Between the last layer of one step and the first of the next the process is
linear, so it need not pass through the wide space at every step. Every x_t is a
combination ``x_t = g_t V^T + gamma_t b + delta_t x_T`` with a hidden-size g_t; its image
under the first layer is ``g_t (V^T W) + gamma_t (b W) + delta_t (x_T W)``, all hidden-size
once ``V^T W`` is known. T steps then cost T hidden-size products and one wide one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # np.ndarray or torch.Tensor: only operators are used, so the lines serve both


@dataclass(frozen=True, slots=True)
class Combination:
    """x_0 in the form ``g V^T + gamma b + delta x_T``.

    Parameters
    ----------
    g
        (B, H) weights of the output layer V, (D, H).
    gamma
        Weight of the output bias b, (D,).
    delta
        Weight of x_T, (B, D); zero when the denoiser predicts x_0.
    """

    g: Array
    gamma: float
    delta: float


def collapsed_reverse(
    back: NDArray[np.float64],
    a_T: Array,
    hidden: Callable[[Array, int], Array],
    VW: Array,
    bW: Array,
) -> Combination:
    """Run t = T, ..., 1 in hidden space.

    Parameters
    ----------
    back
        (T + 1, 2) coefficients of the step back, see :class:`~.gaussian.Gaussian`.
    a_T
        (B, H_1) the first layer's product x_T W, without bias.
    hidden
        Maps that product at step t to the last hidden layer, (B, H_1), t -> (B, H).
    VW, bW
        (H, H_1) and (H_1,): output layer and its bias, through the first layer.
    """
    T = len(back) - 1
    g, gamma, delta = 0.0, 0.0, 1.0
    a_t = a_T
    for t in range(T, 0, -1):
        out, keep = float(back[t, 0]), float(back[t, 1])
        g = out * hidden(a_t, t) + keep * g  # (B, H)
        gamma = out + keep * gamma
        delta = keep * delta
        if t > 1:
            a_t = g @ VW + gamma * bW + delta * a_T  # (B, H_1)
    return Combination(g, gamma, delta)


def stepwise_reverse(
    back: NDArray[np.float64],
    x_T: Array,
    predict: Callable[[Array, int], Array],
) -> Array:
    """Run t = T, ..., 1 in the wide space, for a denoiser that is not linear at its ends.

    Parameters
    ----------
    back
        (T + 1, 2) coefficients of the step back.
    x_T
        (B, D) start.
    predict
        The denoiser's prediction, (B, D), t -> (B, D).
    """
    x_t = x_T
    for t in range(len(back) - 1, 0, -1):
        x_t = float(back[t, 0]) * predict(x_t, t) + float(back[t, 1]) * x_t
    return x_t
