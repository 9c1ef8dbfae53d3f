"""Tables of what is known of the items: titles and anything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.delimited import (
    explain,
    first_record,
    first_row,
    is_quoted,
    read_delimited,
)
from diffrec_cli.data.reading.diagnosis import Layout, diagnose
from diffrec_cli.data.reading.input_file import Source, damage, open_source
from diffrec_cli.data.reading.parquet import parquet_ids
from diffrec_cli.errors import DataError


def read_item_table(path: str | Path, options: ReadOptions | None = None) -> pa.Table:
    """Read what is known of the items: titles and anything else.

    Parameters
    ----------
    path
        Delimited text, gzip or Parquet, with a column of item ids. In text without a
        header (the first field of the first line is a number, or the separator is
        ``::``) the first column is the id and the second the title.
    options
        Separator, encoding, header, and `item_col` if the table has that column.

    Returns
    -------
    Table of strings: ``id`` (distinct; the first row of an id counts), ``title`` if one
    is recognised, then all other columns under their own names.

    Raises
    ------
    DataError
        As :func:`~diffrec_cli.data.reading.log.read_logs`.
    """
    options = options or ReadOptions()
    with open_source(path, options.encoding) as source, damage(source):
        read = _read_parquet_items if source.is_parquet else _read_text_items
        table = read(source, options)
    return _first_of_each_id(table)


def _read_text_items(source: Source, options: ReadOptions) -> pa.Table:
    first = first_record(source, ReadOptions(item_col="id", sep=options.sep))
    fields = first.record.fields
    header = options.header
    if header is None:
        headerless = first.sep == "::" or roles.is_number(fields[0])
        header = bool(_item_columns(fields, options)) or not headerless
    quoted = is_quoted(first.sep, fields)
    places = _item_places(fields, header, options, source.label)
    names = tuple(map(roles.base_name, fields)) if header else _unnamed(len(fields))
    skip = first.record.last_line if header else 0
    layout = Layout(first.sep, quoted, len(fields), skip, Columns(names, places[0], places[0]))
    first_row(source, layout)
    try:
        table = read_delimited(source, layout, dict.fromkeys(range(len(fields)), pa.string()))
    except pa.ArrowInvalid as error:
        explain(source, layout, error)
    if pc.any(pc.equal(table.column(places[0]), "")).as_py():
        diagnose(source, layout)
    return _arrange(table.columns, names, places)


def _read_parquet_items(source: Source, options: ReadOptions) -> pa.Table:
    table = pq.read_table(source.path)
    places = _item_places(table.column_names, True, options, source.label)
    name = table.column_names[places[0]]
    ids = parquet_ids(table.column(places[0]), name, source).cast(pa.string())
    columns = [_as_strings(column) for column in table.columns]
    columns[places[0]] = ids
    return _arrange(columns, table.column_names, places)


def _item_columns(header: Sequence[str], options: ReadOptions) -> list[int]:
    """Return the candidates for the id column of an item table."""
    if options.item_col is not None and options.item_col in map(roles.base_name, header):
        return [list(map(roles.base_name, header)).index(options.item_col)]
    exact = [place for place, name in enumerate(header) if roles.normalise(name) == "id"]
    return roles.recognise(header, "item") or exact


def _item_places(
    header: Sequence[str], has_header: bool, options: ReadOptions, where: str
) -> tuple[int, int | None]:
    """Return the places of the id and of the title."""
    if not has_header:
        return 0, 1 if len(header) > 1 else None
    places = _item_columns(header, options)
    if len(places) == 1:
        title = roles.title_column(header)
        return places[0], title if title != places[0] else None
    found = ", ".join(repr(header[place]) for place in places or range(len(header)))
    raise DataError(
        f"{where}: {'no' if not places else len(places)} columns could be the item id: {found}",
        "rename the id column to item_id",
    )


def _unnamed(fields: int) -> tuple[str, ...]:
    return tuple(f"column{place + 1}" for place in range(fields))


def _arrange(
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


def _as_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, structs
        values = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])


def _first_of_each_id(table: pa.Table) -> pa.Table:
    ids = table["id"].combine_chunks()
    first = np.asarray(pc.index_in(pc.unique(ids), value_set=ids))
    return table if len(first) == len(ids) else table.take(pa.array(first))
