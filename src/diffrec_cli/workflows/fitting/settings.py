"""The settings of a fit, by the name of a variant and what is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffrec_cli.catalogue import AUTO, Candidate, candidates, reads_order
from diffrec_cli.catalogue import own_preset as find_preset
from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset


def settings_of(
    variant: str, preset: str, given: Mapping[str, Any], dataset: Dataset
) -> list[tuple[Candidate, FitConfig]]:
    """Return the settings of the variant, or of all candidates for the log."""
    if variant == AUTO:
        found = candidates(ordered=dataset.ordered, users=dataset.n_users)
        found = found if dataset.valid.size else found[:1]
        return [(one, _of_candidate(one, given, dataset)) for one in found]
    config = find_preset(preset, variant, **dataset.size).with_values(given)
    if reads_order(config):
        dataset.require_order(variant)
    return [(Candidate(variant), config)]


def _of_candidate(found: Candidate, given: Mapping[str, Any], dataset: Dataset) -> FitConfig:
    """Return a candidate's settings; simple models take of the given ones what they have."""
    config = find_preset("auto", found.variant, **dataset.size).with_values(found.values)
    known = config.keys() if found.simple else given
    return config.with_values({key: value for key, value in given.items() if key in known})
