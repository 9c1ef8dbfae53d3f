"""The value at a place of sorted values that come block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGIT = 16
_SHIFTS = (48, 32, 16, 0)
_SIGN = np.uint64(1 << 63)

Blocks = Callable[[], Iterator[NDArray[Any]]]


def value_at(blocks: Blocks, place: int) -> Any:
    """Return the value at a place, from 0, of all values in ascending order.

    The values are read four times: each time, the next 16 bits of the one that is sought are found.

    Parameters
    ----------
    blocks
        Yields all values, int64 or float64 without NaN, each time it is called.
    place
        Below their number.

    Examples
    --------
    >>> values = [np.array([3.5, -1.0]), np.array([0.0, -7.25])]
    >>> [float(value_at(lambda: iter(values), place)) for place in range(4)]
    [-7.25, -1.0, 0.0, 3.5]
    """
    key, kind = 0, np.dtype(np.int64)
    for shift in _SHIFTS:
        counts = np.zeros(1 << _DIGIT, np.int64)
        for values in blocks():
            kind = values.dtype
            keys = _keys(values)
            if shift != _SHIFTS[0]:
                keys = keys[keys >> np.uint64(shift + _DIGIT) == key]
            digits = (keys >> np.uint64(shift)).astype(np.uint16)
            counts += np.bincount(digits, minlength=len(counts))
        up_to = np.cumsum(counts)
        digit = int(np.searchsorted(up_to, place, side="right"))
        place -= int(up_to[digit] - counts[digit])
        key = (key << _DIGIT) | digit
    return _values(np.array([key], np.uint64), kind)[0]


def _keys(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return uint64 keys in the order of the values."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    if values.dtype == np.int64:
        return bits ^ _SIGN
    # Of negative floats, the larger bits are the lower number.
    return np.where(bits >= _SIGN, ~bits, bits ^ _SIGN)


def _values(keys: NDArray[np.uint64], kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the values of these keys."""
    if kind == np.int64:
        return (keys ^ _SIGN).view(kind)
    return np.where(keys >= _SIGN, keys ^ _SIGN, ~keys).view(kind)
