"""The base of all corruptions of histories: x_t = s_t x_0 + m_t y, with coefficients for each step.

They differ in y: Gaussian noise is random, smoothing takes the history smoothed on the item graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, device, dtype

    from diffrec_cli.diffusion.randomness import Numbers

Array = Any  # np.ndarray or torch.Tensor: only operators are used
Table = NDArray[np.float64]


class Corruption:
    """A corruption, its reversal and the weights of its losses.

    All is linear, so it can also be applied to products of histories with a matrix.

    Parameters
    ----------
    forward
        (T + 1, 2): x_t = forward[t, 0] x_0 + forward[t, 1] y.
    back
        (T + 1, 2 or 3): x_{t-1} = back[t, 0] p + back[t, 1] x_t + back[t, 2] y(p) for the
        prediction p; entry 0 unused. Without a third column the last term is 0.
    weights
        (T + 1,) weight of the loss at step t; entry 0 unused.
    T_prime
        Steps that corrupt the history at inference.
    by_importance
        Whether training draws steps by Eq. 14, else by Eq. 13.
    """

    #: Whether :meth:`mixed_in_product` is there, and the target is x_0.
    has_product = False

    def __init__(
        self,
        forward: Table,
        back: Table,
        weights: Table,
        T_prime: int,
        *,
        by_importance: bool = False,
    ) -> None:
        self.T, self.T_prime, self.by_importance = len(forward) - 1, T_prime, by_importance
        self.forward, self.back, self.weights = forward, back, weights
        self._tables: dict[tuple[str, device, dtype], Tensor] = {}

    def mixed_in(self, x_0: Tensor, numbers: Numbers) -> Tensor:
        """Return the y, (B, D), of dense histories in training, from as many random numbers."""
        raise NotImplementedError

    def mixed_in_product(
        self,
        W: Tensor,
        numbers: Numbers,
        rows: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> Tensor:
        """Return y W, (n, H), for n histories in training, without making their y, (n, D).

        Only where `has_product`.

        Parameters
        ----------
        W
            (D, H).
        numbers
            (n, H), on the device of W.
        rows
            The rows of W to use, the others being 0; ``None``: all.
        total
            Sums a product over the processes that have other rows of W.
        """
        raise NotImplementedError

    def corrupt(self, x_0: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return x_t, (B, D), with a step for each row.

        Parameters
        ----------
        x_0, y
            (B, D).
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
        """Return x_{t-1}, (B, D), from x_t and the denoiser's prediction.

        Parameters
        ----------
        prediction, x_t
            (B, D).
        t
            The step, 1 to T.
        y
            (B, D), the y of the prediction, where `back` has three columns.
        """
        out, keep, *of_y = self.back[t].tolist()
        x = out * prediction + keep * x_t
        return x if y is None else x + of_y[0] * y

    def target(self, x_0: Tensor, y: Tensor) -> Tensor:
        """Return what the denoiser should predict, (B, D): x_0 itself."""
        return x_0

    def predicted_x0(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return x_0, (B, D), as a prediction at step t implies it."""
        return prediction

    def losses(self, prediction: Tensor, target: Tensor, t: Tensor) -> Tensor:
        """Return the weighted loss L_t of each sample, (B,): the mean over D, where Eq. 9 sums."""
        return self.weighted(self.errors(prediction, target) / target.shape[1], t)

    def errors(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the squared error of each sample, (B,): a sum over D."""
        from torch.nn.functional import mse_loss  # faster than operators: one pass, not three

        return mse_loss(prediction.to(target.dtype), target, reduction="none").sum(dim=1)

    def weighted(self, error: Tensor, t: Tensor) -> Tensor:
        """Return the errors, (B,), times the weights of their steps."""
        return error * self._at("weights", t, error)

    def _at(self, table: str, t: Tensor, like: Tensor) -> Tensor:
        """Return a table's rows at steps t in the type of `like`: not all devices have float64."""
        import torch

        key = (table, t.device, like.dtype)
        if key not in self._tables:
            values = torch.as_tensor(getattr(self, table), dtype=like.dtype)
            self._tables[key] = values.to(t.device)
        return self._tables[key][t]
