"""Files as people have them (`../shared/cases`, where it is): what is read is what is in them.

The counts are not the tool's: they were made with :func:`counted`, or by looking at the file.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.config import ReadOptions
from diffrec_cli.data.reading.log import read_item_table, read_logs
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


@pytest.mark.parametrize(
    ("name", "read", "rows", "users", "items"),
    [
        ("01-bx-ratings.csv", {}, 7, 4, 3),
        ("05-lastfm1k-h.tsv", {}, 56, 8, 10),
        ("09-plain.csv", {}, 56, 8, 9),
        ("11-bom.csv", {}, 56, 8, 9),
        ("11-bom-nh.csv", {}, 56, 8, 9),
        ("12-utf16.csv", {"encoding": "utf-16"}, 56, 8, 9),
        ("13-cr.csv", {}, 56, 8, 9),
        ("14-blank.csv", {}, 56, 8, 9),
        ("08-rees46.csv", {}, 56, 8, 9),
        ("10-excel-sep.csv", {}, 56, 8, 9),
        ("10-excel-sep2.csv", {}, 56, 8, 9),
        ("11-bom2.csv", {}, 56, 8, 9),
        ("15-comment.csv", {}, 56, 8, 9),
        ("15-konect.tsv", {}, 56, 8, 9),
        ("16-trail.csv", {}, 56, 8, 9),
        ("18-index3.csv", {}, 56, 8, 9),
        ("19-concat.csv", {}, 112, 8, 9),
        ("19-concat2.csv", {}, 56, 8, 9),
        ("19-concat3.csv", {}, 56, 8, 9),
        ("21-epinions2.txt", {}, 56, 8, 9),
        ("21-space2.txt", {}, 56, 8, 9),
        ("21-space3.txt", {}, 56, 8, 9),
        ("22-tabtrail.tsv", {}, 56, 8, 9),
        ("23-multimember.csv.gz", {}, 56, 8, 9),
        ("29-e.csv.bz2", {}, 72, 8, 9),
        ("29-f.csv.xz", {}, 72, 8, 9),
        ("29-g.csv.zst", {}, 72, 8, 9),
        ("29-h.zip", {}, 72, 8, 9),
        ("06-lastfm1k-open-h.tsv", {}, 56, 8, 10),
        ("69-quotes.tsv", {}, 6, 2, 3),
        ("69-odd2.tsv", {}, 6, 2, 3),
        (
            "52-taobao.csv",
            {"header": False, "user_col": "1", "item_col": "2", "time_col": "5"},
            72,
            8,
            9,
        ),
        ("58-gowalla.txt", {"header": False, **PLAYS}, 72, 8, 9),
        ("74-lfm.tsv", {"header": False, **PLAYS}, 4, 2, 2),
        ("71-оценки.csv", {}, 56, 8, 9),
        ("30-a.jsonl", {}, 72, 8, 9),
        ("30-b.json", {}, 72, 8, 9),
        ("31-netflix.txt", {}, 72, 8, 9),
        ("32-train.txt", {}, 72, 8, 9),
        ("33-behaviors.tsv", {}, 27, 5, 5),  # 12 clicks, and 3 items before for each of 5 users
        ("53-kuairec.csv", {}, 72, 8, 9),
        ("66-s.csv", {}, 72, 8, 9),
    ],
)
def test_every_row_is_read(name, read, rows, users, items) -> None:
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
