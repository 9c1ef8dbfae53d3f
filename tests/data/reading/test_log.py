from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import threading
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.reading import input_file
from diffrec_cli.data.reading import log as readers
from diffrec_cli.data.reading.items import match_in_words
from diffrec_cli.errors import DataError, UsageError
from tests.real_logs import REAL_LOGS

AUTO = ReadOptions()


@pytest.fixture
def put(tmp_path):
    def write(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows(log):
    users = log.user_ids.at(log.user)
    items = log.item_ids.at(log.item)
    rating = [None] * len(log) if log.rating is None else log.rating.tolist()
    time = [None] * len(log) if log.time is None else log.time.tolist()
    return list(zip(users, items, rating, time, strict=True))


EXPECTED = [("u1", "i1", 4.0, 20), ("u2", "i1", 3.5, 10), ("u1", "i2", 5.0, 30)]


@pytest.mark.parametrize("sep", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_separators_line_ends_and_bom_are_found_out(put, sep, end, bom):
    lines = [
        ["user", "item", "rating", "time"],
        *[[u, i, f"{r}", f"{t}"] for u, i, r, t in EXPECTED],
    ]
    path = put(bom + end.join(sep.join(line) for line in lines).encode())
    log = readers.read_logs([path], AUTO)
    assert rows(log) == EXPECTED
    assert log.notes == ()
    assert (log.user.dtype, log.rating.dtype, log.time.dtype) == (np.int32, np.float32, np.int64)


def test_space_separates_where_nothing_else_does(put):
    assert rows(readers.read_logs([put("user item rating\nu i 4\n")], AUTO))[0][2] == 4
    assert rows(readers.read_logs([put("1 2 3\n4 5 6\n")], AUTO))[1][:2] == ("4", "5")


def test_given_separator_may_be_anything(put):
    for sep in ("~", "<>", "¦"):
        path = put(f"user{sep}item\nu{sep}i\nv{sep}i\n")
        assert rows(readers.read_logs([path], ReadOptions(sep=sep)))[1][:2] == ("v", "i")
    path = put("user\titem\nu\ti\n")
    assert rows(readers.read_logs([path], ReadOptions(sep="\\t")))[0][:2] == ("u", "i")
    with pytest.raises(UsageError):
        readers.read_logs([path], ReadOptions(sep='"'))


def test_long_separator_survives_every_block_boundary():
    text = b"1::22::5::7\n333:::4::1::2\n" * 3
    for size in range(1, 20):
        stream = input_file.FilteredBytes(io.BytesIO(text), b"::")
        blocks = list(iter(lambda s=stream, n=size: s.read(n), b""))
        assert all(len(block) <= size for block in blocks)
        assert b"".join(blocks) == text.replace(b"::", b"\x1f")


def test_ids_stay_exactly_as_written(put):
    ids = ["007", "7", " 7", "NA", "Null", "Ärger, im Büro", 'say "hi"', "two\nlines", "1e5"]
    body = "".join('"{}",x\n'.format(i.replace('"', '""')) for i in ids)
    log = readers.read_logs([put("user,item\n" + body)], AUTO)
    assert log.user_ids.array.to_pylist() == ids
    assert log.user.tolist() == list(range(len(ids)))


def test_codes_count_in_order_of_first_appearance(put):
    log = readers.read_logs([put("user,item\nb,y\na,x\nb,x\n")], AUTO)
    assert log.user_ids.array.to_pylist() == ["b", "a"]
    assert log.item_ids.array.to_pylist() == ["y", "x"]
    assert log.item.tolist() == [0, 1, 1]


def test_gzip_is_told_by_content(put):
    body = b"user,item\nu,i\nv,j\n"
    assert len(readers.read_logs([put(gzip.compress(body), "log.csv")], AUTO)) == 2
    two_members = gzip.compress(body) + gzip.compress(b"w,k\n")
    assert len(readers.read_logs([put(two_members, "log.gz")], AUTO)) == 3


def test_stdin_and_pipes_are_read_once_but_usable_twice(tmp_path):
    log = readers.read_logs(["-"], AUTO, io.BytesIO(b"user,item\nu,i\n"))
    assert rows(log) == [("u", "i", None, None)]
    with pytest.raises(DataError) as caught:
        readers.read_logs(["-"], AUTO, io.BytesIO(b"user,item\nu,i\nv\n"))
    assert caught.value.what.startswith("<stdin>:3:")
    with pytest.raises(UsageError):
        readers.read_logs(["-"], AUTO)

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"user,item\nu,i\nv,j\n",))
    writer.start()
    assert len(readers.read_logs([pipe], AUTO)) == 2
    writer.join()


def test_several_files_are_one_log(put):
    first = put("user,item,rating\nu,i,4\n", "a.csv")
    second = put("item\tstars\tuser\ni\t3\tv\nj\t5\tu\n", "b.tsv")
    log = readers.read_logs([first, second], AUTO)
    assert rows(log) == [("u", "i", 4, None), ("v", "i", 3, None), ("u", "j", 5, None)]


def test_files_of_one_log_must_have_the_same_columns(put):
    with_rating = put("user,item,rating\nu,i,4\n", "a.csv")
    without = put("user,item\nu,i\n", "b.csv")
    with pytest.raises(DataError, match=r"b\.csv has no rating column"):
        readers.read_logs([with_rating, without], AUTO)
    dates = put("user,item,time\nu,i,2020-01-01\n", "c.csv")
    numbers = put("user,item,time\nu,i,5\n", "d.csv")
    with pytest.raises(DataError, match="one has dates"):
        readers.read_logs([dates, numbers], AUTO)


def test_no_header_is_noticed_and_told(put):
    log = readers.read_logs([put("1::1193::5::978300760\n1::661::3::978302109\n")], AUTO)
    assert rows(log) == [("1", "1193", 5, 978300760), ("1", "661", 3, 978302109)]
    (note,) = log.notes
    assert "no header; user from column 1, item from column 2, rating from column 3" in note


def test_no_header_option_takes_positions(put):
    path = put("x,i1,u1\nx,i2,u2\n")
    options = ReadOptions(header=False, user_col="3", item_col="2")
    assert [r[:2] for r in rows(readers.read_logs([path], options))] == [("u1", "i1"), ("u2", "i2")]


def test_text_without_recognised_names_asks_for_them(put):
    with pytest.raises(DataError) as caught:
        readers.read_logs([put("alice,tea\nbob,milk\n")], AUTO)
    assert "log.csv" in caught.value.what
    for option in ("--user-col", "--item-col", "--no-header"):
        assert option in caught.value.fix


def test_recbole_files_have_no_quoting(put):
    path = put('user_id:token\titem_id:token\trating:float\n1\t"a\t3\n2\tb"\t4\n', "x.inter")
    assert [r[1] for r in rows(readers.read_logs([path], AUTO))] == ['"a', 'b"']


def test_encoding_transcodes(put):
    path = put("user,item\nJürgen,Käse\n".encode("latin-1"))
    log = readers.read_logs([path], ReadOptions(encoding="latin-1"))
    assert rows(log)[0][:2] == ("Jürgen", "Käse")
    path = put("user,item\nJürgen,Käse\n".encode("utf-16"))
    assert rows(readers.read_logs([path], ReadOptions(encoding="utf-16")))[0][0] == "Jürgen"
    with pytest.raises(UsageError, match="unknown text encoding"):
        readers.read_logs([path], ReadOptions(encoding="klingon"))


@pytest.mark.parametrize("encoding", ["rot13", "hex", "zlib", "base64", "no\0such", ""])
def test_codecs_that_are_no_text_encodings_are_refused(put, encoding):
    with pytest.raises(UsageError, match="unknown text encoding"):
        readers.read_logs([put("user,item\nu,i\n")], ReadOptions(encoding=encoding))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b"user,item\nu\0,i\n", "delimited text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "delimited text"),
        ("user,item\nu,i\n".encode("utf-16"), "--encoding utf-16"),
        (b"\xfe\xff" + "user,item\nu,i\n".encode("utf-16-be"), "--encoding utf-16"),
        ("user,item\nu,i\n".encode("utf-32"), "--encoding utf-32"),
    ],
)
def test_a_binary_file_is_no_log(put, packed, content, fix):
    path = put(gzip.compress(content) if packed else content)
    for read in (lambda: readers.read_logs([path], AUTO), lambda: readers.read_item_table(path)):
        with pytest.raises(DataError, match="not a text file") as caught:
            read()
        assert fix in caught.value.fix


# Timestamps -----------------------------------------------------------------------------


def micros(*args):
    moment = dt.datetime(*args, tzinfo=dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def times(put, *values, **options):
    body = "".join(f'u,i{k},"{v}"\n' for k, v in enumerate(values))
    log = readers.read_logs([put("user,item,time\n" + body)], ReadOptions(**options))
    return log.time.tolist(), log.notes


def test_numbers_keep_their_unit(put):
    assert times(put, "1700000000123", "5") == ([1700000000123, 5], ())
    assert times(put, "5", "1.5") == ([5.0, 1.5], ())  # the first value does not decide
    assert times(put, "1.5", "-2e3") == ([1.5, -2000.0], ())


def test_iso_dates_with_and_without_zone(put):
    day, second = micros(2020, 1, 2), micros(2020, 1, 2, 3, 4, 5)
    assert times(put, "2020-01-02", "2020-01-02 03:04:05")[0] == [day, second]
    assert times(put, "2020-01-02T03:04:05Z", "2020-01-02T05:04:05+02:00")[0] == [second, second]
    assert times(put, "2020-01-02", "2020-01-02T03:04:05Z") == ([day, second], ())


def test_other_dates_are_read_by_one_guessed_format_that_is_told(put):
    values, notes = times(put, "05/13/2020", "06/01/2020")
    assert values == [micros(2020, 5, 13), micros(2020, 6, 1)]
    assert "'%m/%d/%Y'" in notes[0]
    assert "--time-format" in notes[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("05/04/2020", "13/04/2020"), [(2020, 4, 5), (2020, 4, 13)]),
        (("05/04/2020", "04/13/2020"), [(2020, 5, 4), (2020, 4, 13)]),
        (("5.4.2020 9:05", "25.4.2020 10:00"), [(2020, 4, 5, 9, 5), (2020, 4, 25, 10, 0)]),
        (("05-04-20", "25-04-20"), [(2020, 4, 5), (2020, 4, 25)]),
        (("05/04/2020 9:05 PM", "05/14/2020 9:05 AM"), [(2020, 5, 4, 21, 5), (2020, 5, 14, 9, 5)]),
        (("2020/05/04", "2020/05/13"), [(2020, 5, 4), (2020, 5, 13)]),
        (("Apr 5 2020", "Apr 13 2020"), [(2020, 4, 5), (2020, 4, 13)]),
    ],
)
def test_a_number_above_12_anywhere_is_the_day(put, values, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas' doubts are not for the terminal
        found, notes = times(put, *values)
    assert found == [micros(*moment) for moment in expected]
    assert "--time-format" in notes[0]


@pytest.mark.parametrize("values", [("05/04/2020",), ("5.4.2020 10:00", "12.12.2020 9:00")])
def test_days_that_may_be_months_are_not_guessed(put, tmp_path, values):
    with pytest.raises(DataError, match="day or the month") as caught:
        times(put, *values)
    assert "column 'time'" in caught.value.what
    assert "--time-format '%d" in caught.value.fix
    ids = ["x"] * len(values)
    pq.write_table(pa.table({"user": ids, "item": ids, "time": values}), tmp_path / "log.parquet")
    with pytest.raises(DataError, match="day or the month"):
        readers.read_logs([tmp_path / "log.parquet"], AUTO)


def test_a_missing_date_in_parquet_is_named(tmp_path):
    dates = [None, "05/13/2020"]
    table = pa.table({"user": ["u", "v"], "item": ["i", "i"], "time": dates})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(DataError, match="row 1: column 'time'"):
        readers.read_logs([tmp_path / "log.parquet"], AUTO)


def test_two_orders_of_day_and_month_are_a_fault_of_the_later_line(put):
    for values, bad in (
        (("01/02/2020", "05-13-20", "13-05-20"), "13-05-20"),
        (("01/02/2020 1:00 PM", "13/05/2020 1:00 PM", "05/13/2020 1:00 PM"), "05/13/2020 1:00 PM"),
    ):
        with pytest.raises(DataError, match=f":4: column 'time': {bad!r}"):
            times(put, *values)


def test_time_format_decides(put):
    values, notes = times(put, "05.04.2020", "13.04.2020", time_format="%d.%m.%Y")
    assert (values, notes) == ([micros(2020, 4, 5), micros(2020, 4, 13)], ())
    assert times(put, "20200405", time_format="%Y%m%d")[0] == [micros(2020, 4, 5)]


@pytest.mark.parametrize(
    ("values", "line", "bad"),
    [
        (("2020-01-01", "yesterday"), 3, "yesterday"),
        (("12", "13", "x"), 4, "x"),
        (("12", "nan"), 3, "nan"),
        (("12", ""), 3, ""),
        (("2020-01-01", ""), 3, ""),
        (("05/13/2020", "13/05/2020"), 3, "13/05/2020"),
        (("soon",), 2, "soon"),
    ],
)
def test_unreadable_time_names_line_value_and_option(put, values, line, bad):
    with pytest.raises(DataError) as caught:
        times(put, *values)
    assert f"log.csv:{line}: column 'time': {bad!r}" in caught.value.what
    missing = bad in ("", "nan")
    assert ("--missing skip" if missing else "--time-format") in caught.value.fix


# Refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("user,item,rating\nu,i,4\nu,j,good\n", ":3: column 'rating': 'good'"),
        ("user,item,rating\nu,i,4\nu,j,\n", ":3: column 'rating': ''"),
        ("user,item,rating\nu,i,nan\n", ":2: column 'rating': 'nan'"),
        ("user,item,rating\nu,i,inf\n", ":2: column 'rating': 'inf'"),
        ("user,item,rating\nu,i,1e39\n", ":2: column 'rating': '1e39'"),
        ("user,item,rating\nu,i,NA\n", ":2: column 'rating': 'NA'"),
        ("user,item\nu,i\n,j\n", ":3: column 'user': an empty id"),
        ('user,item\nu,i\n\n\nu,""\n', ":5: column 'item': an empty id"),
        ("user,item,a,b\n1,2,3,4\n1,2,3\n", ":3: expected 4 fields, got 3"),
        ("user,item\n1,2\n1,2,3\n", ":3: expected 2 fields, got 3"),
        ('user,item,t\n1,2,"a\nb"\n1,2\n', ":4: expected 3 fields, got 2"),
        ("1::2::3\n1::2\n", ":2: expected 3 fields, got 2"),
        (b"user,item\nu,i\nu,\xe4\n", ":3: bytes that are not utf-8"),
        ('user,item,text\nu,i,"open\nv,j,k\nw,l,m\n', ":2: a quote that opens here"),
        ('user,item\nt,i\n"u,i\nv,j\n', ":3: a quote that opens here"),
        ("", ": the file is empty"),
        ("\n\n", ": the file is empty"),
        ("user,item\n", ": a header but no rows"),
        ("user,item", ": a header but no rows"),
        ("one\n", ":1: no separator found"),
    ],
)
def test_every_fault_is_named_by_file_and_line(put, content, what):
    path = put(content)
    with pytest.raises(DataError) as caught:
        readers.read_logs([path], AUTO)
    assert caught.value.exit_code == 3
    assert f"{path}{what}" in caught.value.what
    assert caught.value.fix


def test_latin1_is_suggested_for_foreign_bytes(put):
    with pytest.raises(DataError) as caught:
        readers.read_logs([put(b"user,item\nu,\xe4\n")], AUTO)
    assert "--encoding latin-1" in caught.value.fix


@pytest.mark.parametrize("where", ["first", "middle", "last", "only"])
def test_line_of_ten_megabytes_is_refused_with_its_size(put, where):
    long = "u," + "x" * 10_000_000 + "\n"
    lines = {
        "first": ("user,item\n" + long + "u,i\n", 2),
        "middle": ("user,item\nu,i\n" + long + "u,i\n", 3),
        "last": ("user,item\nu,i\n" + long, 3),
        "only": (long, 1),
    }
    content, line = lines[where]
    path = put(content)
    with pytest.raises(DataError) as caught:
        readers.read_logs([path], AUTO)
    assert f"{path}:{line}: a line of 10.0 MB" in caught.value.what


def test_lines_of_a_mebibyte_and_inches_are_fine(put):
    long = "x" * (1 << 20)
    log = readers.read_logs([put(f'user,item,text\nu,i,{long}\nv,j,5" nail\n')], AUTO)
    assert len(log) == 2


def test_missing_file_directory_and_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        readers.read_logs([tmp_path / "none.csv"], AUTO)
    with pytest.raises(DataError, match="a directory"):
        readers.read_logs([tmp_path], AUTO)
    with pytest.raises(UsageError):
        readers.read_logs([], AUTO)


def test_truncated_gzip_is_damage(put):
    packed = gzip.compress(os.urandom(3000).hex().encode())
    body = gzip.compress(b"user,item\n" + b"".join(b"u%d,i\n" % k for k in range(9999)))
    for content in (packed[: len(packed) // 2], body[: len(body) // 2], body[:12]):
        with pytest.raises(DataError) as caught:
            readers.read_logs([put(content)], AUTO)
        assert "damaged or truncated" in caught.value.what
        assert "log.csv" in caught.value.what


# Parquet --------------------------------------------------------------------------------


def parquet(tmp_path, **columns):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_of_any_integer_or_text_ids(tmp_path):
    moments = pa.array([20, 10, 30], pa.timestamp("s"))
    path = parquet(
        tmp_path,
        user_id=pa.array([7, 3, 7]),
        item_id=["x", "y", "y"],
        rating=[4, 3, 5],
        date=moments,
    )
    log = readers.read_logs([path], AUTO)
    assert rows(log) == [
        ("7", "x", 4, 20_000_000),
        ("3", "y", 3, 10_000_000),
        ("7", "y", 5, 30_000_000),
    ]


def test_parquet_dictionaries_are_renumbered_by_appearance(tmp_path):
    user = pa.DictionaryArray.from_arrays(pa.array([2, 0]), pa.array(["a", "unused", "c"]))
    log = readers.read_logs([parquet(tmp_path, user=user, item=["i", "j"])], AUTO)
    assert log.user_ids.array.to_pylist() == ["c", "a"]
    assert log.user.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"user": ["a", None], "item": ["i", "j"]}, "row 2: column 'user': an empty id"),
        ({"user": ["a", ""], "item": ["i", "j"]}, "row 2: column 'user': an empty id"),
        ({"user": [1.5, 2.0], "item": ["i", "j"]}, "column 'user' holds double"),
        ({"user": ["a"], "item": ["i"], "rating": [float("inf")]}, "row 1: column 'rating': inf"),
        ({"user": ["a"], "item": ["i"], "rating": ["x"]}, "column 'rating': not ratings"),
        ({"user": ["a"], "item": ["i"], "time": ["x"]}, "row 1: column 'time': 'x'"),
        ({"user": ["a"], "item": ["i"], "time": [float("nan")]}, "row 1: column 'time': 'nan'"),
        (
            {"user": pa.array([], pa.string()), "item": pa.array([], pa.string())},
            "a header but no rows",
        ),
        ({"user": ["a"], "thing": ["i"]}, "no item column"),
    ],
)
def test_parquet_faults_are_named_by_row(tmp_path, columns, what):
    path = parquet(tmp_path, **columns)
    with pytest.raises(DataError) as caught:
        readers.read_logs([path], AUTO)
    assert f"{path}: {what}" in caught.value.what
    assert caught.value.fix


def test_truncated_parquet_is_damage(tmp_path):
    path = parquet(tmp_path, user=["a"] * 99, item=["i"] * 99)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged or truncated"):
        readers.read_logs([path], AUTO)


# Item tables ------------------------------------------------------------------------------


def test_item_table_has_id_and_title_first_and_text_everywhere(put):
    path = put('year,movieId,title,id\n1995,007,"Toy, Story",z\n1996,2,Heat,y\n1997,2,Again,x\n')
    table = readers.read_item_table(path)
    assert table.column_names == ["id", "title", "year", "id_2"]
    assert table.to_pylist()[0] == {"id": "007", "title": "Toy, Story", "year": "1995", "id_2": "z"}
    assert table["title"].to_pylist() == ["Toy, Story", "Heat"]  # the first row of an id counts


def test_item_table_without_header_recbole_and_parquet(put, tmp_path):
    movies = put("1::Pokémon (1998)::Kids\n".encode("latin-1"), "movies.dat")
    table = readers.read_item_table(movies, ReadOptions(encoding="latin-1"))
    assert table.to_pylist() == [{"id": "1", "title": "Pokémon (1998)", "column3": "Kids"}]
    recbole = put("item_id:token\tmovie_title:token_seq\n1\tHeat\n", "x.item")
    assert readers.read_item_table(recbole).to_pylist() == [{"id": "1", "title": "Heat"}]
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"asin": ["a"], "tags": [["x", "y"]], "price": [2.5]}), path)
    row = readers.read_item_table(path).to_pylist()[0]
    assert row == {"id": "a", "tags": '["x", "y"]', "price": "2.5"}


def test_the_id_of_an_item_table_is_the_surest_name_then_that_of_the_log(put):
    books = "book_id,goodreads_book_id,isbn,title\n1,277,043902,A\n"
    assert readers.read_item_table(put(books), None, "book_id")["id"].to_pylist() == ["1"]
    assert readers.read_item_table(put(books), None, "isbn")["id"].to_pylist() == ["043902"]
    given = ReadOptions(item_col="goodreads_book_id")
    assert readers.read_item_table(put(books), given, "isbn")["id"].to_pylist() == ["277"]
    with pytest.raises(DataError, match="2 columns could be the item id") as caught:
        readers.read_item_table(put(books))
    assert "--item-id-col" in caught.value.fix
    with pytest.raises(DataError, match="no columns are called 'sku'"):
        readers.read_item_table(put(books), ReadOptions(item_col="sku"))
    both = put("book_id,item_id,title\n1,2,A\n")
    assert readers.read_item_table(both, None, "book_id")["id"].to_pylist() == ["2"]


def test_an_item_table_without_names_has_its_id_where_it_is_said(put):
    path = put("Heat|1\nFargo|2\n")
    second = ReadOptions(header=False, item_col="2")
    assert readers.read_item_table(path, second).to_pylist()[1] == {"id": "2", "title": "Fargo"}
    with pytest.raises(DataError, match="there is no column '3'"):
        readers.read_item_table(path, ReadOptions(header=False, item_col="3"))


@pytest.mark.parametrize(
    ("ids", "written", "said"),
    [
        (["1", "2"], ["2", "1", "3"], ""),
        (["1", "x"], ["1", "2"], "rows for 1 of 2 items"),
        (["10.0", "x"], ["10"], "1 more would match without .0 at the end ('10.0')"),
        (["10", "11"], ["010", "11"], "1 more would match without zeros at the beginning ('10')"),
        (["a ", "b"], ["a", "b"], "1 more would match without spaces around ('a ')"),
    ],
)
def test_how_many_items_a_table_knows_is_said_with_the_likely_cause(ids, written, said):
    found = match_in_words(pa.array(ids), pa.table({"id": written}))
    assert found.endswith(said)
    assert bool(found) == bool(said)


def test_item_table_faults(put):
    with pytest.raises(DataError, match="no columns could be the item id"):
        readers.read_item_table(put("name,colour\nx,red\n"))
    with pytest.raises(DataError, match=":3: expected 2 fields"):
        readers.read_item_table(put("item,title\n1,a\n2\n"))
    with pytest.raises(DataError, match=":3: column 'item': an empty id"):
        readers.read_item_table(put("item,title\n1,a\n,b\n"))


# The authors' lists -------------------------------------------------------------------------


@pytest.fixture
def lists(tmp_path):
    def write(**parts):
        given = {"train": [[0, 1], [0, 0], [2, 3]], "valid": [[0, 2]], "test": [[2, 0]], **parts}
        for part, value in given.items():
            array = value if isinstance(value, np.ndarray) else np.array(value, np.int64)
            np.save(tmp_path / f"{part}_list.npy", array)
        return tmp_path

    return write


def test_authors_lists_are_taken_as_released(lists):
    directory = lists()
    assert readers.is_authors_directory(directory)
    assert not readers.is_authors_directory(directory / "none")
    dataset = readers.read_authors_lists(directory, "d")
    assert (dataset.n_users, dataset.n_items, dataset.setting, dataset.order) == (
        3,
        4,
        "clean",
        "file",
    )
    assert dataset.train.of(0).tolist() == [1, 0]
    assert dataset.train.of(1).tolist() == []
    assert dataset.test.of(2).tolist() == [0]
    assert dataset.item_ids.array.to_pylist() == ["0", "1", "2", "3"]
    assert sum(dataset.dropped.values()) == 0


def test_authors_lists_that_are_not_grouped_are_sorted_stably(lists):
    dataset = readers.read_authors_lists(lists(train=[[2, 3], [0, 1], [2, 0], [0, 0]]), "d")
    assert dataset.train.of(0).tolist() == [1, 0]
    assert dataset.train.of(2).tolist() == [3, 0]


def test_repeated_pairs_of_the_lists_count_once_the_first_time(lists):
    dataset = readers.read_authors_lists(
        lists(
            train=[[0, 1], [0, 0], [0, 1], [2, 3]],
            valid=[[0, 2], [0, 0], [0, 2]],
            test=[[2, 3], [2, 0], [0, 2]],
        ),
        "d",
    )
    found = [dataset.part(part).of(user).tolist() for part in PARTS for user in (0, 2)]
    assert found == [[1, 0], [3], [2], [], [], [0]]
    assert dataset.dropped["duplicate"] == sum(dataset.dropped.values()) == 5


@pytest.mark.parametrize(
    ("valid", "what"),
    [
        (np.zeros((3, 3), np.int64), "shape (3, 3)"),
        (np.zeros(4, np.int64), "shape (4,)"),
        (np.zeros((1, 2)), "not an array of whole numbers"),
        (np.array([[0, -1]]), "numbers from -1"),
        (np.array([[0, 10**12]]), "numbers from 0 to 1000000000000"),
        (np.array([[0, None]], object), "not a readable .npy file"),
    ],
)
def test_bad_list_is_named(lists, valid, what):
    directory = lists(valid=valid)
    with pytest.raises(DataError) as caught:
        readers.read_authors_lists(directory, "d")
    assert f"{directory / 'valid_list.npy'}: {what}" in caught.value.what
    assert caught.value.fix


def test_missing_truncated_or_empty_list_is_named(lists):
    directory = lists(train=np.zeros((0, 2), np.int64))
    with pytest.raises(DataError, match=r"train_list\.npy: no rows"):
        readers.read_authors_lists(directory, "d")
    path = directory / "test_list.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"test_list\.npy: not a readable"):
        readers.read_authors_lists(directory, "d")
    path.unlink()
    with pytest.raises(DataError, match=r"test_list\.npy: no such file"):
        readers.read_authors_lists(directory, "d")


@pytest.mark.skipif(not REAL_LOGS.is_dir(), reason="the real data is not here")
def test_released_movielens_has_the_known_counts():
    dataset = readers.read_authors_lists(REAL_LOGS / "ml-1m_clean", "ml1m")
    sizes = (dataset.train.size, dataset.valid.size, dataset.test.size)
    assert (dataset.n_users, dataset.n_items) == (5949, 2810)
    assert sizes == (403277, 110722, 57532)
    assert sum(dataset.dropped.values()) == 0


@pytest.mark.skipif(not REAL_LOGS.is_dir(), reason="the real data is not here")
def test_recbole_movielens_reads_whole():
    log = readers.read_logs([REAL_LOGS / "ml-100k" / "ml-100k.inter"], AUTO)
    assert (len(log), len(log.user_ids), len(log.item_ids)) == (100_000, 943, 1682)
    table = readers.read_item_table(REAL_LOGS / "ml-100k" / "ml-100k.item")
    assert table.slice(0, 1).to_pylist()[0]["title"] == "Toy Story"
