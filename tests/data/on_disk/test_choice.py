import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli.data.on_disk import choice
from diffrec_cli.data.reading.input_file import open_input
from diffrec_cli.errors import DeviceError

LINE = "user-1,item-1,5,1500000000\n"


def needed(path) -> int:
    with open_input(path) as file:
        return choice.needed_memory([file])


def test_the_rows_of_text_are_guessed_from_its_first_lines(tmp_path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(LINE * 10_000)
    assert needed(log) == pytest.approx(10_000 * choice.ROW_BYTES, rel=0.01)


def test_compressed_text_is_taken_for_five_times_its_size(tmp_path) -> None:
    log = tmp_path / "log.csv.gz"
    log.write_bytes(gzip.compress((LINE * 10_000).encode()))
    rows = 5 * log.stat().st_size / len(LINE)
    assert needed(log) == pytest.approx(rows * choice.ROW_BYTES, rel=0.01)


def test_parquet_tells_its_rows(tmp_path) -> None:
    log = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": ["a"] * 777}), log)
    assert needed(log) == 777 * choice.ROW_BYTES


@pytest.mark.parametrize(
    ("available", "rows"),
    [
        (None, None),
        (10**10, None),
        (10**10 - 1, 4_000_000),
        (choice._READING + 240_000_000, 1_000_000),
        (choice._LEAST, 217_600),
    ],
)
def test_rows_at_a_time_are_as_many_as_fit(monkeypatch, available, rows) -> None:
    monkeypatch.setattr(choice, "available_memory", lambda: available)
    found = choice.rows_beyond_memory(10**10)
    assert found == (rows and pytest.approx(rows, rel=0.01))


def test_a_log_that_needs_less_than_sorting_is_read_into_memory(monkeypatch) -> None:
    monkeypatch.setattr(choice, "available_memory", lambda: 1000)
    assert choice.rows_beyond_memory(choice._LEAST) is None


def test_where_nothing_fits_that_is_said(monkeypatch) -> None:
    monkeypatch.setattr(choice, "available_memory", lambda: 150_000_000)
    with pytest.raises(DeviceError, match=r"150 MB of memory are available.*220 MB or more"):
        choice.rows_beyond_memory(10**10)
