"""All settings of a fit."""

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
from diffrec_cli.config.graphs import WITH_GRAPH, GraphSum, OrderedGraphSum
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
    """All settings of a fit; the groups that the model does not read have no effect.

    With `latent` the diffusion runs in the latent space, with `temporal` the input is weighted by
    order, with `corruption` histories are corrupted in that way instead of by the paper's noise,
    and with `comparator` it is that model instead of DiffRec. With `graph` item graphs are added
    to the scores of the trained model.
    """

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latent: LatentConfig | None = None
    temporal: TemporalConfig | None = None
    corruption: CorruptionConfig | None = None
    comparator: Comparator | None = None
    graph: GraphSum | None = None

    def __post_init__(self) -> None:
        """Check what depends on two groups."""
        if self.latent is not None and self.latent.warmup == "vae":
            warmup, epochs = self.latent.warmup_epochs, self.training.epochs
            check(warmup < epochs, "warmup_epochs", warmup, f"below epochs = {epochs}")

    @property
    def variant(self) -> str:
        """Name of the model: for example ``lt``, ``t+smoothing``, ``ease-t`` or ``base+graph``."""
        return self._learned_variant + ("" if self.graph is None else f"+{WITH_GRAPH}")

    @property
    def _learned_variant(self) -> str:
        temporal = self.temporal is not None
        if self.comparator is not None:
            return self.comparator.model + (RECENT if temporal else "")
        if self.latent is not None:
            return "lt" if temporal else "l"
        if self.corruption is None:
            return "t" if temporal else "base"
        variant = "t" if temporal or self.corruption.reads_order else "base"
        return f"{variant}+{self.corruption.name}"

    def settings(self, kind: type[Own]) -> Own:
        """Return the settings of this class, of the comparator or of the corruption."""
        given = self.comparator or self.corruption
        if not isinstance(given, kind):
            raise TypeError(f"{self.variant} has no {kind.__name__}")
        return given

    @property
    def of_corruption(self) -> Any:
        """Settings of the corruption."""
        return self.corruption or self.diffusion

    @property
    def newest_weight(self) -> float:
        """Value of the newest interaction in the input."""
        return 1.0 if self.temporal is None else self.temporal.w_max

    @property
    def trains(self) -> bool:
        """Whether the model has epochs: a closed form has none."""
        return "training" in self._groups()

    @property
    def seed(self) -> int:
        """Seed of the fit; without effect on models without randomness."""
        return int(getattr(self.comparator, "seed", self.training.seed))

    @property
    def is_random(self) -> bool:
        """Whether the fitted model depends on the seed."""
        return "seed" in self.keys()

    def _groups(self) -> dict[str, Any]:
        """Return the groups of settings that the model reads, by name."""
        if self.comparator is not None:
            names = [*self.comparator.groups, "temporal", "comparator", "graph"]
        elif self.corruption is not None:
            names = [
                *self.corruption.groups,
                "latent",
                "corruption",
                "temporal",
                "training",
                "graph",
            ]
        else:
            names = list(_GROUPS)
        groups = {name: getattr(self, name) for name in names}
        return {name: group for name, group in groups.items() if group is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the groups that the model reads as nested plain values, for JSON.

        The settings of a corruption are under its name.
        """
        plain = {name: dataclasses.asdict(group) for name, group in self._groups().items()}
        if self.comparator is not None:
            plain["comparator"] = {"model": self.comparator.model, **plain["comparator"]}
        if self.corruption is not None and self.comparator is None:
            plain[self.corruption.name] = plain.pop("corruption")
        return plain

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FitConfig:
        """Read the result of :meth:`to_dict`; unknown fields are an error.

        Use :func:`diffrec_cli.catalogue.read_config`, which knows all models.
        """
        groups: dict[str, Any] = {}
        for name, fields in values.items():
            if fields is None:
                continue
            if name == "comparator":
                kind = _comparator(fields.get("model"))
                own = {key: value for key, value in fields.items() if key != "model"}
                groups[name] = _from_plain(kind, own)
            elif name in CORRUPTIONS:
                groups["corruption"] = _from_plain(CORRUPTIONS[name], fields)
            elif name == "graph" and "half_life" in fields:
                groups[name] = _from_plain(OrderedGraphSum, fields)
            elif name in _GROUPS:
                groups[name] = _from_plain(_GROUPS[name], fields)
            else:
                raise ConfigError(
                    f"settings {name!r} are unknown", "use the version that wrote them"
                )
        return FitConfig(**groups)

    def with_values(self, values: Mapping[str, Any]) -> FitConfig:
        """Return a copy with fields replaced by name, in any group.

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
                continue  # it has no effect
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
        return f"one of: {', '.join(keys)}" if keys else "leave --set out: it has no settings"

    def keys(self) -> list[str]:
        """Return the names that :meth:`with_values` accepts for this variant."""
        return list(self.values())

    def values(self) -> dict[str, Any]:
        """Return all settings of this variant by the names that :meth:`with_values` accepts."""
        return {
            field.name.rstrip("_"): getattr(group, field.name)
            for group in self._groups().values()
            for field in dataclasses.fields(group)
        }


def _comparator(model: Any) -> type[Comparator]:
    if model not in COMPARATORS:
        raise ConfigError(f"model {model!r} is unknown", "use the version that wrote the record")
    return COMPARATORS[model]


#: Groups by name, in the order in which they are stored.
_GROUPS: dict[str, type[Any]] = {
    "diffusion": DiffusionConfig,
    "denoiser": DenoiserConfig,
    "latent": LatentConfig,
    "temporal": TemporalConfig,
    "training": TrainingConfig,
    "graph": GraphSum,
}
_GROUP_VARIANTS = {"latent": "l or lt", "temporal": "t or lt", "graph": "base+graph"}


def _variant_with(key: str) -> str | None:
    """Return a variant of DiffRec that has a setting of this name, if any."""
    for name, kind in {**_GROUPS, **CORRUPTIONS}.items():
        if _has(kind, key):
            return f"base+{name}" if name in CORRUPTIONS else _GROUP_VARIANTS.get(name, "base")
    return None


def _has(group: type[Any], key: str) -> str | None:
    """Return the name of the group's field for a key, if any."""
    names = {field.name for field in dataclasses.fields(group)}
    # `lambda` is a keyword of Python: its field is lambda_.
    return next((name for name in (key, f"{key}_") if name in names), None)


def _from_plain(group: type[Any], values: Mapping[str, Any]) -> Any:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return group(**fields)
    except TypeError as error:
        raise ConfigError(
            f"{group.__name__}: {error}", "use the version that wrote the record"
        ) from error
