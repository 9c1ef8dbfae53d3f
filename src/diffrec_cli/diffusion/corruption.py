"""What every corruption of histories is: a few numbers for each step, and what is done with them.

Gaussian noise and smoothing differ in what they mix into a history, x_t = s_t x_0 + m_t y: noise
that is drawn, or what the item graph makes of x_0. Nothing outside this package makes the tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, device, dtype

Array = Any  # np.ndarray or torch.Tensor: only operators are used
Table = NDArray[np.float64]


class Corruption:
    """A corruption, its reversal and the weights of its losses.

    All it does is linear, so what holds of histories holds of their products with a matrix too.

    Parameters
    ----------
    forward
        (T + 1, 2): x_t = forward[t, 0] x_0 + forward[t, 1] y.
    back
        (T + 1, 2 or 3): x_{t-1} = back[t, 0] p + back[t, 1] x_t + back[t, 2] y(p) for the
        prediction p; entry 0 unused. Without a third column y plays no part.
    weights
        (T + 1,) weight of the loss at step t; entry 0 unused.
    T_prime
        Steps that corrupt the history where the reversal starts.
    """

    def __init__(self, forward: Table, back: Table, weights: Table, T_prime: int) -> None:
        self.T, self.T_prime = len(forward) - 1, T_prime
        self.forward, self.back, self.weights = forward, back, weights
        self._tables: dict[tuple[str, device, dtype], Tensor] = {}

    def corrupt(self, x_0: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return x_t, each row at a step of its own.

        Parameters
        ----------
        x_0, y
            (B, D), the history and what is mixed in.
        t
            (B,) steps, 1 to T.
        """
        scale = self._at("forward", t, x_0)  # (B, 2)
        return (scale[:, 1:] * y).addcmul_(x_0, scale[:, :1])

    def start(self, x_0: Array, y: Array) -> Array:
        """Return x_{T'}, (B, D), where the reverse process starts (Algorithm 2, line 2)."""
        signal, mixed = self.forward[self.T_prime].tolist()
        return signal * x_0 + mixed * y

    def step_back(self, prediction: Array, x_t: Array, t: int, y: Array | None = None) -> Array:
        """Return x_{t-1}, (B, D), of x_t and what the denoiser made of it.

        Parameters
        ----------
        prediction, x_t
            (B, D).
        t
            The step, 1 to T.
        y
            (B, D), what would be mixed into the prediction, where the corruption asks for it.
        """
        out, keep, *of_y = self.back[t].tolist()
        x = out * prediction + keep * x_t
        return x if y is None else x + of_y[0] * y

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
