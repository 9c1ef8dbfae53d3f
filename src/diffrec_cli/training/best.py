"""The weights of the best epoch so far, kept in a file to save memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from diffrec_cli.models.initial_weights import parts_of
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.training.distributed import Processes
from diffrec_cli.training.tensor_files import flush, has, load_whole, read_state, save_tensors

_NAME = "best"


@dataclass(frozen=True)
class Best:
    """An epoch, its validation metrics and its weights; only the first process has those."""

    epoch: int
    metrics: dict[str, float]
    weights: dict[str, Tensor]


class BestEpoch:
    """Keeps one :class:`Best`: in a file of the run, or in memory without a run.

    Parameters
    ----------
    run
        Directory of the run, which several processes need; or ``None``.
    model
        The model whose weights they are.
    processes
        Those that train it.
    """

    def __init__(self, run: Path | None, model: Trainable, processes: Processes) -> None:
        self._run, self._parts, self._processes = run, parts_of(model), processes
        self._held: Best | None = None
        self._figures: tuple[int, dict[str, float]] | None = None

    def keep(self, epoch: int, metrics: dict[str, float], weights: Mapping[str, Tensor]) -> None:
        """Store an epoch and a copy of its weights instead of the last."""
        if self._run is None:
            copies = {name: tensor.detach().clone() for name, tensor in weights.items()}
            self._held = Best(epoch, metrics, copies)
            return
        self._figures = epoch, metrics
        state = {"epoch": epoch, "metrics": metrics}
        save_tensors(self._run, _NAME, weights, self._parts, state, self._processes)

    def figures(self) -> tuple[int, dict[str, float]] | None:
        """Return the best epoch and its metrics; raise as :meth:`get` does."""
        if self._run is None or not has(self._run, _NAME):
            return None if self._held is None else (self._held.epoch, self._held.metrics)
        state = read_state(self._run, _NAME)
        self._figures = state["epoch"], state["metrics"]
        return self._figures

    def get(self) -> Best | None:
        """Return the best epoch; raise :class:`CorruptError` if its file is damaged."""
        if not self._processes.first:  # the first one may have removed the files by now
            return None if self._figures is None else Best(*self._figures, {})
        if self._run is None or not has(self._run, _NAME):
            return self._held
        state = read_state(self._run, _NAME)
        return Best(state["epoch"], state["metrics"], load_whole(self._run, _NAME))

    def sync(self) -> None:
        """Flush the file to the disk."""
        if self._run is not None and self._processes.first:
            flush(self._run, _NAME)
