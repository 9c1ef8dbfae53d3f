"""Named tensors and plain values in the directory of a run, replaced atomically.

One process writes ``NAME.safetensors``, with the values as JSON in its header; several write
``NAME-EPOCH/``, see :mod:`~.parted_tensors`. Any number of processes can read either.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from diffrec_cli.errors import CorruptError
from diffrec_cli.files import atomic_path, sync, sync_tree
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.system_errors import system_error, unreadable, writing
from diffrec_cli.training.distributed import Processes

Parts = Mapping[str, ItemRange]
#: The plain values of a directory, which is complete once it has them.
STATE = "state.json"
_SUFFIX = ".safetensors"


def save_tensors(
    run: Path,
    name: str,
    tensors: Mapping[str, Tensor],
    parts: Parts,
    state: Mapping[str, Any],
    processes: Processes,
    *,
    synced: bool = False,
) -> None:
    """Write tensors and plain values under a name, in place of what it had.

    Parameters
    ----------
    run
        Directory of the run.
    name
        What they are.
    tensors, parts
        By name, and which rows this process has of some of them.
    state
        Plain values for JSON; one is the ``epoch``.
    processes
        Those that call this.
    synced
        Whether one process flushes them to the disk; several always do.
    """
    before = _stored(run, name)
    with writing(run):
        if processes.mesh is None:
            kept = run / f"{name}{_SUFFIX}"
            _save_file(kept, tensors, state, synced)
        else:
            from diffrec_cli.training import parted_tensors

            kept = run / f"{name}-{state['epoch']:08}"
            if processes.first and kept.exists():  # of other processes, which may have been more
                shutil.rmtree(kept)
            processes.wait()
            parted_tensors.save_parts(kept, tensors, parts, state)
        if processes.first:
            for path in before:
                if path != kept:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def load_tensors(run: Path, name: str, tensors: Mapping[str, Tensor], parts: Parts) -> None:
    """Fill tensors in place by what :func:`save_tensors` wrote.

    Raises
    ------
    CorruptError
        It is damaged, or does not have these tensors.
    """
    path = _newest(run, name)
    try:
        if path.is_dir():
            from diffrec_cli.training import parted_tensors

            parted_tensors.load_parts(path, tensors, parts)
        else:
            _load_file(path, tensors, parts)
    except Exception as error:  # torch, safetensors and json raise many kinds of errors
        raise _damaged(path, error) from error


def load_whole(run: Path, name: str) -> dict[str, Tensor]:
    """Return all tensors, each with all rows; raise as :func:`load_tensors` does."""
    path = _newest(run, name)
    try:
        if path.is_dir():
            from diffrec_cli.training import parted_tensors

            return parted_tensors.load_whole(path)
        with _opened(path) as file:
            return {tensor: file.get_tensor(tensor) for tensor in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise _damaged(path, error) from error


def stored_names(run: Path, name: str) -> set[str]:
    """Return the names of the tensors."""
    path = _newest(run, name)
    try:
        if path.is_dir():
            from diffrec_cli.training import parted_tensors

            return set(parted_tensors.stored_sizes(path))
        with _opened(path) as file:
            return set(file.keys())
    except Exception as error:
        raise _damaged(path, error) from error


def read_state(run: Path, name: str) -> dict[str, Any]:
    """Return the plain values that were written with the tensors."""
    path = _newest(run, name)
    try:
        if path.is_dir():
            state: dict[str, Any] = json.loads((path / STATE).read_bytes())
            return state
        return _file_state(path)
    except Exception as error:
        raise _damaged(path, error) from error


def has(run: Path, name: str) -> bool:
    """Return whether there are tensors under a name."""
    return bool(_stored(run, name))


def flush(run: Path, name: str) -> None:
    """Flush what is under a name to the disk."""
    for path in _stored(run, name):
        sync_tree(path) if path.is_dir() else sync(path)


def _stored(run: Path, name: str) -> list[Path]:
    """Return what is complete under a name, newest last; a kill may leave older ones."""
    whole = [path for path in (run / f"{name}{_SUFFIX}",) if path.exists()]
    parted = sorted(run.glob(f"{name}-" + "[0-9]" * 8))
    complete = [path for path in parted if (path / STATE).exists()]
    return sorted([*whole, *complete], key=_epoch_of) if whole and complete else [*whole, *complete]


def _epoch_of(path: Path) -> int:
    if path.is_dir():
        return int(path.name.rsplit("-", 1)[1])
    return int(_file_state(path)["epoch"])


def _newest(run: Path, name: str) -> Path:
    found = _stored(run, name)
    return found[-1] if found else run / f"{name}{_SUFFIX}"  # whose absence is an error


def _save_file(
    path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], synced: bool
) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    on_host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path, synced=synced) as temporary:
        try:
            save_file(on_host, temporary, metadata={"state": json.dumps(state)})
        except SafetensorError as error:
            raise system_error(error) from error


def _load_file(path: Path, tensors: Mapping[str, Tensor], parts: Parts) -> None:
    with _opened(path) as file:
        for name, tensor in tensors.items():
            part = parts.get(name)
            if part is None:
                found = file.get_tensor(name)
            else:
                found = file.get_slice(name)[part.start : part.stop]
            if found.shape != tensor.shape:
                raise ValueError(f"{name} has the shape {tuple(found.shape)}")
            tensor.copy_(found)


def _file_state(path: Path) -> dict[str, Any]:
    with _opened(path) as file:
        state: dict[str, Any] = json.loads(file.metadata()["state"])
        return state


def _opened(path: Path) -> Any:
    from safetensors import safe_open

    path.open("rb").close()  # the library says of any that is refused it is absent
    return safe_open(path, framework="pt")


def _damaged(path: Path, error: Exception) -> Exception:
    return unreadable(error, path) or CorruptError(
        f"{path}: the checkpoint is damaged ({error})", "fit again without --resume"
    )
