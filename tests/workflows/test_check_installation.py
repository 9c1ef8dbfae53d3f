"""A check that fails says what is expected."""

from collections import namedtuple
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.workflows import check_installation

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "ok"), [(0, False), (2**30 - 1, False), (2**30, True), (2**40, True)]
)
def test_too_little_free_disk_is_said_to_be_too_little(
    monkeypatch: pytest.MonkeyPatch, free: int, ok: bool
) -> None:
    disk = Usage(2**41, 2**41 - free, free)
    monkeypatch.setattr(check_installation.shutil, "disk_usage", lambda path: disk)
    (home,) = (check for check in workflows.doctor().checks if check.name == "home")
    assert home.ok == ok
    assert ("too little: free 1 GiB or more" in home.found) == (not ok)


def test_the_home_is_tried_by_no_name_that_could_be_guessed(isolated_home: Path) -> None:
    isolated_home.mkdir()
    mine = isolated_home.parent / "mine"
    mine.write_text("a thesis")
    (isolated_home / ".incoming-doctor").symlink_to(mine)
    (home,) = (check for check in workflows.doctor().checks if check.name == "home")
    assert home.ok
    assert mine.read_text() == "a thesis"
    assert [path.name for path in isolated_home.iterdir()] == [".incoming-doctor"]
