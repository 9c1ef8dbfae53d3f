"""Lists in a file: whole or not there, and after a kill the same as without it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from diffrec_cli import workflows
from diffrec_cli.errors import CorruptError, LockedError, UsageError
from diffrec_cli.files import atomic_file, locked
from diffrec_cli.workflows.progress import Event, Note, Step
from diffrec_cli.workflows.serving import user_histories


class Killed(BaseException):
    """What a test raises in place of a SIGKILL."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_histories, "CHUNK", 16)  # 60 users: four parts


def kill_after(parts: int):
    """Return a listener that ends the export when so many parts are made."""
    made = []

    def listen(event: Event) -> None:
        if isinstance(event, Step) and event.stage == "recommending":
            made.append(event)
            if len(made) == parts:
                raise Killed

    return listen


def export(out: Path, model: str, listener=lambda event: None, **options):
    return workflows.export_lists(
        out, model, **{"all_users": True, "k": 5, **options}, listener=listener
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_killed_three_times_it_is_the_file_of_an_undisturbed_run(
    shop: str, tmp_path: Path, suffix: str
) -> None:
    whole, killed = tmp_path / f"whole.{suffix}", tmp_path / f"killed.{suffix}"
    assert export(whole, shop).users == 60
    for parts in (1, 2, 3):  # parts that are there count as made
        with pytest.raises(Killed):
            export(killed, shop, kill_after(parts))
        assert not killed.exists()
    export(killed, shop)
    assert killed.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*led*")) == [killed.name]


def test_users_for_whom_no_item_is_left_are_told(
    shop: str, tmp_path: Path, notes, listener
) -> None:
    only = tmp_path / "only.txt"
    only.write_text("i00\n")
    lists = workflows.recommend(shop, all_users=True, k=5, allow=only, listener=listener).table()
    without = 60 - lists.num_rows
    assert 0 < without < 60
    assert f"no item is left for {without} of 60 users" in notes.pop()
    export(tmp_path / "lists.csv", shop, listener, allow=only)
    assert f"no item is left for {without} of 60 users" in notes.pop()


def test_what_was_made_is_not_made_again(shop: str, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    with pytest.raises(Killed):
        export(out, shop, kill_after(2))
    before = {p: p.stat().st_mtime_ns for p in out.with_name("lists.csv.partial").glob("*.parquet")}
    assert len(before) == 2
    notes = []
    with pytest.raises(Killed):
        export(out, shop, lambda e: notes.append(e) if isinstance(e, Note) else kill_at_writing(e))
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert "going on after 32 users" in notes[0].text


def kill_at_writing(event: Event) -> None:
    if isinstance(event, Step) and event.stage == "writing":
        raise Killed


def test_the_parts_of_another_export_are_no_parts_of_this(shop: str, tmp_path: Path) -> None:
    out, fresh = tmp_path / "lists.csv", tmp_path / "fresh.csv"
    with pytest.raises(Killed):
        export(out, shop, kill_after(2), k=3)
    notes = []
    export(out, shop, lambda e: notes.append(e) if isinstance(e, Note) else None)
    assert "another export" in notes[0].text
    export(fresh, shop)
    assert out.read_bytes() == fresh.read_bytes()


def test_another_block_list_of_the_same_name_is_another_export(shop: str, tmp_path: Path) -> None:
    block, out = tmp_path / "block.txt", tmp_path / "lists.csv"
    block.write_text("i00\n")
    with pytest.raises(Killed):
        export(out, shop, kill_after(3), block=block)
    block.write_text("i01\n")
    export(out, shop, block=block)
    assert ",i01," not in out.read_text()
    assert ",i00," in out.read_text()


def test_shards_together_are_the_whole_in_order(shop: str, tmp_path: Path) -> None:
    export(tmp_path / "whole.csv", shop)
    lines = []
    for shard in (1, 2, 3):
        out = tmp_path / f"{shard}.csv"
        export(out, shop, shard=f"{shard}/3")
        header, *rows = out.read_text().splitlines()
        assert header == "user,rank,item,score"
        lines += rows
    whole = (tmp_path / "whole.csv").read_text().splitlines()[1:]
    assert [line.rpartition(",")[0] for line in lines] == [w.rpartition(",")[0] for w in whole]
    # Batches of other sizes: some processors then round the last digit otherwise.
    scores = [[float(line.rpartition(",")[2]) for line in part] for part in (lines, whole)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)
    users = [line.split(",")[0] for line in lines[::5]]
    assert users == sorted(users)
    assert len(set(users)) == 60


def test_a_shard_of_nobody_has_the_columns_alone(shop: str, tmp_path: Path) -> None:
    export(tmp_path / "none.csv", shop, shard="1/100")
    export(tmp_path / "none.parquet", shop, shard="1/100")
    assert (tmp_path / "none.csv").read_text() == "user,rank,item,score\n"
    table = pq.read_table(tmp_path / "none.parquet")
    assert (table.num_rows, table.column_names) == (0, ["user", "rank", "item", "score"])


def test_a_damaged_part_is_named(shop: str, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    with pytest.raises(Killed):
        export(out, shop, kill_after(2))
    (out.with_name("lists.csv.partial") / "000000.parquet").write_bytes(b"garbage")
    with pytest.raises(CorruptError, match=r"000000\.parquet"):
        export(out, shop)
    assert not out.exists()


def test_two_may_not_write_the_same_file(shop: str, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    with locked(out.with_name("lists.csv.partial"), timeout=0), pytest.raises(LockedError):
        export(out, shop)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_real_kill_leaves_nothing_under_the_final_name(shop: str, tmp_path: Path) -> None:
    out, whole = tmp_path / "lists.csv", tmp_path / "whole.csv"
    export(whole, shop)
    script = (
        "import os, signal, sys\n"
        "from diffrec_cli import workflows\n"
        "from diffrec_cli.workflows.serving import user_histories\n"
        "from diffrec_cli.workflows.progress import Step\n"
        "user_histories.CHUNK = 16\n"
        "def listen(event):\n"
        "    if isinstance(event, Step) and event.done > 40:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "workflows.export_lists(sys.argv[1], sys.argv[2], all_users=True, k=5, listener=listen)\n"
    )
    process = subprocess.run([sys.executable, "-c", script, str(out), shop], check=False)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    export(out, shop)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
def test_what_came_through_a_pipe_is_never_the_same_again(shop: str, tmp_path: Path) -> None:
    pipe, out = tmp_path / "pipe", tmp_path / "lists.csv"
    os.mkfifo(pipe)

    def send(text: str) -> None:
        threading.Thread(target=pipe.write_text, args=(text,)).start()

    send("i00\n")
    with pytest.raises(Killed):
        export(out, shop, kill_after(2), block=pipe)
    send("i01\n")
    export(out, shop, block=pipe)
    assert ",i01," not in out.read_text()
    assert ",i00," in out.read_text()


def test_a_file_that_two_write_at_once_is_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with atomic_file(path) as first:
        first.write(b"first")
        with atomic_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_users_own_directory_of_that_name_is_left_alone(shop: str, tmp_path: Path) -> None:
    own = tmp_path / "lists.csv.partial"
    own.mkdir()
    (own / "my.parquet").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"my\.parquet"):
        export(tmp_path / "lists.csv", shop)
    assert [path.name for path in own.iterdir()] == ["my.parquet"]
    (own / "my.parquet").rename(own / ".DS_Store")
    export(tmp_path / "lists.csv", shop)
    assert [path.name for path in own.iterdir()] == [".DS_Store"]
