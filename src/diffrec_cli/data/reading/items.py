"""Item tables, as the readers of all formats make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.errors import DataError


def item_columns(header: Sequence[str], options: ReadOptions) -> list[int]:
    """Return the candidates for the id column of an item table."""
    if options.item_col is not None and options.item_col in map(roles.base_name, header):
        return [list(map(roles.base_name, header)).index(options.item_col)]
    exact = [place for place, name in enumerate(header) if roles.normalise(name) == "id"]
    return roles.recognise(header, "item") or exact


def item_places(
    header: Sequence[str], has_header: bool, options: ReadOptions, where: str
) -> tuple[int, int | None]:
    """Return the places of the id and of the title."""
    if not has_header:
        return 0, 1 if len(header) > 1 else None
    places = item_columns(header, options)
    if len(places) == 1:
        title = roles.title_column(header)
        return places[0], title if title != places[0] else None
    found = ", ".join(repr(header[place]) for place in places or range(len(header)))
    raise DataError(
        f"{where}: {'no' if not places else len(places)} columns could be the item id: {found}",
        "rename the id column to item_id",
    )


def arrange(
    columns: Sequence[Any], names: Sequence[str], places: tuple[int, int | None]
) -> pa.Table:
    """Put id and title first and make all names distinct."""
    id_place, title_place = places
    arranged = {"id": columns[id_place]}
    if title_place is not None:
        arranged["title"] = columns[title_place]
    for place, name in enumerate(names):
        if place in places:
            continue
        unique = name = roles.base_name(name) or f"column{place + 1}"
        suffix = 2
        while unique in arranged:
            unique, suffix = f"{name}_{suffix}", suffix + 1
        arranged[unique] = columns[place]
    return pa.table(arranged)


def first_of_each_id(table: pa.Table) -> pa.Table:
    """Return the first row of each id."""
    ids = table["id"].combine_chunks()
    first = np.asarray(pc.index_in(pc.unique(ids), value_set=ids))
    return table if len(first) == len(ids) else table.take(pa.array(first))
