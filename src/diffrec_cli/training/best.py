"""The weights of the best epoch so far, where they take no memory that training needs."""

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
    """Keeps one :class:`Best` at a time: in a file, or in memory if there is no directory for it.

    Epoch and weights enter together, so an interruption never parts them.

    Parameters
    ----------
    run
        Directory of the run, or ``None``.
    """

    def __init__(self, run: Path | None) -> None:
        self._path = None if run is None else run / _FILE
        self._held: Best | None = None

    def keep(self, epoch: int, metrics: dict[str, float], weights: Mapping[str, Tensor]) -> None:
        """Replace what was kept by the weights as they are now."""
        if self._path is None:
            copies = {name: tensor.detach().clone() for name, tensor in weights.items()}
            self._held = Best(epoch, metrics, copies)
            return
        save_tensors(self._path, weights, {"epoch": epoch, "metrics": metrics})

    def get(self) -> Best | None:
        """Return what is kept; raise :class:`CorruptError` if its file is damaged."""
        if self._path is None or not self._path.exists():
            return self._held
        tensors, state = load_tensors(self._path)
        return Best(state["epoch"], state["metrics"], tensors)

    def sync(self) -> None:
        """See the file through to the disk."""
        if self._path is not None and self._path.exists():
            sync(self._path)
