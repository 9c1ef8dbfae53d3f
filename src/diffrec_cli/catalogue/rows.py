"""The classes of the catalogue's rows.

A row names code by ``module:attribute``, which is imported when called: names need no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from diffrec_cli.config import Comparator, CorruptionConfig, FitConfig

Values = Mapping[str, Any]
#: Values to search, for each setting.
Space = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Code:
    """A function or class of the package, imported when it is called.

    Parameters
    ----------
    name
        ``module:attribute``; a module that begins with a dot is one of this package.

    Examples
    --------
    >>> Code(".paths:is_name")("shop")
    True
    """

    name: str

    def __call__(self, *arguments: Any) -> Any:
        """Import it, and call it with these arguments."""
        module, _, attribute = self.name.partition(":")
        package = __name__.split(".")[0]
        found: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module, package))
        return found(*arguments)


@dataclass(frozen=True)
class Model:
    """A model other than DiffRec: a row of the catalogue.

    Parameters
    ----------
    config
        Class of its settings, which has the model's name.
    scorer
        (:class:`FitConfig`, arrays by name, backend) -> scorer.
    build
        For a model trained in epochs: (:class:`FitConfig`, train sequences, items, generator) ->
        :class:`~diffrec_cli.models.trainable.Trainable`.
    fit
        For a closed form: (its settings, train rows, |I|) -> arrays by name.
    select
        For a closed form: (its settings, train rows, valid rows, |I|) -> the settings with what
        they leave open found on valid, and the arrays that `fit` returns for these.
    tries
        For a closed form: changes of its defaults that a fit with defaults tries on valid.
    space
        Values to search.
    auto
        Changes of the defaults in the preset ``auto``.
    updates
        Updates in an epoch, by which ``auto`` sizes the batch.
    memory
        (its settings, |I|, number of interactions of each user) -> bytes that fitting needs besides
        the log. ``None``: few.
    sized
        (its settings, |I|) -> the settings with what they leave to the size of the log and of
        memory. ``None``: nothing.
    parallel
        Whether several processes may train it together.
    takes_graph
        Whether there is a variant of it with item graphs in the output.
    reads_order
        Whether it reads the order of a history.
    of_users
        Names of its arrays with a row a user, and beginnings of the names of such CSR matrices.
    weighs
        Whether it reads how much each interaction counts.
    short
        Another name for it.
    """

    config: type[Comparator]
    scorer: Code
    build: Code | None = None
    fit: Code | None = None
    select: Code | None = None
    tries: tuple[Values, ...] = ()
    space: Space = field(default_factory=dict)
    auto: Values = field(default_factory=dict)
    updates: int = 60
    memory: Code | None = None
    sized: Code | None = None
    parallel: bool = False
    takes_graph: bool = False
    reads_order: bool = False
    of_users: tuple[str, ...] = ()
    weighs: bool = True
    short: str | None = None

    def __post_init__(self) -> None:
        """Check that it is built or fitted."""
        if (self.build is None) == (self.fit is None):
            raise ValueError(f"{self.config.model}: a row has either `build` or `fit`")

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.config.model

    @property
    def trains(self) -> bool:
        """Whether it has epochs: a closed form has none."""
        return self.build is not None


@dataclass(frozen=True)
class Corruption:
    """A corruption of DiffRec: a row of the catalogue.

    Parameters
    ----------
    name
        The part after ``+`` in a variant's name.
    config
        Class of its settings; ``None``: those of the paper, the group ``diffusion``.
    scorer
        (:class:`FitConfig`, arrays by name, backend) -> scorer.
    auto
        The preset ``auto``: (is temporal, users, interactions a user) -> :class:`FitConfig`. If it
        is temporal and has no ``temporal``, the weights by order are the defaults.
    space
        Values to search.
    corruption
        (its settings,) -> :class:`~diffrec_cli.diffusion.corruption.Corruption`.
    denoiser
        (:class:`FitConfig`, train sequences, items, generator) ->
        :class:`~diffrec_cli.models.diffrec.ItemDenoiser`.
    build
        In place of these two, for a corruption that is not linear: (:class:`FitConfig`, train
        sequences, items, generator) -> :class:`~diffrec_cli.models.trainable.Trainable`.
    """

    name: str
    config: type[CorruptionConfig] | None
    scorer: Code
    auto: Callable[[bool, int, float], FitConfig]
    space: Space
    corruption: Code | None = None
    denoiser: Code | None = None
    build: Code = Code(".models.diffrec:DiffRec.of")
