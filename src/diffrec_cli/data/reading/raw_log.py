"""One file's part of a log, as the readers of all formats return it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.times import Times
from diffrec_cli.errors import DataError

#: Ids in memory: an int32 code a row, each distinct string once a chunk.
ID_TYPE = pa.dictionary(pa.int32(), pa.string())


class NoRowsError(DataError):
    """A file has the columns of a log, and no rows: a part of a directory may have none."""

    def __init__(self, label: str) -> None:
        super().__init__(f"{label}: a header but no rows", "give a file with data")


@dataclass(frozen=True, slots=True)
class RawLog:
    """One file's rows, before the ids of all files are numbered together.

    Parameters
    ----------
    label
        How messages call the file.
    user, item
        (n,) ids of :data:`ID_TYPE`, chunk by chunk.
    rating
        (n,) float32, checked, or ``None``.
    times
        (n,) timestamps, or ``None``.
    events
        (n,) kinds of events of :data:`ID_TYPE`, if they are read.
    weight
        (n,) float32 counts of 0 or more, if there is a column of them.
    columns
        Which column was taken for what.
    header
        Whether the columns have names of their own.
    missing
        Rows that were left out for a missing value.
    notes
        Other decisions worth telling, without the file's label.
    """

    label: str
    user: pa.ChunkedArray
    item: pa.ChunkedArray
    rating: NDArray[np.float32] | None
    times: Times | None
    columns: Columns
    header: bool = True
    missing: int = 0
    notes: tuple[str, ...] = ()
    events: pa.ChunkedArray | None = None
    weight: NDArray[np.float32] | None = None

    def without_rows(self) -> RawLog:
        """Return what is known of the file, without its rows."""

        def none_of(values: Any) -> Any:
            return None if values is None else values[:0]

        times = self.times
        return replace(
            self,
            user=self.user[:0],
            item=self.item[:0],
            rating=none_of(self.rating),
            times=None if times is None else replace(times, values=times.values[:0]),
            events=none_of(self.events),
            weight=none_of(self.weight),
            missing=0,
        )
