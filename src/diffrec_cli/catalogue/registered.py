"""All rows, and how one is added or found."""

from __future__ import annotations

from typing import Any

from diffrec_cli.catalogue.rows import Corruption, Model
from diffrec_cli.config import GAUSSIAN, FitConfig, know
from diffrec_cli.errors import ConfigError

Row = Model | Corruption

#: Models other than DiffRec by name: first those that are trained, then the closed forms.
MODELS: dict[str, Model] = {}
#: Corruptions of DiffRec by name.
CORRUPTIONS: dict[str, Corruption] = {}


def register(*added: Row) -> None:
    """Add rows: from then on their names work wherever the name of a model does.

    Rows go into the processes of ``compare`` and ``tune`` too, so their functions are those of a
    module.
    """
    for row in added:
        if row.config is not None:
            know(row.config)
        if isinstance(row, Model):
            MODELS[row.name] = row
        else:
            CORRUPTIONS[row.name] = row


def all_rows() -> list[Row]:
    """Return every row."""
    return [*MODELS.values(), *CORRUPTIONS.values()]


def model_row(config: FitConfig) -> Model | None:
    """Return the row of a model other than DiffRec; ``None`` for DiffRec."""
    if config.comparator is None:
        return None
    row: Model = _row(MODELS, config.comparator.model)
    return row


def corruption_row(config: FitConfig) -> Corruption:
    """Return the row of DiffRec's corruption."""
    row: Corruption = _row(CORRUPTIONS, config.corruption.name if config.corruption else GAUSSIAN)
    return row


def _row(table: dict[str, Any], name: str) -> Any:
    if name not in table:
        raise ConfigError(f"{name!r} is not in the catalogue", "register its row first")
    return table[name]


def reads_order(config: FitConfig) -> bool:
    """Return whether a model reads the order of a history, and not only what is in it."""
    row = model_row(config)
    if row is not None:
        return config.temporal is not None or row.reads_order
    of_corruption = config.corruption is not None and config.corruption.reads_order
    return config.temporal is not None or of_corruption


def closed_form(config: FitConfig) -> Model:
    """Return the row of a model that has no epochs.

    Raises
    ------
    ConfigError
        It has epochs.
    """
    row = model_row(config)
    if row is None or row.trains:
        raise ConfigError(f"{config.variant} is trained in epochs", "use a closed form, like ease")
    return row
