"""NumPy's ``.npy`` files, which may be damaged or hostile."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What NumPy's reader of headers raises, besides ValueError and OSError.
_OF_HEADERS = (EOFError, TokenError, SyntaxError, MemoryError, OverflowError, TypeError, KeyError)


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array of a file.

    The file is mapped: a header that claims more numbers than there are allocates nothing.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It cannot be read, or has no single array of plain values.
    """
    try:
        with np.errstate(over="ignore"):  # of sizes that no file has
            array = np.load(path, allow_pickle=False, mmap_mode="r")
    except FileNotFoundError:
        raise
    except (OSError, *_OF_HEADERS) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError("several arrays, not one")
    return array
