"""What ``prepare`` decides for a user, it says; an option without its column is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.dataset_record import PARTS
from diffrec_cli.errors import DataError, UsageError
from diffrec_cli.workflows.progress import Note
from tests.data.toys import lists

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(text: str, name: str = "log.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def said(path: Path, **options: object) -> list[str]:
    events: list[object] = []
    workflows.prepare([path], dry_run=True, listener=events.append, **options)
    return [event.text for event in events if isinstance(event, Note)]


LIKES = "".join(f"u{user},i{(user + n) % 9},{n}\n" for user in range(9) for n in range(6))


def test_the_columns_are_named_that_were_taken_and_that_were_not(put: Put) -> None:
    path = put("user,item,time,price\n" + LIKES.replace("\n", ",9\n"))
    first, *_ = said(path)
    assert first == (
        f"{path}: user from 'user', item from 'item', time from 'time'; no rating: every row"
        " counts; not used: 'price'"
    )


@pytest.mark.parametrize(
    ("read", "split", "option"),
    [
        (ReadOptions(), SplitOptions(min_rating=4), "--min-rating"),
        (ReadOptions(time_col="none", time_format="%Y"), SplitOptions(), "--time-format"),
    ],
)
def test_an_option_without_its_column_is_an_error(put: Put, read, split, option) -> None:
    path = put("user,item,time\n" + LIKES)
    with pytest.raises(DataError, match=option) as caught:
        said(path, read=read, split=split)
    assert "-col" in caught.value.fix


def test_cuts_between_equal_times_are_told(put: Put) -> None:
    notes = said(put("user,item,time\n" + LIKES.replace(",4\n", ",3\n").replace(",5\n", ",3\n")))
    assert any("between equal times: 18; such rows stay as the file has them" in n for n in notes)


@pytest.mark.parametrize(
    ("rows", "split", "why"),
    [
        ("u1,a,1\nu1,b,2\nu2,a,1\nu2,b,2\n", SplitOptions(), "no user has three interactions"),
        (LIKES, SplitOptions(split_by="time", ratios=(99, 1, 1)), "the last moments"),
        ("u1,a,1\nu1,b,2\nu1,c,3\nu2,b,1\nu2,a,3\n", SplitOptions(), "none of its items is in"),
    ],
)
def test_an_empty_part_is_told_with_its_reason(put: Put, rows, split, why) -> None:
    notes = said(put("user,item,time\n" + rows), split=split)
    assert any(note.startswith("the test part is empty") and why in note for note in notes)


def test_how_many_items_have_a_title_is_told(put: Put) -> None:
    path = put("user,item,time\n" + LIKES)
    items = put("item_id,title\ni1,One\ni2.0,Two\n i3 ,Three\n", "items.csv")
    assert said(path, items=items)[-1].startswith(f"{items}: rows for 1 of 9 items; 1 more would")


def test_items_are_read_in_the_encoding_of_the_log(tmp_path: Path, put: Put) -> None:
    log = put("user,item,time\n" + LIKES)
    items = tmp_path / "items.csv"
    items.write_bytes("item_id;title\ni1;Misérables\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"items\.csv:2: bytes that are not utf-8"):
        said(log, items=items)
    prepared = workflows.prepare(
        [log], items=items, read=ReadOptions(encoding="latin-1"), dry_run=True
    )
    assert "Misérables" in prepared.dataset.item_table["title"].to_pylist()


# Directories of files that are split already --------------------------------------------------


def parts_of(path: Path, **options: object) -> dict[str, dict[str, list[str]]]:
    dataset = workflows.prepare([path], dry_run=True, **options).dataset
    return {part: lists(dataset, part) for part in PARTS}


def test_files_that_are_split_already_keep_their_parts(tmp_path: Path) -> None:
    (tmp_path / "toys.train.inter").write_text(
        "user_id:token\titem_id:token\nu\ta\nu\tb\nv\tb\nv\tc\n"
    )
    (tmp_path / "toys.valid.inter").write_text("user_id:token\titem_id:token\nu\tc\nv\tx\n")
    (tmp_path / "toys.test.inter").write_text("user_id:token\titem_id:token\nv\ta\nw\ta\nu\tb\n")
    (tmp_path / "toys.item").write_text("item_id:token\ttitle:token\na\tA\n")
    assert parts_of(tmp_path) == {
        "train": {"u": ["a", "b"], "v": ["b", "c"]},
        "valid": {"u": ["c"]},
        "test": {"v": ["a"]},
    }
    dataset = workflows.prepare([tmp_path], dry_run=True).dataset
    dropped = {reason: count for reason, count in dataset.dropped.items() if count}
    assert dropped == {"duplicate": 1, "user_unseen_in_train": 1, "item_unseen_in_train": 1}


def test_without_a_valid_file_an_eighth_of_train_is_valid(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 1 2 3 4 5 6 7 8\n1 8 7 6 5 4 3 2 1\n")
    (tmp_path / "test.txt").write_text("0 9\n1 9 10\n")
    (tmp_path / "user_list.txt").write_text("org_id remap_id\n")
    split = SplitOptions(order="file")
    parts = parts_of(tmp_path, split=split)
    assert parts["train"] == {"0": list("1234567"), "1": list("8765432")}
    assert parts["valid"] == {"0": ["8"], "1": ["1"]}
    notes = said(tmp_path, split=split)
    assert "train from train.txt, test from test.txt; valid is an eighth" in notes[0]
    with pytest.raises(UsageError, match="--test-from have no effect"):
        said(tmp_path, split=SplitOptions(ratios=(8, 1, 1)))


def test_times_do_not_move_rows_between_parts(tmp_path: Path) -> None:
    header = "user,item,time\n"
    (tmp_path / "train.csv").write_text(header + "u,a,9\nu,b,8\nv,a,9\nv,b,7\n")
    (tmp_path / "val.csv").write_text(header + "u,c,1\nv,a,1\n")
    (tmp_path / "test.csv").write_text(header + "u,d,2\nv,b,1\n")
    assert parts_of(tmp_path)["train"] == {"u": ["b", "a"], "v": ["b", "a"]}


@pytest.mark.parametrize(
    "names", [("train.csv", "train_2.csv", "test.csv"), ("train.csv", "valid.csv")]
)
def test_parts_that_are_not_clear_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("user,item\nu,a\nv,a\n")
    with pytest.raises(DataError, match="not one file each") as caught:
        said(tmp_path)
    assert all(name in caught.value.what for name in names)


def test_hidden_files_are_no_parts_and_a_word_counts_once(tmp_path: Path) -> None:
    header = "user,item\n"
    (tmp_path / "train.csv").write_text(header + "u,a\nu,b\nv,a\nv,b\n")
    (tmp_path / "test_dev.csv").write_text(header + "u,c\nv,a\n")
    (tmp_path / ".train.csv.crc").write_bytes(b"crc")
    assert "train from train.csv, test from test_dev.csv" in said(tmp_path)[0]


def test_a_valid_file_of_low_ratings_takes_nothing_from_train(tmp_path: Path) -> None:
    header = "user,item,rating\n"
    rows = "".join(f"{user},{item},5\n" for user in "uv" for item in range(9))
    (tmp_path / "train.csv").write_text(header + rows)
    (tmp_path / "valid.csv").write_text(header + "u,1,1\n")
    (tmp_path / "test.csv").write_text(header + "v,9,5\n")
    parts = parts_of(tmp_path)
    assert [len(parts["train"][user]) for user in "uv"] == [9, 9]
    assert parts["valid"] == {}
