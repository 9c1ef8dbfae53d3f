"""Everything that decides what a fit computes."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diffrec_cli.config.comparators import COMPARATORS, Comparator
from diffrec_cli.config.diffrec import (
    DenoiserConfig,
    DiffusionConfig,
    LatentConfig,
    SmoothingConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.values import check, convert
from diffrec_cli.errors import ConfigError

#: The variants of DiffRec.
VARIANTS = ("base", "l", "t", "lt")
#: What corrupts histories.
CORRUPTIONS = ("gaussian", "smoothing")
#: Ends the name of a variant whose corruption is smoothing.
SMOOTHING = "+smoothing"
#: Ends the name of a model that is no DiffRec when its input is weighted by order.
RECENT = "-t"


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides what a fit computes.

    A variant is a composition: with :class:`LatentConfig` the diffusion runs in the
    latent space, with :class:`TemporalConfig` the input is weighted by order, with
    :class:`SmoothingConfig` histories are corrupted by smoothing and have a denoiser of
    that kind. With a :class:`Comparator` it is that model instead of DiffRec, and only the
    groups that the model reads mean anything.
    """

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latent: LatentConfig | None = None
    temporal: TemporalConfig | None = None
    smoothing: SmoothingConfig | None = None
    comparator: Comparator | None = None

    def __post_init__(self) -> None:
        """Check what hangs on several groups."""
        if self.latent is not None and self.latent.warmup == "vae":
            warmup, epochs = self.latent.warmup_epochs, self.training.epochs
            check(warmup < epochs, "warmup_epochs", warmup, f"below epochs = {epochs}")

    @property
    def variant(self) -> str:
        """Name of the variant, or of the comparator.

        ``base``, ``l``, ``t`` or ``lt``, with ``+smoothing`` behind it if it smooths; a
        comparator's ends in ``-t`` if its input is weighted by order.
        """
        if self.comparator is not None:
            return self.comparator.model + (RECENT if self.temporal is not None else "")
        if self.latent is not None:
            return "l" if self.temporal is None else "lt"
        variant = "base" if self.temporal is None else "t"
        return variant if self.smoothing is None else variant + SMOOTHING

    @property
    def newest_weight(self) -> float:
        """What stands for the newest interaction in the input."""
        return 1.0 if self.temporal is None else self.temporal.w_max

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
            unread = () if self.smoothing is None else ("diffusion", "denoiser")
            names = [name for name in _GROUPS if name not in unread]
            return [name for name in names if getattr(self, name) is not None]
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
    smooth = [f"{name}{SMOOTHING}" for name in ("base", "t")]
    return [*VARIANTS, *smooth, *COMPARATORS, *recent, *_SHORT]


def is_diffrec(variant: str) -> bool:
    """Tell whether a name is of DiffRec, whatever its corruption."""
    return variant.removesuffix(SMOOTHING) in VARIANTS


def full_name(variant: str) -> str:
    """Return the whole name of a model: ``popularity`` for ``pop``, any other as it is."""
    return _SHORT.get(variant, variant)


def corrupted(variant: str, corruption: str) -> str:
    """Return the name of a variant with this corruption.

    Raises
    ------
    ConfigError
        There is no such corruption, or the variant does not go with it.

    Examples
    --------
    >>> corrupted("t", "smoothing")
    't+smoothing'
    """
    if corruption not in CORRUPTIONS:
        raise ConfigError(
            f"--corruption {corruption}: unknown", f"one of: {', '.join(CORRUPTIONS)}"
        )
    if corruption == "gaussian" or variant.endswith(SMOOTHING):
        return variant
    if f"{variant}{SMOOTHING}" not in variant_names():
        raise ConfigError(
            f"--corruption {corruption}: not with variant {variant}", "use --variant base or t"
        )
    return variant + SMOOTHING


def as_file_name(variant: str) -> str:
    """Return the name of a model as it may stand in the name of a file.

    Examples
    --------
    >>> as_file_name("multidae++"), as_file_name("t+smoothing")
    ('multidaepp', 't-smoothing')
    """
    return variant.replace(SMOOTHING, SMOOTHING.replace("+", "-")).replace("+", "p")


def closed_forms() -> list[str]:
    """Return the names of the models that have no epochs."""
    return [
        name
        for name in variant_names()
        if not is_diffrec(name) and "training" not in comparator_class(name).groups
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
    "smoothing": SmoothingConfig,
    "temporal": TemporalConfig,
    "training": TrainingConfig,
}


_SHORT = {"pop": "popularity"}
_GROUP_VARIANTS = {
    "latent": "l or lt",
    "temporal": "t or lt",
    "smoothing": "base+smoothing",
    "diffusion": "base",
    "denoiser": "base",
}


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
