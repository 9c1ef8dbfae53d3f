"""The state of an unfinished fit on disk, so that it can be killed and resumed.

A run is a directory in ``runs/``: ``run.json`` (what is being fitted), ``epochs.jsonl``
(the epoch log) and ``checkpoint.safetensors`` (tensors, and the plain state as
JSON in the header). Randomness hangs on (seed, epoch) alone, so no generator's state is kept.
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
from diffrec_cli.files import storage_errors, sync, system_error

_FILE = "checkpoint.safetensors"


def save_checkpoint(
    run: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    others: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
) -> None:
    """Write everything that the next epoch needs into the run's directory, atomically.

    Parameters
    ----------
    run
        Directory of the run.
    model, optimizer
        What is being trained, and by what.
    others
        Further weights by set and name (``best``, ``average``).
    state
        Plain values, for JSON.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    for kind, weights in others.items():
        tensors |= {f"{kind}.{name}": t for name, t in weights.items()}
    moments = optimizer.state_dict()["state"]
    for index, values in moments.items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    temporary = run / f"{_FILE}.new"
    with storage_errors(run):
        try:
            save_file(tensors, temporary, metadata={"state": json.dumps(state)})
            sync(temporary)
        except SafetensorError as error:
            temporary.unlink(missing_ok=True)
            raise system_error(error) from error
        temporary.replace(run / _FILE)


def load_checkpoint(
    run: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Restore model and optimiser in place.

    Returns
    -------
    The best weights so far and the averaged ones, under those names, and the plain state.

    Raises
    ------
    CorruptError
        The checkpoint is damaged or does not fit the model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(run / _FILE, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict(_under(tensors, "model."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise CorruptError(
            f"{run / _FILE}: the checkpoint is damaged ({error})", "fit again without --resume"
        ) from error
    return {kind: _under(tensors, f"{kind}.") for kind in ("best", "average")}, state


def has_checkpoint(run: Path) -> bool:
    """Return whether there is anything to resume in the run's directory."""
    return (run / _FILE).is_file()


def discard(run: Path) -> None:
    """Remove a finished run's directory."""
    shutil.rmtree(run, ignore_errors=True)


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append one JSON line to the epoch log and hand it to the operating system."""
    with storage_errors(path), path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(values, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
