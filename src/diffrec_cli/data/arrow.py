"""Arrow arrays made from buffers.

``pyarrow.array`` would import pandas, which is too slow for a single user's list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def strings(texts: Sequence[str]) -> Any:
    """Return texts as an Arrow string array.

    Examples
    --------
    >>> strings(["a", "", "Ärger"]).to_pylist()
    ['a', '', 'Ärger']
    """
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers).cast(pa.string())


def numbers(array: NDArray[Any]) -> Any:
    """Return a one-dimensional array of numbers as an Arrow array of the same type."""
    contiguous = np.ascontiguousarray(array)
    kind = pa.from_numpy_dtype(contiguous.dtype)
    return pa.Array.from_buffers(kind, len(contiguous), [None, pa.py_buffer(contiguous)])


def to_numpy(array: Any) -> NDArray[Any]:
    """Return an Arrow array of numbers without nulls as a NumPy array over the same memory."""
    _, values = array.buffers()
    whole = np.frombuffer(values, array.type.to_pandas_dtype())
    return whole[array.offset : array.offset + len(array)]


def read_parquet(path: Path) -> pa.Table:
    """Read a whole Parquet file; ``read_table`` would import Arrow's dataset machinery first."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read()
