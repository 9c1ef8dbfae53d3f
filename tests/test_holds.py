"""Whoever holds a file is seen by those who want it alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from diffrec_cli.holds import alone, hold

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no shared locks of files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("content")
    return tmp_path / "file"


def is_free(path: Path) -> bool:
    with alone(path) as free:
        return free


def test_many_may_hold_a_file_and_it_is_free_after_the_last(path: Path) -> None:
    first, second = hold(path), hold(path)
    assert not is_free(path)
    del first
    assert not is_free(path)
    del second
    assert is_free(path)


def test_a_file_that_can_only_be_read_can_be_held(path: Path) -> None:
    path.chmod(0o400)
    held = hold(path)
    assert held is not None
    assert not is_free(path)


def test_who_dies_lets_go(path: Path) -> None:
    script = (
        "import os, sys, pathlib; from diffrec_cli.holds import hold;"
        "held = hold(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not is_free(path)
        process.kill()
        process.wait()
        assert is_free(path)


def test_what_is_gone_cannot_be_held_and_is_held_by_nobody(path: Path) -> None:
    path.unlink()
    assert hold(path) is None
    assert is_free(path)


def test_a_file_that_was_removed_and_made_again_is_held_anew(path: Path) -> None:
    old = hold(path)
    path.unlink()
    path.write_text("another")
    assert is_free(path)
    new = hold(path)
    assert old is not None
    assert new is not None
    assert not is_free(path)


def test_a_file_lock_is_a_hold(path: Path) -> None:
    with FileLock(path):
        assert not is_free(path)
    assert is_free(path)
