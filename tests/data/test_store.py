from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from diffrec_cli.data import store
from diffrec_cli.data.arrow import read_parquet
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import DeviceError, NotFoundError, StorageError, UsageError
from diffrec_cli.paths import check_name
from tests.data.toys import make_dataset

OTHER = {"item_table": pa.table({"id": ["x", "y", "other"]})}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def left_over(home):
    hidden = {path.name for path in (home / "datasets").iterdir() if path.name.startswith(".")}
    return sorted(hidden - {".lock"})


def test_saved_dataset_loads_and_is_listed(home):
    directory, reused = store.save(make_dataset())
    assert (directory, reused) == (home / "datasets" / "d", False)
    assert store.load("d").content_hash == make_dataset().content_hash
    assert store.names() == ["d"]
    assert store.summaries()[0]["interactions"] == 5
    assert left_over(home) == []


def test_equal_content_is_reused_untouched():
    directory, _ = store.save(make_dataset())
    before = (directory / "dataset.json").stat().st_mtime_ns
    assert store.save(make_dataset()) == (directory, True)
    assert (directory / "dataset.json").stat().st_mtime_ns == before


def test_equal_content_from_elsewhere_is_reused_and_says_where_it_came_from_last():
    directory, _ = store.save(make_dataset())
    before = (directory / "train_items.npy").stat().st_mtime_ns
    moved = make_dataset(source={"files": ["elsewhere.csv"], "read": {"ratios": (7, 1, 2)}})
    assert store.save(moved) == (directory, True)
    assert (directory / "train_items.npy").stat().st_mtime_ns == before
    loaded = store.load("d")
    assert loaded.source == {"files": ["elsewhere.csv"], "read": {"ratios": [7, 1, 2]}}
    assert loaded.content_hash == moved.content_hash
    (directory / "dataset.json").chmod(0o444)
    written = (directory / "dataset.json").stat().st_mtime_ns
    assert store.save(moved) == (directory, True)
    assert (directory / "dataset.json").stat().st_mtime_ns == written


def test_other_content_needs_overwrite(home):
    store.save(make_dataset())
    with pytest.raises(UsageError) as caught:
        store.save(make_dataset(**OTHER))
    for option in ("--overwrite", "prepare --name", "fit --dataset"):
        assert option in caught.value.fix
    assert store.load("d").content_hash == make_dataset().content_hash
    assert store.save(make_dataset(**OTHER), overwrite=True)[1] is False
    assert store.load("d").content_hash == make_dataset(**OTHER).content_hash
    assert left_over(home) == []


def test_damaged_dataset_is_replaced_only_on_demand():
    directory, _ = store.save(make_dataset())
    (directory / "dataset.json").write_bytes(b"{")
    assert "not a readable dataset record" in store.summaries()[0]["error"]
    with pytest.raises(UsageError):
        store.save(make_dataset())
    store.save(make_dataset(), overwrite=True)
    assert store.load("d").n_users == 2


@pytest.mark.parametrize("first", [True, False])
def test_full_disk_is_told_and_leaves_what_was_there(home, monkeypatch, first):
    if not first:
        store.save(make_dataset())
    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", no_space)
    with pytest.raises(StorageError) as caught:
        store.save(make_dataset(**OTHER), overwrite=True)
    assert caught.value.exit_code == 6
    assert "no space left" in caught.value.what
    assert left_over(home) == []
    if first:
        assert store.names() == []
    else:
        assert store.load("d").content_hash == make_dataset().content_hash


def test_home_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("DIFFREC_HOME", str(blocked))
    with pytest.raises(StorageError) as caught:
        store.save(make_dataset())
    assert "cannot write" in caught.value.what
    assert "DIFFREC_HOME" in caught.value.fix
    assert store.names() == []


@pytest.mark.parametrize("step", [0, 1])
def test_interrupted_swap_leaves_the_old_dataset(home, monkeypatch, step):
    store.save(make_dataset())
    original, calls = Path.replace, []

    def replace(self, target):
        calls.append(target)
        if len(calls) == step + 1:
            raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        store.save(make_dataset(**OTHER), overwrite=True)
    monkeypatch.undo()
    monkeypatch.setenv("DIFFREC_HOME", str(home))
    assert store.load("d").content_hash == make_dataset().content_hash
    assert store.names() == ["d"]
    assert left_over(home) == []


def test_unknown_dataset_is_told_and_known_one_removed(home):
    for act in (store.load, store.remove, store.find):
        with pytest.raises(NotFoundError) as caught:
            act("none")
        assert caught.value.exit_code == 4
    store.save(make_dataset())
    store.remove("d")
    assert store.names() == []
    assert left_over(home) == []


def test_a_name_that_is_nearly_right_is_suggested():
    store.save(make_dataset(name="ratings"))
    with pytest.raises(NotFoundError) as caught:
        store.find("ratngs")
    assert "did you mean 'ratings'?" in caught.value.fix
    with pytest.raises(NotFoundError) as caught:
        store.find("elsewhere")
    assert "did you mean" not in caught.value.fix


def test_one_damaged_dataset_does_not_hide_the_others(home):
    for name in ("a", "b", "c"):
        store.save(make_dataset(name=name))
    path = home / "datasets" / "b" / "dataset.json"
    record = json.loads(path.read_bytes())
    del record["train"]
    path.write_text(json.dumps(record))
    (home / "datasets" / "c" / "dataset.json").unlink()
    listed = store.summaries()
    assert [record["dataset"] for record in listed] == ["a", "b", "c"]
    assert ["error" in record for record in listed] == [False, True, True]


# Kills ----------------------------------------------------------------------------------------

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from diffrec_cli.data import store
from tests.data.test_store import OTHER, make_dataset

act, function, moment, nth = sys.argv[1:]
calls = 0

def killing(original):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if moment == "before" and calls == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if moment == "after" and calls == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

owner = Path if function == "replace" else shutil
setattr(owner, function, killing(getattr(owner, function)))
if act == "save":
    store.save(make_dataset(**OTHER), overwrite=True)
else:
    store.remove("d")
"""


def run_and_kill(*arguments):
    """Run an act in a process that kills itself at a moment; tell whether it came to that."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


# Renames of a replacement: the old one aside, the new one in, the old one into its grave.
WINDOWS = [("replace", when, n) for n in (1, 2, 3) for when in ("before", "after")]
WINDOWS += [("rmtree", when, 1) for when in ("before", "after")]


@pytest.mark.parametrize(
    "access",
    [
        lambda: store.load("d"),
        lambda: store.find("d"),
        store.names,
        store.summaries,
        lambda: store.save(make_dataset()),
    ],
)
def test_what_stands_aside_is_put_back_by_any_access(home, access):
    store.save(make_dataset())
    (home / "datasets" / "d").rename(home / "datasets" / ".replaced-d")
    access()
    assert left_over(home) == []
    assert store.load("d").content_hash == make_dataset().content_hash


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a signal of POSIX")
@pytest.mark.parametrize(("function", "moment", "nth"), WINDOWS)
def test_a_killed_replacement_leaves_the_old_or_the_new_dataset(home, function, moment, nth):
    store.save(make_dataset())
    assert run_and_kill("save", function, moment, nth)
    old = function == "replace" and (nth, moment) in [(1, "before"), (1, "after"), (2, "before")]
    expected = make_dataset() if old else make_dataset(**OTHER)
    assert store.load("d").content_hash == expected.content_hash
    assert store.names() == ["d"]
    assert not [name for name in left_over(home) if name.startswith(".replaced")]
    # And what the kill left does not stand in the way of anything.
    store.save(make_dataset(**OTHER), overwrite=True)
    assert store.load("d").content_hash == make_dataset(**OTHER).content_hash
    store.remove("d")
    assert store.names() == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a signal of POSIX")
@pytest.mark.parametrize(
    ("function", "moment"), [(f, m) for f in ("replace", "rmtree") for m in ("before", "after")]
)
def test_a_killed_removal_leaves_the_dataset_or_nothing(home, function, moment):
    store.save(make_dataset())
    assert run_and_kill("remove", function, moment, 1)
    if (function, moment) == ("replace", "before"):
        assert store.load("d").content_hash == make_dataset().content_hash
    else:
        assert store.names() == []


def test_garbage_beside_its_successor_is_deleted_not_put_back(home):
    store.save(make_dataset())
    old = home / "datasets" / ".replaced-d"
    old.mkdir()
    (old / "half").write_text("")
    store.remove("d")
    assert store.names() == []
    assert left_over(home) == []


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "-x", "_x", "x" * 101, "a b", "語" * 67, "a\u202eb"]
)
def test_names_that_could_leave_the_store_are_refused(name):
    with pytest.raises(UsageError):
        check_name(name, "dataset")
    with pytest.raises(UsageError):
        store.load(name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("logs/ml-1m.csv.gz", "ml-1m"),
        ("/data/ratings.dat", "ratings"),
        ("My log (1).csv", "My-log-1"),
        ("___.csv", "log"),
        ("v1.2.parquet", "v1.2"),
        ("оценки.csv", "оценки"),
        ("Cafe\u0301 Noir.csv", "Caf\u00e9-Noir"),
        ("語" * 80 + ".csv", "語" * 66),
        ("हिन्दी.csv", "हिन्दी"),
        ("a\udc80.csv", "a"),
    ],
)
def test_names_are_made_from_paths(path, name):
    assert store.name_from_path(Path(path)) == name
    assert check_name(name, "dataset") == name


def test_of_two_at_once_the_second_is_told_that_the_name_is_taken(home, monkeypatch):
    """The second has looked, and found nothing, before the first is done."""
    original = Dataset.save

    def save_and_be_overtaken(self, directory):
        original(self, directory)
        if self.name == "d" and not store.names():
            monkeypatch.undo()
            monkeypatch.setenv("DIFFREC_HOME", str(home))
            store.save(make_dataset())

    monkeypatch.setattr(Dataset, "save", save_and_be_overtaken)
    with pytest.raises(UsageError, match="exists with other content"):
        store.save(make_dataset(**OTHER))
    assert store.load("d").content_hash == make_dataset().content_hash
    assert left_over(home) == []


def test_a_dataset_that_is_replaced_while_it_is_read_is_not_half_of_each(monkeypatch):
    store.save(make_dataset())
    original = Dataset.load

    def load_and_be_replaced(directory):
        dataset = original(directory)
        if dataset.content_hash == make_dataset().content_hash:
            store.save(make_dataset(**OTHER), overwrite=True)
        return dataset

    monkeypatch.setattr(Dataset, "load", load_and_be_replaced)
    assert store.load("d").content_hash == make_dataset(**OTHER).content_hash


def test_what_cannot_be_read_is_not_called_damaged(monkeypatch):
    directory, _ = store.save(make_dataset())
    for name in ("dataset.json", "train_items.npy", "users.parquet"):
        for number, kind in ((errno.EACCES, StorageError), (errno.EMFILE, DeviceError)):
            refusing = unreadable_file(monkeypatch, directory / name, number)
            with refusing, pytest.raises(kind) as caught:
                store.load("d")
            assert "damaged" not in caught.value.what
            assert "remove" not in caught.value.fix
    assert store.load("d").n_users == 2


@contextmanager
def unreadable_file(monkeypatch, path, number):
    """Let the system refuse to open a file, as it does for other users and without handles."""
    original = Path.open

    def refused(self, *arguments, **options):
        if self == path:
            raise OSError(number, os.strerror(number), str(path))
        return original(self, *arguments, **options)

    def parquet(file):
        refused(file, "rb").close()
        return read_parquet(file)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        patch.setattr("diffrec_cli.data.dataset.read_parquet", parquet)
        yield
