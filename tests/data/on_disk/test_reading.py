"""Faults of a log that is read block by block are found in the same places."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.on_disk.reading import NeedsMemoryError, read_to_disk
from diffrec_cli.data.reading import delimited, parquet
from diffrec_cli.data.reading.log import open_logs, read_files
from diffrec_cli.errors import DataError, StorageError

SECOND = 1_500_000_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_RECORD", 2_000)
    monkeypatch.setattr(parquet, "_PIECE_ROWS", 50)


def lines(fault: str, place: int = 300) -> str:
    rows = [f"u{n % 7},i{n % 5},{n % 5 + 1},{SECOND + n}" for n in range(400)]
    rows[place] = fault
    return "user,item,rating,time\n" + "\n".join(rows) + "\n"


def on_disk(path: Path, directory: Path, options: ReadOptions) -> None:
    directory.mkdir()
    with open_logs([path], options) as files:
        read_to_disk(files, options, directory, 100)


def assert_refused_alike(path: Path, match: str, options: ReadOptions | None = None) -> None:
    options = options or ReadOptions()
    with pytest.raises(DataError, match=match) as there:
        on_disk(path, path.parent / "disk", options)
    with open_logs([path], options) as files, pytest.raises(DataError) as here:
        read_files(files, options)
    assert (there.value.what, there.value.fix) == (here.value.what, here.value.fix)


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("u1,,5,9", "log.csv:302: column 'item'"),
        ("u1,i1,five,9", "log.csv:302: column 'rating'"),
        ("u1,i1,inf,9", "log.csv:302: column 'rating'"),
        ("u1,i1,5,inf", "log.csv:302: column 'time': 'inf'"),
        ("u1,i1,5,soon", "log.csv:302: column 'time': 'soon'"),
        ("u1,i1,5", "log.csv:302: "),
        (f"u1,i1,5,{SECOND * 1000}", "some times count seconds, and some, as 1500000000000, milli"),
    ],
)
def test_the_line_of_a_fault_in_a_later_block_is_named(tmp_path, fault, match) -> None:
    path = tmp_path / "log.csv"
    path.write_text(lines(fault))
    assert_refused_alike(path, match)


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [("user", None, "row 301: column 'user': an empty id"), ("rating", float("inf"), "row 301: ")],
)
def test_the_row_of_a_fault_in_a_later_block_of_parquet_is_named(
    tmp_path, column, value, match
) -> None:
    columns: dict[str, list[object]] = {
        "user": [f"u{n % 7}" for n in range(400)],
        "item": [n % 5 for n in range(400)],
        "rating": [4.0] * 400,
    }
    columns[column][300] = value
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    assert_refused_alike(tmp_path / "log.parquet", match)


def test_a_log_of_missing_values_alone_is_refused(tmp_path) -> None:
    path, skip = tmp_path / "log.csv", ReadOptions(missing="skip")
    path.write_text("user,item\n" + "u1,\n" * 2_000)
    assert_refused_alike(path, "every row misses a value", skip)
    pq.write_table(pa.table({"user": ["u"] * 99, "item": [None] * 99}), tmp_path / "log.parquet")
    (tmp_path / "disk").rename(tmp_path / "first")
    assert_refused_alike(tmp_path / "log.parquet", "header but no rows", skip)


@pytest.mark.parametrize(
    ("text", "options", "what"),
    [
        (lines("u1,i1,5,1"), ReadOptions(event_col="rating"), "--event"),
        (lines("u1,i1,5,1"), ReadOptions(weight_col="rating"), "--weight-col"),
        ("user,item,time\nu1,i1,31/12/2020\nu1,i2,31/12/2020\n", ReadOptions(), "--time-format"),
        ('{"user": "u", "item": "i"}\n' * 9, ReadOptions(), "json lines"),
    ],
)
def test_what_needs_the_whole_log_is_named(tmp_path, text, options, what) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(NeedsMemoryError, match=what):
        on_disk(path, tmp_path / "disk", options)


def test_a_full_disk_is_no_fault_of_the_log(tmp_path, monkeypatch) -> None:
    path = tmp_path / "log.csv"
    path.write_text(lines("u1,i1,5,1"))
    directory = tmp_path / "disk" / "log"
    directory.mkdir(parents=True)
    (directory / "item").symlink_to("/dev/full")
    monkeypatch.setattr(Path, "mkdir", lambda *args, **kwargs: None)
    monkeypatch.setenv("DIFFREC_HOME", str(tmp_path))
    with pytest.raises(StorageError, match="no space left"):
        on_disk(path, tmp_path / "disk", ReadOptions())
