"""The formats of logs and item tables, recognised by content, not by suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.adjacency import is_adjacency, read_adjacency_log
from diffrec_cli.data.reading.blocks import is_blocks, read_block_log, read_block_pieces
from diffrec_cli.data.reading.delimited import read_text_items, read_text_log, read_text_pieces
from diffrec_cli.data.reading.impressions import are_impressions, read_impressions
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.items import refuse_items
from diffrec_cli.data.reading.json_lines import is_json, read_json_items, read_json_log
from diffrec_cli.data.reading.parquet import (
    is_parquet,
    read_parquet_items,
    read_parquet_log,
    read_parquet_pieces,
)
from diffrec_cli.data.reading.raw_log import RawLog


@dataclass(frozen=True, slots=True)
class Format:
    """A format of input files."""

    name: str
    """What it is called."""
    sniff: Callable[[InputFile, ReadOptions], bool]
    """Tells whether a file has this format, with what is said of it."""
    read_log: Callable[[InputFile, ReadOptions], RawLog]
    """Reads a log."""
    read_items: Callable[[InputFile, ReadOptions, str | None], pa.Table]
    """Reads an item table, given the log's item column: strings, ``id`` first, as
    :func:`~.items.arrange` makes it."""
    read_pieces: Callable[[InputFile, ReadOptions], Iterator[RawLog]] | None = None
    """Reads a log some rows at a time, in bounded memory, as :func:`~.piecewise.pieces_of` yields
    them; ``None``: it cannot."""


TEXT = Format("text", lambda file, options: True, read_text_log, read_text_items, read_text_pieces)
ADJACENCY = Format("adjacency lists", is_adjacency, read_adjacency_log, refuse_items)
#: Every format; a file is read as the first that fits.
FORMATS: tuple[Format, ...] = (
    Format("parquet", is_parquet, read_parquet_log, read_parquet_items, read_parquet_pieces),
    Format("json lines", is_json, read_json_log, read_json_items),
    Format("impressions", are_impressions, read_impressions, refuse_items),
    Format("blocks", is_blocks, read_block_log, refuse_items, read_block_pieces),
    ADJACENCY,
    TEXT,
)


def format_of(file: InputFile, options: ReadOptions) -> Format:
    """Return the format of a file; text if no other fits."""
    return next(form for form in FORMATS if form.sniff(file, options))
