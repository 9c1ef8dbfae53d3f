"""What work left is removed when it is old and nobody uses it, and not before."""

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from diffrec_cli import workflows
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.files import publish_directory
from diffrec_cli.paths import (
    comparisons_dir,
    datasets_dir,
    home,
    models_dir,
    runs_dir,
    tuning_dir,
)
from diffrec_cli.workflows.experiments.trials import KeptTrials
from diffrec_cli.workflows.leftovers import COMPARISONS, OLD_DAYS, RUNS, TUNING, WRITES, old_ones

DAY = 86_400.0


def left(path: Path, days: float, size: int = 10) -> Path:
    """Write a file of some bytes, unchanged for some days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    moment = time.time() - days * DAY
    for aged in (path, path.parent):
        os.utime(aged, (moment, moment))
    return path


def places(kind: str) -> tuple[Path, Path]:
    """Return a file of an old piece of work of a kind, and what is locked while it goes on."""
    return {
        RUNS: (runs_dir() / "0123-ab/checkpoint.json", runs_dir() / "0123-ab/lock"),
        COMPARISONS: (comparisons_dir() / "0123/trials.jsonl",) * 2,
        TUNING: (tuning_dir() / "ease-0123.journal", tuning_dir() / "ease-0123.journal.held"),
    }[kind]


KINDS = pytest.mark.parametrize("kind", [RUNS, COMPARISONS, TUNING])


@KINDS
def test_thirty_days_after_the_last_change_it_is_old(kind: str) -> None:
    file, _ = places(kind)
    left(file, 29.9)
    assert old_ones(kind, remove=True) == []
    left(file, 30.1)
    (found,) = old_ones(kind, remove=False)
    assert (found.kind, found.bytes, found.removed) == (kind, 10, False)
    assert found.days == pytest.approx(30.1, abs=0.01)
    assert file.exists()
    assert old_ones(kind, remove=True)[0].removed
    assert not file.exists()
    assert old_ones(kind, remove=True) == []


@KINDS
def test_what_is_in_use_is_not_old(kind: str) -> None:
    file, lock = places(kind)
    left(file, 99)
    with FileLock(lock):
        left(file, 99)
        assert old_ones(kind, remove=True) == []
    assert file.exists()


@pytest.mark.parametrize("kind", [RUNS, TUNING])
def test_a_lock_that_was_looked_at_makes_nothing_young(kind: str) -> None:
    file, lock = places(kind)
    left(file, 99)
    lock.write_bytes(b"")
    assert len(old_ones(kind, remove=False)) == 1


def test_one_changed_file_keeps_the_whole_run() -> None:
    left(runs_dir() / "0123-ab/run.json", 99)
    left(runs_dir() / "0123-ab/checkpoint/part", 2)
    assert old_ones(RUNS, remove=True) == []


def test_all_files_of_a_search_go_and_those_of_another_stay() -> None:
    for ending in ("", ".held", ".begin", ".lock"):
        left(tuning_dir() / f"ease-0123.journal{ending}", 99)
    other = left(tuning_dir() / "ease-01.journal", 3)
    (found,) = old_ones(TUNING, remove=True)
    assert found.bytes == 40
    assert list(tuning_dir().iterdir()) == [other]


def test_a_comparison_that_goes_on_is_held_and_one_that_is_asked_for_is_young(
    checkerboard: Dataset,
) -> None:
    kept = KeptTrials(checkerboard)
    left(kept.directory / "trials.jsonl", 99, size=0)
    assert old_ones(COMPARISONS, remove=True) == []
    del kept
    KeptTrials(checkerboard)
    assert old_ones(COMPARISONS, remove=True) == []
    left(comparisons_dir() / checkerboard.content_hash[:16] / "trials.jsonl", 99)
    assert len(old_ones(COMPARISONS, remove=True)) == 1


def test_a_write_that_was_killed_is_old_after_a_day() -> None:
    young = left(models_dir() / ".incoming-1/weights.safetensors", 0.9)
    old = left(models_dir() / ".incoming-2/weights.safetensors", 1.1)
    assert [found.path for found in old_ones(WRITES, remove=True)] == [str(old.parent)]
    assert (young.exists(), old.exists()) == (True, False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no shared locks of files")
def test_a_write_that_goes_on_is_no_left_over_however_old() -> None:
    with publish_directory(datasets_dir()) as directory:
        left(directory / "train_items.npy", 3)
        assert old_ones(WRITES, remove=True) == []
        assert directory.exists()


def test_doctor_says_what_is_old_and_removes_it_when_asked_to(notes, listener) -> None:
    run = left(runs_dir() / "0123-ab/checkpoint.json", 45, size=3 * 2**20)
    left(runs_dir() / "4567-cd/checkpoint.json", 1)
    told = {check.name: check.found for check in workflows.doctor(listener=listener).checks}
    assert told["runs"] == (
        "2 left; 1 unchanged for 30 days or more (3.0 MiB): `diffrec doctor --fix` removes them"
    )
    assert told["comparisons"] == "0 left"
    assert notes == []
    assert run.exists()
    fixed = workflows.doctor(fix=True, listener=listener)
    told = {check.name: check.found for check in fixed.checks}
    assert told["runs"] == "1 left; removed 1 unchanged for 30 days or more (3.0 MiB)"
    assert notes == [f"removed {run.parent}: 3.0 MiB, unchanged for 45 days"]
    assert [(one.path, one.removed) for one in fixed.old] == [(str(run.parent), True)]
    assert not run.exists()
    assert not list(home().glob(".incoming-*"))


def test_every_kind_has_a_line_in_the_report() -> None:
    assert set(OLD_DAYS) <= {check.name for check in workflows.doctor().checks}
