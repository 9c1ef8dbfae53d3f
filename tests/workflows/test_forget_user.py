"""After forgetting no file has the user, or, if it was killed before, nothing has changed."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from diffrec_cli import workflows
from diffrec_cli.data import store as datasets
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import CorruptError, DataError, LockedError, NotFoundError, UsageError
from diffrec_cli.paths import comparisons_dir, datasets_dir, home, runs_dir
from diffrec_cli.registry import versions as registry
from diffrec_cli.transactions import finish_interrupted
from diffrec_cli.workflows.experiments.trials import KeptTrials
from tests.workflows.conftest import Fit

USER = "u7"


def traces(user: str = USER) -> list[Path]:
    """Return the files below the home that have the id, in a table or as bytes."""
    found = []
    for path in home().rglob("*"):
        if path.suffix == ".parquet":
            ids = pq.read_table(path)["id"].to_pylist()
            found += [path] if user in ids else []
        elif path.is_file() and f'"{user}"'.encode() in path.read_bytes():
            found.append(path)
    return found


def contents() -> dict[str, bytes]:
    """Return all stored files, without locks and what is being written."""
    return {
        str(path.relative_to(home())): path.read_bytes()
        for path in sorted(home().rglob("*"))
        if path.is_file() and path.name not in (".lock", "lock") and ".incoming-" not in str(path)
    }


def histories(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: dataset.item_ids.at(dataset.known.of(place))
        for place, user in enumerate(dataset.user_ids.array.to_pylist())
    }


def test_datasets_and_all_versions_lose_the_user_and_nobody_else(fit: Fit, checkerboard) -> None:
    models = [fit("ease"), fit("ease"), fit("base")]
    found = workflows.forget([USER])
    assert found.datasets == ("checkerboard",)
    assert found.models == tuple(sorted(models))
    assert found.interactions == 4 * 18
    assert traces() == []
    before = histories(checkerboard)
    del before[USER]
    for dataset in (datasets.load("checkerboard"), registry.resolve("checkerboard-base").dataset()):
        assert histories(dataset) == before
        assert dataset.dropped["user_forgotten"] == 18
    for model in models:
        assert registry.verify(model).sound
        with pytest.raises(NotFoundError, match="unknown user"):
            workflows.recommend(model, users=[USER]).table()


def test_versions_share_again_what_they_have_in_common(fit: Fit) -> None:
    """Nothing of the old files is left: each had names in all versions, and all are gone."""
    models = [fit("ease") for _ in range(3)]
    workflows.forget([USER])
    arrays = {path.stat().st_ino: path.stat().st_size for path in home().rglob("*.npy")}
    # 59 users with 12, 3 and 3 items of 4 bytes, and 60 bounds of rows of 8 bytes; those of valid
    # and test are the same. The dataset and its three copies have one file of each.
    contents = (59 * 12 * 4, 59 * 3 * 4, 59 * 3 * 4, 60 * 8, 60 * 8)
    assert sorted(arrays.values()) == sorted(128 + size for size in contents)
    directories = [registry.resolve(model).path for model in models]
    for name in ("weights.safetensors", "data/users.parquet", "data/items.parquet"):
        assert len({(directory / name).stat().st_ino for directory in directories}) == 1
    assert all(registry.verify(model).sound for model in models)


def fitted(variant: str, dataset: Dataset) -> str:
    datasets.save(dataset)
    trains = variant in ("cdae", "base+graph")
    values = {"epochs": 2, "batch_size": 20} if trains else {}
    model = workflows.fit(dataset.name, variant=variant, values=values, device="cpu").model
    assert model is not None
    return model


def rows_of_users(model: str) -> dict[str, int]:
    """Return the length of each array that has a row a user."""
    lengths = {"users": 0, "indptr": 1, "train.indptr": 1, "graph.train.indptr": 1}
    arrays = registry.resolve(model).weights()
    return {name: len(arrays[name]) - more for name, more in lengths.items() if name in arrays}


@pytest.mark.parametrize("variant", ["cdae", "userknn", "graph", "graph-t", "base+graph"])
def test_models_lose_the_row_of_the_user(checkerboard: Dataset, variant: str) -> None:
    model = fitted(variant, checkerboard)
    assert set(rows_of_users(model).values()) == {60}
    workflows.forget([USER])
    assert set(rows_of_users(model).values()) == {59}
    assert workflows.recommend(model, users=["u59"]).table().num_rows == 20


def test_others_keep_their_own_vectors(checkerboard: Dataset) -> None:
    model = fitted("cdae", checkerboard)
    before = workflows.recommend(model, users=["u3", "u8", "u59"]).table()
    workflows.forget([USER])
    assert workflows.recommend(model, users=["u3", "u8", "u59"]).table().equals(before)


def test_a_dry_run_and_a_no_change_nothing(fit: Fit) -> None:
    fit("popularity")
    before = contents()
    assert workflows.forget([USER], dry_run=True).dry_run

    def no(found: object) -> None:
        raise UsageError("not confirmed", "")

    with pytest.raises(UsageError):
        workflows.forget([USER], confirm=no)
    assert contents() == before


def test_a_user_whom_nothing_has_is_refused_beside_one_who_is_there(fit: Fit) -> None:
    fit("popularity")
    before = contents()
    with pytest.raises(NotFoundError, match="unknown user 'nobody'"):
        workflows.forget([USER, "nobody"])
    assert contents() == before


def test_a_dataset_is_not_left_without_users(checkerboard: Dataset) -> None:
    datasets.save(checkerboard)
    with pytest.raises(DataError, match="1 users would be left"):
        workflows.forget([f"u{n}" for n in range(59)])
    assert datasets.load("checkerboard").n_users == 60


def test_who_was_added_by_an_update_is_forgotten_and_was_not_learned_from(
    fit: Fit, tmp_path: Path, notes, listener
) -> None:
    fit("popularity")
    (tmp_path / "new.csv").write_text("user,item\nnova,i01\nnova,i03\n")
    updated = workflows.update("checkerboard-popularity", tmp_path / "new.csv").model
    found = workflows.forget(["nova"], listener=listener)
    assert (found.models, found.trained, found.datasets) == ((updated,), (), ())
    assert any("new.csv" in note for note in notes)
    assert traces("nova") == []
    assert registry.resolve(updated).dataset().n_users == 60


def test_weights_that_were_trained_with_the_user_are_named(fit: Fit, notes, listener) -> None:
    model = fit("base")
    assert workflows.forget([USER], listener=listener).trained == (model,)
    assert any(f"trained with them: {model}" in note for note in notes)


def test_interrupted_fits_and_comparisons_of_these_data_are_deleted(fit: Fit, checkerboard) -> None:
    fit("popularity")
    run = runs_dir() / "0123-ab"
    run.mkdir(parents=True)
    (run / "run.json").write_text(f'{{"data": "{checkerboard.content_hash}"}}')
    of_a_log_that_is_gone = runs_dir() / "89ab-ef"
    of_a_log_that_is_gone.mkdir()
    (of_a_log_that_is_gone / "run.json").write_text('{"data": "of a log that is gone"}')
    compared = comparisons_dir() / checkerboard.content_hash[:16]
    compared.mkdir(parents=True)
    of_a_backtest = comparisons_dir() / "0123456789abcdef"
    of_a_backtest.mkdir()
    without = checkerboard.without_users(np.array([7]))
    datasets.save(dataclasses.replace(without, name="others"))
    kept = comparisons_dir() / without.content_hash[:16]
    kept.mkdir()
    other = runs_dir() / "4567-cd"
    other.mkdir()
    (other / "run.json").write_text(f'{{"data": "{without.content_hash}"}}')
    deleted = [run, of_a_log_that_is_gone, compared, of_a_backtest]
    assert workflows.forget([USER]).deleted == 4
    assert [path.exists() for path in deleted] == [False] * 4
    assert [other.exists(), kept.exists()] == [True] * 2


def test_a_fit_that_is_running_is_waited_for(fit: Fit, checkerboard) -> None:
    fit("popularity")
    run = runs_dir() / "0123-ab"
    run.mkdir(parents=True)
    (run / "run.json").write_text(f'{{"data": "{checkerboard.content_hash}"}}')
    before = contents()
    with FileLock(run / "lock"), pytest.raises(LockedError, match="a fit of these data is running"):
        workflows.forget([USER])
    assert contents() == before


def test_a_comparison_that_is_running_is_waited_for(fit: Fit, checkerboard: Dataset) -> None:
    fit("popularity")
    kept = KeptTrials(checkerboard)
    with pytest.raises(LockedError, match="a comparison"):
        workflows.forget([USER])
    assert kept.directory.exists()
    del kept
    workflows.forget([USER])
    assert traces() == []


def test_what_was_read_before_is_not_published_after(
    fit: Fit, checkerboard: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that read the user's history, and ends when it is forgotten."""
    model = fit("popularity")
    events = tmp_path / "events.csv"
    events.write_text(f"user,item\nnewcomer,{checkerboard.item_ids.at(np.array([0]))[0]}\n")
    stored = registry.write_files

    def forgotten_meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(registry, "write_files", stored)
        workflows.forget([USER])
        return stored(*arguments)

    monkeypatch.setattr(registry, "write_files", forgotten_meanwhile)
    with pytest.raises(LockedError, match="took users out"):
        workflows.update(model, events)
    assert traces() == []
    assert workflows.update(model, events).model == "checkerboard-popularity@2"


def test_a_model_that_changes_while_it_is_read_is_not_half_of_each(fit: Fit) -> None:
    artifact = registry.resolve(fit("ease"))
    assert artifact.dataset().n_users == 60
    workflows.forget([USER])
    with pytest.raises(LockedError, match="was changed while it was being read"):
        artifact.weights()
    assert registry.resolve("checkerboard-ease").dataset().n_users == 59


def test_a_stray_file_among_the_datasets_is_no_obstacle(fit: Fit) -> None:
    fit("popularity")
    (datasets_dir() / "Thumbs.db").write_bytes(b"")
    workflows.forget([USER])
    assert traces() == []


def test_what_is_newer_than_an_interrupted_forgetting_stays(
    fit: Fit, checkerboard: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fit("popularity")

    def killed(home: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diffrec_cli.transactions._finish", killed)
        with pytest.raises(KeyboardInterrupt):
            workflows.forget([USER])
    newer = checkerboard.without_users(np.array([0, 1]))
    datasets.save(newer, overwrite=True)
    registry.remove(model)
    finish_interrupted(home())
    assert datasets.load("checkerboard").content_hash == newer.content_hash
    assert registry.artifacts() == []


def test_an_interrupted_forgetting_is_finished_in_a_copy_of_the_home(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit("popularity")

    def killed(home: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diffrec_cli.transactions._finish", killed)
        with pytest.raises(KeyboardInterrupt):
            workflows.forget([USER])
    shutil.copytree(home(), tmp_path / "restored")
    monkeypatch.setenv("DIFFREC_HOME", str(tmp_path / "restored"))
    assert traces() != []
    finish_interrupted(home())
    assert traces() == []


def test_a_fit_of_data_that_were_replaced_meanwhile_is_waited_for(
    fit: Fit, checkerboard: Dataset
) -> None:
    fit("popularity")
    run = runs_dir() / "0123-ab"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"data": "of a dataset that is gone"}')
    with FileLock(run / "lock"), pytest.raises(LockedError, match="a fit of these data"):
        workflows.forget([USER])
    workflows.forget([USER])
    assert not run.exists()


def test_an_unreadable_plan_is_to_be_kept(fit: Fit) -> None:
    (home() / "forgetting").mkdir()
    (home() / "forgetting" / "plan.json").write_text("{")
    with pytest.raises(CorruptError) as caught:
        finish_interrupted(home())
    assert "keep it" in caught.value.fix


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.9, 0.95])
def test_a_kill_leaves_all_or_nothing(fit: Fit, share: float) -> None:
    for _ in range(3):
        fit("popularity")
    command = [sys.executable, "-m", "diffrec_cli", "-q", "forget", "--user", USER, "--yes"]
    before = contents()
    started = time.perf_counter()
    process = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL)
    # The command's start takes most of the time: kill around where it works.
    while process.poll() is None and not list(home().glob(".incoming-*")):
        time.sleep(0.002)
    time.sleep((share * (time.perf_counter() - started)) * 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finish_interrupted(home())  # as the next command does
    assert contents() == before or traces() == []
    if traces():
        workflows.forget([USER])
    assert traces() == []
    dataset = datasets.load("checkerboard")
    assert dataset.n_users == 59
    assert np.array_equal(registry.resolve("checkerboard-popularity@1").dataset().train.items,
                          dataset.train.items)  # fmt: skip
