"""Item tables, as the readers of all formats make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.errors import DataError


def item_columns(header: Sequence[str], options: ReadOptions, log_column: str | None) -> list[int]:
    """Return the candidates for the id column of an item table.

    A column that is given counts, then ``item_id`` and its like; where several could be the id,
    that of the log's own name. ``id`` is the last resort.
    """
    names = list(map(roles.base_name, header))
    if options.item_col is not None:
        return [place for place, name in enumerate(names) if name == options.item_col]
    places = roles.recognise(header, "item")
    if len(places) > 1 and log_column in names:
        return [names.index(log_column)]
    return places or [place for place, name in enumerate(header) if roles.normalise(name) == "id"]


def item_places(
    header: Sequence[str], options: ReadOptions, log_column: str | None, where: str
) -> tuple[int, int | None]:
    """Return the places of the id and of the title."""
    places = item_columns(header, options, log_column)
    if len(places) == 1:
        title = roles.title_column(header)
        return places[0], title if title != places[0] else None
    found = ", ".join(repr(header[place]) for place in places or range(len(header)))
    if options.item_col is not None:
        what = f"{len(places) or 'no'} columns are called {options.item_col!r}: {found}"
    else:
        what = f"{len(places) or 'no'} columns could be the item id: {found}"
    raise DataError(f"{where}: {what}", "say which one is with --item-id-col")


def places_without_names(columns: int, options: ReadOptions, where: str) -> tuple[int, int | None]:
    """Return the places of the id and of the title where columns have no names.

    The id is the first, or at the position that is given, from 1; the title is the first other one.
    """
    given = options.item_col or "1"
    if not given.isdecimal() or not 1 <= int(given) <= columns:
        raise DataError(
            f"{where}: there is no column {given!r}; without a header it has {columns}",
            f"give --item-id-col a position from 1 to {columns}",
        )
    place = int(given) - 1
    return place, next((other for other in range(columns) if other != place), None)


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


def refuse_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Raise a :class:`DataError`: the format of the file is that of a log alone."""
    raise DataError(
        f"{file.label}: a log, not a table of items", "give a column of ids and one of titles"
    )


def match_in_words(ids: Any, table: pa.Table) -> str:
    """Return how many items have a row in the table, and why others may have none; "" if all have.

    Parameters
    ----------
    ids
        (items,) strings, those of the log.
    table
        With a column ``id``.

    Examples
    --------
    >>> match_in_words(pa.array(["10.0", "11.0"]), pa.table({"id": ["10", "11"]}))
    "rows for 0 of 2 items; 2 more would match without .0 at the end ('10.0', '11.0')"
    """
    written = table["id"].combine_chunks()
    found = np.asarray(pc.is_in(ids, value_set=written.cast(ids.type)))
    if found.all():
        return ""
    missing = ids.filter(pa.array(~found))
    said = f"rows for {int(found.sum()):,} of {len(ids):,} items"
    for difference, pattern in _DIFFERENCES.items():
        plain, known = (pc.replace_substring_regex(of, pattern, "") for of in (missing, written))
        alike = np.asarray(pc.is_in(plain, value_set=known.cast(plain.type)))
        if alike.any():
            shown = ", ".join(map(repr, missing.filter(pa.array(alike))[:2].to_pylist()))
            return f"{said}; {int(alike.sum()):,} more would match without {difference} ({shown})"
    return said


#: What ids of a log and of its items may differ by.
_DIFFERENCES = {
    ".0 at the end": r"\.0+$",
    "zeros at the beginning": r"^0+",
    "spaces around": r"^\s+|\s+$",
}
