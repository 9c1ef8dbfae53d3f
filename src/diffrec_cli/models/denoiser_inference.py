"""The denoiser at inference, on NumPy or torch, through the collapsed reverse process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.reverse import collapsed_reverse, stepwise_reverse
from diffrec_cli.models.backend import Backend

Array = Any  # np.ndarray or torch.Tensor


class CollapsedDenoiser:
    """Weights of a trained :class:`~diffrec_cli.models.denoiser.Denoiser`, ready to infer.

    Parameters
    ----------
    backend
        Where to compute.
    weights
        The denoiser's parameters by name, under `prefix`; published models also store ``VW`` and
        ``bW``.
    prefix
        What the names begin with.
    """

    def __init__(self, backend: Backend, weights: Mapping[str, Any], prefix: str) -> None:
        def load(name: str) -> Array:
            return backend.asarray(weights[f"{prefix}{name}"])

        self.backend, self.xp = backend, backend.xp
        self.W_in, self.V, self.b_out = load("W_in"), load("V"), load("b_out")
        layers = sum(name.startswith(f"{prefix}W.") for name in weights)
        self.hidden_layers = [
            (backend.transposed(load(f"W.{i}")), load(f"b.{i}")) for i in range(layers)
        ]
        step = load("embedding") @ load("W_embed") + load("b_embed")  # (T + 1, E)
        self.step_bias = step @ load("W_step") + load("b_in")  # (T + 1, H_1)
        if f"{prefix}VW" in weights:
            VW, self.bW = load("VW"), load("bW")
        else:
            VW = backend.summed(self.V.T @ self.W_in)
            self.bW = backend.summed(self.b_out @ self.W_in)
        self.WV = backend.transposed(VW)  # (H_1, H)

    def hidden(self, a: Array, t: int) -> Array:
        """Return the last hidden layer from the first layer's product, (B, H_1) -> (B, H)."""
        h = a + self.step_bias[t]
        self.xp.tanh(h, out=h)
        for W, b in self.hidden_layers:
            h = self.backend.affine(h, W, b)
            self.xp.tanh(h, out=h)
        return h

    def reverse(self, back: NDArray[np.float64], a_T: Array) -> Array:
        """Run :func:`collapsed_reverse` from x_T W_in, (B, H_1) -> (B, H)."""
        return collapsed_reverse(back, a_T, self.hidden, self._image)

    def _image(self, g: Array, gamma: float) -> Array:
        """Return the first layer's product of x_t = g V^T + gamma b, (B, H) -> (B, H_1)."""
        return self.backend.affine(g, self.WV, gamma * self.bW)

    def reverse_normalized(self, corruption: Corruption, x_T: Array) -> Array:
        """Run the reverse process from x_T (B, D) with the input of every step normalised."""
        return stepwise_reverse(corruption, x_T, self._predict_normalized)

    def _predict_normalized(self, x_t: Array, t: int) -> Array:
        summed = self.backend.summed
        norm = self.xp.sqrt(summed((x_t * x_t).sum(-1)))[:, None]  # (B, 1)
        h = self.hidden(summed((x_t / self.xp.clip(norm, 1e-12, None)) @ self.W_in), t)
        return h @ self.V.T + self.b_out
