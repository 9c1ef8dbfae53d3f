"""The state of an unfinished fit on disk, so that it can be resumed.

A run is a directory in ``runs/``: ``run.json`` (what is being fitted), ``epochs.jsonl`` (the epoch
log), the best weights so far and a checkpoint, see :mod:`~.tensor_files`. Randomness depends on
(seed, epoch, update) alone, so no state of generators is stored.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffrec_cli.models.initial_weights import parts_of
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.system_errors import writing
from diffrec_cli.training.distributed import Processes
from diffrec_cli.training.tensor_files import (
    has,
    load_tensors,
    read_state,
    save_tensors,
    stored_names,
)

_NAME = "checkpoint"


def save_checkpoint(
    run: Path,
    model: Trainable,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
    state: Mapping[str, Any],
    processes: Processes,
) -> None:
    """Write all that the next epoch needs into the run's directory, atomically.

    Parameters
    ----------
    run
        Directory of the run.
    model, optimizer
        The model in training, and its optimiser.
    average
        Averaged weights by name, if there are any.
    state
        Plain values for JSON; one is the ``epoch``.
    processes
        Those that train it.
    """
    tensors = _tensors(model, optimizer, average)
    parts = _parts(model, optimizer, tensors)
    save_tensors(run, _NAME, tensors, parts, state, processes, synced=True)


def load_checkpoint(
    run: Path, model: Trainable, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Restore model, optimiser and averaged weights in place; return the plain state.

    Raises
    ------
    CorruptError
        The checkpoint is damaged or does not fit the model.
    """
    _begin(optimizer, stored_names(run, _NAME))
    tensors = _tensors(model, optimizer, average)
    load_tensors(run, _NAME, tensors, _parts(model, optimizer, tensors))
    return read_state(run, _NAME)


def has_checkpoint(run: Path) -> bool:
    """Return whether the run's directory has a checkpoint to resume."""
    return has(run, _NAME)


def discard(run: Path) -> None:
    """Remove a finished run's directory."""
    shutil.rmtree(run, ignore_errors=True)


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append one JSON line to a log and flush it to the disk.

    A line that a full disk or a kill cut short stays a line of its own, which nobody can read.
    """
    line = json.dumps(values, allow_nan=False).encode() + b"\n"
    with writing(path), path.open("ab+") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        cut_short = size and stream.read() != b"\n"
        stream.write(b"\n" + line if cut_short else line)
        stream.flush()
        os.fsync(stream.fileno())


def _tensors(
    model: Trainable, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the live tensors of a training by their names in a checkpoint."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for name, parameter in _optimized(optimizer):
        tensors |= {
            f"{name}.{key}": value for key, value in optimizer.state.get(parameter, {}).items()
        }
    return tensors


def _parts(
    model: Trainable, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> dict[str, ItemRange]:
    """Return which rows of the tensors are there, for those with a row for each item."""
    parts: dict[str, ItemRange] = {}
    for name, part in parts_of(model).items():
        parts |= {f"model.{name}": part, f"average.{name}": part}
    for name, parameter in _optimized(optimizer):
        own: ItemRange | None = getattr(parameter, "part", None)
        if own is not None:
            parts |= {f"{name}.exp_avg": own, f"{name}.exp_avg_sq": own}
    return {name: part for name, part in parts.items() if name in tensors}


def _optimized(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return ((f"optimizer.{i}", parameter) for i, parameter in enumerate(parameters))


def _begin(optimizer: torch.optim.Optimizer, stored: Collection[str]) -> None:
    """Give AdamW the moments that a checkpoint has, to be filled."""
    for name, parameter in _optimized(optimizer):
        if f"{name}.step" in stored:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
