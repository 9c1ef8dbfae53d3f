"""SASRec's network on NumPy or torch, and its scorer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.comparators import SASRecConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, ages
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.output import Output, OutputLayer

Array = Any  # np.ndarray or torch.Tensor

_EPSILON = 1e-6
_HIDDEN = -1e9  # attention to what is not to be seen
#: Numbers of the attention that are in memory at a time, at inference.
_CELLS = 2**24


def aligned(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return histories that end in the last column: items, (B, L), and where there is one."""
    longest = max(1, int(np.diff(rows.indptr).max(initial=0)))
    items = np.zeros((len(rows), longest), np.int64)
    present = np.zeros(items.shape, bool)
    at = rows.row_index, longest - 1 - ages(rows.indptr)
    items[at], present[at] = rows.items, True
    return items, present


def encoded(
    config: SASRecConfig,
    weights: Mapping[str, Array],
    items: NDArray[np.int64],
    present: NDArray[np.bool_],
    backend: Backend,
    drop: Callable[[Array], Array] = lambda x: x,
) -> Array:
    """Return the state at every place, (B, L, d), which has read all up to there.

    Parameters
    ----------
    config
        Layers and heads.
    weights
        ``E`` (|I|, d), ``P`` (length, d) embeddings of places, and the layers'.
    items, present
        (B, L), see :func:`aligned`.
    backend
        Where the weights are.
    drop
        Dropout.
    """
    length, d = items.shape[1], config.dim
    places = weights["P"][len(weights["P"]) - length :]
    some = backend.asarray(present[:, :, None].astype(np.float32))
    x = drop(weights["E"][backend.asarray(items)] * math.sqrt(d) + places) * some
    seen = np.tril(np.ones((length, length), bool)) & present[:, None, :]
    barred = backend.asarray(np.where(seen, 0.0, _HIDDEN).astype(np.float32))[:, None]
    for i in range(config.layers):
        layer = {name: weights[f"{name}.{i}"] for name in LAYER}
        y = _normed(x, layer["g_1"], layer["c_1"], backend)
        x = x + drop(_attention(y, layer, barred, config.heads, backend))
        y = _normed(x, layer["g_2"], layer["c_2"], backend) @ layer["W_1"] + layer["b_1"]
        y = drop(backend.xp.clip(y, 0, None)) @ layer["W_2"] + layer["b_2"]
        x = (x + drop(y)) * some
    return _normed(x, weights["g"], weights["c"], backend)


#: Names of the weights of a layer: two norms, the attention, and two linear maps.
LAYER = ("g_1", "c_1", "g_2", "c_2", "W_q", "W_k", "W_v", "W_o", "W_1", "b_1", "W_2", "b_2")


def _normed(x: Array, scale: Array, shift: Array, backend: Backend) -> Array:
    x = x - x.mean(-1)[..., None]
    return x / backend.xp.sqrt((x * x).mean(-1)[..., None] + _EPSILON) * scale + shift


def _attention(
    x: Array, layer: Mapping[str, Array], barred: Array, heads: int, backend: Backend
) -> Array:
    """Return what each place reads from those before it and itself, (B, L, d)."""
    B, length, d = x.shape
    xp, shape = backend.xp, (B, length, heads, d // heads)
    q, k, v = (
        xp.swapaxes((x @ layer[name]).reshape(shape), 1, 2) for name in ("W_q", "W_k", "W_v")
    )
    read = _weighted(q, k, v, barred, backend)
    return xp.swapaxes(read, 1, 2).reshape((B, length, d)) @ layer["W_o"]


def _weighted(q: Array, k: Array, v: Array, barred: Array, backend: Backend) -> Array:
    """Return means of v, (B, heads, L, d), weighted by the softmax of q k + barred."""
    xp = backend.xp
    if xp is np:
        logits = q @ xp.swapaxes(k, 2, 3) / math.sqrt(q.shape[3]) + barred
        share = np.exp(logits - np.amax(logits, -1, keepdims=True))
        return (share / share.sum(-1, keepdims=True)) @ v
    attention = xp.nn.functional.scaled_dot_product_attention
    if q.device.type != "cpu":
        return attention(q, k, v, attn_mask=barred)
    with xp.autocast("cpu", enabled=False):  # there bfloat16 takes twice as long
        return attention(q.float(), k.float(), v.float(), attn_mask=barred)


class SASRecScorer:
    """Scores the next item.

    Parameters
    ----------
    config, weights, backend
        As in :func:`~diffrec_cli.models.scorer.build_scorer`.
    """

    def __init__(self, config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> None:
        self.backend = backend
        self.settings = config.settings(SASRecConfig)
        self.weights = {name: backend.asarray(array) for name, array in weights.items()}
        E = self.weights["E"]
        no_bias = backend.asarray(np.zeros(len(E), np.float32))
        self.output = Output(backend, [OutputLayer(E, no_bias, slice(None))])
        self.n_items = self.output.n_items

    def hidden(self, rows: Rows) -> Array:
        """Return the state after the last item of each history, (B, d)."""
        items, present = aligned(rows.newest(self.settings.length))
        step = max(1, _CELLS // (self.settings.heads * items.shape[1] ** 2))
        parts = []
        for i in range(0, len(items), step):
            some = items[i : i + step], present[i : i + step]
            parts.append(encoded(self.settings, self.weights, *some, self.backend)[:, -1])
        return parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts, 0)

    def scores(self, rows: Rows) -> Array:
        """Return the scores of all items, (B, |I|)."""
        return self.output.all_scores(self.hidden(rows))
