"""The record of a prepared dataset: what it holds, and how those of older versions are read.

Before schema version 3 it had ``ordered`` instead of ``order``, before version 4 no ``chronology``,
and before version 5 all interactions were alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from diffrec_cli.config.options import ReadOptions, SplitOptions
from diffrec_cli.data.order import FILE, NONE, ORDERS, TIMES
from diffrec_cli.errors import CorruptError
from diffrec_cli.files import read_record
from diffrec_cli.shapes import NUMBER, fits

SCHEMA_VERSION = 5
#: The file of a dataset's record.
RECORD = "dataset.json"
PARTS = ("train", "valid", "test")

#: A switch or a number, of which programs may give one for the other.
_VALUE = (bool, *NUMBER)


def _said(options: type, **others: Any) -> dict[str, Any]:
    """Return the shape of recorded options: all but these are text, and none must be there.

    A column may be recorded by its position, as a text or a number.
    """
    shapes: dict[str, Any] = {
        one.name: (str, None) if one.default is None else str for one in fields(options)
    }
    shapes |= {name: (str, int, None) for name in shapes if name.endswith("_col")}
    return {f"{name}?": shape for name, shape in {**shapes, **others}.items()}


#: Where a dataset came from, as far as it is known; what reads records relies on it.
_SOURCE = {
    "files?": [str],
    "read?": _said(ReadOptions, header=(*_VALUE, None), quotes=(*_VALUE, None), skip_lines=_VALUE),
    "split?": _said(
        SplitOptions,
        min_rating=(*_VALUE, None),
        ratios=[NUMBER],
        noise_ratio=(*_VALUE, None),
        min_user_interactions=_VALUE,
        min_item_interactions=_VALUE,
        seed=_VALUE,
    ),
    "events?": {"*": int},
    "order?": str,
    "updates?": [{"file": str}],
    "item_features?": [str],
}

#: What a record holds besides its kind and schema version.
_FIELDS: Mapping[str, Any] = {
    "dataset": str,
    "setting": str,
    **dict.fromkeys(("users", "items", "interactions", *PARTS), int),
    "dropped": {"*": int},
    "order": str,
    "chronology": list,
    "content_hash": str,
    "source": _SOURCE,
}


def read_summary(directory: Path) -> dict[str, Any]:
    """Return the record of a saved dataset without the hashes of its arrays.

    Raises
    ------
    CorruptError, NewerSchemaError
        As :func:`read_dataset_record`.
    """
    return {k: value for k, value in read_dataset_record(directory).items() if k != "arrays"}


def read_dataset_record(directory: Path) -> dict[str, Any]:
    """Return the JSON record of a saved dataset.

    Raises
    ------
    CorruptError
        It is missing, or a field is missing or of another type.
    NewerSchemaError
        It was written by a newer diffrec.
    """
    path = directory / RECORD
    record = _renewed(read_record(path, kind="dataset", schema_version=SCHEMA_VERSION))
    wrong = [name for name, shape in _FIELDS.items() if not fits(record.get(name), shape)]
    if not wrong and record["order"] not in ORDERS:
        wrong = ["order"]
    if not wrong and sorted(map(str, record["chronology"])) != sorted(PARTS):
        wrong = ["chronology"]
    if wrong:
        raise CorruptError(
            f"{path}: the record is damaged ({', '.join(wrong)})",
            f"remove {directory} and prepare it again",
        )
    return record


def _renewed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with what those of older schema versions lack."""
    if record["schema_version"] < 4:
        record = {**record, "chronology": list(PARTS)}
    ordered, source = record.get("ordered"), record.get("source")
    if record["schema_version"] >= 3 or type(ordered) is not bool:
        return record
    released = isinstance(source, dict) and source.get("format") == "authors"
    rest = {key: value for key, value in record.items() if key != "ordered"}
    return {**rest, "order": (FILE if released else TIMES) if ordered else NONE}
