"""Settings of sums of item graphs, and of a trained model with them in its output.

Settings that are ``None`` are found on the valid part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from diffrec_cli.config.checks import (
    FINITE,
    POSITIVE,
    NonNegative,
    Positive,
    Rate,
    Settings,
    Size,
    check,
)

LEARNED, FILTER, SHARPENING, RIDGE, LOW_PASS, FACTORS, TRANSITIONS, REPEAT = (
    "learned",
    "filter",
    "sharpening",
    "ridge",
    "low_pass",
    "factors",
    "transitions",
    "repeat",
)
#: End of the name of a trained model with item graphs in its output.
WITH_GRAPH = "graph"

Found = Annotated[float | None, FINITE]


@dataclass(frozen=True)
class GraphSum(Settings):
    """A sum of item graphs in the output of a trained model."""

    known: ClassVar[tuple[str, ...]] = (
        *(LEARNED, FILTER, SHARPENING, RIDGE, LOW_PASS, FACTORS),
        REPEAT,
    )
    """Parts that there may be."""

    parts: tuple[str, ...] = (LEARNED, FILTER, SHARPENING, RIDGE, FACTORS)
    """Which parts are summed: learned (the trained model), filter (two sparse products), sharpening
    (the filter of the filter's scores, mostly taken away), ridge (each item from its neighbours),
    low_pass (leading singular vectors), factors (a diffusion that restores masked interactions,
    fitted in closed steps), transitions (what follows what), repeat (the history itself, for
    lists of what was bought before; a log of kept repeats has it without being asked)."""
    weights: tuple[float, ...] | None = None
    """Weight of each part, in units of its deviation over items."""
    p: Found = None
    """Filter: half the power by which active users count less."""
    q_in: Found = None
    """Filter: the power by which popular items of a history count less."""
    q_out: Found = None
    """Filter: the power by which popular items are scored less; may be below 0."""
    neighbours: Size = 150
    """Ridge: number of items that predict an item."""
    ridge_lambda: Annotated[float | None, POSITIVE] = None
    """Ridge: weight of the penalty; ``None`` is four times the mean of the Gram matrix's
    diagonal."""
    user_exponent: Annotated[float, FINITE] = -0.25
    """Ridge: users are weighted by their degree to this power."""
    low_pass_rank: Size = 128
    """Low-pass: number of singular vectors."""
    factors_rank: Size = 256
    """Factors: numbers an item."""
    factors_fits: Size = 3
    """Factors: number of fits, each with masks of its own, whose scores are averaged."""
    factors_alpha_0: NonNegative = 0.003
    """Factors: weight of an item as a missing interaction; an interaction has weight 1."""
    factors_lambda: Positive = 1.0
    """Factors: weight of the penalty."""
    factors_mask: Rate = 0.4
    """Factors: share of a history that is masked in training."""
    factors_kept_weight: Positive = 0.5
    """Factors: weight in training of an interaction that is not masked; a masked one has 1."""
    factors_sweeps: Size = 5
    """Factors: how often users and items are solved."""

    def __post_init__(self) -> None:
        """Check the parts and that there are as many weights."""
        super().__post_init__()
        unknown = [part for part in self.parts if part not in self.known]
        words = f"some of {', '.join(self.known)}, each once"
        right = self.parts and not unknown and len(set(self.parts)) == len(self.parts)
        check(bool(right), "parts", ",".join(self.parts), words)
        fits = self.weights is None or len(self.weights) == len(self.parts)
        check(fits, "weights", self.weights, f"one for each of {', '.join(self.parts)}")
        given = self.weights or (1.0,)
        finite = all(map(math.isfinite, given)) and any(given)
        check(finite, "weights", self.weights, "finite numbers, not all of them 0")


@dataclass(frozen=True)
class OrderedGraphSum(GraphSum):
    """A sum of item graphs that read order, in the output of a trained model that reads it."""

    known: ClassVar[tuple[str, ...]] = (*GraphSum.known, TRANSITIONS)

    parts: tuple[str, ...] = (LEARNED, FILTER, SHARPENING, RIDGE, TRANSITIONS)
    half_life: Annotated[float | None, POSITIVE] = None
    """All but transitions: the age, in interactions, at which one counts half; ``None``: found on
    valid."""
    places: Size = 5
    """Transitions: largest gap between two items."""
