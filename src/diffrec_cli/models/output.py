"""From hidden vectors to scores: output layers that are read a block of items at a time.

Every scorer of this project ends in ``h V^T + b``, a product as wide as the catalogue. Apart from
the rest it can be computed for some of the items, so that the scores of all of them never have to
exist at once. Scores are only touched through a backend, so the lines serve NumPy and torch.
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
class Head:
    """The output layer of consecutive columns of the scores.

    Parameters
    ----------
    V
        (D, H) one row a column.
    b
        (D,) bias.
    part
        The H entries of the hidden vector that V reads.
    """

    V: Array
    b: Array
    part: slice


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive columns, all of one head.

    Parameters
    ----------
    start, stop
        Their places among all columns.
    head
        Their weights alone.
    """

    start: int
    stop: int
    head: Head


class Output:
    """Heads side by side: their rows, one after the other, are the columns of the scores.

    Parameters
    ----------
    backend
        Where the weights lie.
    heads
        One, or one for each group of items.
    items
        (|I|,) the item of each column, ascending within a head; ``None``: column i is item i.
    """

    def __init__(
        self, backend: Backend, heads: Sequence[Head], items: NDArray[np.int64] | None = None
    ) -> None:
        self.backend, self.heads, self.items = backend, tuple(heads), items
        self.n_items = sum(len(head.b) for head in heads)
        self.columns = None if items is None else np.argsort(items)  # the column of each item

    def blocks(self, width: int) -> Iterator[Block]:
        """Cut the columns into blocks of at most `width`, none across two heads."""
        first = 0
        for head in self.heads:
            for start in range(0, len(head.b), width):
                stop = min(start + width, len(head.b))
                part = Head(head.V[start:stop], head.b[start:stop], head.part)
                yield Block(first + start, first + stop, part)
            first += len(head.b)

    def scores(self, h: Array, block: Block, out: Array | None = None) -> Array:
        """Return the scores of a block, (B, H) -> (B, stop - start); into `out` if given."""
        head = block.head
        return self.backend.affine(h[:, head.part], head.V, head.b, out)

    def all_scores(self, h: Array) -> Array:
        """Return the scores of all items in the order of the items, (B, H) -> (B, |I|)."""
        parts = [self.scores(h, block) for block in self.blocks(max(1, self.n_items))]
        scores = parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts, 1)
        return scores if self.columns is None else scores[:, self.backend.asarray(self.columns)]

    def scores_at(self, h: Array, columns: Array) -> Array:
        """Return the scores of columns (B, C) of each row, (B, C); there must be one head."""
        (head,) = self.heads
        return self.backend.affine_at(h[:, head.part], head.V, head.b, columns)

    def scores_of(self, h: Array, items: NDArray[np.int64]) -> Array:
        """Return the scores of some items, (B, H) and (n,) -> (B, n)."""
        columns, first = self.columns_of(items), 0
        order, parts = [], []
        for head in self.heads:
            mine = np.flatnonzero((columns >= first) & (columns < first + len(head.b)))
            rows = self.backend.asarray(columns[mine] - first)
            parts.append(self.backend.affine(h[:, head.part], head.V[rows], head.b[rows]))
            order.append(mine)
            first += len(head.b)
        scores = parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts, 1)
        return scores[:, self.backend.asarray(np.argsort(np.concatenate(order)))]

    def shifted(self, offset: NDArray[np.float32]) -> Output:
        """Return a copy whose scores are higher by (|I|,) `offset`."""
        of_columns = self.backend.asarray(offset[self.items_of(np.arange(self.n_items))])
        heads, first = [], 0
        for head in self.heads:
            last = first + len(head.b)
            heads.append(Head(head.V, head.b + of_columns[first:last], head.part))
            first = last
        return Output(self.backend, heads, self.items)

    def narrowed(self) -> Output | None:
        """Return a copy in bfloat16, if the backend has it and there is one head."""
        if len(self.heads) > 1 or not self.backend.has_bf16:
            return None
        (head,) = self.heads
        V, b = self.backend.narrow(head.V), self.backend.narrow(head.b)
        return Output(self.backend, [Head(V, b, head.part)], self.items)

    def columns_of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the columns of some items."""
        return items if self.columns is None else self.columns[items]

    def items_of(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the items of some columns."""
        return columns if self.items is None else self.items[columns]
