"""What the settings of every model and of every corruption have in common, and which are known.

The classes themselves stand in :mod:`diffrec_cli.catalogue`, beside the rows of their models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diffrec_cli.config.checks import Settings

#: The paper's corruption.
GAUSSIAN = "gaussian"
#: Ends the name of a model that is not DiffRec when its input is weighted by order.
RECENT = "-t"


@dataclass(frozen=True)
class Comparator(Settings):
    """Settings of a model other than DiffRec."""

    model: ClassVar[str]
    """Name of the model."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Shared groups of settings that it reads: ``training`` if it is trained, and others."""
    weighted: ClassVar[bool] = True
    """Whether it reads values of the input, so that recency weights mean something to it."""


@dataclass(frozen=True)
class CorruptionConfig(Settings):
    """Settings of a corruption other than the paper's, and of the denoiser that goes with it."""

    name: ClassVar[str]
    """Name of the corruption."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Shared groups that it reads: ``denoiser`` if its denoiser is the paper's."""


COMPARATORS: dict[str, type[Comparator]] = {}
CORRUPTIONS: dict[str, type[CorruptionConfig]] = {}


def know(kind: type[Comparator] | type[CorruptionConfig]) -> None:
    """Take in a class of settings, so that stored ones of its model can be read."""
    if issubclass(kind, Comparator):
        COMPARATORS[kind.model] = kind
    else:
        CORRUPTIONS[kind.name] = kind
