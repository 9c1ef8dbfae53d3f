"""Files as people have them (`../shared/cases`, where it is): what is read is what is in them.

The counts are not the tool's: they were made with ``count_cases.py``, with :func:`counted`, or by
looking at the file.
"""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.reading.log import read_item_table, read_logs
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.errors import DataError

_BESIDE = Path(__file__).parents[4] / "shared" / "cases"
CASES = Path(os.environ.get("DIFFREC_TEST_CASES") or _BESIDE)


def case(name: str) -> Path:
    """Return the file of a case, or skip the test."""
    if not (CASES / name).exists():
        pytest.skip(f"needs the case {name}")
    return CASES / name


def counted(path: Path, column: str, least: float, sep: str = ",") -> int:
    """Return how many rows have at least this value, by Python's own reader."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return sum(float(row[column]) >= least for row in csv.DictReader(stream, delimiter=sep))


#: Lines without a header (`column 1` and so on), and without ratings.
PLAYS = {"user_col": "1", "item_col": "5", "time_col": "2"}


with (Path(__file__).parent / "cases.csv").open(newline="", encoding="utf-8") as _stream:
    LISTED = {row["file"]: row for row in csv.DictReader(_stream)}
LOGS, ITEM_TABLES, REFUSED = (
    [name for name, row in LISTED.items() if row["kind"] == kind]
    for kind in ("log", "items", "refused")
)


def test_every_case_is_in_the_table() -> None:
    if not CASES.is_dir():
        pytest.skip("needs the cases")
    assert {path.name for path in CASES.iterdir()} - set(LISTED) <= {"README.md"}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_read_with_nothing_said(name) -> None:
    log = read_logs([case(name)], ReadOptions())
    found = (len(log), len(log.user_ids), len(log.item_ids))
    assert found == tuple(int(LISTED[name][what]) for what in ("rows", "users", "items"))
    assert log.taken or log.notes


@pytest.mark.parametrize("name", ITEM_TABLES)
def test_an_item_table_is_read_with_nothing_said(name) -> None:
    assert len(read_item_table(case(name))) == int(LISTED[name]["rows"])
    with pytest.raises(DataError, match="no user column found"):
        read_logs([case(name)], ReadOptions())


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_as_it_is_is_refused(name) -> None:
    with pytest.raises(DataError) as caught:
        read_logs([case(name)], ReadOptions())
    assert LISTED[name]["refused"] in caught.value.what
    assert caught.value.what.startswith(str(case(name)))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "read", "rows", "users", "items"),
    [
        ("12-utf16.csv", {"encoding": "utf-16"}, 56, 8, 9),
        (
            "52-taobao.csv",
            {"header": False, "user_col": "1", "item_col": "2", "time_col": "5"},
            72,
            8,
            9,
        ),
        ("58-gowalla.txt", {"header": False, **PLAYS}, 72, 8, 9),
        ("74-lfm.tsv", {"header": False, **PLAYS}, 4, 2, 2),
    ],
)
def test_a_log_is_read_with_what_is_said(name, read, rows, users, items) -> None:
    log = read_logs([case(name)], ReadOptions(**read))
    assert (len(log), len(log.user_ids), len(log.item_ids)) == (rows, users, items)
    if "header" in read:
        assert log.rating is None


@pytest.mark.parametrize(
    ("name", "read", "column", "rows", "title"),
    [
        ("69-items.tsv", {}, None, 5, '"Heroes'),
        ("02-movies.dat", {"encoding": "latin-1"}, None, 3, "Les Misérables X (1995)"),
        ("03-u.item", {"encoding": "latin-1"}, None, 3, "Misérables (1995)"),
        ("01b-bx-books-utf8.csv", {}, None, 3, 'The "Real" Thing; a tale'),
        ("76-gbooks.csv", {}, "book_id", 2, "A"),
        ("76-gbooks2.csv", {}, None, 2, "A"),
        ("40-items-gb.csv", {}, "book_id", 9, "N0"),
        ("40-items-amz.csv", {}, "asin", 9, "N0"),
    ],
)
def test_item_tables(name, read, column, rows, title) -> None:
    table = read_item_table(case(name), ReadOptions(**read), column)
    assert len(table) == rows
    assert title in table["title"].to_pylist()


@pytest.mark.parametrize(
    ("name", "least", "column", "liked"),
    [
        ("36-anime.csv", 7, "rating", 44),
        ("37-jester.csv", 0, "rating", 30),
        ("37-updown.csv", 1, "rating", 32),
        ("51-mal.csv", 7, "my_score", 37),
        ("66-d.inter", 1, "label:float", 20),
        ("70-min.csv", 4, "user_rating", 2),
        ("75-anime.csv", 7, "rating", 4),
    ],
)
def test_what_is_below_the_threshold_is_no_like(name, least, column, liked) -> None:
    path = case(name)
    assert counted(path, column, least, "\t" if path.suffix == ".inter" else ",") == liked
    log = read_logs([path], ReadOptions())
    assert int((log.rating >= least).sum()) == liked


@pytest.mark.parametrize("name", sorted(p.name for p in CASES.glob("07-time-*.csv")))
def test_times_of_every_form_stand_in_the_same_order(name) -> None:
    """The rows of all of these files are the same; some tell the day alone, or the year."""
    if name == "07-time-thousands.csv":
        with pytest.raises(DataError, match="cannot be read as a time"):
            read_logs([case(name)], ReadOptions())
        return
    times = read_logs([case(name)], ReadOptions()).time
    seconds = read_logs([case("07-time-s.csv")], ReadOptions()).time
    assert len(times) == len(seconds) == 72
    assert (np.diff(times[np.argsort(seconds, kind="stable")]) >= 0).all()
    assert len(np.unique(times)) > 30


def lines(name: str, columns: tuple[str, ...] | None = None) -> list[dict[str, str]]:
    """Return the rows of a CSV file by Python's own reader."""
    with case(name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, columns))


#: Files with kinds of events: options, and where Python's reader finds user, item and kind.
SHOPS = {
    "08-rees46.csv": ({"event_col": "auto"}, ("user_id", "product_id", "event_type")),
    "80-rees.csv": ({"event_col": "event_type"}, ("user_id", "product_id", "event_type")),
    "52-taobao.csv": (
        {"header": False, "user_col": "1", "item_col": "2", "event_col": "4", "time_col": "5"},
        ("user", "item", "kind"),
    ),
}


@pytest.mark.parametrize("name", SHOPS)
def test_kinds_of_events_are_counted_kept_and_weighed(name: str) -> None:
    options, (_, _, kind) = SHOPS[name]
    rows = lines(name, ("user", "item", "category", "kind", "time") if "52" in name else None)
    counts = Counter(row[kind] for row in rows)
    read = read_logs([case(name)], ReadOptions(**options))
    assert dict(read.event_counts) == counts
    assert (len(read), read.strength) == (len(rows), None)
    one, *others = sorted(counts)
    kept = read_logs([case(name)], ReadOptions(**options, event_kinds=one))
    assert (len(kept), kept.left_out) == (counts[one], len(rows) - counts[one])
    weighed = read_logs([case(name)], ReadOptions(**options, event_weights=f"{one}=.25"))
    found = Counter(weighed.strength.tolist())
    rest = sum(counts[other] for other in others)
    assert found == Counter({0.25: counts[one], 1.0: rest})


def test_a_target_is_all_that_valid_and_test_have() -> None:
    options, (user, item, kind) = SHOPS["08-rees46.csv"]
    bought = {(r[user], r[item]) for r in lines("08-rees46.csv") if r[kind] == "purchase"}
    log = read_logs([case("08-rees46.csv")], ReadOptions(**options))
    dataset = split_log(log, SplitOptions(target="purchase"), name="shop")
    for part in (dataset.valid, dataset.test):
        users = dataset.user_ids.at(part.row_index)
        assert part.size > 0
        assert set(zip(users, dataset.item_ids.at(part.items), strict=True)) <= bought


def test_plays_are_strengths_on_a_log_scale() -> None:
    plays = [float(row["plays"]) for row in lines("37-counts.csv")]
    log = read_logs([case("37-counts.csv")], ReadOptions(weight_col="plays"))
    assert log.strength.tolist() == pytest.approx([math.log2(1 + count) for count in plays])


def test_every_listen_counts_where_repeats_are_kept() -> None:
    listens = Counter((row["user"], row["item"]) for row in lines("43-listens.csv"))
    log = read_logs([case("43-listens.csv")], ReadOptions())
    dataset = split_log(log, SplitOptions(repeats="keep"), name="listens")
    found: Counter[tuple[str, str]] = Counter()
    for part in (dataset.train, dataset.valid, dataset.test):
        users = dataset.user_ids.at(part.row_index)
        pairs = zip(users, dataset.item_ids.at(part.items), strict=True)
        for pair, strength in zip(pairs, part.strength, strict=True):
            found[pair] += round(2 ** float(strength) - 1)
    assert found == listens
    assert sum(found.values()) == 80
