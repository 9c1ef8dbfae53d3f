"""Ranges of settings, in the type of each field and checked for all."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from diffrec_cli.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """The allowed values of a setting.

    Parameters
    ----------
    words
        The range in words, for messages.
    holds
        Whether a value is in the range.
    """

    words: str
    holds: Callable[[Any], bool]


POSITIVE = Range("above 0", lambda value: value > 0)
AT_LEAST_0 = Range("0 or more", lambda value: value >= 0)
WHOLE = Range("0 or more, and below 2**31", lambda value: 0 <= value < 2**31)
AT_LEAST_1 = Range("1 or more, and below 2**31", lambda value: 1 <= value < 2**31)
FRACTION = Range("0 or more and below 1", lambda value: 0 <= value < 1)
SIZES = Range(
    "one or more sizes of 1 or more, and below 2**31",
    lambda sizes: len(sizes) > 0 and 1 <= min(sizes) <= max(sizes) < 2**31,
)
NO_OR_SIZES = Range(
    "sizes of 1 or more, and below 2**31", lambda sizes: all(1 <= d < 2**31 for d in sizes)
)
FINITE = Range("a finite number", math.isfinite)
SEED = Range("0 to 2**63 - 1", lambda value: 0 <= value < 2**63)

Rate = typing.Annotated[float, FRACTION]
Positive = typing.Annotated[float, POSITIVE]
NonNegative = typing.Annotated[float, AT_LEAST_0]
Size = typing.Annotated[int, AT_LEAST_1]
Count = typing.Annotated[int, WHOLE]
Sizes = typing.Annotated[tuple[int, ...], SIZES]


def between(low: float, high: float) -> Range:
    """Return the range from `low` to `high`, both included."""
    return Range(f"{low:g} to {high:g}", lambda value: low <= value <= high)


@dataclass(frozen=True)
class Settings:
    """A group of settings: each field is checked by its type's :class:`Range` or choices."""

    def __post_init__(self) -> None:
        """Raise a :class:`ConfigError` that names the first invalid field."""
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]  # a class is hashable
            value = getattr(self, name)
            if (allowed := _choices(hint)) and value is not None:
                check(value in allowed, name, value, " or ".join(allowed))
            for limit in getattr(hint, "__metadata__", ()):
                empty = value is None
                holds = _optional(hint) if empty else limit.holds(value)
                check(holds, name.rstrip("_"), "none" if empty else value, limit.words)


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the values of a ``Literal``, or of a ``Literal | None``."""
    for kind in (hint, *typing.get_args(hint)):
        if typing.get_origin(kind) is typing.Literal:
            return typing.get_args(kind)
    return ()


def _optional(hint: Any) -> bool:
    """Return whether a field of ``Annotated[T | None, ...]`` may be empty."""
    return type(None) in typing.get_args(typing.get_args(hint)[0])


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields by name."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def check(holds: bool, name: str, value: Any, expected: str) -> None:
    """Raise a :class:`ConfigError` that names the field unless the condition holds."""
    if not holds:
        given = "" if value is None else f" = {value}"
        raise ConfigError(f"{name}{given} is out of range", f"{name} must be {expected}")
