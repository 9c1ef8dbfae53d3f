"""The weights of the best epoch so far, kept in a file to save memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from diffrec_cli.files import sync
from diffrec_cli.training.checkpoint import load_tensors, save_tensors

_FILE = "best.safetensors"


@dataclass(frozen=True)
class Best:
    """An epoch, its validation metrics and its weights."""

    epoch: int
    metrics: dict[str, float]
    weights: dict[str, Tensor]


class BestEpoch:
    """Keeps one :class:`Best`: in a file of the run, or in memory without a run.

    Parameters
    ----------
    run
        Directory of the run, or ``None``.
    """

    def __init__(self, run: Path | None) -> None:
        self._path = None if run is None else run / _FILE
        self._held: Best | None = None

    def keep(self, epoch: int, metrics: dict[str, float], weights: Mapping[str, Tensor]) -> None:
        """Store an epoch and a copy of its weights instead of the last."""
        if self._path is None:
            copies = {name: tensor.detach().clone() for name, tensor in weights.items()}
            self._held = Best(epoch, metrics, copies)
            return
        save_tensors(self._path, weights, {"epoch": epoch, "metrics": metrics})

    def get(self) -> Best | None:
        """Return the best epoch; raise :class:`CorruptError` if its file is damaged."""
        if self._path is None or not self._path.exists():
            return self._held
        tensors, state = load_tensors(self._path)
        return Best(state["epoch"], state["metrics"], tensors)

    def sync(self) -> None:
        """Flush the file to the disk."""
        if self._path is not None and self._path.exists():
            sync(self._path)
