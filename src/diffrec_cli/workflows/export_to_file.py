"""Lists into a file: atomic, in bounded memory, and continued after a kill."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diffrec_cli import __version__
from diffrec_cli.data.arrow import read_parquet
from diffrec_cli.data.tables import check_target, write_file
from diffrec_cli.errors import CorruptError, UsageError
from diffrec_cli.files import (
    INCOMING_PREFIX,
    dump_json,
    locked,
    read_record,
    sha256_file,
    write_atomically,
)
from diffrec_cli.launch import launched
from diffrec_cli.registry import versions as registry
from diffrec_cli.system_errors import unreadable, writing
from diffrec_cli.workflows.progress import Listener, Note, Step, silent
from diffrec_cli.workflows.recommend_lists import (
    Recommendations,
    count_lists,
    recommend_by,
    tell_of_none,
)
from diffrec_cli.workflows.serving.options import FILES, RecommendOptions

_KIND, _SCHEMA_VERSION, _PLAN = "export", 1, "plan.json"
_OURS = re.compile(rf"\d{{6,}}\.parquet|{re.escape(_PLAN)}|\.lock|{re.escape(INCOMING_PREFIX)}.*")


@dataclass(frozen=True)
class Exported:
    """An export that was written.

    Parameters
    ----------
    model
        Reference of the model.
    users
        Number of users asked for; ``None`` for a stream.
    path
        The file.
    """

    model: str
    users: int | None
    path: Path


def export_lists(
    out: str | Path,
    model: str | None = None,
    *,
    form: str | None = None,
    listener: Listener = silent,
    **options: Any,
) -> Exported:
    """Write lists to a .csv, .jsonl or .parquet file, which appears when it is complete.

    The lists of all users are made in parts, kept in ``NAME.partial/``. After a kill, the same call
    makes only the missing parts; the file is the same, byte for byte. Memory is bounded.

    Parameters
    ----------
    out
        The file; its name gives the format.
    form
        The expected format; ``None``: any.
    model, listener, options
        As in :func:`~diffrec_cli.workflows.recommend_lists.recommend`.

    Raises
    ------
    UsageError
        The file's name, its directory or an option is wrong, or the disk is full.
    LockedError
        Another process writes this file.
    """
    out = Path(out)
    several = launched()[1] > 1
    by_name = check_target(out)
    if form not in (None, by_name):
        raise UsageError(
            f"--format {form} contradicts --out, whose name asks for {by_name}",
            "leave out --format, or use --out - and a redirection",
        )
    asked = RecommendOptions(**options)
    if several and not asked.all_users:
        raise UsageError(
            "several processes share the lists of all users",
            "add --all-users, or leave torchrun out",
        )
    lists = recommend_by(model, asked, listener)
    if not asked.all_users:
        write_file(out, lists.tables)
    elif not several:
        _write_in_parts(out, lists, _fingerprint(lists.model, asked), listener)
    else:
        _write_together(out, lists, _fingerprint(lists.model, asked), asked.device, listener)
    return Exported(lists.model, lists.users, out)


def _write_in_parts(
    out: Path, lists: Recommendations, fingerprint: str, listener: Listener
) -> None:
    directory = out.with_name(f"{out.name}.partial")
    with ExitStack() as stack:
        _claim(directory, fingerprint, listener, stack)
        parts, users = _make(directory, lists, listener)
        write_file(out, _read(parts, users, listener))
        _clear(directory)


def _write_together(
    out: Path, lists: Recommendations, fingerprint: str, device: str, listener: Listener
) -> None:
    """Make the parts in several processes; the first one puts them together."""
    from diffrec_cli.training.devices import choose_device, own_device
    from diffrec_cli.training.distributed import arranged, connected

    directory = out.with_name(f"{out.name}.partial")
    device = own_device(choose_device(device))
    with ExitStack() as stack:
        stack.enter_context(connected(device))
        processes = arranged(device)
        if processes.first:
            _claim(directory, fingerprint, listener, stack)
        processes.wait()
        parts, users = _make(directory, lists, listener, processes.over_users)
        processes.wait()
        if processes.first:
            write_file(out, _read(parts, users, listener))
            _clear(directory)


def _claim(directory: Path, fingerprint: str, listener: Listener, stack: ExitStack) -> None:
    """Lock the directory of the parts, and remove what is of another export.

    Raises
    ------
    UsageError
        There is a directory of that name with something else.
    """
    with writing(directory):
        if strange := [path for path in _inside(directory) if not _may_stay(path)]:
            raise UsageError(
                f"{directory} has {strange[0].name}, and parts of the lists would be kept there",
                "give another --out, or move that directory away",
            )
        stack.enter_context(locked(directory, timeout=0))
        _keep_if_same(directory, fingerprint, listener)


def _inside(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.exists() else []


def _may_stay(path: Path) -> bool:
    """Tell whether a file is of an export, or hidden: systems leave such files everywhere."""
    return _is_ours(path) or path.name.startswith(".")


def _is_ours(path: Path) -> bool:
    """Tell whether an export, or a kill of one, may have left a file."""
    return bool(_OURS.fullmatch(path.name)) and not path.is_dir()


def _clear(directory: Path) -> None:
    """Remove what exports keep in a directory, and then the directory."""
    for path in filter(_is_ours, _inside(directory)):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        directory.rmdir()


def _keep_if_same(directory: Path, fingerprint: str, listener: Listener) -> None:
    """Remove the parts in the directory unless they are of the same export."""
    plan = directory / _PLAN
    with suppress(CorruptError):
        if read_record(plan, kind=_KIND, schema_version=_SCHEMA_VERSION)["export"] == fingerprint:
            return
    stale = [path for path in _inside(directory) if path.suffix == ".parquet"]
    if stale:
        listener(Note(f"{directory}: parts of another export, starting again"))
    for path in stale:
        path.unlink()
    record = {"kind": _KIND, "schema_version": _SCHEMA_VERSION, "export": fingerprint}
    write_atomically(plan, dump_json(record))


def _make(
    directory: Path,
    lists: Recommendations,
    listener: Listener,
    place: tuple[int, int] = (0, 1),
) -> tuple[list[Path], int]:
    """Make the parts that are missing; return all of them in order, and the number of users.

    Of n processes, `place` (i, n) is this one's: it makes each n-th part.
    """
    parts, done, reused = [], 0, 0
    for number, request in enumerate(lists.requests):
        part = directory / f"{number:06d}.parquet"
        done += len(request)
        if number % place[1] != place[0]:
            parts.append(part)
            continue
        if part.exists():
            reused = done
        else:
            if reused:
                listener(Note(f"going on after {reused:,} users of an interrupted export"))
                reused = 0
            content = _parquet(pa.concat_tables(lists.serve(request)))
            with writing(part):
                write_atomically(part, content)
        listener(Step("recommending", done, lists.users))
        parts.append(part)
    return parts, done


def _parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def _read(parts: list[Path], users: int, listener: Listener) -> Iterator[pa.Table]:
    """Yield the parts' tables; raise a CorruptError if one is damaged."""
    lists = 0
    for number, part in enumerate(parts, 1):
        try:
            table = read_parquet(part)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(error, part) or CorruptError(
                f"{part}: damaged ({error})", f"remove {part.parent} and export again"
            ) from error
        lists += count_lists(table)
        yield table
        listener(Step("writing", number, len(parts), "parts"))
    tell_of_none(users - lists, users, listener)


def _fingerprint(model: str, options: RecommendOptions) -> str:
    """Return a hash of the model's files, the options and their files."""
    files = {path: entry.sha256 for path, entry in registry.resolve(model).record.files.items()}
    said = {name: _said(name, value) for name, value in vars(options).items()}
    plan = json.dumps([__version__, model, files, said], default=str)
    return hashlib.sha256(plan.encode()).hexdigest()


def _said(option: str, value: Any) -> Any:
    """Return an option's value: a file's hash, or a random text for a pipe."""
    if option not in FILES or not isinstance(value, str | Path):
        return value
    return sha256_file(Path(value)) if Path(value).is_file() else secrets.token_hex()
