"""The rule of ``--variant auto``: which models may be chosen for a log, in which order.

The order matters twice: the first is taken where there is no time to try others, and where the
valid part does not separate two, the earlier one is taken. Both were decided on valid alone;
``examples/reproduce/README.md`` keeps the versions of this rule and their figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from diffrec_cli.catalogue.rows import Values
from diffrec_cli.catalogue.sizes import MANY
from diffrec_cli.config.graphs import FACTORS, FILTER, RIDGE, SHARPENING

#: The name of a variant that is chosen by the log.
AUTO = "auto"


@dataclass(frozen=True)
class Candidate:
    """A model that may be chosen.

    Parameters
    ----------
    variant
        Its name.
    values
        Settings that replace those of the preset ``auto``.
    setting
        What is special about these settings, in a few words.
    simple
        Whether it is no diffusion: it is tried, but taken only if any model may be.
    """

    variant: str
    values: Values = field(default_factory=dict)
    setting: str = ""
    simple: bool = False

    def __str__(self) -> str:
        """Return a name for people."""
        return f"{self.variant} ({self.setting})" if self.setting else self.variant


_SHARED_EMBEDDINGS = Candidate(
    "t+masking+graph",
    {"temperature": 0.2, "half_lives": (0.5, 2.0, 8.0), "dim": 512},
    "shared embeddings",
)
_CONFIDENT = "confidence 20"


def candidates(*, ordered: bool, users: int) -> tuple[Candidate, ...]:
    """Return the models to choose from, in the order of the rule.

    Masking comes first where the rows have an order, and smoothing where they have none. Item
    graphs are in the output of each, with weights that are found on valid.

    Parameters
    ----------
    ordered
        Whether the rows of a user stand in an order of time.
    users
        Number of users.
    """
    return (*(_in_order() if ordered else _without_order(users)), *_simple(ordered))


def _in_order() -> tuple[Candidate, ...]:
    return (
        Candidate("t+masking+graph"),
        _SHARED_EMBEDDINGS,
        Candidate("t+smoothing+graph"),
        Candidate("base+smoothing+graph"),
    )


def _without_order(users: int) -> tuple[Candidate, ...]:
    plain = Candidate("base+smoothing+graph")
    values: Values = {"confidence": 20.0}
    if users >= MANY:
        confident = Candidate(plain.variant, values, _CONFIDENT)
        return confident, plain, Candidate("base+masking+graph")
    confident = Candidate(plain.variant, {**values, "lr": 3e-3}, _CONFIDENT)
    return plain, confident, Candidate("base+masking+graph")


def _simple(ordered: bool) -> tuple[Candidate, ...]:
    if ordered:
        graphs, ease = Candidate("graph-t", simple=True), Candidate("ease-t", simple=True)
    else:
        parts = (FILTER, SHARPENING, RIDGE, FACTORS)
        graphs = Candidate("graph", {"parts": parts}, "with factors", simple=True)
        ease = Candidate("ease", simple=True)
    return graphs, ease, Candidate("ials", simple=True)
