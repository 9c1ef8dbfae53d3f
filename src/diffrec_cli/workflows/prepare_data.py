"""From log files to a prepared dataset in the store."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.order import TIMES, seems_to_precede
from diffrec_cli.data.stored_options import read_options_of, split_options_of
from diffrec_cli.errors import NotFoundError, UsageError
from diffrec_cli.paths import check_name
from diffrec_cli.workflows.progress import Listener, Note, silent

if TYPE_CHECKING:  # Arrow is loaded when a log is read
    from diffrec_cli.data.reading.log import Log
    from diffrec_cli.workflows.large_logs import Splitter

_SPLIT_FILES = "split files"


@dataclass(frozen=True)
class Prepared:
    """A dataset, and where it is.

    Parameters
    ----------
    dataset
        The dataset itself.
    path
        Its directory; ``None`` after a dry run.
    reused
        Whether the same content was already there.
    """

    dataset: Dataset
    path: Path | None
    reused: bool = False

    @property
    def line(self) -> str:
        """The outcome in one line."""
        verb = "reused" if self.reused else "prepared" if self.path else "read (dry run)"
        counts = self.dataset.summary()
        return (
            f"{verb} dataset {self.dataset.name}: {counts['users']:,} users,"
            f" {counts['items']:,} items, {counts['interactions']:,} interactions"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts of Table 1 and every dropped row by reason."""
        return self.dataset.summary()


def prepare(
    inputs: Sequence[str | Path],
    *,
    name: str | None = None,
    read: ReadOptions | None = None,
    split: SplitOptions | None = None,
    items: str | Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    rows_in_memory: int | None = None,
    listener: Listener = silent,
) -> Prepared:
    """Read logs, split them and store the dataset.

    Parameters
    ----------
    inputs
        Log files (joined into one log), ``-`` for stdin, or one directory of the authors' lists.
    name
        Name of the dataset; by default that of the first file.
    read, split
        How to read the log, and how to split it.
    items
        Table of items: id, title, and more.
    overwrite
        Replace another dataset of that name.
    dry_run
        Report only, store nothing.
    rows_in_memory
        Sort the log on disk, with so many rows in memory at a time, whatever its size. ``None``: so
        that it fits into the memory that is available; if it does, it is not sorted on disk.
    listener
        Gets decisions.

    Raises
    ------
    DataError
        The log cannot be used.
    UsageError
        The name is taken by other content, or options contradict each other.
    StorageError
        The dataset cannot be written, or the disk is full.
    DeviceError
        The log does not fit into memory, and an option forbids to sort it on disk.
    """
    from diffrec_cli.data.reading.log import is_authors_directory
    from diffrec_cli.data.reading.split_files import split_files

    if not inputs:
        raise _nothing_to_read()
    first = Path(inputs[0])
    name = check_name(name or default_name(str(inputs[0])), "dataset")
    if first.is_dir() and is_authors_directory(first):
        dataset = _from_lists(inputs, name, read, split, items, listener)
    elif first.is_dir() and len(inputs) == 1 and (files := split_files(first)):
        dataset = _from_split_files(files, name, read, split, items, listener)
    else:
        dataset = _from_logs(inputs, name, read, split, items, listener, rows_in_memory)
    if dry_run:
        return Prepared(dataset, None)
    path, reused = store.save(dataset, overwrite=overwrite)
    return Prepared(dataset, path, reused)


def dataset_of(
    data: str | Path | Sequence[str | Path],
    *,
    name: str | None = None,
    read: ReadOptions | None = None,
    split: SplitOptions | None = None,
    items: str | Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    like: Dataset | None = None,
    listener: Listener = silent,
) -> Dataset:
    """Return a prepared dataset by its name, or prepare log files; see :func:`prepare`.

    Log files are read and split `like` the log of another dataset where nothing else is said.
    """
    inputs = [data] if isinstance(data, str | Path) else list(data)
    stored = _stored_dataset(inputs, fresh_options=split is not None or items is not None)
    if stored is not None:
        return stored
    if like is not None:
        read, split = read_options_of(like).with_changes(read), split_options_of(like, split)
    prepared = prepare(
        inputs,
        name=name,
        read=read,
        split=split,
        items=items,
        overwrite=overwrite,
        dry_run=dry_run,
        listener=listener,
    )
    listener(Note(prepared.line))
    return prepared.dataset


def _stored_dataset(data: Sequence[str | Path], *, fresh_options: bool) -> Dataset | None:
    """Return the prepared dataset of that name, or None if `data` are log files.

    `fresh_options`: whether options were given that a prepared dataset cannot take.
    """
    if not data:
        raise _nothing_to_read()
    text = str(data[0])
    if len(data) == 1 and text in store.names():
        if fresh_options:
            raise UsageError(
                f"{text!r} is a prepared dataset: its split and items cannot be changed here",
                "prepare the log again with these options, or give the log's path",
            )
        return store.load(text)
    if text != "-" and not Path(text).exists():
        raise NotFoundError(f"no dataset and no file {text!r}", store.hint(text))
    return None


def _nothing_to_read() -> UsageError:
    return UsageError("no log to prepare", "give a file, a directory or - for stdin")


def _from_lists(
    inputs: Sequence[str | Path],
    name: str,
    read: ReadOptions | None,
    split: SplitOptions | None,
    items: str | Path | None,
    listener: Listener,
) -> Dataset:
    from diffrec_cli.data.reading.log import read_authors_lists
    from diffrec_cli.data.splitting.split import add_random_items

    if len(inputs) > 1:
        raise UsageError(
            f"{inputs[0]} is a directory of lists, which stands alone", "give nothing beside it"
        )
    dataset = _ordered(read_authors_lists(inputs[0], name), split)
    _tell_order(dataset, listener)
    dataset = _in_time(dataset, split, listener)
    if split is not None:
        listener(
            Note(
                f"{inputs[0]} is split already: only setting, order, parts and random noise are"
                " taken"
            )
        )
        dataset = dataclasses.replace(dataset, setting=split.setting)
        if split.noise == "random":
            dataset = add_random_items(dataset, split)
    if items is None:
        return dataset
    from diffrec_cli.data.splitting.split import join_items

    table = _items(items, read or ReadOptions())
    dataset = dataclasses.replace(dataset, item_table=join_items(dataset.item_ids.array, table))
    _tell_match(dataset, items, table, listener)
    return dataset


def _from_logs(
    inputs: Sequence[str | Path],
    name: str,
    read: ReadOptions | None,
    split: SplitOptions | None,
    items: str | Path | None,
    listener: Listener,
    rows_in_memory: int | None,
) -> Dataset:
    from diffrec_cli.data.reading.log import open_logs
    from diffrec_cli.workflows.large_logs import split_logs

    read, split = read or ReadOptions(), split or SplitOptions()
    if split.parts is not None:
        raise UsageError(
            "--parts is for a directory of lists, and this is a log",
            "leave it out: the log is split here, test last",
        )
    read = read.for_target(split.target)

    def tell_and_split(log: Log, cut: Splitter) -> Dataset:
        return _split(log, inputs, name, read, split, items, listener, cut)

    with open_logs([str(path) for path in inputs], read, stdin=sys.stdin.buffer) as files:
        return split_logs(files, read, split, tell_and_split, listener, rows_in_memory)


def _from_split_files(
    files: Mapping[str, Path],
    name: str,
    read: ReadOptions | None,
    split: SplitOptions | None,
    items: str | Path | None,
    listener: Listener,
) -> Dataset:
    from diffrec_cli.data.reading.log import read_split_files
    from diffrec_cli.data.splitting.split import split_log

    read, split = read or ReadOptions(), split or SplitOptions()
    said = ", ".join(f"{part} from {path.name}" for part, path in files.items())
    cuts = ("split_by", "ratios", "test_from")
    if any(getattr(split, name) != getattr(SplitOptions, name) for name in cuts):
        raise UsageError(
            f"{_directory_of(files)} is split already: --ratios, --split-by and --test-from have"
            " no effect",
            "leave them out, or give the files one by one",
        )
    own = "" if "valid" in files else "; valid is an eighth of each user's train rows"
    listener(Note(f"{_directory_of(files)} is split already: {said}{own}"))
    read = read.for_target(split.target)
    log = read_split_files(files, read)
    cut = partial(split_log, log)
    dataset = _split(log, [_directory_of(files)], name, read, split, items, listener, cut)
    return _in_time(dataset, split, listener)


def _directory_of(files: Mapping[str, Path]) -> Path:
    return files["train"].parent


def _split(
    log: Log,
    inputs: Sequence[str | Path],
    name: str,
    read: ReadOptions,
    split: SplitOptions,
    items: str | Path | None,
    listener: Listener,
    cut: Splitter,
) -> Dataset:
    """Tell how a log was read, and split it."""
    for note in (*log.taken, *log.notes):
        listener(Note(note))
    source = {
        "format": "log" if log.part is None else _SPLIT_FILES,
        "files": [str(path) for path in inputs],
        "read": dataclasses.asdict(read),
        "split": dataclasses.asdict(split),
    }
    item_table = None if items is None else _items(items, read, log.item_column)
    dataset = cut(split, name=name, item_table=item_table, source=source)
    _tell_window(log, dataset, split, listener)
    _tell_order(dataset, listener)
    _tell_cuts(dataset, split, listener)
    if items is not None:
        _tell_match(dataset, items, item_table, listener)
    return dataset


def _tell_window(log: Log, dataset: Dataset, split: SplitOptions, listener: Listener) -> None:
    """Tell of a window that leaves nothing out: its moments may not be what was meant."""
    from diffrec_cli.data.splitting.window import reach

    asked = split.since is not None or split.until is not None
    if asked and not dataset.dropped["outside_window"]:
        listener(Note(f"all rows are in the window: the log's times run {reach(log)}"))


def _ordered(dataset: Dataset, split: SplitOptions | None) -> Dataset:
    """Return released lists with the order that was said, or else the one that their rows show."""
    from diffrec_cli.data.splitting.split import found_order

    said = None if split is None else split.order
    if said == TIMES:
        raise UsageError("--order times: lists have no times", "use --order file or none")
    if said is not None:
        return dataclasses.replace(dataset, order=said)
    order, reason = found_order(dataset.train, dataset.item_ids.array.to_pylist())
    return dataclasses.replace(dataset, order=order, source={**dataset.source, "order": reason})


def _in_time(dataset: Dataset, split: SplitOptions | None, listener: Listener) -> Dataset:
    """Return released lists with the parts as they were said to follow, or warn of a doubt."""
    if split is not None and split.parts is not None:
        return dataclasses.replace(dataset, chronology=tuple(split.parts.split(",")))
    if dataset.ordered and seems_to_precede(dataset.test, dataset.valid, dataset.train):
        listener(
            Note(
                "test seems to come before valid: its first items follow train's last ones more"
                " often (--parts train,test,valid takes them so, --parts train,valid,test does not"
                " ask)"
            )
        )
    return dataset


def _tell_order(dataset: Dataset, listener: Listener) -> None:
    """Tell which order was found out, if no one said it."""
    reason = dataset.source.get("order")
    if reason is None:
        return
    if dataset.ordered:
        listener(
            Note(
                f"no time column; each user's rows are taken as oldest first: {reason}"
                " (--order none: they are in no order)"
            )
        )
        return
    given = dataset.source.get("format") in ("authors", _SPLIT_FILES)
    effect = "" if given else ", so valid and test are drawn at random"
    listener(
        Note(
            f"no time column, and no order of rows is seen{effect}: {reason}"
            " (--order file: each user's rows are oldest first)"
        )
    )


def _tell_cuts(dataset: Dataset, split: SplitOptions, listener: Listener) -> None:
    """Tell of cuts between equal times, and of parts that are empty against their share."""
    if ties := dataset.source.get("ties"):
        listener(
            Note(
                f"cuts between train, valid and test that are between equal times: {ties:,};"
                " such rows stay as the file has them"
            )
        )
    for part, ratio in zip(PARTS, split.ratios, strict=True):
        if ratio and not getattr(dataset, part).size:
            listener(Note(f"the {part} part is empty: {_why_empty(dataset, split)}"))


def _why_empty(dataset: Dataset, split: SplitOptions) -> str:
    if split.test_from is not None:
        return "no user with a past has a row of a known item from that moment on"
    if split.split_by == "time":
        return "the last moments are those of too many rows"
    if dataset.dropped["item_unseen_in_train"]:
        return "none of its items is in train"
    return "no user has three interactions"


def _items(path: str | Path, read: ReadOptions, log_column: str | None = None) -> Any:
    """Read the table of items, in the encoding of the log."""
    from diffrec_cli.data.reading.log import read_item_table

    options = ReadOptions(item_col=read.item_id_col, quotes=read.quotes, encoding=read.encoding)
    return read_item_table(path, options, log_column)


def _tell_match(dataset: Dataset, path: str | Path, table: Any, listener: Listener) -> None:
    """Tell how many items the table knows, if it does not know all."""
    from diffrec_cli.data.reading.items import match_in_words

    if said := match_in_words(dataset.item_ids.array, table):
        listener(Note(f"{path}: {said}"))


def default_name(path: str) -> str:
    """Return the name of a dataset that is made from this file."""
    return "stdin" if path == "-" else store.name_from_path(Path(path).absolute())
