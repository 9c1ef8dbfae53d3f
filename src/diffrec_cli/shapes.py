"""What a JSON value is to look like, and whether it does.

A shape is a type, ``None``, or made of shapes: a tuple of alternatives, a list of the one that all
entries have, or a mapping. There a key that ends in ``?`` may be missing, ``*`` is every key, and
keys that are not named may have anything.
"""

from __future__ import annotations

from typing import Any

#: JSON does not tell 1 from 1.0.
NUMBER = (int, float)


def fits(value: Any, shape: Any) -> bool:
    """Tell whether a value has a shape; a truth value is no number.

    Examples
    --------
    >>> shape = {"files?": [str], "rating": (*NUMBER, None)}
    >>> [fits(value, shape) for value in ({"rating": None}, {"rating": 4, "files": [7]}, {}, [])]
    [True, False, False, False]
    """
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_has(value, *entry) for entry in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(entry, shape[0]) for entry in value)
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    return value is None if shape is None else type(value) is shape


def _has(values: dict[str, Any], key: str, shape: Any) -> bool:
    """Tell whether a mapping has what a key of its shape says."""
    if key == "*":
        return all(fits(value, shape) for value in values.values())
    name = key.removesuffix("?")
    return fits(values[name], shape) if name in values else name != key
