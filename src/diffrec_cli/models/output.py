"""Output layers, from hidden vectors to scores.

Most scorers end in ``h V^T + b``, a product as wide as the catalogue. Ranking computes it for a
block of items at a time, so the scores of all items are never in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.models.backend import Backend

Array = Any  # np.ndarray or torch.Tensor


@dataclass(frozen=True, slots=True)
class OutputLayer:
    """A linear layer that gives some consecutive columns of the scores.

    Parameters
    ----------
    V
        (D, H) one row for each column.
    b
        (D,) bias.
    reads
        The H entries of the hidden vector that V reads.
    """

    V: Array
    b: Array
    reads: slice


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive columns, all of one layer.

    Parameters
    ----------
    start, stop
        First column, and the one after the last.
    layer
        The part of the layer for these columns.
    """

    start: int
    stop: int
    layer: OutputLayer


class Output:
    """Layers side by side: their rows, in order, are the columns of the scores.

    Parameters
    ----------
    backend
        Where the weights are.
    layers
        One, or one for each group of items.
    items
        (|I|,) item of each column, ascending within a layer; ``None`` if column i is item i.
    """

    def __init__(
        self,
        backend: Backend,
        layers: Sequence[OutputLayer],
        items: NDArray[np.int64] | None = None,
    ) -> None:
        self.backend, self.layers, self.items = backend, tuple(layers), items
        self.n_items = sum(len(layer.b) for layer in layers)
        self.columns = None if items is None else np.argsort(items)  # the column of each item

    def blocks(self, width: int) -> Iterator[Block]:
        """Cut the columns into blocks of at most `width`, none across two layers."""
        first = 0
        for layer in self.layers:
            for start in range(0, len(layer.b), width):
                stop = min(start + width, len(layer.b))
                some = OutputLayer(layer.V[start:stop], layer.b[start:stop], layer.reads)
                yield Block(first + start, first + stop, some)
            first += len(layer.b)

    def scores(self, h: Array, block: Block, out: Array | None = None) -> Array:
        """Return the scores of a block, (B, H) -> (B, stop - start); into `out` if given."""
        layer = block.layer
        return self.backend.affine(h[:, layer.reads], layer.V, layer.b, out)

    def all_scores(self, h: Array) -> Array:
        """Return the scores of all items in the order of the items, (B, H) -> (B, |I|)."""
        parts = [self.scores(h, block) for block in self.blocks(max(1, self.n_items))]
        scores = parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts, 1)
        return scores if self.columns is None else scores[:, self.backend.asarray(self.columns)]

    def scores_at(self, h: Array, columns: Array) -> Array:
        """Return each row's scores of its columns, (B, C) -> (B, C); there must be one layer."""
        (layer,) = self.layers
        return self.backend.affine_at(h[:, layer.reads], layer.V, layer.b, columns)

    def scores_of(self, h: Array, items: NDArray[np.int64]) -> Array:
        """Return the scores of some items, (B, H) and (n,) -> (B, n)."""
        columns, first = self.columns_of(items), 0
        order, parts = [], []
        for layer in self.layers:
            mine = np.flatnonzero((columns >= first) & (columns < first + len(layer.b)))
            rows = self.backend.asarray(columns[mine] - first)
            parts.append(self.backend.affine(h[:, layer.reads], layer.V[rows], layer.b[rows]))
            order.append(mine)
            first += len(layer.b)
        scores = parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts, 1)
        return scores[:, self.backend.asarray(np.argsort(np.concatenate(order)))]

    def shifted(self, offset: NDArray[np.float32]) -> Output:
        """Return a copy that adds `offset`, (|I|,), to the scores."""
        of_columns = self.backend.asarray(offset[self.items_of(np.arange(self.n_items))])
        layers, first = [], 0
        for layer in self.layers:
            last = first + len(layer.b)
            layers.append(OutputLayer(layer.V, layer.b + of_columns[first:last], layer.reads))
            first = last
        return Output(self.backend, layers, self.items)

    def narrowed(self) -> Output | None:
        """Return a copy in bfloat16, if the backend has it and there is one layer."""
        if len(self.layers) > 1 or not self.backend.has_bf16:
            return None
        (layer,) = self.layers
        V, b = self.backend.narrow(layer.V), self.backend.narrow(layer.b)
        return Output(self.backend, [OutputLayer(V, b, layer.reads)], self.items)

    def columns_of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the columns of some items."""
        return items if self.columns is None else self.columns[items]

    def items_of(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the items of some columns."""
        return columns if self.items is None else self.items[columns]
