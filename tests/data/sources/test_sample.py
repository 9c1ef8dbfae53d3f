from __future__ import annotations

import errno
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.data.reading.log import read_item_table, read_logs
from diffrec_cli.data.sequences import temporal_weights
from diffrec_cli.data.sources.sample import SampleOptions, sample_log, write_sample
from diffrec_cli.data.splitting.split import split_log
from diffrec_cli.errors import UsageError

SMALL = SampleOptions(users=300, items=200, interactions=9000)


@pytest.mark.parametrize(
    "options",
    [
        SMALL,
        SampleOptions(),
        SampleOptions(2, 20, 20),
        SampleOptions(50, 20, 500),
        SampleOptions(100, 5000, 100),
    ],
)
def test_sizes_are_exact_and_pairs_distinct(options):
    log, items = sample_log(options)
    assert log.num_rows == options.interactions
    assert log.select(["user", "item"]).group_by(["user", "item"]).aggregate([]).num_rows == len(
        log
    )
    assert pc.count_distinct(log["user"]).as_py() == options.users
    assert items.num_rows == options.items == pc.count_distinct(items["title"]).as_py()
    assert np.all(np.diff(log["timestamp"].to_numpy()) >= 0)
    assert set(log["rating"].unique().to_pylist()) <= {1, 2, 3, 4, 5}


def test_seed_decides_everything():
    first, again, other = (sample_log(SampleOptions(seed=s)) for s in (1, 1, 2))
    assert first[0].equals(again[0])
    assert first[1].equals(again[1])
    assert not first[0].equals(other[0])


def test_files_are_a_log_and_its_items(tmp_path):
    paths = write_sample(tmp_path / "OUT", SMALL)
    assert paths == (tmp_path / "OUT.csv", tmp_path / "OUT-items.csv")
    log, table = read_logs(paths[:1], ReadOptions()), read_item_table(paths[1])
    assert len(log) == 9000
    assert set(log.user_ids.at([0])[0][1:]) <= set("0123456789")
    assert table.column_names == ["id", "title", "genre", "year"]
    assert table["id"][0].as_py() == "i0001"


@pytest.mark.parametrize("name", ["OUT.csv", "OUT-items.csv"])
def test_existing_files_are_replaced_on_demand_only(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=name) as caught:
        write_sample(tmp_path / "OUT", SMALL)
    assert "--overwrite" in caught.value.fix
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    log, _ = write_sample(tmp_path / "OUT.csv", SMALL, overwrite=True)
    assert len(read_logs([log], ReadOptions())) == 9000


def test_a_killed_sample_is_made_whole_by_the_same_command(tmp_path):
    first, _ = write_sample(tmp_path / "OUT", SMALL)
    content = first.read_bytes()
    first.unlink()  # a kill leaves the item table alone
    with pytest.raises(UsageError, match=r"OUT-items\.csv exists"):
        write_sample(tmp_path / "OUT", replace(SMALL, items=201))
    assert not first.exists()
    write_sample(tmp_path / "OUT", SMALL)
    assert first.read_bytes() == content


def test_a_name_that_cannot_be_opened_is_no_fault_of_the_disk(tmp_path):
    with pytest.raises(UsageError, match="no such directory"):
        write_sample(tmp_path / "none" / "OUT", SMALL)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_when_opening_too(tmp_path, monkeypatch, code):
    def full(self, *args, **kwargs):
        raise OSError(code, "no room")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UsageError, match="no space left"):
        write_sample(tmp_path / "OUT", SMALL)


@pytest.mark.parametrize(
    "options",
    [
        {"users": 1},
        {"items": 3},
        {"users": 10, "items": 20, "interactions": 101},
        {"users": 10, "items": 20, "interactions": 9},
        {"seed": -1},
    ],
)
def test_impossible_sizes_are_refused(options):
    with pytest.raises(UsageError) as caught:
        SampleOptions(**options)
    assert caught.value.fix


def recall(scores, seen, truth, k=20):
    scores = np.where(seen > 0, -np.inf, scores)
    top = np.argpartition(-scores, k, axis=1)[:, :k]
    found = np.take_along_axis(truth, top, axis=1).sum(axis=1)
    relevant = truth.sum(axis=1)
    return (found / np.maximum(relevant, 1))[relevant > 0].mean()


@pytest.mark.parametrize("options", [SMALL, SampleOptions()])
def test_tastes_beat_popularity_and_recent_ones_beat_old_ones(options, tmp_path):
    log = read_logs(write_sample(tmp_path / "s", options)[:1], ReadOptions())
    dataset = split_log(log, SplitOptions(), name="s")
    train, truth, recent = np.zeros((3, dataset.n_users, dataset.n_items))
    train[dataset.train.row_index, dataset.train.items] = 1
    truth[dataset.test.row_index, dataset.test.items] = 1
    recent[dataset.train.row_index, dataset.train.items] = temporal_weights(
        dataset.train.indptr, 0.1, 1
    )

    # EASE: item weights that reconstruct the histories, with a zero diagonal.
    inverse = np.linalg.inv(train.T @ train + 100 * np.eye(dataset.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)

    popularity = recall(np.tile(train.sum(axis=0), (len(train), 1)), train, truth)
    ease = recall(train @ weights, train, truth)
    assert ease > 1.5 * popularity
    assert recall(recent @ weights, train, truth) > 1.1 * ease


def test_yelp_size_takes_seconds():
    start = time.perf_counter()
    log, _ = sample_log(SampleOptions(users=54_574, items=34_395, interactions=1_400_000))
    assert log.num_rows == 1_400_000
    assert time.perf_counter() - start < 30
