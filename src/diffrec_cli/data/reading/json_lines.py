"""JSON: an object a line, or a list of objects. Only the columns that have a role are kept."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from diffrec_cli.config import ReadOptions
from diffrec_cli.config.options import ROLES
from diffrec_cli.data.reading import columns as roles
from diffrec_cli.data.reading.input_file import MAX_RECORD, InputFile
from diffrec_cli.data.reading.raw_log import RawLog
from diffrec_cli.data.reading.typed import items_of_table, log_of_table
from diffrec_cli.errors import DataError

_LOOK_AT, _FIRST_OBJECTS = 64 << 10, 1_000
#: An id such as ``{6F9619FF}`` is no object.
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(\[?)\s*\{\s*[\"'}]")
_FIX = "give one JSON object a line, or CSV"


def is_json(file: InputFile, options: ReadOptions) -> bool:
    """Tell whether a file begins as JSON does: with an object, or a list of them."""
    if options.sep is not None or options.header is not None:
        return False
    return _beginning(file) is not None


def read_json_log(file: InputFile, options: ReadOptions) -> RawLog:
    """Read a log of JSON lines or of a list of objects."""
    file = _in_lines(file)
    first = _first_values(file)
    names = list(first)
    columns = roles.named_columns(names, options, file.label)
    places = {role: p for role in ROLES if (p := columns.position(role)) is not None}
    wanted = {names[place]: first[names[place]] for place in places.values()}
    numbers = {names[places[role]] for role in ("rating", "time", "weight") if role in places}
    table = _read(file, wanted, numbers)
    return log_of_table(table, names, columns, file, options)


def read_json_items(file: InputFile, options: ReadOptions, log_column: str | None) -> pa.Table:
    """Read an item table in the same forms; all values become text."""
    file = _in_lines(file)
    _first_values(file)
    return items_of_table(_read(file, None, set()), file, options, log_column)


def _beginning(file: InputFile) -> re.Match[bytes] | None:
    with file.utf8() as stream:
        return _BEGINNING.match(stream.read(_LOOK_AT))


def _in_lines(file: InputFile) -> InputFile:
    """Return the file, with a list of objects as lines; it is held in memory."""
    beginning = _beginning(file)
    if beginning is None or not beginning[1]:
        return file
    try:
        with file.text() as text:
            objects = json.load(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.label}: not a JSON list ({error})", _FIX) from error
    lines = "\n".join(map(json.dumps, objects)).encode()
    return replace(file, encoding="utf-8", rewritten=lambda _: io.BytesIO(lines))


def _first_values(file: InputFile) -> dict[str, Any]:
    """Return the first value of every name that the first objects have."""
    values: dict[str, Any] = {}
    for _, found in islice(_objects(file), _FIRST_OBJECTS):
        values |= {name: value for name, value in found.items() if values.get(name) is None}
    if not values:
        raise DataError(f"{file.label}: no objects with values", "give a file with data")
    return values


def _read(file: InputFile, wanted: dict[str, Any] | None, numbers: set[str]) -> pa.Table:
    """Read all columns, or those wanted with the types of their first values.

    Ratings and times, `numbers`, may have a fraction later where the first has none.
    """
    schemas = [None]
    if wanted is not None:
        unknown = {name for name in numbers if wanted[name] is None}
        schemas = [_schema(wanted, fractions) for fractions in (unknown, numbers)]
    for schema in schemas:
        try:
            with file.utf8() as stream:
                return pa_json.read_json(
                    stream,
                    read_options=pa_json.ReadOptions(block_size=MAX_RECORD),
                    parse_options=pa_json.ParseOptions(
                        explicit_schema=schema,
                        unexpected_field_behavior="infer" if schema is None else "ignore",
                    ),
                )
        except pa.ArrowInvalid as error:
            reason = error
    _diagnose(file, wanted)
    raise DataError(f"{file.label}: not readable as JSON lines ({reason})", _FIX)


def _schema(first: dict[str, Any], fractions: set[str]) -> pa.Schema:
    """Return the types of first values; those of `fractions` that are no text are fractions."""
    types = {name: _type(value) for name, value in first.items()}
    for name in fractions:
        if not isinstance(first[name], str):
            types[name] = pa.float64()
    return pa.schema(list(types.items()))


def _type(value: Any) -> pa.DataType:
    if isinstance(value, bool | str) or value is None:
        return pa.string()
    return pa.int64() if isinstance(value, int) else pa.float64()


def _diagnose(file: InputFile, wanted: dict[str, Any] | None) -> None:
    """Raise a DataError for the first line that is no object, or has a value of another type."""
    for where, found in _objects(file):
        for name, value in (wanted or {}).items():
            text = isinstance(found.get(name), str)
            if found.get(name) is not None and text != isinstance(value, str):
                raise DataError(
                    f"{where}: {name!r} is {found[name]!r}, and {value!r} in a line before",
                    "write it alike in every line, as text or as a number",
                )


def _objects(file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where objects are, and the objects; raise a DataError for a line of anything else."""
    with file.text() as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            where = f"{file.label}: object {number}" if file.rewritten else f"{file.label}:{number}"
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: not a JSON object", _FIX) from error
            if not isinstance(found, dict):
                raise DataError(
                    f"{where}: JSON, but not one object a line",
                    "bring it to JSON lines (jq -c '.[]'), or to CSV",
                )
            yield where, found
