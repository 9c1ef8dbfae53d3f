"""A log that is sorted on disk gives the very dataset, report and notes that it gives in memory."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffrec_cli import workflows
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.reading import delimited, parquet
from diffrec_cli.errors import DataError
from diffrec_cli.workflows.progress import Note

#: Rows at a time: a user's rows are in many runs, and groups have few users, or one.
FEW = 150
ROWS = 3000
FIRST_SECOND = 1_500_000_000

Columns = dict[str, list[object]]


def random_log(seed: int = 0) -> Columns:
    """Return a log with repeated pairs, equal times, low ratings, and rare users and items."""
    rng = np.random.default_rng(seed)
    users, items = (
        (size * rng.random(ROWS) ** power).astype(int) for size, power in ((160, 2), (90, 3))
    )
    days = rng.integers(0, 400, ROWS)
    return {
        "user": [f"ü{user}" for user in users],
        "item": [f"i,{item}" for item in items],
        "rating": rng.integers(1, 11, ROWS).astype(float) / 2,
        "time": (FIRST_SECOND + 86_400 * days).tolist(),
    }


def write(path: Path, columns: Columns) -> Path:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(f'"{value}"' for value in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files have many blocks."""
    monkeypatch.setattr(delimited, "MAX_RECORD", 5_000)
    monkeypatch.setattr(parquet, "_PIECE_ROWS", 70)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("log") / "log.csv", random_log())


def prepared(*paths: Path, rows: int | None, **options):
    events: list[object] = []
    found = workflows.prepare(
        paths, dry_run=True, rows_in_memory=rows, listener=events.append, **options
    )
    return found.dataset, [event.text for event in events if isinstance(event, Note)]


def assert_alike(*paths: Path, rows: int = FEW, **options) -> list[str]:
    """Check that both ways agree; return what was told."""
    here, told = prepared(*paths, rows=None, **options)
    there, told_too = prepared(*paths, rows=rows, **options)
    for name, part in here.parts.items():
        assert np.array_equal(part.indptr, there.parts[name].indptr), name
        assert np.array_equal(part.items, there.parts[name].items), name
        assert there.parts[name].items.dtype == np.int32
    assert there.user_ids.array.to_pylist() == here.user_ids.array.to_pylist()
    assert there.item_table.to_pydict() == here.item_table.to_pydict()
    assert there.summary() == here.summary()
    assert (there.order, there.source) == (here.order, here.source)
    assert there.content_hash == here.content_hash
    assert told_too == told
    return told


COMBINATIONS = [
    dict(zip(("min_rating", "repeats", "split_by", "core", "test_from"), values, strict=True))
    for values in itertools.product(
        (None, 2.5), ("first", "last", "max"), ("user", "time"), ((1, 1), (3, 5)), (None, "60d")
    )
]


@pytest.mark.parametrize("said", COMBINATIONS, ids=lambda said: "-".join(map(str, said.values())))
def test_every_combination_of_rules_gives_the_same_dataset(log: Path, said) -> None:
    users, items = said.pop("core")
    assert_alike(
        log,
        split=SplitOptions(**said, min_user_interactions=users, min_item_interactions=items),
    )


@pytest.mark.parametrize("rows", [1, 7, ROWS // 2, 10 * ROWS])
def test_how_many_rows_are_in_memory_at_a_time_does_not_matter(log: Path, rows) -> None:
    assert_alike(log, rows=rows, split=SplitOptions(min_item_interactions=3))


@pytest.mark.parametrize(
    "said",
    [
        {"since": "200d"},
        {"until": "2017-10-01", "repeats": "last"},
        {"since": "2017-09-01", "until": "30d", "test_from": "90d", "repeats": "max"},
        {"since": str(FIRST_SECOND + 86_400 * 300), "order": "file", "min_rating": 0.5},
        {"setting": "temporal", "ratios": (8, 0, 2)},
        {"split_by": "time", "ratios": (1, 0, 0)},
        {"order": "file"},
        {"order": "times", "min_user_interactions": 5},
    ],
    ids=str,
)
def test_windows_orders_and_shares_give_the_same_dataset(log: Path, said) -> None:
    assert_alike(log, split=SplitOptions(**said))


@pytest.mark.parametrize(
    "said",
    [
        {"since": "2030-01-01"},
        {"since": "2030-01-01", "test_from": "10d"},
        {"since": "2030-01-01", "repeats": "last"},
        {"min_rating": 5.5},
        {"min_item_interactions": 1000},
        {"test_from": "2001-01-01", "split_by": "time"},
    ],
    ids=str,
)
def test_what_cannot_be_split_is_refused_in_the_same_words(log: Path, said) -> None:
    with pytest.raises(DataError) as here:
        prepared(log, rows=None, split=SplitOptions(**said))
    with pytest.raises(DataError) as there:
        prepared(log, rows=FEW, split=SplitOptions(**said))
    assert (there.value.what, there.value.fix) == (here.value.what, here.value.fix)


def test_ratings_beyond_5_ask_for_a_threshold(tmp_path: Path) -> None:
    columns = {**random_log(), "rating": np.arange(ROWS) % 10}
    with pytest.raises(DataError, match="ratings run from 0 to 9"):
        prepared(write(tmp_path / "log.csv", columns), rows=FEW)


# Forms of files ---------------------------------------------------------------------------


def as_text(path: Path, columns: Columns, sep: str = ",") -> Path:
    rows = (sep.join(map(str, row)) for row in zip(*columns.values(), strict=True))
    path.write_text("\n".join([sep.join(columns), *rows]) + "\n")
    return path


def numbered(columns: Columns) -> Columns:
    """Return a log with plain numbers as ids."""
    ids = {name: [text.strip("ü,i") for text in columns[name]] for name in ("user", "item")}
    return {**columns, **ids}


@pytest.mark.parametrize("sep", ["\t", "::", ";", "  "])
def test_any_separator_will_do(tmp_path: Path, sep) -> None:
    assert_alike(as_text(tmp_path / "log.txt", numbered(random_log()), sep))


def test_compressed_text_will_do(tmp_path: Path, log: Path) -> None:
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert_alike(packed)


def test_parquet_will_do_with_dictionaries_in_any_order(tmp_path: Path) -> None:
    columns = random_log()
    table = pa.table({**columns, "user": pa.array(columns["user"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=400)
    assert_alike(tmp_path / "log.parquet")
    typed = table.set_column(3, "time", table["time"].cast(pa.timestamp("s")))
    pq.write_table(typed, tmp_path / "dated.parquet", row_group_size=1000)
    assert_alike(tmp_path / "dated.parquet", split=SplitOptions(since="2017-09-01"))


def test_blocks_will_do(tmp_path: Path) -> None:
    path, columns = tmp_path / "log.txt", numbered(random_log())
    rows = sorted(zip(columns["item"], columns["user"], columns["time"], strict=True))
    text = ""
    for item, group in itertools.groupby(rows, key=lambda row: row[0]):
        text += f"{item}:\n" + "".join(f"{user},5,{time}\n" for _, user, time in group)
    path.write_text(text)
    told = assert_alike(path)
    assert any("as the item of the rows below it" in note for note in told)


def test_several_files_are_one_log(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", random_log(1))
    two = as_text(tmp_path / "2.tsv", numbered(random_log(2)), "\t")
    empty = tmp_path / "3.csv"
    empty.write_text("user,item,rating,time\n")
    told = assert_alike(one, two, empty)
    assert "files without rows: 1" in told


def test_rows_that_miss_a_value_are_counted(tmp_path: Path) -> None:
    columns = random_log()
    columns["item"] = [
        "" if place % 11 == 5 else item for place, item in enumerate(columns["item"])
    ]
    columns["item"][-200:] = ["NULL"] * 200  # all of the last block
    path = write(tmp_path / "log.csv", columns)
    skip = ReadOptions(missing="skip")
    assert_alike(path, read=skip)
    dataset, _ = prepared(path, rows=FEW, read=skip)
    assert dataset.dropped["missing_value"] == columns["item"].count("") + 200
    table = pa.table({**columns, "item": [item or None for item in columns["item"]]})
    pq.write_table(table, tmp_path / "log.parquet")
    assert_alike(tmp_path / "log.parquet", read=skip)


def test_names_of_columns_again_and_again_are_told(tmp_path: Path) -> None:
    path = as_text(tmp_path / "log.csv", numbered(random_log()))
    path.write_text(path.read_text() * 3 + "user,item,rating,time\n")
    told = assert_alike(path)
    assert any("repeated lines of column names left out: 3" in note for note in told)


@pytest.mark.parametrize(
    "form",
    [
        lambda time, place: f"{time}.5" if place == ROWS - 9 else time,
        lambda time, place: f"{np.datetime64(time, 's')}",
        lambda time, place: f"{np.datetime64(time, 's')}Z",
        lambda time, place: f"{np.datetime64(time, 's').item()} UTC",
        lambda time, place: f"{np.datetime64(time, 's')}" + "+02:00" * (place > ROWS // 2),
        lambda time, place: f"{np.datetime64(time, 's').astype('M8[D]')}",
        lambda time, place: time * 10**9 if place else (time + 0.25) * 1e9,
    ],
    ids=["a fraction", "ISO", "Z", "UTC", "zones later", "days", "nanoseconds"],
)
def test_times_of_many_forms_are_read_alike(tmp_path: Path, form) -> None:
    columns = random_log()
    columns["time"] = [form(time, place) for place, time in enumerate(columns["time"])]
    assert_alike(write(tmp_path / "log.csv", columns), split=SplitOptions(split_by="time"))


def test_a_format_of_dates_that_is_said_will_do(tmp_path: Path) -> None:
    columns = random_log()
    columns["time"] = [f"{np.datetime64(time, 's').item():%d/%m/%Y}" for time in columns["time"]]
    said = ReadOptions(time_format="%d/%m/%Y")
    assert_alike(write(tmp_path / "log.csv", columns), read=said)


def test_rows_in_order_show_it_on_disk_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(100), 30)
    items = [(start + np.arange(30)) % 60 for start in rng.integers(0, 60, 100)]
    columns: Columns = {"user": users.tolist(), "item": np.concatenate(items).tolist()}
    told = assert_alike(as_text(tmp_path / "log.csv", columns))
    assert any("each user's rows are taken as oldest first" in note for note in told)


def test_titles_come_along(tmp_path: Path, log: Path) -> None:
    items = tmp_path / "items.csv"
    titles = "".join(f'"i,{item}","Title {item}"\n' for item in range(0, 90, 2))
    items.write_text("item,title\n" + titles)
    told = assert_alike(log, items=items)
    assert any(str(items) in note for note in told)
