"""Files and directories that are wholly there or not there."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffrec_cli import files
from diffrec_cli.errors import UsageError
from diffrec_cli.files import (
    INCOMING_PREFIX,
    Freed,
    atomic_file,
    atomic_path,
    delete_directory,
    directory_size,
    publish_directory,
    put_in_place,
    sweep_incoming,
    user_file,
    write_atomically,
)
from diffrec_cli.holds import Hold, keep


class Fault(Exception):
    """Something goes wrong on the way."""


@pytest.mark.parametrize("way", [atomic_file, atomic_path])
def test_a_fault_leaves_the_old_file_and_nothing_else(tmp_path: Path, way) -> None:
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def write_half() -> None:
        with way(path) as target:
            if isinstance(target, Path):
                target.write_bytes(b"half")
            raise Fault

    with pytest.raises(Fault):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_with_all_that_is_in_it_or_not_at_all(tmp_path: Path) -> None:
    for fault in (True, False):
        try:
            with publish_directory(tmp_path) as directory:
                (directory / "file").write_text("content")
                if fault:
                    raise Fault
                put_in_place(directory, tmp_path / "final")
        except Fault:
            assert list(tmp_path.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
    assert (tmp_path / "final" / "file").read_text() == "content"


def test_a_deleted_directory_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    delete_directory(tmp_path / "a" / "b", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


NO_LOCKS = pytest.mark.skipif(os.name == "nt", reason="there age decides")


def left_in(parent: Path) -> Path:
    """Return a name that a killed process of this host may have left."""
    return parent / f"{INCOMING_PREFIX}{files._host()}01234567"


@NO_LOCKS
def test_only_what_nobody_works_on_is_swept(tmp_path: Path) -> None:
    left = left_in(tmp_path)
    users_own = tmp_path / f"{INCOMING_PREFIX}letters"
    users_own.write_text("not ours")
    for make in (Path.touch, Path.mkdir):
        make(left)
        with publish_directory(tmp_path) as directory, atomic_file(tmp_path / "file") as file:
            sweep_incoming(tmp_path)
            assert sorted(tmp_path.iterdir()) == sorted([directory, Path(file.name), users_own])
        (tmp_path / "file").unlink()
    assert list(tmp_path.iterdir()) == [users_own]


@NO_LOCKS
def test_what_was_swept_before_it_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = []

    def too_late(descriptor: int) -> Hold:
        if not swept:
            swept.append(descriptor)
            sweep_incoming(tmp_path)
        return keep(descriptor)

    monkeypatch.setattr(files, "keep", too_late)
    with user_file(tmp_path / "lists.csv") as stream:
        stream.write(b"all")
    assert len(swept) == 1
    assert (tmp_path / "lists.csv").read_bytes() == b"all"
    assert list(tmp_path.iterdir()) == [tmp_path / "lists.csv"]


@NO_LOCKS
def test_what_another_host_left_is_swept_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = left_in(tmp_path)
    left.write_text("of one host")
    monkeypatch.setattr(files, "_host", lambda: "0123456789ab")
    sweep_incoming(tmp_path)
    assert left.exists()
    os.utime(left, (time.time() - 90_000,) * 2)
    sweep_incoming(tmp_path)
    assert not left.exists()


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_a_users_file_keeps_its_mode_and_the_link_to_it(tmp_path: Path) -> None:
    private, link = tmp_path / "private.csv", tmp_path / "link.csv"
    private.write_text("old")
    private.chmod(0o600)
    link.symlink_to(private)
    with user_file(link) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert private.read_text() == "new"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


@NO_LOCKS
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_the_next_write_removes_what_a_kill_left(tmp_path: Path, kind: str) -> None:
    script = f"""
import os, signal
from pathlib import Path
from diffrec_cli.files import publish_directory, user_file
folder = Path({str(tmp_path)!r})
with {"user_file(folder / 'x')" if kind == "file" else "publish_directory(folder)"}:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert [path.name.startswith(INCOMING_PREFIX) for path in tmp_path.iterdir()] == [True]
    with user_file(tmp_path / "another") as stream:
        stream.write(b"all")
    assert list(tmp_path.iterdir()) == [tmp_path / "another"]


@NO_LOCKS
def test_what_may_only_be_read_is_swept_too(tmp_path: Path) -> None:
    left_in(tmp_path).write_text("")
    left_in(tmp_path).chmod(0o444)
    sweep_incoming(tmp_path)
    assert list(tmp_path.iterdir()) == []


@NO_LOCKS
def test_a_write_that_is_refused_removes_what_a_kill_left_too(tmp_path: Path) -> None:
    path, left = tmp_path / "shop.tar", left_in(tmp_path)
    path.write_bytes(b"complete")
    left.hardlink_to(path)  # killed between the final name and the removal of the temporary one
    with pytest.raises(UsageError, match="exists"), user_file(path, overwrite=False):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_two_names_counts_once_and_is_freed_with_the_second(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, own in ((first, b"12345"), (second, b"123")):
        directory.mkdir()
        (directory / "own").write_bytes(own)
    (first / "common").write_bytes(bytes(100))
    (second / "common").hardlink_to(first / "common")
    assert [directory_size(path) for path in (first, second, tmp_path)] == [105, 103, 108]
    assert [Freed().by(first), Freed().by(second)] == [5, 3]
    both = Freed()
    assert [both.by(first), both.by(second)] == [5, 103]


def test_a_users_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_bytes(b"old")

    def write_half() -> None:
        with user_file(path) as stream:
            stream.write(b"half")
            raise Fault

    with pytest.raises(Fault):
        write_half()
    assert path.read_bytes() == b"old"
    with user_file(path) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_is_not_replaced(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    path = tmp_path / "shop.tar"

    def write(*, too_late: bool) -> None:
        with user_file(path, overwrite=False) as stream:
            stream.write(b"mine")
            if too_late:
                path.write_bytes(b"another's")

    with pytest.raises(UsageError, match="exists"):
        write(too_late=True)
    assert path.read_bytes() == b"another's"
    path.unlink()
    write(too_late=False)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "leads nowhere").symlink_to(tmp_path / "none" / "x")
    for path, what in (
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "is no plain file"),
        (tmp_path / "none" / "x", "no such directory"),
        (tmp_path / "leads nowhere", "no such directory"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(UsageError, match=what), user_file(path):
            pass


def test_a_directory_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with publish_directory(tmp_path) as directory:
        (directory / "file").write_text("mine")
        final.mkdir()
        (final / "file").write_text("another's")
        with pytest.raises(FileExistsError):
            put_in_place(directory, final)
    assert (final / "file").read_text() == "another's"
    assert list(tmp_path.iterdir()) == [final]
