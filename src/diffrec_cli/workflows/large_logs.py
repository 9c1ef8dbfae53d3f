"""Logs in memory, or sorted on disk if they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.on_disk.choice import needed_memory, rows_beyond_memory
from diffrec_cli.data.on_disk.reading import NeedsMemoryError, read_to_disk
from diffrec_cli.data.on_disk.splitting import check_options, order_on_disk, split_on_disk
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.log import Log, read_files
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.errors import DeviceError
from diffrec_cli.files import publish_directory
from diffrec_cli.memory import available_memory
from diffrec_cli.paths import datasets_dir
from diffrec_cli.system_errors import MORE_MEMORY, writing
from diffrec_cli.workflows.progress import Listener, Note

#: Splits a log; what else it takes, and returns, is as of :func:`~.split.split_log`.
Splitter = Callable[..., Dataset]
#: Tells what is known of a log, and splits it.
Teller = Callable[[Log, Splitter], Dataset]


def split_logs(
    files: Sequence[InputFile],
    read: ReadOptions,
    split: SplitOptions,
    tell_and_split: Teller,
    listener: Listener,
    rows_in_memory: int | None = None,
) -> Dataset:
    """Read files as one log and split it, in memory if it fits there.

    Parameters
    ----------
    files
        Open files.
    read, split
        How to read and to split them.
    tell_and_split
        Gets a log, all of it or what is known of it, and the function that splits it.
    listener
        Gets a note if the log is sorted on disk, or would have to be.
    rows_in_memory
        Rows to have in memory at a time; ``None``: all if they fit, and what fits if not.

    Raises
    ------
    DeviceError
        The log must be in memory as a whole, and does not fit.
    StorageError
        The disk is full, or fails.
    """
    rows = rows_in_memory or _rows_beyond_memory(files, listener)
    needs = ""
    try:
        if rows is not None:
            try:
                return _on_disk(files, read, split, tell_and_split, rows)
            except NeedsMemoryError as error:
                needs = str(error)
            listener(Note(f"the whole log is read into memory after all, as {needs} needs it"))
        log = read_files(files, read)
        return tell_and_split(log, partial(split_log, log))
    except MemoryError as error:
        raise _too_large(needs) from error


def _too_large(needs: str) -> DeviceError:
    """Return the error of a log that does not fit; `needs`: what forbids to sort it on disk."""
    if not needs:
        return DeviceError("the log does not fit into memory", MORE_MEMORY)
    return DeviceError(
        f"the log does not fit into memory, and {needs} needs it there",
        f"leave that out: other logs are sorted on disk; or {MORE_MEMORY}",
    )


def _rows_beyond_memory(files: Sequence[InputFile], listener: Listener) -> int | None:
    """Return how many rows are in memory at a time, and tell why not all are; ``None``: all."""
    needed = needed_memory(files)
    rows = rows_beyond_memory(needed)
    if rows is not None:
        listener(
            Note(
                f"the log needs about {needed / 1e9:.1f} GB in memory,"
                f" {(available_memory() or 0) / 1e9:.1f} GB are available: sorting it on disk in"
                f" {datasets_dir()}"
            )
        )
    return rows


def _on_disk(
    files: Sequence[InputFile],
    read: ReadOptions,
    split: SplitOptions,
    tell_and_split: Teller,
    rows: int,
) -> Dataset:
    check_options(split)
    with writing(datasets_dir()), publish_directory(datasets_dir()) as directory:
        log = read_to_disk(files, read, directory, rows)
        order = order_on_disk(log, split)  # before anything is told
        return tell_and_split(log.head, partial(split_on_disk, log, order=order))
