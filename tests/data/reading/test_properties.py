"""Whatever a log holds: what is read and what is left out are all of its rows."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.data.reading.log import read_logs
from diffrec_cli.data.reading.missing import MISSING
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.errors import DiffrecError
from tests.fuzz_reading import mutated, seeds

#: Ids of anything that may stand in a file: not only what is easily read.
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
GAPS = st.sampled_from(MISSING)
ROWS = st.lists(
    st.tuples(IDS, IDS, st.integers(1, 5), st.integers(0, 10**8)), min_size=1, max_size=30
)
WRITING = settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def as_csv(rows: list[tuple], sep: str, end: str, quoting: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep, lineterminator=end, quoting=quoting)
    writer.writerows([("user", "item", "rating", "timestamp"), *rows])
    return text.getvalue()


def as_json(rows: list[tuple]) -> str:
    names = ("user", "item", "rating", "timestamp")
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def read(path: Path, text: str, **options: object):
    path.write_bytes(text.encode())
    return read_logs([path], ReadOptions(**options))


@WRITING
@given(ROWS, st.sampled_from(",;|\t"), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_what_is_read(tmp_path, rows, sep, end) -> None:
    assume(not any(field in MISSING for row in rows for field in row[:2]))
    texts = [as_csv(rows, sep, end, csv.QUOTE_ALL), as_json(rows)]
    for text in texts:
        log = read(tmp_path / "log", text)
        found = zip(
            log.user_ids.at(log.user),
            log.item_ids.at(log.item),
            log.rating.tolist(),
            log.time.tolist(),
            strict=True,
        )
        assert list(found) == rows


@WRITING
@given(
    st.lists(
        st.tuples(IDS | GAPS, IDS | GAPS, st.integers(1, 5) | GAPS, st.integers(0, 99) | GAPS),
        min_size=1,
        max_size=30,
    )
)
def test_rows_are_read_or_counted_as_missing(tmp_path, rows) -> None:
    whole = [row for row in rows if not any(field in MISSING for field in row)]
    assume(whole)
    log = read(tmp_path / "log", as_csv(rows, ",", "\n", csv.QUOTE_MINIMAL), missing="skip")
    assert (len(log), log.missing) == (len(whole), len(rows) - len(whole))


@WRITING
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 5), st.integers(0, 50)),
        min_size=8,
        max_size=60,
    ),
    st.sampled_from(["first", "last", "max"]),
)
def test_rows_are_in_a_part_or_dropped_for_a_reason_and_oldest_first(
    tmp_path, rows, repeats
) -> None:
    log = read(tmp_path / "log", as_csv(rows, ",", "\n", csv.QUOTE_MINIMAL))
    try:
        dataset = split_log(log, SplitOptions(repeats=repeats, min_rating=2), name="d")
    except DiffrecError:
        return  # too little is left
    kept = sum(dataset.part(part).size for part in PARTS)
    assert kept + sum(dataset.dropped.values()) == len(rows)
    latest = {(u, i): t for u, i, _, t in sorted(rows, key=lambda row: row[3])}
    if repeats == "last":
        for user, name in enumerate(dataset.user_ids.array.to_pylist()):
            items = dataset.item_ids.at(np.concatenate([dataset.part(p).of(user) for p in PARTS]))
            times = [latest[int(name), int(item)] for item in items]
            assert times == sorted(times)


@pytest.mark.parametrize("number", range(150))
def test_damage_ends_in_an_error_with_a_fix(tmp_path, number: int) -> None:
    files = list(seeds().values())
    rng = np.random.default_rng(number)
    path = tmp_path / "log"
    path.write_bytes(mutated(files[number % len(files)], rng))
    fix = "read"
    try:
        read_logs([path], ReadOptions())
    except DiffrecError as error:
        fix = error.fix
    assert fix
