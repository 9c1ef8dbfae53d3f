"""Files and directories that are wholly there or not there."""

import os
import time
from pathlib import Path

import pytest

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
    write_atomically,
)


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


def test_only_what_was_left_long_ago_is_swept_unless_told_otherwise(tmp_path: Path) -> None:
    old, young = (tmp_path / f"{INCOMING_PREFIX}{age}" for age in ("old", "young"))
    old.mkdir()
    young.write_text("")
    os.utime(old, (time.time() - 90_000,) * 2)
    sweep_incoming(tmp_path)
    assert list(tmp_path.iterdir()) == [young]
    sweep_incoming(tmp_path, older_than=0)
    assert list(tmp_path.iterdir()) == []


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
