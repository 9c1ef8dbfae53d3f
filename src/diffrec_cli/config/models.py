"""Base classes for the settings of models and corruptions of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diffrec_cli.config.checks import Settings

#: The paper's corruption.
GAUSSIAN = "gaussian"
#: End of the name of a model other than DiffRec if its input is weighted by order.
RECENT = "-t"


@dataclass(frozen=True)
class Comparator(Settings):
    """Settings of a model other than DiffRec."""

    model: ClassVar[str]
    """Name of the model."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Shared groups of settings that it reads: ``training`` if it has epochs, and others."""
    weighted: ClassVar[bool] = True
    """Whether it reads values of the input, and so weights by order."""


@dataclass(frozen=True)
class CorruptionConfig(Settings):
    """Settings of a corruption other than the paper's, and of its denoiser."""

    name: ClassVar[str]
    """Name of the corruption."""
    groups: ClassVar[tuple[str, ...]] = ()
    """Shared groups that it reads: ``denoiser`` if its denoiser is the paper's."""
    weighted: ClassVar[bool] = True
    """Whether it reads values of the input, and so weights by order."""

    @property
    def reads_order(self) -> bool:
        """Whether it reads the order of a history otherwise than by weights."""
        return False


COMPARATORS: dict[str, type[Comparator]] = {}
CORRUPTIONS: dict[str, type[CorruptionConfig]] = {}


def know(kind: type[Comparator] | type[CorruptionConfig]) -> None:
    """Register a class of settings, so that stored ones can be read."""
    if issubclass(kind, Comparator):
        COMPARATORS[kind.model] = kind
    else:
        CORRUPTIONS[kind.name] = kind
