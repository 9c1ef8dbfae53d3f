"""Fitting a model that has no epochs on the train part, and saying what was decided."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from diffrec_cli.config import FitConfig
from diffrec_cli.config.values import setting_text
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.models.baselines import fitting_memory, sized
from diffrec_cli.models.baselines.selection import select_closed_form
from diffrec_cli.workflows.progress import Listener, Note


def fit_on_train(
    config: FitConfig, dataset: Dataset, listener: Listener
) -> tuple[FitConfig, dict[str, NDArray[Any]]]:
    """Return a model's settings, completed, and its arrays of the train part.

    What the settings leave open is decided by memory or found on the valid part; both is said.
    """
    n_items, lengths = dataset.n_items, dataset.train.lengths
    fitting = sized(config, n_items)
    if fitting != config:
        needed = fitting_memory(config, n_items, lengths) / 1e9
        words = f"{needed:.1f} GB for all {n_items:,} items do not fit into memory"
        listener(Note(f"{config.variant}: {words}, so {changes(config, fitting)}"))
    needed = fitting_memory(fitting, n_items, lengths) / 1e9
    of_memory = f" in at most {needed:.1f} GB" if needed else ""
    listener(Note(f"fitting {config.variant}{of_memory}"))
    train, valid = input_rows(dataset.judged, None), input_rows(dataset.to_find("valid"), None)
    found, arrays = select_closed_form(fitting, train, valid, n_items)
    if found != fitting:
        listener(Note(f"found on valid: {changes(fitting, found)}"))
    return found, arrays


def changes(before: FitConfig, after: FitConfig) -> str:
    """Return the settings that differ, in one line."""
    old = before.values()
    changed = {key: value for key, value in after.values().items() if value != old[key]}
    return ", ".join(f"{key} {setting_text(value)}" for key, value in changed.items())
