"""Initial weights, which are the same however many processes the items are split over.

A parameter with a row for each item has an attribute ``part``, the items that it has. If only the
rows of a batch's items get a gradient, it has an attribute ``sparse``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from diffrec_cli.models.item_range import ItemRange

_GROUP = 16  # torch draws numbers in groups of so many, and a last part that is shorter in its way
_ROWS_AT_ONCE = 2**10 * _GROUP


def xavier(
    rows: int | ItemRange, columns: int, fans: int, generator: torch.Generator
) -> nn.Parameter:
    """Return a (rows, columns) parameter from N(0, 2 / fans), fans = fan_in + fan_out."""
    return _parameter(normal(rows, columns, generator) * math.sqrt(2.0 / fans), rows)


def small(size: int | ItemRange, generator: torch.Generator) -> nn.Parameter:
    """Return a (size,) bias from N(0, 0.001^2)."""
    return _parameter(normal(size, None, generator) * 0.001, size)


def zeros(items: ItemRange) -> nn.Parameter:
    """Return a bias of each item that is 0."""
    return _parameter(torch.zeros(len(items)), items)


def read_sparsely(parameter: nn.Parameter) -> nn.Parameter:
    """Mark a parameter of which a batch reads the rows of its items alone."""
    parameter.sparse = True  # type: ignore[attr-defined]
    return parameter


def parts_of(model: nn.Module) -> dict[str, ItemRange]:
    """Return which items the parameters with a row for each item have, by their names."""
    named = ((name, getattr(p, "part", None)) for name, p in model.named_parameters())
    return {name: part for name, part in named if part is not None}


def _parameter(values: Tensor, rows: int | ItemRange) -> nn.Parameter:
    parameter = nn.Parameter(values)
    if isinstance(rows, ItemRange):
        parameter.part = rows  # type: ignore[attr-defined]
    return parameter


def normal(rows: int | ItemRange, columns: int | None, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers, (rows, columns) or (rows,).

    A part of the items gets what it would have of all, and the generator is left as after all.
    """
    rows = ItemRange.whole(rows) if isinstance(rows, int) else rows
    shape: Any = () if columns is None else (columns,)
    if rows.is_whole:
        return torch.randn(rows.n_items, *shape, generator=generator)
    out = torch.empty(len(rows), *shape)
    for start in range(0, rows.n_items, _ROWS_AT_ONCE):
        if start > 0 and rows.n_items - start < _GROUP:
            break  # drawn with those before
        stop = start + _ROWS_AT_ONCE
        stop = rows.n_items if rows.n_items - stop < _GROUP else stop
        drawn = torch.randn(stop - start, *shape, generator=generator)
        first, last = max(start, rows.start), min(stop, rows.stop)
        if first < last:
            out[first - rows.start : last - rows.start] = drawn[first - start : last - start]
    return out
