"""An autoencoder over named arrays, in training and at inference, on NumPy or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from diffrec_cli.data.sequences import Rows
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor


class Network:
    """Layers of an autoencoder: history, hidden layers, scores.

    Parameters
    ----------
    backend
        Where to compute.
    weights
        ``W_in``, ``b_in``, ``W.0``, ``b.0``, ..., ``V``, ``b_out`` by name.
    activation
        ``tanh``, ``sigmoid`` or ``relu``.
    """

    def __init__(self, backend: Backend, weights: Mapping[str, Array], activation: str) -> None:
        def load(name: str) -> Array:
            return backend.asarray(weights[name])

        self.backend, self.xp = backend, backend.xp
        self.activation = activation
        self.W_in, self.b_in = load("W_in"), load("b_in")
        layers = sum(name.startswith("W.") for name in weights)
        self.layers = [(load(f"W.{i}"), load(f"b.{i}")) for i in range(layers)]
        self.V, self.b_out = load("V"), load("b_out")
        code = min((W.shape[0] for W, _ in self.layers), default=self.V.shape[1])
        self.code = int(min(code, self.V.shape[1]))  # size of the smallest layer
        widths = [*(W.shape[0] for W, _ in self.layers), self.V.shape[1]]
        self.before = widths.index(self.code)  # layers between the first one and the code

    def first(self, rows: Rows) -> Array:
        """Return the first layer's product with sparse histories, (B, H_1)."""
        own = self.backend.own(rows)
        return self.backend.summed(self.backend.sparse_product(own, self.W_in)) + self.b_in

    def encode(self, a: Array) -> Array:
        """Return the code before its activation, from the first layer's product."""
        for W, b in self.layers[: self.before]:
            a = self.activate(a) @ W + b
        return a

    def decode(self, h: Array) -> Array:
        """Return the last hidden layer, (B, H), from the code."""
        for W, b in self.layers[self.before :]:
            h = self.activate(h @ W + b)
        return h

    def activate(self, a: Array) -> Array:
        """Apply the activation."""
        if self.activation == "tanh":
            return self.xp.tanh(a)
        if self.activation == "relu":
            return self.xp.clip(a, 0, None)
        return 0.5 * (self.xp.tanh(0.5 * a) + 1.0)  # the logistic function, which NumPy lacks

    def output(self) -> Output:
        """Return the last layer as an output layer."""
        return Output(self.backend, [OutputLayer(self.V, self.b_out, slice(None))])


def normalized(rows: Rows) -> Rows:
    """Return the rows with length 1 each."""
    squares = np.bincount(rows.row_index, rows.values**2, len(rows))
    lengths = np.sqrt(np.maximum(squares, 1e-24))
    values = (rows.values / lengths[rows.row_index]).astype(np.float32)
    return replace(rows, values=values)
