"""``diffrec prepare``."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli.data import store
from tests.cli.conftest import Cli
from tests.real_logs import REAL_LOGS

ML_1M = REAL_LOGS / "ml-1m_clean"

LOG = "user,item,rating,timestamp\n" + "".join(
    f'"{u:03d}","a, {i}",{5 if i % 4 else 2},{i}\n' for u in range(4) for i in range(12)
)


def test_the_report_counts_table_1_and_every_dropped_row(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    report = json.loads(cli("prepare", tmp_path / "log.csv").out)
    # 4 users x 12 items, of which items 0, 4, 8 are rated 2: 9 each, cut 6:1:2.
    assert {key: report[key] for key in ("users", "items", "interactions")} == {
        "users": 4,
        "items": 6,
        "interactions": 24,
    }
    assert (report["train"], report["valid"], report["test"]) == (24, 0, 0)
    dropped = report["dropped"]
    assert dropped["rating_below_threshold"] == 12
    # Everyone sees the items in the same order, so what comes last is in nobody's train.
    assert dropped["item_unseen_in_train"] == 12


def test_a_table_for_people_names_what_was_dropped(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    table = cli("prepare", tmp_path / "log.csv", "--format", "table").out
    assert "dropped: rating below threshold" in table
    assert "duplicate" not in table


def test_a_dry_run_stores_nothing(cli: Cli, tmp_path: Path, isolated_home: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    assert cli("prepare", tmp_path / "log.csv", "--dry-run").code == 0
    assert not isolated_home.exists()


def test_the_same_content_is_reused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    cli("prepare", tmp_path / "log.csv")
    again = cli("prepare", tmp_path / "log.csv")
    assert again.code == 0
    assert "unchanged" in again.err


@pytest.mark.parametrize("setting", ["clean", "noisy", "temporal"])
@pytest.mark.parametrize("split_by", ["user", "time"])
def test_every_setting_prepares(cli: Cli, sample, setting: str, split_by: str) -> None:
    options = ["--setting", setting, "--split-by", split_by, "--min-user-interactions", "3"]
    outcome = cli("prepare", sample[0], *options)
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["setting"] == setting
    assert min(report["train"], report["valid"], report["test"]) > 0


def test_columns_can_be_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(LOG.replace("user,item", "wer,was", 1))
    assert cli("prepare", tmp_path / "log.txt").code == 3
    named = cli("prepare", tmp_path / "log.txt", "--user-col", "wer", "--item-col", "was")
    assert named.code == 0, named.err


def test_a_separator_may_be_a_written_tab(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("u\ti\n" + "".join(f"{n % 5}\t{n}\n" for n in range(40)))
    options = ["--sep", "\\t", "--user-col", "u", "--item-col", "i", "--ratios", "8:1:1"]
    assert cli("prepare", tmp_path / "log.txt", *options).code == 0


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_log_may_come_from_stdin(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack
) -> None:
    (tmp_path / "log").write_bytes(pack(LOG.encode()))
    with (tmp_path / "log").open("rb") as stream:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
        outcome = cli("prepare", "-", "--name", "piped")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["interactions"] == 24


def test_the_authors_lists_are_a_log_like_any_other(cli: Cli, tmp_path: Path) -> None:
    for name, rows in (
        ("train", [[0, 0], [0, 1], [1, 2]]),
        ("valid", [[0, 2]]),
        ("test", [[1, 0]]),
    ):
        np.save(tmp_path / f"{name}_list.npy", np.array(rows))
    report = json.loads(cli("prepare", tmp_path, "--name", "lists").out)
    counts = [report[key] for key in ("users", "items", "train", "valid", "test")]
    assert counts == [2, 3, 3, 1, 1]


def test_the_authors_lists_take_random_noise(cli: Cli, tmp_path: Path) -> None:
    for name, items in (("train", range(8)), ("valid", [8, 9]), ("test", [10, 29])):
        np.save(tmp_path / f"{name}_list.npy", np.array([[0, item] for item in items]))
    noise = ("--setting", "noisy", "--noise", "random", "--noise-ratio", 0.5)
    report = json.loads(cli("prepare", tmp_path, "--name", "lists", *noise).out)
    assert [report[part] for part in ("train", "valid", "test")] == [12, 3, 2]
    dataset = store.load("lists")
    assert set(range(8)) < set(dataset.train.of(0).tolist())
    assert dataset.test.of(0).tolist() == [10, 29]
    assert dataset.source["split"]["noise_added"] == 5


def test_the_authors_lists_take_titles_from_an_item_table(cli: Cli, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, rows in (("train", [[0, 0], [1, 1]]), ("valid", [[0, 1]]), ("test", [[1, 0]])):
        np.save(lists / f"{name}_list.npy", np.array(rows))
    (tmp_path / "items.csv").write_text("id,title\n1,One\n7,Unused\n")
    outcome = cli("prepare", lists, "--items", tmp_path / "items.csv")
    assert outcome.code == 0, outcome.err
    # An item without a row has its id.
    assert store.load("lists").titles([0, 1]) == ["0", "One"]


def test_lists_whose_test_part_comes_first(cli: Cli, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    walk = (np.arange(40)[:, None] + 7 * np.arange(12)) % 60  # item i is followed by i + 7
    for name, places in (("train", range(8)), ("test", range(8, 10)), ("valid", range(10, 12))):
        rows = [[user, walk[user, place]] for user in range(40) for place in places]
        np.save(lists / f"{name}_list.npy", np.array(rows))
    doubtful = cli("prepare", lists)
    assert "test seems to come before valid" in doubtful.err
    assert "--parts train,test,valid" in doubtful.err
    said = cli("prepare", lists, "--name", "said", "--parts", "train,test,valid")
    assert "seems to come before" not in said.err
    assert store.load("said").known.of(0).tolist() == walk[0].tolist()
    wrong = cli("prepare", lists, "--name", "wrong", "--parts", "valid,test")
    assert (wrong.code, "parts" in wrong.err) == (2, True)


def test_parts_are_of_lists_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    outcome = cli("prepare", tmp_path / "log.csv", "--parts", "train,test,valid")
    assert outcome.code == 2
    assert "--parts is for a directory of lists" in outcome.err


@pytest.mark.skipif(not ML_1M.is_dir(), reason="needs the released MovieLens-1M lists")
def test_the_released_ml_1m_has_the_counts_of_table_1(cli: Cli) -> None:
    report = json.loads(cli("prepare", ML_1M, "--name", "ml1m").out)
    assert [report[key] for key in ("users", "items", "interactions")] == [5949, 2810, 571531]
    assert [report[key] for key in ("train", "valid", "test")] == [403277, 110722, 57532]
