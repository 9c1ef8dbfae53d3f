"""The settings of a fit, by the name of a variant and what is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diffrec_cli.catalogue import AUTO, Candidate, Variant, candidates, reads_order
from diffrec_cli.catalogue import own_preset as find_preset
from diffrec_cli.config import FitConfig
from diffrec_cli.config.graphs import REPEAT
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import UsageError


def named(variant: str, corruption: str | None, preset: str) -> str:
    """Check the names of a model, and return the variant with its corruption."""
    if variant != AUTO:
        meant = Variant.parse(variant)
        if corruption not in (None, meant.corruption):
            variant = str(meant.corrupted(corruption))
        find_preset(preset, variant, users=1)  # find a mistyped name before preparing the log
        return variant
    if corruption is not None:
        Variant.parse("base").corrupted(corruption)  # find a mistyped name first
        raise UsageError(
            f"--corruption {corruption} goes with a variant", "add --variant base or t"
        )
    if preset != "auto":
        raise UsageError(f"--preset {preset} goes with a variant", "add --variant base, l, t or lt")
    return variant


def require_settings(models: Iterable[str], given: Iterable[str]) -> None:
    """Raise :class:`UsageError` for a setting that none of these models has.

    ``auto`` has none: it takes its candidates as they are.
    """
    has = {key for model in models if model != AUTO for key in _keys(model)}
    for name in given:
        if name not in has:
            fix = f"one of: {', '.join(sorted(has))}" if has else "leave --set out"
            raise UsageError(f"--set {name}: none of these models has such a setting", fix)


def _keys(model: str) -> list[str]:
    return find_preset("auto", model, users=1).keys()


def settings_of(
    variant: str, preset: str, given: Mapping[str, Any], dataset: Dataset
) -> list[tuple[Candidate, FitConfig]]:
    """Return the settings of the variant, or of all candidates for the log."""
    if variant == AUTO:
        found = candidates(ordered=dataset.ordered, users=dataset.n_users)
        found = found if dataset.valid.size else found[:1]
        return [(one, _of_candidate(one, given, dataset)) for one in found]
    config = default_settings(dataset, variant, preset).with_values(given)
    if reads_order(config):
        dataset.require_order(variant)
    return [(Candidate(variant), config)]


def default_settings(
    dataset: Dataset, variant: str, preset: str = "auto", values: Mapping[str, Any] | None = None
) -> FitConfig:
    """Return a preset's settings for a log, with these values.

    Where repeats are kept, item graphs have the history itself as a part.
    """
    config = find_preset(preset, variant, **dataset.size).with_values(values or {})
    parts = config.values().get("parts")
    if not dataset.keeps_repeats or parts is None or REPEAT in parts:
        return config
    return config.with_values({"parts": (*parts, REPEAT)})


def _of_candidate(found: Candidate, given: Mapping[str, Any], dataset: Dataset) -> FitConfig:
    """Return a candidate's settings; simple models take of the given ones what they have."""
    config = default_settings(dataset, found.variant, values=found.values)
    known = config.keys() if found.simple else given
    return config.with_values({key: value for key, value in given.items() if key in known})
