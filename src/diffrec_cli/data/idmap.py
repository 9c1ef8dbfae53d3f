"""The two-way map between a log's own ids (strings, as written) and matrix indices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from diffrec_cli.data.arrow import numbers, strings, to_numpy

_NOT_FOUND = numbers(np.array([-1], np.int32))[0]


class IdMap:
    """An ordered set of string ids; the id at position i has index i.

    Parameters
    ----------
    ids
        Distinct strings: a list, or an Arrow string array (chunked or not).

    Examples
    --------
    >>> ids = IdMap(["007", "Ärger, im Büro"])
    >>> ids.indices(["Ärger, im Büro", "7"]).tolist()
    [1, -1]
    >>> ids.at([0])
    ['007']
    """

    def __init__(self, ids: Any) -> None:
        array = strings(ids) if isinstance(ids, list) else ids
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        self.array = array.cast(pa.string())
        self._asked = False

    def __len__(self) -> int:
        return len(self.array)

    def indices(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of each id, -1 where it is unknown."""
        if self._asked:
            known = self._places
            return np.fromiter((known.get(i, -1) for i in ids), np.int64, len(ids))
        self._asked = True  # Arrow hashes all ids in every call; later calls use a dictionary
        found = pc.index_in(strings(ids), value_set=self.array)
        return to_numpy(pc.fill_null(found, _NOT_FOUND)).astype(np.int64)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {text: place for place, text in enumerate(self.array.to_pylist())}

    def at(self, indices: Any) -> list[str]:
        """Return the ids at these indices."""
        result: list[str] = self.array.take(numbers(np.asarray(indices, np.int64))).to_pylist()
        return result

    def take(self, indices: NDArray[np.int64]) -> IdMap:
        """Return the map of the ids at these indices, in that order."""
        return IdMap(self.array.take(numbers(indices)))
