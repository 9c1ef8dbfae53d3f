"""The rows of the catalogue, and functions that add and find them."""

from __future__ import annotations

from diffrec_cli.catalogue.rows import Corruption, Model
from diffrec_cli.config import GAUSSIAN, FitConfig, know
from diffrec_cli.errors import ConfigError

#: Models other than DiffRec by name: first those that are trained, then the closed forms.
MODELS: dict[str, Model] = {}
#: Corruptions of DiffRec by name.
CORRUPTIONS: dict[str, Corruption] = {}


def register(row: Model | Corruption) -> None:
    """Add a row; its name then works wherever a model's name does."""
    if row.config is not None:
        know(row.config)
    if isinstance(row, Model):
        MODELS[row.name] = row
    else:
        CORRUPTIONS[row.name] = row


def model_of(config: FitConfig) -> Model | None:
    """Return the row of a model other than DiffRec; ``None`` for DiffRec."""
    return None if config.comparator is None else MODELS[config.comparator.model]


def corruption_of(config: FitConfig) -> Corruption:
    """Return the row of DiffRec's corruption."""
    return CORRUPTIONS[config.corruption.name if config.corruption else GAUSSIAN]


def closed_form(config: FitConfig) -> Model:
    """Return the row of a model that has no epochs.

    Raises
    ------
    ConfigError
        The model has epochs.
    """
    row = model_of(config)
    if row is None or row.trains:
        raise ConfigError(f"{config.variant} is trained in epochs", "use a closed form, like ease")
    return row
