"""What ``compare`` and ``tune`` share: the data, where to compute, and how much to try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffrec_cli.catalogue import reads_order
from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.experiments.trials import Task
from diffrec_cli.workflows.fitting.settings import default_settings


@dataclass(frozen=True)
class Search:
    """A search for settings.

    Parameters
    ----------
    dataset
        The data.
    trials
        Settings to try.
    budget
        Seconds to try them in; ``None``: no limit.
    device
        Where to compute.
    precision
        Of training: ``fp32`` or ``bf16``.
    """

    dataset: Dataset
    trials: int
    budget: float | None
    device: str
    precision: str

    def settings(self, model: str, values: Mapping[str, Any], *, lenient: bool) -> FitConfig:
        """Return a model's default settings with these values.

        Parameters
        ----------
        model
            Its name.
        values
            Settings by name.
        lenient
            Whether to ignore, not refuse, values for settings that the model does not have.

        Raises
        ------
        DataError
            The model reads an order that the dataset does not have.
        ConfigError
            A value is impossible.
        """
        config = default_settings(self.dataset, model)
        keys = config.keys()
        known = {name: value for name, value in values.items() if not lenient or name in keys}
        if reads_order(config):
            self.dataset.require_order(model)
        return config.with_values(known)

    def task(self, config: FitConfig, changes: Mapping[str, Any], *, final: bool = False) -> Task:
        """Return the trial of a model's settings with some changes."""
        precision = self.precision if config.trains else "fp32"
        return Task(config.with_values(changes), changes, final, self.device, precision)


def check_effort(trials: int, budget: float | None, *, least: int) -> None:
    """Raise :class:`UsageError` unless the number of trials and the time are possible."""
    if trials < least:
        zero = "0 takes the models' own settings" if least == 0 else "for example --trials 20"
        raise UsageError(f"--trials {trials}: at least {least}", zero)
    if budget is not None and not budget > 0:  # nor NaN
        raise UsageError(f"--budget {budget:g}: above 0 seconds", "for example --budget 10m")
