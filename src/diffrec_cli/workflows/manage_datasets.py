"""Prepared datasets: list, show, remove; and sample logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffrec_cli.data import store
from diffrec_cli.data.dataset_record import read_summary
from diffrec_cli.data.sources.sample import SampleOptions, write_sample


def list_datasets() -> list[dict[str, Any]]:
    """Return the record of every prepared dataset; a damaged one has the key ``error``."""
    return store.summaries()


def show_dataset(name: str) -> dict[str, Any]:
    """Return everything that is recorded about a dataset, and its path."""
    directory = store.find(name)
    return {**read_summary(directory), "path": str(directory)}


def remove_dataset(name: str, *, confirm: Callable[[], None]) -> None:
    """Remove a dataset; what `confirm` raises prevents it."""
    store.find(name)
    confirm()
    store.remove(name)


def sample(out: str | Path, *, overwrite: bool = False, **sizes: Any) -> tuple[Path, Path]:
    """Write a made-up log and its item table; return their paths.

    Parameters
    ----------
    out
        ``OUT`` or ``OUT.csv``.
    overwrite
        Replace files of these names.
    sizes
        Fields of :class:`~diffrec_cli.data.sources.sample.SampleOptions`.
    """
    return write_sample(out, SampleOptions(**sizes), overwrite=overwrite)
