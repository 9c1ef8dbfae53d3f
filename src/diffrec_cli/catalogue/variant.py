"""Parsing the names of models: ``lt``, ``t+smoothing``, ``ease-t``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from diffrec_cli.catalogue.registered import CORRUPTIONS, MODELS
from diffrec_cli.config import GAUSSIAN, RECENT
from diffrec_cli.config.graphs import WITH_GRAPH
from diffrec_cli.errors import ConfigError, UsageError

#: DiffRec's variants in the paper: whether they are latent, and whether they are temporal.
VARIANTS = {"base": (False, False), "l": (True, False), "t": (False, True), "lt": (True, True)}


@dataclass(frozen=True)
class Variant:
    """A parsed name of a model.

    Parameters
    ----------
    model
        Name of a model other than DiffRec; ``None`` is DiffRec.
    latent
        Whether the diffusion runs in the latent space.
    temporal
        Whether the input is weighted by order.
    corruption
        How DiffRec corrupts histories.
    graph
        Whether item graphs are added to the scores.
    """

    model: str | None = None
    latent: bool = False
    temporal: bool = False
    corruption: str = GAUSSIAN
    graph: bool = False

    @staticmethod
    def parse(name: str, option: str = "--variant") -> Variant:
        """Parse a name; messages call it `option`.

        Raises
        ------
        UsageError
            There is no model of that name.

        Examples
        --------
        >>> Variant.parse("t+smoothing")
        Variant(model=None, latent=False, temporal=True, corruption='smoothing', graph=False)
        >>> Variant.parse("pop").model, str(Variant.parse("ease-t"))
        ('popularity', 'ease-t')
        """
        known = _by_name()
        if name not in known:
            raise UsageError(f"{option} {name}: unknown", f"one of: {', '.join(known)}")
        return known[name]

    def __str__(self) -> str:
        """Return the full name: ``popularity``, not ``pop``."""
        return self._learned() + (f"+{WITH_GRAPH}" if self.graph else "")

    def _learned(self) -> str:
        if self.model is not None:
            return self.model + (RECENT if self.temporal else "")
        name = next(n for n, meant in VARIANTS.items() if meant == (self.latent, self.temporal))
        return name if self.corruption == GAUSSIAN else f"{name}+{self.corruption}"

    def corrupted(self, corruption: str) -> Variant:
        """Return the same variant with this corruption.

        Raises
        ------
        ConfigError
            There is no such corruption, or it does not go with the variant.
        """
        if corruption not in CORRUPTIONS:
            raise ConfigError(
                f"--corruption {corruption}: unknown", f"one of: {', '.join(CORRUPTIONS)}"
            )
        if corruption == self.corruption:
            return self
        if self.corruption != GAUSSIAN:
            raise ConfigError(
                f"--corruption {corruption}: variant {self} names another one",
                "leave out one of the two",
            )
        if not self.takes_corruptions:
            raise ConfigError(
                f"--corruption {corruption}: not with variant {self}", "use --variant base or t"
            )
        return replace(self, corruption=corruption)

    @property
    def takes_corruptions(self) -> bool:
        """Whether it can have other corruptions than the paper's."""
        return self.model is None and not self.latent


def names() -> list[str]:
    """Return the name of every model that can be fitted."""
    return list(_by_name())


def as_file_name(name: str) -> str:
    """Return the name of a model in a form for file names.

    Examples
    --------
    >>> as_file_name("multidae++"), as_file_name("t+smoothing+graph")
    ('multidaepp', 't-smoothing-graph')
    """
    for suffix in (*CORRUPTIONS, WITH_GRAPH):
        name = name.replace(f"+{suffix}", f"-{suffix}")
    return name.replace("+", "p")


def closed_forms() -> list[str]:
    """Return the names of the models that have no epochs."""
    return [
        name
        for name, v in _by_name().items()
        if v.model is not None and not MODELS[v.model].trains and not v.graph
    ]


def _by_name() -> dict[str, Variant]:
    """Return every variant by its name, then by its short name."""
    diffrec = [Variant(latent=latent, temporal=temporal) for latent, temporal in VARIANTS.values()]
    others = [name for name in CORRUPTIONS if name != GAUSSIAN]
    corrupted = [v.corrupted(name) for name in others for v in diffrec if v.takes_corruptions]
    summed = [replace(v, graph=True) for v in [*diffrec, *corrupted]]
    summed += [Variant(name, graph=True) for name, row in MODELS.items() if row.takes_graph]
    models = [Variant(model) for model in MODELS]
    recent = [Variant(n, temporal=True) for n, row in MODELS.items() if row.config.weighted]
    shorts = {row.short: Variant(name) for name, row in MODELS.items() if row.short}
    return {str(v): v for v in [*diffrec, *corrupted, *summed, *models, *recent]} | shorts
