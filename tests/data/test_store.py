from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from diffrec_cli.data import store
from diffrec_cli.errors import NotFoundError, StorageError, UsageError
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
    return [path.name for path in (home / "datasets").iterdir() if path.name.startswith(".")]


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
    assert store.save(make_dataset(source={"files": ["elsewhere.csv"]})) == (directory, True)
    assert (directory / "dataset.json").stat().st_mtime_ns == before


def test_other_content_needs_overwrite(home):
    store.save(make_dataset())
    with pytest.raises(UsageError) as caught:
        store.save(make_dataset(**OTHER))
    assert "--overwrite" in caught.value.fix
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
    monkeypatch.setattr(np, "savez", no_space)
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


def test_unknown_dataset_is_told_and_known_one_removed():
    for act in (store.load, store.remove, store.find):
        with pytest.raises(NotFoundError) as caught:
            act("none")
        assert caught.value.exit_code == 4
    store.save(make_dataset())
    store.remove("d")
    assert store.names() == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "x" * 101, "a b"])
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
        ("Ä.csv", "log"),
    ],
)
def test_names_are_made_from_paths(path, name):
    assert store.name_from_path(Path(path)) == name
    assert check_name(name, "dataset") == name
