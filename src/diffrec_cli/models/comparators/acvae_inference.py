"""ACVAE at inference, on NumPy or torch, and the padded sequences that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.comparators import ACVAEConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor

WINDOW = 3  # states that the convolution sees


def padded(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the items of each row in order, (B, L), 0 beyond its end, and the lengths, (B,)."""
    lengths = np.diff(rows.indptr)
    place = np.arange(len(rows.items)) - np.repeat(rows.indptr[:-1], lengths)
    items = np.zeros((len(rows), max(1, int(lengths.max(initial=0)))), np.int64)
    items[rows.row_index, place] = rows.items
    return items, lengths


class ACVAEScorer:
    """Scores the next item.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    """

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        def load(name: str) -> Array:
            return backend.asarray(weights[name])

        self.backend, self.xp = backend, backend.xp
        self.length = config.settings(ACVAEConfig).length
        self.E = load("E")  # (|I|, d)
        self.W_i, self.W_h = load("gru.weight_ih_l0"), load("gru.weight_hh_l0")  # (3 d, d)
        self.b_i, self.b_h = load("gru.bias_ih_l0"), load("gru.bias_hh_l0")
        self.kernel = load("kernel")  # (WINDOW, d)
        self.W_1, self.b_1, self.W_2, self.b_2 = map(load, ("W_1", "b_1", "W_2", "b_2"))
        self.output = Output(backend, [OutputLayer(load("V"), load("b_out"), slice(None))])
        self.n_items = self.output.n_items

    def hidden(self, rows: Rows) -> Array:
        """Return z without noise, (B, d), after the last item of each history."""
        items, lengths = padded(rows.newest(self.length))
        states = [self.backend.asarray(np.zeros((len(rows), self.E.shape[1]), np.float32))] * WINDOW
        for t in range(items.shape[1]):
            state = self._step(self.E[self.backend.asarray(items[:, t])], states[-1])
            more = self.backend.asarray((t < lengths).astype(np.float32))[:, None]  # (B, 1)
            later = [*states[1:], state]
            states = [more * new + (1 - more) * old for new, old in zip(later, states, strict=True)]
        local = sum(self.kernel[WINDOW - 1 - i] * state for i, state in enumerate(states))
        read = self.xp.concatenate([states[-1], local], 1)
        return self.xp.tanh(read @ self.W_1[: read.shape[1]] + self.b_1) @ self.W_2 + self.b_2

    def _step(self, x: Array, h: Array) -> Array:
        """Return the next state of the gated recurrent unit, (B, d)."""
        d = h.shape[1]
        a, c = x @ self.W_i.T + self.b_i, h @ self.W_h.T + self.b_h  # (B, 3 d)
        r = self._sigmoid(a[:, :d] + c[:, :d])
        u = self._sigmoid(a[:, d : 2 * d] + c[:, d : 2 * d])
        n = self.xp.tanh(a[:, 2 * d :] + r * c[:, 2 * d :])
        return (1 - u) * n + u * h

    def _sigmoid(self, a: Array) -> Array:
        return 0.5 * (self.xp.tanh(0.5 * a) + 1.0)

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))
