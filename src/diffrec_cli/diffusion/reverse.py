"""The reverse process x_T -> x_0 without variance (Algorithm 2), for NumPy and for torch.

Between the last layer of one step and the first of the next the process is
linear, so it need not pass through the wide space at every step. Every x_t is a
combination ``x_t = g_t V^T + gamma_t b + delta_t x_T`` with a hidden-size g_t; its image
under the first layer is ``g_t (V^T W) + gamma_t (b W) + delta_t (x_T W)``, all hidden-size
once ``V^T W`` is known. T steps then cost T hidden-size products and one wide one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.diffusion.corruption import Corruption

Array = Any  # np.ndarray or torch.Tensor: only operators are used, so the lines serve both


def shares(back: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what x_t, before each step t, holds of the output bias and of x_T.

    Parameters
    ----------
    back
        (T + 1, 2) coefficients of the step back, see :class:`~.corruption.Corruption`.

    Returns
    -------
    (T + 1, 2): gamma and delta of ``x_t = g_t V^T + gamma_t b + delta_t x_T``. Row 0 is that of
    x_0, the result: (1, 0) when the denoiser predicts x_0.
    """
    T = len(back) - 1
    table = np.zeros((T + 1, 2))
    table[T] = (0.0, 1.0)
    for t in range(T, 0, -1):
        out, keep = back[t]
        table[t - 1] = keep * table[t] + (out, 0.0)
    return table


def collapsed_reverse(
    back: NDArray[np.float64],
    a_T: Array,
    hidden: Callable[[Array, int], Array],
    image: Callable[[Array, float], Array],
) -> Array:
    """Run t = T, ..., 1 in hidden space.

    Parameters
    ----------
    back
        (T + 1, 2) coefficients of the step back.
    a_T
        (B, H_1) the first layer's product x_T W, without bias.
    hidden
        Maps that product at step t to the last hidden layer, (B, H_1), t -> (B, H), a new array.
    image
        Maps g and gamma to ``g (V^T W) + gamma (b W)``, (B, H_1), a new array.

    Returns
    -------
    g_0, (B, H): the weights of the output layer in x_0; :func:`shares` has those of the rest.
    """
    share = shares(back).tolist()
    g = None
    a_t = a_T
    for t in range(len(back) - 1, 0, -1):  # in place: the products are small, so passes count
        out, keep = back[t].tolist()
        h = hidden(a_t, t)  # (B, H)
        h *= out
        if g is not None and keep:
            g *= keep
            h += g
        g = h
        if t > 1:
            gamma, delta = share[t - 1]
            a_t = image(g, gamma)  # (B, H_1)
            a_t += delta * a_T
    return g


def stepwise_reverse(
    corruption: Corruption,
    x_T: Array,
    predict: Callable[[Array, int], Array],
) -> Array:
    """Run t = T, ..., 1 in the wide space, for a denoiser that is not linear at its ends.

    Parameters
    ----------
    corruption
        What is reversed; one whose step back needs no more than prediction and x_t.
    x_T
        (B, D) start.
    predict
        The denoiser's prediction, (B, D), t -> (B, D).
    """
    x_t = x_T
    for t in range(corruption.T, 0, -1):
        x_t = corruption.step_back(predict(x_t, t), x_t, t)
    return x_t
