"""Values that are missing: empty, or a word that databases and pandas write in their place."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: What stands for a missing value; ``NA`` is an id like any other.
MISSING = ("", "\\N", "NULL", "null", "NaN", "nan", "None", "<NA>")
FIX = "give every row a value, or say --missing skip to leave such rows out"


def may_be_missing(ids: pa.ChunkedArray) -> bool:
    """Tell whether an id, encoded as a dictionary of texts, may be missing.

    Dictionaries from a file can have values that no row has.
    """
    return bool(ids.null_count) or any(
        chunk.dictionary.null_count > 0 or _any_word(chunk.dictionary) for chunk in ids.chunks
    )


def without_missing(table: pa.Table) -> tuple[pa.Table, int]:
    """Return the rows that have all values, and how many others there were."""
    bad = reduce(pc.or_, (_missing(column) for column in table.columns))
    count = pc.sum(bad).as_py() or 0
    return (table.filter(pc.invert(bad)), count) if count else (table, 0)


def _missing(column: pa.ChunkedArray) -> Any:
    """Return where a column of any type has no value."""
    kind = column.type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_floating(value):
        return pc.is_null(column, nan_is_null=True)
    if not pa.types.is_string(value) and not pa.types.is_large_string(value):
        return pc.is_null(column)
    texts = column.cast(value)
    return pc.or_(pc.is_null(texts), pc.is_in(texts, value_set=pa.array(MISSING, value)))


def _any_word(texts: pa.Array) -> bool:
    return bool(pc.any(pc.is_in(texts, value_set=pa.array(MISSING, texts.type))).as_py())
