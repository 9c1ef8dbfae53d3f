"""The rows of the catalogue: what a model or a corruption is called, reads, and is made by.

A row names code by ``module:attribute``. It is imported when it is called, so that asking for a
name never waits for torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from diffrec_cli.config import Comparator, CorruptionConfig, FitConfig

Values = Mapping[str, Any]
#: Values of each setting that a search tries.
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
        Class of its settings; its name is the model's.
    scorer
        Code that scores: (:class:`FitConfig`, arrays by name, backend) -> scorer.
    build
        Of a model that is trained: (:class:`FitConfig`, train sequences, |I|, generator) ->
        :class:`~diffrec_cli.models.trainable.Trainable`.
    fit
        Of a closed form: (its settings, train rows, |I|) -> arrays by name.
    space
        What a search tries.
    auto
        What the preset ``auto`` changes of the defaults.
    updates
        Updates of an epoch that ``auto`` sizes the batch for.
    memory
        Bytes that fitting takes besides the log: (|I|,) -> int. ``None``: little.
    reads_order
        Whether it reads the order of a history, and not only what is in it.
    short
        Another name for it.
    """

    config: type[Comparator]
    scorer: Code
    build: Code | None = None
    fit: Code | None = None
    space: Space = field(default_factory=dict)
    auto: Values = field(default_factory=dict)
    updates: int = 60
    memory: Code | None = None
    reads_order: bool = False
    short: str | None = None

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
    """A way in which DiffRec corrupts histories: a row of the catalogue.

    Parameters
    ----------
    name
        What follows the ``+`` in a variant's name.
    config
        Class of its settings; ``None``: those of the paper, the group ``diffusion``.
    corruption
        Code of the corruption itself: (its settings,) ->
        :class:`~diffrec_cli.diffusion.corruption.Corruption`.
    denoiser
        Code of its denoiser: (:class:`FitConfig`, train sequences, |I|, generator) ->
        :class:`~diffrec_cli.models.diffrec.ItemDenoiser`.
    scorer
        Code that scores: (:class:`FitConfig`, arrays by name, backend) -> scorer.
    auto
        Settings of the preset ``auto``: (is temporal, users, interactions a user) ->
        :class:`FitConfig` without the weights by order.
    space
        What a search tries.
    hint, hint_from
        What a user who chose no corruption is told, and from how many interactions a user.
    """

    name: str
    config: type[CorruptionConfig] | None
    corruption: Code
    denoiser: Code
    scorer: Code
    auto: Callable[[bool, int, float], FitConfig]
    space: Space
    hint: str = ""
    hint_from: float = 0.0
