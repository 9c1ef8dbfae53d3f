"""Everything that decides what a fit computes."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from diffrec_cli.config.checks import check
from diffrec_cli.config.diffrec import (
    DenoiserConfig,
    DiffusionConfig,
    LatentConfig,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.config.models import (
    COMPARATORS,
    CORRUPTIONS,
    RECENT,
    Comparator,
    CorruptionConfig,
)
from diffrec_cli.config.values import convert
from diffrec_cli.errors import ConfigError

Own = TypeVar("Own", bound=Comparator | CorruptionConfig)


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides what a fit computes.

    A variant is a composition: with :class:`LatentConfig` the diffusion runs in the
    latent space, with :class:`TemporalConfig` the input is weighted by order, with a
    :class:`CorruptionConfig` histories are corrupted in that way instead of by the paper's
    noise. With a :class:`Comparator` it is that model instead of DiffRec. Only the groups
    that the model reads mean anything.
    """

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latent: LatentConfig | None = None
    temporal: TemporalConfig | None = None
    corruption: CorruptionConfig | None = None
    comparator: Comparator | None = None

    def __post_init__(self) -> None:
        """Check what depends on several groups."""
        if self.latent is not None and self.latent.warmup == "vae":
            warmup, epochs = self.latent.warmup_epochs, self.training.epochs
            check(warmup < epochs, "warmup_epochs", warmup, f"below epochs = {epochs}")

    @property
    def variant(self) -> str:
        """Name of the variant, or of the model.

        ``base``, ``l``, ``t`` or ``lt``, with ``+NAME`` after it for another corruption than
        the paper's; other models end in ``-t`` if their input is weighted by order.
        """
        temporal = self.temporal is not None
        if self.comparator is not None:
            return self.comparator.model + (RECENT if temporal else "")
        if self.latent is not None:
            return "lt" if temporal else "l"
        variant = "t" if temporal else "base"
        return variant if self.corruption is None else f"{variant}+{self.corruption.name}"

    def settings(self, kind: type[Own]) -> Own:
        """Return the settings of the model, or of the corruption, that has this class of them."""
        given = self.comparator or self.corruption
        if not isinstance(given, kind):
            raise TypeError(f"{self.variant} has no {kind.__name__}")
        return given

    @property
    def of_corruption(self) -> Any:
        """Settings of the corruption: the paper's, or another's."""
        return self.corruption or self.diffusion

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

    def _groups(self) -> dict[str, Any]:
        """Return the groups of settings that mean something, by name."""
        if self.comparator is not None:
            names = [*self.comparator.groups, "temporal", "comparator"]
        elif self.corruption is not None:
            names = [*self.corruption.groups, "latent", "corruption", "temporal", "training"]
        else:
            names = list(_GROUPS)
        groups = {name: getattr(self, name) for name in names}
        return {name: group for name, group in groups.items() if group is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, for JSON: the groups that mean something.

        The settings of a corruption stand under its name.
        """
        plain = {name: dataclasses.asdict(group) for name, group in self._groups().items()}
        if self.comparator is not None:
            plain["comparator"] = {"model": self.comparator.model, **plain["comparator"]}
        if self.corruption is not None and self.comparator is None:
            plain[self.corruption.name] = plain.pop("corruption")
        return plain

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FitConfig:
        """Rebuild what :meth:`to_dict` gave; unknown fields are an error.

        Models and corruptions are those of the catalogue
        (:func:`diffrec_cli.catalogue.read_config`).
        """
        groups: dict[str, Any] = {}
        for name, fields in values.items():
            if name == "comparator":
                kind = _comparator(fields.get("model"))
                own = {key: value for key, value in fields.items() if key != "model"}
                groups[name] = _from_plain(kind, own)
            elif name in CORRUPTIONS:
                groups["corruption"] = _from_plain(CORRUPTIONS[name], fields)
            elif name in _GROUPS and fields is not None:
                groups[name] = _from_plain(_GROUPS[name], fields)
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
        for group, settings in self._groups().items():
            kind = type(settings)
            if name := _has(kind, key):
                return group, name, typing.get_type_hints(kind)[name]
        other = _variant_with(key) if self.comparator is None else None
        fix = f"fit --variant {other}" if other else self._known_keys()
        raise ConfigError(f"--set {key}: variant {self.variant} has no such setting", fix)

    def _known_keys(self) -> str:
        keys = self.keys()
        return f"one of: {', '.join(keys)}" if keys else "it has no settings at all"

    def keys(self) -> list[str]:
        """Return the names that :meth:`with_values` takes for this variant."""
        return list(self.values())

    def values(self) -> dict[str, Any]:
        """Return all settings of this variant by the names that :meth:`with_values` takes."""
        return {
            field.name.rstrip("_"): getattr(group, field.name)
            for group in self._groups().values()
            for field in dataclasses.fields(group)
        }


def _comparator(model: Any) -> type[Comparator]:
    if model not in COMPARATORS:
        raise ConfigError(f"model {model!r} is unknown", "the record is of another version")
    return COMPARATORS[model]


#: Groups by name, in the order in which they are stored.
_GROUPS: dict[str, type[Any]] = {
    "diffusion": DiffusionConfig,
    "denoiser": DenoiserConfig,
    "latent": LatentConfig,
    "temporal": TemporalConfig,
    "training": TrainingConfig,
}
_GROUP_VARIANTS = {"latent": "l or lt", "temporal": "t or lt"}


def _variant_with(key: str) -> str | None:
    """Return a variant of DiffRec that has a setting of this name, if there is one."""
    for name, kind in {**_GROUPS, **CORRUPTIONS}.items():
        if _has(kind, key):
            return f"base+{name}" if name in CORRUPTIONS else _GROUP_VARIANTS.get(name, "base")
    return None


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
