"""Fields of settings: checked, and converted from the text of ``--set key=value``."""

from __future__ import annotations

import types
import typing
from typing import Any

from diffrec_cli.errors import ConfigError


def convert(key: str, value: Any, kind: Any) -> Any:
    """Convert text to the type of a field; other values pass."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    text = value.strip()
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", ""):
            return None
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    try:
        return _parse(text, kind)
    except ValueError:
        raise ConfigError(
            f"--set {key}={value}: not {_describe(kind)}", f"give {_describe(kind)}"
        ) from None


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _parse(text: str, kind: Any) -> Any:
    """Return the value of a text; raise ValueError if it is none of that kind."""
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text.lower()]
    if kind in (int, float):
        return kind(text)
    if typing.get_origin(kind) is tuple:
        parts = [part for part in text.strip("[]() ").split(",") if part.strip()]
        return tuple(typing.get_args(kind)[0](part) for part in parts)
    return text


def _describe(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    if typing.get_origin(kind) is tuple:
        return "whole numbers, separated by commas"
    return {int: "a whole number", float: "a number"}.get(kind, "text")


def check(holds: bool, name: str, value: Any, expected: str) -> None:
    """Raise a :class:`ConfigError` that names the field unless the condition holds."""
    if not holds:
        given = "" if value is None else f" = {value}"
        raise ConfigError(f"{name}{given} is out of range", f"{name} must be {expected}")


def choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a :class:`ConfigError` unless the value is one of those allowed."""
    check(value in allowed, name, value, " or ".join(allowed))
