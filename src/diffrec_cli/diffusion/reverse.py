"""The reverse process x_T -> x_0 without variance (Algorithm 2), for NumPy and for torch.

From the last layer of one step to the first of the next the process is linear. Every x_t is
``g_t V^T + gamma_t b + delta_t x_T`` with a hidden-size g_t, and its product with the first layer
is ``g_t (V^T W) + gamma_t (b W) + delta_t (x_T W)``. With ``V^T W`` computed before, T steps cost T
hidden-size products and one as wide as the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.diffusion.corruption import Corruption

Array = Any  # np.ndarray or torch.Tensor: only operators are used


def shares(back: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of the output bias and of x_T in x_t.

    Parameters
    ----------
    back
        (T + 1, 2) coefficients of the step back, see :class:`~.corruption.Corruption`.

    Returns
    -------
    (T + 1, 2): gamma_t and delta_t in row t. Row 0 is (1, 0) when the denoiser predicts x_0.
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
    g_0, (B, H): the weights of V in x_0; :func:`shares` gives those of the bias and of x_T.
    """
    share = shares(back).tolist()
    g = None
    a_t = a_T
    for t in range(len(back) - 1, 0, -1):  # in place, to save passes over memory
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
    """Run t = T, ..., 1 over all items, for a denoiser that normalises its input.

    Parameters
    ----------
    corruption
        One whose step back needs only the prediction and x_t.
    x_T
        (B, D).
    predict
        The denoiser's prediction, (B, D), t -> (B, D).
    """
    x_t = x_T
    for t in range(corruption.T, 0, -1):
        x_t = corruption.step_back(predict(x_t, t), x_t, t)
    return x_t
