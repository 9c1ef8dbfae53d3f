"""A log that does not fit is sorted on disk; what is written on the way is removed."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.config import SplitOptions
from diffrec_cli.data import store
from diffrec_cli.data.on_disk import choice, runs
from diffrec_cli.errors import DataError, DeviceError, StorageError
from diffrec_cli.workflows import large_logs
from diffrec_cli.workflows.progress import Note

ROWS = "".join(f"u{n % 9},i{n * n % 13},{n}\n" for n in range(300))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n" + ROWS)
    return path


def left(home: Path) -> list[str]:
    """Return what is in the directory of datasets."""
    return sorted(path.name for path in (home / "datasets").iterdir())


def test_a_log_that_does_not_fit_is_sorted_on_disk_and_that_is_said(
    log, isolated_home, monkeypatch
) -> None:
    whole = workflows.prepare([log], dry_run=True)
    monkeypatch.setattr(choice, "ROW_BYTES", 10**9)  # 300 GB in all
    for module in (choice, large_logs):
        monkeypatch.setattr(module, "available_memory", lambda: 2 * 10**11)
    events: list[object] = []
    prepared = workflows.prepare([log], listener=events.append)
    assert events[0] == Note(
        "the log needs about 301.0 GB in memory, 200.0 GB are available: sorting it on disk in"
        f" {isolated_home / 'datasets'}"
    )
    assert prepared.dataset.content_hash == whole.dataset.content_hash
    assert left(isolated_home) == [".lock", "log"]


def test_what_is_stored_is_what_was_read(log) -> None:
    prepared = workflows.prepare([log], rows_in_memory=20)
    assert store.load("log").content_hash == prepared.dataset.content_hash
    assert workflows.prepare([log]).reused


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
def test_nothing_is_left_when_it_is_stopped(log, isolated_home, monkeypatch, error) -> None:
    def stop(*arguments: object, **options: object) -> None:
        assert left(isolated_home)[0].startswith(".incoming-")
        raise error

    monkeypatch.setattr(runs.np, "searchsorted", stop)
    expected = StorageError if isinstance(error, OSError) else error
    with pytest.raises(expected):
        workflows.prepare([log], rows_in_memory=20)
    assert left(isolated_home) == []


def test_nothing_is_left_of_a_faulty_log(log, isolated_home) -> None:
    log.write_text("user,item,time\n" + ROWS + "u1,,7\n")
    with pytest.raises(DataError, match=r"log\.csv:302"):
        workflows.prepare([log], rows_in_memory=20)
    assert left(isolated_home) == []


NOISY = SplitOptions(setting="noisy", noise="random", noise_ratio=0.5)


@pytest.mark.parametrize(
    ("split", "what"),
    [
        (NOISY, "--setting noisy"),
        (SplitOptions(repeats="keep"), "--repeats keep"),
        (SplitOptions(order="none"), "--order none"),
    ],
)
def test_options_that_need_the_whole_log_get_it(log, split, what) -> None:
    events: list[object] = []
    prepared = workflows.prepare(
        [log], split=split, dry_run=True, rows_in_memory=20, listener=events.append
    )
    assert events[0] == Note(f"the whole log is read into memory after all, as {what} needs it")
    whole = workflows.prepare([log], split=split, dry_run=True)
    assert prepared.dataset.content_hash == whole.dataset.content_hash


def test_a_log_without_an_order_needs_to_be_in_memory_and_its_notes_are_told_once(log) -> None:
    items = np.random.default_rng(1).integers(0, 40, 300)
    log.write_text("user,item\n" + "".join(f"u{n % 9},i{item}\n" for n, item in enumerate(items)))
    events: list[Note] = []
    workflows.prepare([log], dry_run=True, rows_in_memory=20, listener=events.append)
    assert "whose split is random" in events[0].text
    assert len({event.text for event in events}) == len(events)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ulimit -v may not hold")
def test_a_log_of_three_times_the_memory_that_is_allowed_gives_the_same_dataset() -> None:
    script = Path(__file__).parents[2] / "examples" / "reproduce" / "prepare_beyond_memory.py"
    command = [sys.executable, str(script), "45000000", "600"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "3.15 times 600 MB" in printed
    assert "content_hash: equal\ndropped: equal\narrays: equal" in printed


def run_out(*arguments: object) -> None:
    raise MemoryError


def test_what_does_not_fit_and_must_be_in_memory_is_named(log, monkeypatch) -> None:
    monkeypatch.setattr(large_logs, "read_files", run_out)
    with pytest.raises(DeviceError, match="does not fit into memory, and --setting noisy needs"):
        workflows.prepare([log], split=NOISY, rows_in_memory=20)
    with pytest.raises(DeviceError, match=r"the log does not fit into memory$") as caught:
        workflows.prepare([log])
    assert "ulimit -v" in caught.value.fix
