"""The state of an unfinished fit on disk, so that it can be resumed.

A run is a directory in ``runs/``: ``run.json`` (what is being fitted), ``epochs.jsonl`` (the epoch
log), ``best.safetensors`` and ``checkpoint.safetensors`` (tensors, and JSON in the header).
Randomness depends on (seed, epoch, update) alone, so no state of generators is stored.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffrec_cli.errors import CorruptError
from diffrec_cli.files import atomic_path, storage_errors, system_error

_FILE = "checkpoint.safetensors"


def save_checkpoint(
    run: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
    state: Mapping[str, Any],
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
        Plain values for JSON.
    """
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in average.items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    save_tensors(run / _FILE, tensors, state, synced=True)


def load_checkpoint(
    run: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Restore model and optimiser in place; return the averaged weights and the plain state.

    Raises
    ------
    CorruptError
        The checkpoint is damaged or does not fit the model.
    """
    tensors, state = load_tensors(run / _FILE)
    try:
        model.load_state_dict(_under(tensors, "model."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    except (RuntimeError, KeyError, ValueError) as error:
        raise _damaged(run / _FILE, error) from error
    return _under(tensors, "average."), state


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], *, synced: bool = False
) -> None:
    """Write tensors and plain values to a file, atomically; `synced` flushes it to the disk."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    on_host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with storage_errors(path.parent), atomic_path(path, synced=synced) as temporary:
        try:
            save_file(on_host, temporary, metadata={"state": json.dumps(state)})
        except SafetensorError as error:
            raise system_error(error) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote; raise :class:`CorruptError` if it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def has_checkpoint(run: Path) -> bool:
    """Return whether the run's directory has a checkpoint to resume."""
    return (run / _FILE).is_file()


def discard(run: Path) -> None:
    """Remove a finished run's directory."""
    shutil.rmtree(run, ignore_errors=True)


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append one JSON line to the epoch log and flush it to the disk."""
    with storage_errors(path), path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(values, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _damaged(path: Path, error: Exception) -> CorruptError:
    return CorruptError(
        f"{path}: the checkpoint is damaged ({error})", "fit again without --resume"
    )


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
