"""Events that a workflow sends to its listener, which renders them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """One line worth knowing; not an error."""

    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One line about what failed while the work goes on; shown even when quiet."""

    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions before long work, in one line and as values."""

    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of a stage.

    Parameters
    ----------
    stage
        What is being done, in two or three words.
    done, total
        Units done, and in all (``None``: unknown); ``done == total`` ends the stage.
    unit
        Name of the units.
    """

    stage: str
    done: int
    total: int | None
    unit: str = "users"


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch has been trained and perhaps validated.

    Parameters
    ----------
    epoch
        From 1.
    loss, metrics
        Training loss; metrics on the valid part, if it was validated.
    best, best_value
        Whether it is the best so far; the best Recall@20 so far.
    users_per_second
        Training speed.
    epochs_left
        Epochs until training ends, if no epoch is better.
    """

    epoch: int
    loss: float
    metrics: Mapping[str, float]
    best: bool
    best_value: float
    users_per_second: float
    epochs_left: int


Event = Note | Fault | Plan | Step | EpochDone
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event."""


def progress_only(listener: Listener) -> Listener:
    """Pass on progress alone: the notes of a single fit tell nothing where there are many."""

    def hear(event: Event) -> None:
        if isinstance(event, Step | EpochDone):
            listener(event)

    return hear
