"""Runs: directories of unfinished fits, each locked by one process, to resume or discard.

A run is ``runs/FINGERPRINT-RANDOM/`` with ``lock``, ``run.json`` (for people) and the files of
:mod:`diffrec_cli.training`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from diffrec_cli.errors import LockedError, NotFoundError
from diffrec_cli.files import dump_json, sweep_incoming, write_atomically
from diffrec_cli.holds import alone
from diffrec_cli.paths import TRIALS, runs_dir
from diffrec_cli.system_errors import writing
from diffrec_cli.training.checkpoint import discard, has_checkpoint
from diffrec_cli.workflows.fitting.plan import Job
from diffrec_cli.workflows.progress import Listener, Note

_STALE_SECONDS = 3600.0
_ABOUT = "run.json"


def open_run(job: Job, resume: bool, listener: Listener, stack: ExitStack) -> Path:
    """Return a directory, locked for this fit until `stack` closes.

    Parameters
    ----------
    job
        What will be computed.
    resume
        Take the newest interrupted run of the same job.
    listener
        Gets a note if an interrupted run is not resumed.
    stack
        Holds the directory's lock.

    Raises
    ------
    NotFoundError, LockedError
        There is nothing to resume, or another process does.
    StorageError
        The directory cannot be made.
    """
    root = runs_dir()
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        interrupted = interrupted_runs(job)
        if resume:
            return _resumed(job, interrupted, stack)
        if any(_is_free(run) for run in interrupted):
            listener(Note("an interrupted fit of these settings exists: --resume continues it"))
        run = root / f"{job.fingerprint}-{secrets.token_hex(3)}"
        run.mkdir()
        stack.enter_context(FileLock(run / "lock", timeout=0))
        said = {"name": job.name, "data": job.dataset.content_hash, **job.config.to_dict()}
        write_atomically(run / _ABOUT, dump_json(said))
        return run


def _sweep(root: Path) -> None:
    """Remove runs without a checkpoint that are an hour old or more."""
    for run in root.iterdir():
        with suppress(OSError):  # another process may be sweeping too
            old = run.is_dir() and time.time() - run.stat().st_mtime > _STALE_SECONDS
            if old and not has_checkpoint(run) and _is_free(run):
                discard(run)


def interrupted_runs(job: Job) -> list[Path]:
    """Return the runs of the same data and settings that have a checkpoint, newest first."""
    runs = [run for run in runs_dir().glob(f"{job.fingerprint}-*") if has_checkpoint(run)]
    return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)


def _resumed(job: Job, interrupted: list[Path], stack: ExitStack) -> Path:
    """Lock and return the newest interrupted run that is free."""
    for run in interrupted:
        try:
            stack.enter_context(FileLock(run / "lock", timeout=0))
        except Timeout:
            continue
        sweep_incoming(run, held_by_none=True)
        return run
    if interrupted:
        raise LockedError(
            f"the interrupted fit of {job.name} is being resumed by another process",
            "wait for it, or leave out --resume to begin anew",
        )
    raise nothing_to_resume(job)


def runs_but_on(hashes: Collection[str]) -> list[Path]:
    """Return the runs on other data than of these hashes, or that do not say on what."""
    found = []
    for run in sorted(runs_dir().glob("*-*")):
        try:
            data = json.loads((run / _ABOUT).read_bytes()).get("data")
        except (OSError, ValueError, AttributeError):
            data = None
        if str(data) not in hashes:
            found.append(run)
    return found


def require_free(work: Path) -> None:
    """Raise a :class:`LockedError` if a fit or a comparison is at work in a directory."""
    busy = "a fit" if (work / "lock").exists() and not _is_free(work) else None
    with alone(work / TRIALS) as unheld:
        busy = busy if unheld else "a comparison"
    if busy is not None:
        raise LockedError(
            f"{work}: {busy} of these data is running", "wait until it is done, or stop it"
        )


def nothing_to_resume(job: Job) -> NotFoundError:
    """Return the error that there is no interrupted run."""
    return NotFoundError(
        f"no interrupted fit of {job.name} with this data and these settings",
        "give the options of the interrupted fit again, or leave out --resume",
    )


def _is_free(run: Path) -> bool:
    """Tell whether no other fit has locked the run."""
    try:
        with FileLock(run / "lock", timeout=0):
            return True
    except Timeout:
        return False


def discard_runs(job: Job, finished: Path) -> None:
    """Remove the finished run, and free interrupted ones of the same fit."""
    discard(finished)
    discard_interrupted(job)


def discard_interrupted(job: Job) -> None:
    """Remove the interrupted runs of a fit that no process has locked."""
    for run in interrupted_runs(job):
        if _is_free(run):
            discard(run)


def epoch_log(run: Path) -> list[dict[str, Any]]:
    """Return what was logged of each epoch, in order."""
    path = run / "epochs.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
