"""Everything that decides what a fit computes."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffrec_cli.config.comparators import COMPARATORS, Comparator
from diffrec_cli.config.groups import (
    DenoiserConfig,
    DiffusionConfig,
    LatentConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.values import check, convert
from diffrec_cli.errors import ConfigError

#: The variants of DiffRec.
VARIANTS = ("base", "l", "t", "lt")
#: Ends the name of a model that is no DiffRec when its input is weighted by order.
RECENT = "-t"


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides what a fit computes.

    A variant is a composition: with :class:`LatentConfig` the diffusion runs in the
    latent space, with :class:`TemporalConfig` the input is weighted by order. With a
    :class:`Comparator` it is that model instead of DiffRec, and only the groups that the
    model reads mean anything.
    """

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latent: LatentConfig | None = None
    temporal: TemporalConfig | None = None
    comparator: Comparator | None = None

    def __post_init__(self) -> None:
        """Check what hangs on several groups."""
        if self.latent is not None and self.latent.warmup == "vae":
            warmup, epochs = self.latent.warmup_epochs, self.training.epochs
            check(warmup < epochs, "warmup_epochs", warmup, f"below epochs = {epochs}")

    @property
    def variant(self) -> str:
        """``base``, ``l``, ``t`` or ``lt``; or a comparator's name, ``-t`` added if temporal."""
        if self.comparator is not None:
            return self.comparator.model + (RECENT if self.temporal is not None else "")
        if self.latent is not None:
            return "l" if self.temporal is None else "lt"
        return "base" if self.temporal is None else "t"

    @property
    def trains(self) -> bool:
        """Whether there are epochs: a closed form has none."""
        return "training" in self._groups()

    @property
    def seed(self) -> int:
        """Seed of all that is drawn; of a model that draws nothing any number."""
        return int(getattr(self.comparator, "seed", self.training.seed))

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another model."""
        return "seed" in self.keys()

    def _groups(self) -> list[str]:
        """Return the names of the groups of settings that mean something, in order."""
        if self.comparator is None:
            return [name for name in _GROUPS if getattr(self, name) is not None]
        given = [*self.comparator.groups, "temporal", "comparator"]
        return [name for name in given if getattr(self, name) is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, for JSON: the groups that mean something."""
        plain: dict[str, Any] = {n: dataclasses.asdict(getattr(self, n)) for n in self._groups()}
        if self.comparator is not None:
            plain["comparator"] = {"model": self.comparator.model, **plain["comparator"]}
        return plain

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FitConfig:
        """Rebuild what :meth:`to_dict` gave; unknown fields are an error."""
        groups = {
            name: _from_plain(group, values[name])
            for name, group in _GROUPS.items()
            if values.get(name) is not None
        }
        if (comparator := values.get("comparator")) is not None:
            fields = dict(comparator)
            kind = _comparator(fields.pop("model", None))
            groups["comparator"] = _from_plain(kind, fields)
        return FitConfig(**groups)

    def with_values(self, values: Mapping[str, Any]) -> FitConfig:
        """Return a copy with fields replaced by name, wherever they live.

        Parameters
        ----------
        values
            Field name to value; text (from ``--set``) is converted to the field's type.

        Raises
        ------
        ConfigError
            The variant has no such field, or the value is not of its type or range.

        Examples
        --------
        >>> FitConfig().with_values({"T": "40", "dims": "300"}).diffusion.T
        40
        """
        changes: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            if key == "seed" and not self.is_random:
                continue  # nothing is drawn: any seed will do
            group, name, kind = self._field(key)
            changes.setdefault(group, {})[name] = convert(key, value, kind)
        return dataclasses.replace(
            self,
            **{
                group: dataclasses.replace(getattr(self, group), **fields)
                for group, fields in changes.items()
            },
        )

    def _field(self, key: str) -> tuple[str, str, Any]:
        for group in self._groups():
            kind = type(getattr(self, group))
            if name := _has(kind, key):
                return group, name, typing.get_type_hints(kind)[name]
        others = [
            _GROUP_VARIANTS[name]
            for name, kind in _GROUPS.items()
            if self.comparator is None and _has(kind, key)
        ]
        fix = f"fit --variant {others[0]}" if others else self._known_keys()
        raise ConfigError(f"--set {key}: variant {self.variant} has no such setting", fix)

    def _known_keys(self) -> str:
        keys = self.keys()
        return f"one of: {', '.join(keys)}" if keys else "it has no settings at all"

    def keys(self) -> list[str]:
        """Return the names that :meth:`with_values` takes for this variant."""
        return list(self.values())

    def values(self) -> dict[str, Any]:
        """Return all settings of this variant by the names that :meth:`with_values` takes."""
        groups = [getattr(self, name) for name in self._groups()]
        return {
            field.name.rstrip("_"): getattr(group, field.name)
            for group in groups
            for field in dataclasses.fields(group)
        }


def variant_names() -> list[str]:
    """Return the name of every model that can be fitted, recency-weighted ones included."""
    recent = [f"{name}{RECENT}" for name, kind in COMPARATORS.items() if kind.weighted]
    return [*VARIANTS, *COMPARATORS, *recent, *_SHORT]


def full_name(variant: str) -> str:
    """Return the whole name of a model: ``popularity`` for ``pop``, any other as it is."""
    return _SHORT.get(variant, variant)


def closed_forms() -> list[str]:
    """Return the names of the models that have no epochs."""
    return [
        name
        for name in variant_names()
        if name not in VARIANTS and "training" not in comparator_class(name).groups
    ]


def comparator_class(variant: str) -> type[Comparator]:
    """Return the settings' class of a comparator by its name, with or without ``-t``."""
    return COMPARATORS[full_name(variant).removesuffix(RECENT)]


def _comparator(model: Any) -> type[Comparator]:
    if model not in COMPARATORS:
        raise ConfigError(f"model {model!r} is unknown", "the record is of another version")
    return COMPARATORS[model]


_GROUPS: dict[str, type[Any]] = {
    "diffusion": DiffusionConfig,
    "denoiser": DenoiserConfig,
    "latent": LatentConfig,
    "temporal": TemporalConfig,
    "training": TrainingConfig,
}


_SHORT = {"pop": "popularity"}
_GROUP_VARIANTS = {"latent": "l or lt", "temporal": "t or lt"}


def _has(group: type[Any], key: str) -> str | None:
    """Return the name of the group's field that a key means, if there is one."""
    names = {field.name for field in dataclasses.fields(group)}
    # `lambda` is a keyword of Python: its field is lambda_.
    return next((name for name in (key, f"{key}_") if name in names), None)


def _from_plain(group: type[Any], values: Mapping[str, Any]) -> Any:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return group(**fields)
    except TypeError as error:
        raise ConfigError(
            f"{group.__name__}: {error}", "the record is of another version"
        ) from error
