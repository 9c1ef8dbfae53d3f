"""The same four rows, in the forms that exports, shops and archives give them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.input_file import BLANKS, FilteredBytes
from diffrec_cli.data.reading.log import Log, read_item_table, read_logs
from diffrec_cli.errors import DataError

AUTO = ReadOptions()
ROWS = [("ann", "1", 5, 10), ("ann", "2", 3, 20), ("bob", "1", 4, 30), ("bob", "3", 1, 40)]
LINES = "ann,1,5,10\nann,2,3,20\nbob,1,4,30\nbob,3,1,40\n"
CSV = "user,item,rating,timestamp\n" + LINES


def rows(log: Log) -> list[tuple[str, str, float, float]]:
    users, items = log.user_ids.at(log.user), log.item_ids.at(log.item)
    return list(zip(users, items, log.rating.tolist(), log.time.tolist(), strict=True))


@pytest.fixture
def put(tmp_path):
    def write(content: str | bytes, name: str = "log.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sep=,\r\n" + CSV.replace("\n", "\r\n"), id="Excel says the separator"),
        pytest.param("sep=;\n" + CSV.replace(",", ";"), id="Excel says another one"),
        pytest.param("# exported today\n# by me\n" + CSV, id="comments before a header"),
        pytest.param("% bip weighted\n" + LINES.replace(",", " "), id="comments, no header"),
        pytest.param(
            "%%MatrixMarket matrix coordinate\n% by me\n2 3 4\n" + LINES.replace(",", " "),
            id="a matrix, with its sizes",
        ),
        pytest.param("\n\n" + CSV, id="blank lines"),
        pytest.param("\ufeff\ufeff" + CSV, id="two byte order marks"),
        pytest.param(CSV.replace("\n", ",\n").replace("timestamp,", "timestamp"), id="ends"),
        pytest.param(LINES.replace(",", "\t").replace("\n", "\t\n"), id="ends, no header"),
        pytest.param(LINES.replace(",", "   "), id="blanks in a row"),
        pytest.param(LINES.replace(",", " ").replace("ann", "  ann"), id="blanks at the beginning"),
        pytest.param(LINES.replace(",", " ").replace("\n", " \r\n"), id="blanks at the end"),
        pytest.param(CSV.replace(",", ", "), id="a blank after each comma"),
        pytest.param(LINES.replace(",", "; "), id="a blank after each, no header"),
        pytest.param(CSV + CSV, id="a file twice, with its header"),
        pytest.param(CSV + CSV.replace("\n", "\r\n"), id="the second from another system"),
        pytest.param(CSV + "user,item,rating,timestamp", id="a header at the very end"),
    ],
)
def test_a_text_file_is_read_as_it_is_meant(put, text) -> None:
    read = rows(read_logs([put(text)], ReadOptions()))
    assert read[:4] == ROWS
    assert read[4:] in ([], ROWS)


def test_lines_that_are_left_out_are_counted(put) -> None:
    path = put("# today\n" + CSV + CSV + CSV)
    log = read_logs([path], ReadOptions())
    assert len(log) == 12
    assert log.notes == (
        f"{path}: comment lines at the beginning left out: 1",
        f"{path}: repeated lines of column names left out: 2",
    )


def test_ids_keep_their_blanks_and_that_is_told(put) -> None:
    log = read_logs([put('user,item\nann," x"\nbob,y \nbob,z\n')], ReadOptions())
    assert log.item_ids.at([0, 1, 2]) == [" x", "y ", "z"]
    assert log.notes == ("2 item ids begin or end with a blank, which is kept: ' x'",)


def test_row_numbers_without_a_name_are_a_column_of_their_own(put) -> None:
    numbered = "".join(f'"{n}" {line}\n' for n, line in enumerate(LINES.split("\n")[:4], 1))
    text = "user item rating timestamp\n" + numbered.replace(",", " ")
    assert rows(read_logs([put(text)], ReadOptions())) == ROWS


def test_lines_to_skip_are_skipped(put) -> None:
    text = "My likes, 2024\nall of them\n" + CSV
    assert rows(read_logs([put(text)], ReadOptions(skip_lines=2))) == ROWS
    with pytest.raises(DataError):
        read_logs([put(text)], ReadOptions())
    with pytest.raises(DataError, match=":6: column 'rating': 'x'"):
        read_logs([put(text.replace(",4,", ",x,"))], ReadOptions(skip_lines=2))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("sep", [b",", b"::", BLANKS.encode()])
def test_filters_do_not_depend_on_where_blocks_end(size, sep) -> None:
    content = "".join(f"{line}\n" for line in [*CSV.split(), *CSV.split(), *CSV.split()])
    stream = io.BytesIO(content.encode().replace(b",", sep))
    read = stream.read
    stream.read = lambda _: read(size)  # type: ignore[method-assign]
    filtered = FilteredBytes(stream, sep, CSV.split()[0].encode().replace(b",", sep))
    got = b""
    while block := filtered.read(5):
        got += block
    assert got.replace(b"\x1f", b",").decode() == CSV + LINES + LINES
    assert filtered.headers == 2


@pytest.mark.parametrize(
    "text",
    [
        "user,item,rating\n1,10,4,5\n1,11,3,5\n2,10,5,0\n",  # decimal commas without quotes
        "user,item,rating\n1,10,5,964982703\n2,11,4,964982704\n",  # a name is missing
        "user,item\n5,10,1\n",
    ],
)
def test_rows_longer_than_the_header_are_not_shifted(put, text) -> None:
    with pytest.raises(DataError, match=r":2: expected \d fields"):
        read_logs([put(text)], ReadOptions())


def test_an_item_table_with_commas_in_titles_is_not_shifted(put) -> None:
    with pytest.raises(DataError, match=":2: expected 2 fields, got 3"):
        read_item_table(put("item,title\n1,Hello, World\n2,Foo, Bar\n"))


def test_ids_that_begin_like_comments_are_rows(put) -> None:
    log = read_logs([put("#a,x,5\n#b,y,4\nc,z,3\n")], ReadOptions(header=False))
    assert log.user_ids.at([0, 1, 2]) == ["#a", "#b", "c"]
    assert len(read_logs([put("#a,x,5\n#b,y,4\n")], ReadOptions(header=False))) == 2
    table = read_item_table(put("#1,One\n#2,Two\n3,Three\n"), ReadOptions(header=False))
    assert table["id"].to_pylist() == ["#1", "#2", "3"]


def test_without_ratings_times_stay_in_their_column(put) -> None:
    four = read_logs([put("1,10,5,100\n2,10,4,70\n")], ReadOptions(rating_col="none"))
    three = read_logs([put("1,10,100\n2,10,70\n")], ReadOptions(rating_col="none"))
    assert four.time.tolist() == three.time.tolist() == [100, 70]


def test_a_blank_after_some_separators_is_no_part_of_them(put) -> None:
    log = read_logs([put("user, item, rating\n1,10,5\n2,11,4\n")], ReadOptions())
    assert log.item_ids.at([0, 1]) == ["10", "11"]


def test_an_empty_column_at_the_end_is_no_time(put) -> None:
    log = read_logs([put("1,10,5,\n2,11,4,\n")], ReadOptions())
    assert log.time is None
    assert log.rating.tolist() == [5, 4]


def test_lines_to_skip_may_have_a_quote(put) -> None:
    text = '"Export of my log\n' + CSV
    assert rows(read_logs([put(text)], ReadOptions(skip_lines=1))) == ROWS


def test_a_repeated_header_may_have_a_byte_order_mark(put) -> None:
    log = read_logs([put("\ufeff" + CSV + "\ufeff" + CSV)], ReadOptions())
    assert rows(log) == ROWS + ROWS


# Quotes -------------------------------------------------------------------------------------


def test_a_quote_alone_in_a_tsv_is_text_and_swallows_nothing(put) -> None:
    path = put(
        'user\titem\tnote\nu1\ti1\tx\nu1\ti2\t"Heroes\nu2\ti1\ty\nu2\ti2\t"Heroes\nu3\ti1\tz\n'
    )
    log = read_logs([path], ReadOptions())
    assert len(log) == 5
    assert "quotes are taken as text: that in line 3 is alone" in log.notes[0]
    assert len(read_logs([path], ReadOptions(quotes=True))) == 3  # as it was said
    assert len(read_logs([path], ReadOptions(quotes=False))) == 5


def test_quotes_in_a_tsv_hold_fields_together_where_all_have_partners(put) -> None:
    path = put('user\titem\n"ann b"\t"1\t2"\nbob\t3\n')
    log = read_logs([path], ReadOptions())
    assert log.item_ids.at([0, 1]) == ["1\t2", "3"]


def test_an_item_table_keeps_rows_with_quotes_alone(put) -> None:
    path = put('item_id\ttitle\ni1\tplain\ni2\t"Heroes\ni3\tx\ni4\t"Heroes\n', "items.tsv")
    table = read_item_table(path)
    assert table["title"].to_pylist() == ["plain", '"Heroes', "x", '"Heroes']


def test_quotes_that_are_escaped_by_a_backslash_belong_to_the_text(put) -> None:
    path = put('"ISBN";"title"\n"1";"The \\"Real\\" Thing; a tale"\n"2";"one \\\\ two"\n')
    assert read_item_table(path)["title"].to_pylist() == ['The "Real" Thing; a tale', "one \\ two"]


@pytest.mark.parametrize(
    "text",
    [
        'user,item,path\n1,10,"C:\\tmp\\"\n2,11,"see ""C:\\x\\"" ok"\n3,12,"c"\n',
        'user,item,note\nCORP\\alice,1,"x"\nCORPalice,2,"say ""hi"""\nbob,2,"C:\\"\n',
    ],
)
def test_backslashes_of_other_meanings_are_text(put, text) -> None:
    log = read_logs([put(text)], ReadOptions())
    assert len(log) == 3
    assert len(log.user_ids) == 3


def test_quotes_of_a_tsv_that_is_csv_but_for_its_tabs_hold_lines_together(put) -> None:
    path = put('user\titem\ttitle\n1\t10\t"two\nlines"\n2\t11\tfoo\n')
    assert read_logs([path], ReadOptions()).item_ids.at([0, 1]) == ["10", "11"]


def test_without_quotes_an_open_one_is_no_error(put) -> None:
    path = put('user,item,note\nann,1,"5 inches\nbob,2,x\n')
    with pytest.raises(DataError, match="never closed"):
        read_logs([path], ReadOptions())
    assert len(read_logs([path], ReadOptions(quotes=False))) == 2


# Adjacency lists and directories ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("0 1 2 3 4\n1 2 3\n2 0 1\n3\n", 8),
        ("7 1 2 3 4 5 6 7 8\n8 2 1 4 5 6 7 8 9\n", 16),
        ("0 1 2 \n\n1 2 3 4 \n", 5),
    ],
)
def test_a_user_and_their_items_on_a_line(put, text, pairs) -> None:
    log = read_logs([put(text)], ReadOptions())
    assert len(log) == pairs
    assert log.rating is None
    assert log.time is None
    assert log.user_ids.at([0]) == text.split()[:1]
    assert log.item_ids.at(log.item[:2]) == text.split()[1:3]
    assert "a user and their items" in log.notes[-1]
    with pytest.raises(DataError, match="not a table of items"):
        read_item_table(put(text))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1 2 5 10\n" * 30 + "1 2 5\n", ":31: expected 4 fields, got 3"),  # a line cut off
        ("1 2 5 10\n1 3 5 10\n", None),  # a log
        ("1 2 3 4 5\n" * 3, None),  # a log with a column more
        ("1 10 5 100\n1 11 4\n2 10 5 102\n", ":2: expected 4 fields, got 3"),
        ("1 10 11\n2 10\n" * 600 + "3,4,5\n", ":1201: not only whole numbers"),
    ],
)
def test_a_log_of_numbers_is_no_adjacency_list(put, text, what) -> None:
    if what is None:
        assert len(read_logs([put(text)], ReadOptions())) == text.count("\n")
        return
    with pytest.raises(DataError, match=what):
        read_logs([put(text)], ReadOptions())


BLOCKS = "1:\nann,5,2005-09-01\nbob,4,2005-09-03\n2:\nann,3,2005-09-02\n3:\n\nbob,1,2005-09-04\n"


@pytest.mark.parametrize("text", [BLOCKS, "\ufeff" + BLOCKS, BLOCKS.replace("\n", "\r\n")[:-2]])
def test_rows_below_their_item_have_it(put, text) -> None:
    log = read_logs([put(text)], ReadOptions())
    pairs = [(user, item, rating) for user, item, rating, _ in rows(log)]
    assert pairs == [("ann", "1", 5), ("bob", "1", 4), ("ann", "2", 3), ("bob", "3", 1)]
    assert np.argsort(log.time).tolist() == [0, 2, 1, 3]
    assert "the item of the rows below it" in log.notes[-1]
    with pytest.raises(DataError, match="a log, not a table of items"):
        read_item_table(put(text))


def test_blocks_may_be_long_and_have_another_separator(put) -> None:
    text = "".join(f"i\\{item}:\n" + f"u{item};5\n" * 60_000 for item in range(8))
    log = read_logs([put(text)], ReadOptions(sep=";"))
    assert np.bincount(log.item).tolist() == [60_000] * 8
    assert log.item_ids.at([0, 7]) == ["i\\0", "i\\7"]
    assert log.rating.tolist() == [5.0] * 480_000
    assert log.time is None


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_the_separator_of_blocks_is_found(put, sep) -> None:
    assert rows(read_logs([put(BLOCKS.replace(",", sep))], AUTO)) == rows(
        read_logs([put(BLOCKS)], AUTO)
    )


def test_blocks_without_ratings_have_times(put) -> None:
    log = read_logs([put("1:\n\nann,2005-09-01\nbob,2005-09-03\n")], AUTO)
    assert log.rating is None
    assert log.time.tolist() == sorted(log.time.tolist())


def test_one_item_a_line_may_end_in_a_colon(put) -> None:
    with pytest.raises(DataError, match="no separator found"):
        read_logs([put("Alien:\nHeat\n")], AUTO)


def test_a_fault_in_blocks_has_its_line(put) -> None:
    with pytest.raises(DataError, match=":6: column 'rating': 'good'"):
        read_logs([put("1:\nann,5\nbob,4\n2:\nann,3\nbob,good\n")], ReadOptions())


IMPRESSIONS = (
    "1\tann\t11/1/2019 9:05:58 PM\tn1 n2\tn5-1 n6-0\n"
    "2\tbob\t11/2/2019 9:05:58 AM\t\tn5-0 n6-0 n7-1 n1-1\n"
    "3\tann\t11/1/2019 9:05:58 AM\tn1 n2\tn7-1 n6-0\n"
)


def test_impressions_are_a_history_and_clicks(put) -> None:
    log = read_logs([put(IMPRESSIONS)], ReadOptions())
    users, items = log.user_ids.at(log.user), log.item_ids.at(log.item)
    assert list(zip(users, items, strict=True)) == [
        *[("ann", "n1"), ("ann", "n2"), ("ann", "n5"), ("bob", "n7"), ("bob", "n1")],
        ("ann", "n7"),
    ]
    half_a_day = 12 * 3600 * 1_000_000
    assert ((log.time - log.time[0]) / half_a_day).tolist() == [0, 0, 1, 2, 2, 0]
    assert log.rating is None
    assert "what was shown alone does not" in log.notes[0]


def test_what_was_read_before_comes_before_all_clicks(put) -> None:
    later_first = (
        "1\tann\t11/13/2019 9:05:58 AM\tn1 n2\tn5-1\n2\tann\t11/12/2019 9:05:58 AM\tn1\tn6-1\n"
    )
    log = read_logs([put(later_first)], AUTO)
    order = np.argsort(log.time, kind="stable")
    assert log.item_ids.at(log.item[order]) == ["n1", "n2", "n6", "n5"]


def test_ids_that_look_like_marks_are_read_in_no_time(put) -> None:
    one = "1\tann\t11/13/2019 9:05:58 AM\t\tN" + "-1" * 5_000
    assert len(read_logs([put(one + "\n")], AUTO)) == 1
    with pytest.raises(DataError, match=":22: not number"):
        read_logs([put(IMPRESSIONS * 7 + one + "-x\n")], AUTO)


def test_faults_of_impressions_have_their_line(put) -> None:
    with pytest.raises(DataError, match=":22: not number, user, time"):
        read_logs([put(IMPRESSIONS * 7 + "4\tann\t2019\t\tn5-1\n")], ReadOptions())
    with pytest.raises(DataError, match=":1: '31/1/2019 9:05:58 PM' cannot be read"):
        read_logs([put(IMPRESSIONS.replace("11/1/2019 9:05:58 P", "31/1/2019 9:05:58 P"))], AUTO)
    with pytest.raises(DataError, match="nothing was read or clicked"):
        read_logs([put("1\tann\t11/1/2019 9:05:58 PM\t\tn5-0\n")], ReadOptions())


@pytest.mark.parametrize(
    "text",
    [
        CSV.replace(",", ";").replace(";5;", ";4,5;"),
        CSV.replace(",5,", ',"4,5",').replace(",10\n", ',"10,25"\n').replace(",30\n", ',"30,5"\n'),
    ],
)
def test_decimal_commas_are_read_and_told(put, text) -> None:
    path = put(text)
    log = read_logs([path], ReadOptions())
    assert log.rating.tolist() == [4.5, 3, 4, 1]
    assert np.floor(log.time).tolist() == [10, 20, 30, 40]
    assert log.notes == (f"{path}: ratings and times are read with decimal commas",)
    with pytest.raises(DataError, match=":3: column 'rating': '3,x'"):
        read_logs([put(text.replace("2;3;", "2;3,x;").replace("2,3,", '2,"3,x",'))], ReadOptions())


def test_thousands_are_no_decimals(put) -> None:
    with pytest.raises(DataError, match=":3: column 'plays': '1,234' is not a rating"):
        read_logs(
            [put("user\titem\tplays\na\t1\t999\na\t2\t1,234\n")], ReadOptions(rating_col="plays")
        )


def test_commas_and_points_are_not_mixed(put) -> None:
    with pytest.raises(DataError, match="has a decimal point, and others"):
        read_logs([put("user;item;rating\na;1;3,5\na;2;4.5\n")], AUTO)
    log = read_logs([put("user;item;time\na;1;1700000000\na;2;1700001000,5\n")], AUTO)
    assert log.time.tolist() == [1700000000, 1700001000.5]


def test_ids_in_single_quotes_are_kept_and_that_is_told(put) -> None:
    log = read_logs([put("user,item\n'ann',1\n'bob',2\n")], ReadOptions())
    assert log.notes == ("2 user ids are in single quotes, which are kept: \"'ann'\"",)


def test_a_last_line_that_is_short_is_told_as_such(put) -> None:
    with pytest.raises(DataError, match=":6: expected 4 fields, got 1 in the last line") as caught:
        read_logs([put(CSV + "(4 rows)\n")], ReadOptions())
    assert "footer" in caught.value.fix
    with pytest.raises(DataError, match=r":6: expected 4 fields, got 1$"):
        read_logs([put(CSV + "(4 rows)\n" + LINES)], ReadOptions())


def test_a_directory_is_all_files_in_it(put, tmp_path) -> None:
    for name, lines in (("day=1/b", LINES[22:]), ("day=1/a", LINES[:22]), ("_SUCCESS", "x")):
        path = tmp_path / "likes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("user,item,rating,timestamp\n" * (name != "_SUCCESS") + lines)
    (tmp_path / "likes" / "day=1" / "c").write_bytes(b"")  # a part without rows
    (tmp_path / "likes" / "day=1" / ".a.crc").write_bytes(b"crc\0")
    log = read_logs([tmp_path / "likes"], ReadOptions())
    assert rows(log) == ROWS
    assert log.taken[0].startswith(f"{tmp_path / 'likes' / 'day=1' / 'a'} and 1 more: user from")
    (tmp_path / "likes" / "day=1" / "d").write_text("user,item,rating,timestamp\n")
    log = read_logs([tmp_path / "likes"], ReadOptions())
    assert rows(log) == ROWS
    assert log.notes == ("files without rows: 1",)
    with pytest.raises(DataError, match="a header but no rows"):
        read_logs([tmp_path / "likes" / "day=1" / "d"] * 2, ReadOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="a directory without files"):
        read_logs([tmp_path / "empty"], ReadOptions())


# Missing values -----------------------------------------------------------------------------

GAPS = r"""user,item,rating,timestamp
ann,1,5,10
NULL,2,4,11
ann,\N,4,12
ann,3,,13
bob,3,4,
bob,nan,4,15
NA,4,4,16
"""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("NULL,2,4,11", ":2: column 'user': 'NULL' stands for a missing id"),
        (r"ann,\N,4,12", r":2: column 'item': '\\\\N' stands for"),
        (",1,4,12", ":2: column 'user': an empty id"),
        ("ann,3,,13", ":2: column 'rating': ''"),
        ("ann,3,4,", ":2: column 'timestamp': '' is no time"),
    ],
)
def test_a_missing_value_is_an_error_that_names_the_way_round_it(put, line, what) -> None:
    path = put(f"user,item,rating,timestamp\n{line}\nann,1,5,10\n")
    with pytest.raises(DataError, match=what) as caught:
        read_logs([path], ReadOptions())
    assert "--missing skip" in caught.value.fix


def test_rows_that_miss_a_value_can_be_left_out_and_are_counted(put, tmp_path) -> None:
    skip = ReadOptions(missing="skip")
    log = read_logs([put(GAPS)], skip)
    assert rows(log) == [("ann", "1", 5, 10), ("NA", "4", 4, 16)]
    assert log.missing == 5
    table = pa.table(
        {
            "user": ["ann", None, "NULL", "NA"],
            "item": [1.0, 2.0, 3.0, 4.0],
            "rating": [5.0, 4.0, 4.0, 4.0],
            "timestamp": [10, 11, 12, 16],
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    log = read_logs([tmp_path / "log.parquet"], skip)
    assert rows(log) == [("ann", "1", 5, 10), ("NA", "4", 4, 16)]
    assert log.missing == 2
    with pytest.raises(DataError, match="row 2: column 'user'"):
        read_logs([tmp_path / "log.parquet"], ReadOptions())


def test_other_faults_stop_even_if_rows_are_left_out(put) -> None:
    with pytest.raises(DataError, match=":4: column 'rating': 'good'"):
        read_logs(
            [put("user,item,rating\nann,,5\nann,1,4\nann,2,good\n")], ReadOptions(missing="skip")
        )
    with pytest.raises(DataError, match="every row misses a value"):
        read_logs([put("user,item\nann,\n,1\n")], ReadOptions(missing="skip"))


# JSON lines and typed columns ---------------------------------------------------------------


def json_lines(**changes) -> str:
    names = ("user", "item", "rating", "timestamp")
    return "".join(
        json.dumps({**dict(zip(names, row, strict=True)), **changes}) + "\n" for row in ROWS
    )


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())])
def test_json_lines_are_read_by_the_same_names(put, pack) -> None:
    log = read_logs([put(pack(json_lines(text="x" * 100, tags=[1, {"a": 2}])))], ReadOptions())
    assert rows(log) == ROWS
    assert "not used: 'text', 'tags'" in log.taken[0]


def test_numbers_in_json_may_have_a_fraction_later(put) -> None:
    text = '{"user":1,"item":7,"rating":5,"time":1}\n{"user":2,"item":8,"rating":4.5,"time":2.5}\n'
    log = read_logs([put(text)], ReadOptions())
    assert rows(log) == [("1", "7", 5, 1), ("2", "8", 4.5, 2.5)]


def test_ids_in_json_are_never_rounded(put) -> None:
    text = (
        '{"user":9007199254740993,"item":1,"rating":4}\n'
        '{"user":9007199254740992,"item":2,"rating":4.5}\n'
    )
    log = read_logs([put(text)], ReadOptions())
    assert log.user_ids.at([0, 1]) == ["9007199254740993", "9007199254740992"]


def test_a_rating_that_is_null_in_the_first_line_is_one_later(put) -> None:
    text = '{"user":1,"item":1,"rating":null}\n{"user":2,"item":2,"rating":4}\n'
    log = read_logs([put(text)], ReadOptions(missing="skip"))
    assert (log.rating.tolist(), log.missing) == ([4], 1)


def test_a_rating_that_the_first_object_lacks_is_one_later(put) -> None:
    text = '{"user":1,"item":1}\n{"user":2,"item":2,"rating":4}\n'
    with pytest.raises(DataError, match="row 1: column 'rating'"):
        read_logs([put(text)], ReadOptions())
    log = read_logs([put(text)], ReadOptions(missing="skip"))
    assert (log.rating.tolist(), log.missing) == ([4], 1)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_of_objects_is_read_like_lines(put, indent) -> None:
    objects = [json.loads(line) for line in json_lines().splitlines()]
    text = json.dumps(objects, indent=indent)
    assert rows(read_logs([put("\ufeff" + text)], ReadOptions())) == ROWS
    latin = put(text.replace("ann", "änn").encode("latin-1"))
    assert read_logs([latin], ReadOptions(encoding="latin-1")).user_ids.at([0]) == ["änn"]
    titles = put('[{"item_id": 1, "title": "A"},\n {"item_id": 2, "title": "B"}]')
    assert read_item_table(titles)["title"].to_pylist() == ["A", "B"]


def test_json_lines_of_another_encoding(put) -> None:
    text = json_lines().replace("ann", "änn")
    log = read_logs([put(text.encode("latin-1"))], ReadOptions(encoding="latin-1"))
    assert log.user_ids.at([0]) == ["änn"]


def test_ids_in_braces_are_no_json(put) -> None:
    log = read_logs([put("{6F96-8B86},{A1},5\n{6F96-8B87},{A2},4\n")], ReadOptions())
    assert log.user_ids.at([0, 1]) == ["{6F96-8B86}", "{6F96-8B87}"]
    assert len(read_logs([put('{"a"},1\n')], ReadOptions(header=False, sep=","))) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "no separator found"),
        ('[{"user":1,"item":2}, 5]', "object 2: JSON, but not one object a line"),
        ('[{"user":1,"item":2}, {"user":"a","item":2}]', "object 2: 'user' is 'a'"),
        ('[{"user":1,"item":2},', "not a JSON list .Expecting value: line 1 column 22"),
        ('{"user":1,"item":2}\n[1]\n', ":2: JSON, but not one object a line"),
        ("{}\n", "no objects with values"),
        ('[{"user":' + "[" * 100_000, "not a JSON list"),
        ('{"user":' + "[" * 100_000, ":1: not a JSON object"),
        ("{'user': 1, 'item': 2}\n", ":1: not a JSON object"),
        ('{"user":1,"item":2}\n{"user":1,\n', ":2: not a JSON object"),
        (
            '{"user":1,"item":2}\n{"user":"a","item":2}\n',
            ":2: 'user' is 'a', and 1 in a line before",
        ),
        ('{"user":1,"item":2}\n{"item":2}\n', "row 2: column 'user': an empty id"),
        ('{"user":1,"price":2}\n', "no item column found"),
        ('{"user":1,"item":2,"rating":5}\n{"user":1,"item":3,"rating":null}\n', "row 2: column 'r"),
    ],
)
def test_faults_of_json_lines_have_their_place(put, text, what) -> None:
    with pytest.raises(DataError, match=what) as caught:
        read_logs([put(text)], ReadOptions())
    assert caught.value.fix


def test_an_item_table_of_json_lines(put) -> None:
    text = (
        '{"asin":"x","title":"X","price":1.5,"tags":["a"]}\n{"asin":"y","title":null,"price":2}\n'
    )
    table = read_item_table(put(text))
    assert table.to_pylist() == [
        {"id": "x", "title": "X", "price": "1.5", "tags": '["a"]'},
        {"id": "y", "title": None, "price": "2", "tags": None},
    ]


def test_text_in_parquet_that_is_none_is_an_error(tmp_path) -> None:
    offsets = pa.py_buffer(np.arange(3, dtype=np.int32).tobytes())
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])
    whole = pa.array(["1", "2"])
    pq.write_table(pa.table({"user": broken, "item": whole}), tmp_path / "log.parquet")
    with pytest.raises(DataError, match="column 'user': bytes that are not UTF-8"):
        read_logs([tmp_path / "log.parquet"], ReadOptions())
    pq.write_table(pa.table({"item": whole, "title": broken}), tmp_path / "items.parquet")
    with pytest.raises(DataError, match="column 'title': bytes that are not UTF-8"):
        read_item_table(tmp_path / "items.parquet")


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        (pa.array([7.0, 3.0]), ["7", "3"]),
        (pa.array([Decimal(7), Decimal(3)], pa.decimal128(20, 0)), ["7", "3"]),
        (pa.array([b"u07", b"u03"]), ["u07", "u03"]),
        (pa.array([b"u07", b"u03"], pa.binary(3)), ["u07", "u03"]),
        (
            pa.array([bytes(range(240, 256)), bytes(16)], pa.binary(16)),
            ["f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff", "00000000-0000-0000-0000-000000000000"],
        ),
        (pa.array([b"\xff\x01", b"\xfe"]), ["ff01", "fe"]),
    ],
)
def test_ids_of_other_types_in_parquet(tmp_path, ids, read) -> None:
    pq.write_table(pa.table({"user": ids, "item": ids}), tmp_path / "log.parquet")
    log = read_logs([tmp_path / "log.parquet"], ReadOptions())
    assert log.user_ids.at(log.user) == read


def test_dates_are_no_items(put) -> None:
    path = put(
        "7\t2021-01-18T18:58:48Z\t30.2\t-97.7\t2292\n3\t2017-04-17T15:51:29Z\t30.2\t-97.8\t2288\n"
    )
    with pytest.raises(DataError, match="column 2, which would be the item, has dates") as caught:
        read_logs([path], ReadOptions())
    assert "--item-col" in caught.value.fix
    log = read_logs([path], ReadOptions(user_col="1", item_col="5", time_col="2", header=False))
    assert log.item_ids.at([0, 1]) == ["2292", "2288"]


# Containers ---------------------------------------------------------------------------------


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("log.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(CSV.encode()), id="gzip"),
        pytest.param(bz2.compress(CSV.encode()), id="bz2"),
        pytest.param(lzma.compress(CSV.encode()), id="xz"),
        pytest.param(pa.compress(CSV.encode(), "zstd", asbytes=True), id="zstd"),
        pytest.param(zipped({"log": CSV}), id="zip"),
        pytest.param(zipped({"likes/": "", "likes/log": CSV, "__MACOSX/log": "x"}), id="of a Mac"),
        # a name cut to nothing, in both of the archive's records
        pytest.param(
            zipped({"log": CSV})
            .replace(b"\3\0\0\0log", b"\0\0\3\0log")
            .replace(
                b"\3\0\0\0\0\0\0\0\0\0\0\0\x80\1\0\0\0\0log",
                b"\0\0\3\0\0\0\0\0\0\0\0\0\x80\1\0\0\0\0log",
            ),
            id="zip of a file without a name",
        ),
    ],
)
def test_a_compressed_file_is_read_whatever_it_is_called(put, content) -> None:
    assert rows(read_logs([put(content, "likes")], ReadOptions())) == ROWS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (tarred(), "a tar archive"),
        (gzip.compress(tarred()), "a tar archive"),
        (zipped({"ratings": CSV, "movies": "x"}), r"a zip archive of 2 files \(ratings, movies\)"),
        (zipped({"[Content_Types].xml": "x", "xl/sheet1": "y"}), "an Excel workbook"),
        (b"ARROW1\0\0", "a Feather or Arrow file"),
        (b"\x80\x04\x95", "a pickle"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (lzma.compress(CSV.encode())[:-30], "damaged or truncated"),
        (zipped({"log": CSV})[:60], "damaged or truncated"),
        (zipped({"log": CSV}).replace(b"\x08\0", b"\x63\0"), "damaged or truncated"),
    ],
)
def test_other_containers_are_named(put, content, what) -> None:
    with pytest.raises(DataError, match=what) as caught:
        read_logs([put(content, "log")], ReadOptions())
    assert caught.value.exit_code == 3
    assert caught.value.fix
