"""A format is a row of the table: nothing else knows which ones there are."""

import json

import pyarrow as pa
import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading import formats
from diffrec_cli.data.reading.columns import Columns
from diffrec_cli.data.reading.formats import Format
from diffrec_cli.data.reading.histories import read_histories
from diffrec_cli.data.reading.input_file import InputFile
from diffrec_cli.data.reading.log import read_item_table, read_logs
from diffrec_cli.data.reading.raw_log import ID_TYPE, RawLog


def table_of(file: InputFile) -> pa.Table:
    return pa.table(json.loads(file.path.read_text()))


def read_log(file: InputFile, options: ReadOptions) -> RawLog:
    user, item = (table_of(file)[role].cast(ID_TYPE) for role in ("user", "item"))
    return RawLog(file.label, user, item, None, None, Columns(("user", "item"), 0, 1))


JSON = Format(
    "json",
    lambda file, options: file.begins_with(b"{"),
    read_log,
    lambda file, options, log_column: table_of(file),
)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (JSON, *formats.FORMATS))
    path = tmp_path / "data"
    path.write_text('{"id": ["x", "y"], "user": ["b", "a"], "item": ["x", "x"]}')
    return path


def test_a_new_row_is_read_as_log_items_and_history(path):
    log = read_logs([path], ReadOptions())
    assert log.user_ids.at(log.user) == ["b", "a"]
    assert read_item_table(path)["id"].to_pylist() == ["x", "y"]
    for of_users in (False, True):
        assert read_histories(path, of_users=of_users).labels == ["b", "a"]


def test_the_text_format_takes_what_no_other_does():
    assert formats.FORMATS[-1] is formats.TEXT
