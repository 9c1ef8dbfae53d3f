"""Ids as numbers, by their first appearance in a log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.data.arrow import strings
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.raw_log import ID_TYPE


def codes(columns: Sequence[pa.ChunkedArray]) -> tuple[NDArray[np.int32], IdMap]:
    """Join encoded ids into (n,) int32 codes, numbered by first appearance."""
    chunks = [chunk for column in columns for chunk in column.chunks if len(chunk)]
    unified = pa.chunked_array(chunks, ID_TYPE).unify_dictionaries()
    ids = unified.chunk(0).dictionary
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in unified.chunks])
    if _by_appearance(unified, len(ids)):
        return codes, IdMap(ids)
    # Parquet's dictionaries may have any order, and values that no row has.
    first = np.full(len(ids), len(codes))
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last assignment stays
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(codes))]
    renumbered = np.zeros(len(ids), np.int32)
    renumbered[order] = np.arange(len(order), dtype=np.int32)
    return renumbered[codes], IdMap(ids.take(pa.array(order)))


def _by_appearance(encoded: pa.ChunkedArray, count: int) -> bool:
    """Tell whether codes are numbered by first appearance, and all are used."""
    largest = -1
    for chunk in encoded.chunks:
        codes = np.asarray(chunk.indices)
        before = np.maximum.accumulate(np.append(np.int32(largest), codes[:-1]))
        if np.any(codes > np.maximum(before, largest) + 1):
            return False
        largest = max(largest, int(codes.max()))
    return largest == count - 1


class GrowingIds:
    """Ids of a log whose rows come some at a time, numbered by first appearance."""

    def __init__(self) -> None:
        self._array = strings([])

    def codes(self, columns: Sequence[pa.ChunkedArray]) -> NDArray[np.int32]:
        """Return the (n,) int32 codes of the next rows' encoded ids; new ones get the next."""
        own, ids = codes(columns)
        places = pc.index_in(ids.array, value_set=self._array)
        new = np.asarray(pc.is_null(places))
        of_each = np.asarray(pc.fill_null(places, 0)).astype(np.int32)
        of_each[new] = len(self._array) + np.arange(np.count_nonzero(new), dtype=np.int32)
        self._array = pa.concat_arrays([self._array, ids.array.filter(pa.array(new))])
        return of_each[own]

    @property
    def ids(self) -> IdMap:
        """All ids so far."""
        return IdMap(self._array)
