from __future__ import annotations

import gzip
import io
import subprocess
import sys
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.histories import one_history, read_histories, read_ids, stream_ids
from diffrec_cli.data.reading.log import read_logs
from diffrec_cli.errors import DataError


@pytest.fixture
def put(tmp_path):
    def write(content):
        path = tmp_path / "history.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def found(histories):
    """Return (user, item) pairs in order."""
    labels = [histories.labels[user] for user in histories.user]
    return list(zip(labels, histories.item_ids.at(histories.item), strict=True))


def alone(*items):
    return [("history", item) for item in items]


LOG = [("ann", "5"), ("ann", "3"), ("bob", "1")]


@pytest.mark.parametrize(
    "text",
    [
        "user,item,time\nann,3,9\nbob,1,1\nann,5,2\n",
        "time;item;user\n9;3;ann\n1;1;bob\n2;5;ann\n",
        "ann,3,9\nbob,1,1\nann,5,2\n",
        "ann::3::9\nbob::1::1\nann::5::2\n",
        "ann\t3\t9\r\nbob\t1\t1\r\n\r\nann\t5\t2",
        '"ann","3",9\nbob,1,1\nann,5,2\n',
        "ann,3,4.5,9\nbob,1,2,1\nann,5,3,2\n",
        "user,item\nann,5\nbob,1\nann,3\n",
        "ann,5\nbob,1\nann,3\n",
        "\ufeffann,5\nbob,1\nann,3\n",
        "\ufeffuser,item,comment\nann,5,so\nbob,1,\nann,3,la\n",
    ],
)
def test_a_log_has_a_header_or_as_many_fields_on_every_line(put, text):
    histories = read_histories(put(text))
    assert found(histories) == LOG
    assert (histories.user.dtype, histories.item.dtype) == (np.int64, np.int32)
    has_header = "user" in text
    assert bool(histories.notes) is not has_header


@pytest.mark.parametrize("sep", ["\t", "::", ";", "|", ",", " "])
@pytest.mark.parametrize("header", [True, False])
def test_logs_histories_and_events_are_separated_alike(put, sep, header):
    rows = [["1", "5", "4", "20"], ["1", "3", "5", "30"], ["2", "1", "4", "10"]]
    lines = [["user", "item", "rating", "time"], *rows] if header else rows
    path = put("\n".join(sep.join(line) for line in lines))
    log = read_logs([path], ReadOptions())
    expected = [(user, item) for user, item, _, _ in rows]
    items = log.item_ids.at(log.item)
    assert list(zip(log.user_ids.at(log.user), items, strict=True)) == expected
    for of_users in (False, True):
        assert found(read_histories(path, of_users=of_users)) == expected


def test_words_in_front_of_numbers_are_a_log_only_where_one_item_a_line_is_not(put):
    path = put("Toy Story 3\nToy Story 2\n")
    assert found(read_histories(path)) == alone("Toy Story 3", "Toy Story 2")
    assert found(read_histories(path, of_users=True)) == [("Toy", "Story")] * 2


def test_the_third_column_of_three_without_header_is_told_to_be_the_time(put):
    (note,) = read_histories(put("ann,3,9\nann,5,2\n")).notes
    assert "time from column 3" in note


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a\nb\na\n", ["a", "b", "a"]),
        ("Toy Story, The\nHeat\n", ["Toy Story, The", "Heat"]),
        ("Heat\nToy Story, The\n", ["Heat", "Toy Story, The"]),
        ("Toy Story\nStar Wars\n", ["Toy Story", "Star Wars"]),
        ("One, Two\nOne, Two, Three\n", ["One, Two", "One, Two, Three"]),
        ('"a, b"\nc,d\n', ['"a, b"', "c,d"]),
        ("\ufeffa\r\n\r\nb\r\r\nc\r", ["a", "b\r", "c"]),
        ("a\x0bb\x0cc\x85d\u2028e\nf\rg\n", ["a\x0bb\x0cc\x85d\u2028e", "f\rg"]),
        (" a \n007\n7\n", [" a ", "007", "7"]),
    ],
)
def test_anything_else_is_one_item_a_line_exactly_as_written(put, text, items):
    path = put(text)
    assert found(read_histories(path)) == alone(*items)
    assert read_ids(path) == items


def test_stdin_gzip_and_parquet_are_read_too(put, tmp_path, monkeypatch):
    assert found(read_histories(put(gzip.compress(b"a\nb\n")))) == alone("a", "b")
    assert found(read_histories(put(gzip.compress(b"ann,5\nbob,1\nann,3\n")))) == LOG
    pq.write_table(
        pa.table({"user": ["ann", "bob", "ann"], "item": [5, 1, 3]}), tmp_path / "h.parquet"
    )
    assert found(read_histories(tmp_path / "h.parquet")) == LOG
    for content, expected in ((b"a\nb\n", alone("a", "b")), (b"ann,5\nbob,1\nann,3\n", LOG)):
        stdin = types.SimpleNamespace(buffer=io.BytesIO(content))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert found(read_histories("-")) == expected


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no items"),
        (b"\n\r\n", "no items"),
        (b"a\nb\n\xe4\n", ":3: not UTF-8 text"),
        (b"a\0b\nc\n", "not a text file"),
        ("a\n".encode("utf-16"), "not a text file"),
        (b"user,item\n", "no rows"),
        (b"ann,3,soon\nbob,1,1\n", "'soon' cannot be read as a time"),
    ],
)
def test_what_is_neither_is_named(put, content, what):
    with pytest.raises(DataError) as caught:
        read_histories(put(content))
    assert what in caught.value.what
    assert "history.txt" in caught.value.what


def test_missing_files_are_told(tmp_path):
    for read in (read_ids, read_histories):
        with pytest.raises(DataError, match=r"none\.txt"):
            read(tmp_path / "none.txt")


def test_arguments_that_are_no_text_can_be_named():
    assert found(one_history("like", ["a", "\udce4"])) == [("like", "a"), ("like", "\\xe4")]


def test_one_item_a_line_is_read_without_pandas_and_torch(put):
    code = (
        "import sys; from diffrec_cli.data.reading.histories import read_histories; "
        "read_histories(sys.argv[1]); print({'pandas', 'torch'} & set(sys.modules))"
    )
    path = put("Toy Story, The\nHeat\n")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


class Arriving(io.RawIOBase):
    """A stream that gives what came, a piece at a time."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read1(self, size=-1):
        return self.pieces.pop(0) if self.pieces else b""


def streamed(monkeypatch, *pieces, first=2, most=3, skipped=None):
    stdin = types.SimpleNamespace(buffer=Arriving(*pieces))
    monkeypatch.setattr("sys.stdin", stdin)
    return stream_ids("-", first, most, skipped)


def test_ids_are_passed_on_as_they_arrive(monkeypatch):
    assert list(streamed(monkeypatch, b"a\nb", b"c\r\nd\n", b"e")) == [["a"], ["bc", "d"], ["e"]]


def test_many_ids_come_a_few_first(monkeypatch):
    lists = list(streamed(monkeypatch, b"".join(b"%d\n" % n for n in range(9))))
    assert lists == [["0", "1"], ["2", "3", "4"], ["5", "6", "7"], ["8"]]


def test_a_character_may_arrive_in_two_pieces(monkeypatch):
    text = "Ärger\n".encode()
    assert list(streamed(monkeypatch, text[:1], text[1:])) == [["Ärger"]]


def test_what_is_no_text_is_told_with_its_line_when_it_is_reached(monkeypatch):
    stream = streamed(monkeypatch, b"a\nb\n", b"c\n\xff\nd\n")
    assert [next(stream), next(stream)] == [["a", "b"], ["c"]]
    with pytest.raises(DataError, match=":4: not UTF-8"):
        next(stream)


def test_what_is_no_text_can_be_skipped_line_by_line(monkeypatch):
    lines = []
    pieces = (b"\xff\na\n\r\n", b"b\xff\nc\n\xfe\n", b"d\r\n\xff")
    stream = streamed(monkeypatch, *pieces, skipped=lines.append)
    assert list(stream) == [["a"], ["c"], ["d"]]
    assert lines == [[1], [4, 6], [8]]


def test_a_stream_without_ids_is_told(monkeypatch):
    with pytest.raises(DataError, match="no ids"):
        list(streamed(monkeypatch, b"\n\r\n"))


def test_rows_of_low_ratings_can_be_left_out(put):
    log = put("user,item,rating\nann,5,4\nann,3,3.5\nbob,1,5\n")
    histories = read_histories(log, min_rating=4)
    assert found(histories) == [("ann", "5"), ("bob", "1")]
    assert "1 rows of ratings below 4 left out" in histories.notes[-1]
    assert len(read_histories(log).item) == 3


def test_items_alone_can_be_refused(put):
    with pytest.raises(DataError, match="no users"):
        read_histories(put("a\nb\n"), of_users=True)


SHOP = ReadOptions(user_col="shopper", item_col="stock_code", rating_col="stars", sep=";")


@pytest.mark.parametrize(
    ("text", "read", "items"),
    [
        ("shopper;stock_code;stars;when\nann;b;5;9\n", SHOP, ["b"]),
        ("when;stock_code;shopper\n9;b;ann\n", SHOP, ["b"]),  # without ratings
        ("user,item\nann,c\n", SHOP, ["c"]),  # other columns: found by their names
        ("a\nb\n", SHOP, ["a", "b"]),  # one item a line
        ("b,ann,x\n", ReadOptions(user_col="2", item_col="1", header=False), ["b"]),
    ],
)
def test_a_file_with_the_columns_of_the_log_is_read_as_the_log_was(put, text, read, items):
    found = read_histories(put(text), read=read)
    assert found.item_ids.at(found.item) == items


def test_events_that_are_utf8_are_read_so_whatever_the_log_was(put):
    found = read_histories(put("user,item\n1,Amélie\n"), read=ReadOptions(encoding="latin-1"))
    assert found.item_ids.at(found.item) == ["Amélie"]


def test_lines_of_numbers_are_items_of_one_history(put):
    found = read_histories(put("12 34\n5\n7 8 9\n"))
    assert found.item_ids.at(found.item) == ["12 34", "5", "7 8 9"]


def test_the_separator_of_the_log_is_tried_first(put):
    found = read_histories(put("a|b;x\nc|d;y\n"), of_users=True, read=ReadOptions(sep=";"))
    assert found.labels == ["a|b", "c|d"]
    assert len(read_histories(put("a,x\nc,y\n"), read=ReadOptions(sep=";")).item) == 2


def test_the_format_of_times_is_that_of_the_log(put):
    read = ReadOptions(time_format="%d/%m/%Y")
    found = read_histories(put("user,item,date\n1,10,05/04/2020\n1,11,06/03/2020\n"), read=read)
    assert found.item_ids.at(found.item) == ["11", "10"]
    assert len(read_histories(put("user,item\n1,10\n"), read=read).item) == 1


def test_the_encoding_of_the_log_is_that_of_its_events(put):
    path = put("user,item\nann,Café\n".encode("latin-1"))
    found = read_histories(path, read=ReadOptions(encoding="latin-1"))
    assert found.item_ids.at(found.item) == ["Café"]
