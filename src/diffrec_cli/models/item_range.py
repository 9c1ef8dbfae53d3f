"""The items whose weights a process holds: one process has all, of several each may have a part.

Arrays with a row for each item then have the rows of that part alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from diffrec_cli.data.sequences import Rows


@dataclass(frozen=True, slots=True)
class ItemRange:
    """Consecutive items of a catalogue.

    Parameters
    ----------
    n_items
        |I|, of the whole catalogue.
    start, stop
        The first item, and the one after the last.

    Examples
    --------
    >>> [ItemRange.part(10, rank, 4).columns for rank in range(4)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """

    n_items: int
    start: int
    stop: int

    @staticmethod
    def whole(n_items: int) -> ItemRange:
        """Return all items."""
        return ItemRange(n_items, 0, n_items)

    @staticmethod
    def part(n_items: int, rank: int, ranks: int) -> ItemRange:
        """Return the items of one of several processes: parts differ by one item at most."""
        return ItemRange(n_items, n_items * rank // ranks, n_items * (rank + 1) // ranks)

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether these are all items."""
        return len(self) == self.n_items

    @property
    def columns(self) -> slice:
        """The items as columns of a matrix of all items."""
        return slice(self.start, self.stop)

    def own(self, rows: Rows) -> Rows:
        """Return rows with the entries of these items alone, counted from the first of them."""
        if self.is_whole:
            return rows
        mine = rows.keep((rows.items >= self.start) & (rows.items < self.stop))
        return replace(mine, items=(mine.items - self.start).astype(np.int32))
