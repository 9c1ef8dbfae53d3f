"""Conversion of settings from Python values or the text of ``--set key=value``."""

from __future__ import annotations

import numbers
import types
import typing
from typing import Any

from diffrec_cli.errors import ConfigError


def convert(key: str, value: Any, kind: Any) -> Any:
    """Return a value as the type of a field.

    Text is parsed. A whole float is accepted as an int, and a number or a list as a tuple; a bool
    is not a number.

    Raises
    ------
    ConfigError
        The value is of another type.
    """
    text = value.strip() if isinstance(value, str) else None
    if isinstance(kind, types.UnionType):
        if value is None or (text is not None and text.lower() in ("none", "")):
            return None
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    try:
        return _typed(value, kind) if text is None else _parse(text, kind)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"--set {key}={value}: not {_describe(kind)}", f"give {_describe(kind)}"
        ) from None


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _parse(text: str, kind: Any) -> Any:
    """Parse a text; raise ValueError if it is not of this kind."""
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text.lower()]
    if kind in (int, float):
        return kind(text)
    if typing.get_origin(kind) is tuple:
        parts = [part for part in text.strip("[]() ").split(",") if part.strip()]
        return tuple(typing.get_args(kind)[0](part.strip()) for part in parts)
    return text


def _typed(value: Any, kind: Any) -> Any:
    """Convert a value that is no text; raise ValueError if it is not of this kind."""
    if typing.get_origin(kind) is tuple:
        parts = value if isinstance(value, list | tuple) else [value]
        return tuple(_typed(part, typing.get_args(kind)[0]) for part in parts)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if number and (kind is float or (kind is int and float(value).is_integer())):
        return kind(value)
    raise ValueError(value)


def _describe(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    if typing.get_origin(kind) is tuple:
        of = {int: "whole numbers", float: "numbers"}.get(typing.get_args(kind)[0], "names")
        return f"{of}, separated by commas"
    return {int: "a whole number", float: "a number"}.get(kind, "text")


def setting_text(value: Any) -> str:
    """Return a value in the words that ``--set`` takes for it.

    Examples
    --------
    >>> [setting_text(value) for value in (0.5, (200, 600), None, True, "svd")]
    ['0.5', '200,600', 'none', 'true', 'svd']
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
