"""How the log of a stored dataset was read and split, as options for another log."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset import Dataset

#: Moments of one log, which mean nothing for another.
_MOMENTS = ("since", "until", "test_from")


def read_options_of(dataset: Dataset) -> ReadOptions:
    """Return how the dataset's log was read."""
    stored = dataset.source.get("read", {})
    return ReadOptions(**{f.name: stored[f.name] for f in fields(ReadOptions) if f.name in stored})


def split_options_of(dataset: Dataset, said: SplitOptions | None) -> SplitOptions | None:
    """Return how the dataset's log was split, with what is said instead; ``None``: by default.

    Moments of that log are left out.
    """
    stored = dataset.source.get("split", {})
    kept: dict[str, Any] = {
        f.name: tuple(value) if isinstance(value := stored[f.name], list) else value
        for f in fields(SplitOptions)
        if f.name in stored and f.name not in _MOMENTS
    }
    if not kept:
        return said
    default = SplitOptions()
    changes = {
        f.name: getattr(said, f.name)
        for f in fields(SplitOptions)
        if said is not None and getattr(said, f.name) != getattr(default, f.name)
    }
    return replace(SplitOptions(**kept), **changes)
