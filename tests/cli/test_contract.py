"""The JSON that scripts read: its keys are a promise."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

COUNTS = ["users", "items", "interactions", "train", "valid", "test"]


def keys(cli: Cli, *arguments: object, version: int = 1) -> dict:
    outcome = cli(*arguments, "--format", "json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["schema_version"] == version
    return document


def test_prepare(cli: Cli, sample) -> None:
    document = keys(cli, "prepare", sample[0])
    assert list(document) == ["schema_version", "dataset", "setting", *COUNTS, "dropped"]
    assert document["dataset"] == "ratings"
    assert document["interactions"] == document["train"] + document["valid"] + document["test"]
    assert list(document["dropped"]) == [
        "missing_value",
        "event_left_out",
        "outside_window",
        "rating_below_threshold",
        "duplicate",
        "no_target_after_train",
        "user_below_minimum",
        "item_below_minimum",
        "user_unseen_in_train",
        "item_unseen_in_train",
        "low_rating_not_sampled",
        "replaced_by_low_rating",
        "user_forgotten",
    ]


def test_fit(cli: Cli, sample) -> None:
    document = keys(cli, "fit", sample[0], "--epochs", 2, "-v", "base", "--set", "dims=8")
    assert list(document) == [
        "schema_version",
        "model",
        "variant",
        "epoch",
        "epochs",
        "stopped",
        "valid",
        "seconds",
        "parameters",
        "device",
        "precision",
        "path",
        "choice",
        "warm_start",
    ]
    assert document["model"] == "ratings-base@1"
    assert list(document["valid"]) == ["recall@10", "recall@20", "ndcg@10", "ndcg@20"]


@pytest.mark.usefixtures("fitted")
def test_eval(cli: Cli) -> None:
    document = keys(cli, "eval", "shop", "--baselines", "pop,itemknn,ease", version=2)
    assert [(result["model"], result["history"]) for result in document["results"]] == [
        (model, history)
        for history in ("train", "train+valid")
        for model in ("shop@1", "popularity", "itemknn", "ease")
    ]
    first, second, *_ = document["results"]
    assert list(first) == ["model", "split", "history", "users", "metrics"]
    assert list(first["metrics"]) == ["recall@10", "recall@20", "ndcg@10", "ndcg@20"]
    assert list(second["difference"]) == ["mean", "low", "high", "p_value"]


@pytest.mark.usefixtures("fitted")
def test_recommend(cli: Cli) -> None:
    document = keys(cli, "recommend", "--user", "u0001", "-k", 3)
    assert list(document) == ["schema_version", "model", "recommendations"]
    assert list(document["recommendations"][0]) == ["user", "rank", "item", "score"]
    assert len(document["recommendations"]) == 3


@pytest.mark.usefixtures("fitted")
def test_models_ls(cli: Cli) -> None:
    (model,) = keys(cli, "models", "ls")["models"]
    assert list(model) == [
        "name",
        "version",
        "default",
        "bytes",
        "own_bytes",
        "path",
        "variant",
        "dataset",
        "created",
        "complete",
        "refit",
        "trained_on",
        "valid",
    ]
    assert (model["name"], model["version"], model["default"]) == ("shop", 1, True)


@pytest.mark.usefixtures("fitted")
def test_models_prune(cli: Cli, tmp_path: Path) -> None:
    cli("models", "import", cli("models", "export", "shop", tmp_path).out.strip())
    cli("models", "default", "shop@2")
    document = keys(cli, "models", "prune", "shop", "--keep", 1, "--yes")
    assert list(document) == [
        "schema_version",
        "name",
        "removed",
        "kept",
        "freed_bytes",
        "dry_run",
    ]
    assert [list(one) for one in document["removed"]] == [["model", "created", "freed_bytes"]]
    assert document["kept"] == [{"model": "shop@2", "why": "the default"}]


@pytest.mark.usefixtures("fitted")
def test_models_show_and_verify(cli: Cli) -> None:
    shown = keys(cli, "models", "show", "shop")
    assert {"config", "dataset", "training", "packages", "files", "path"} <= set(shown)
    verified = keys(cli, "models", "verify", "shop")
    assert list(verified) == ["schema_version", "model", "sound", "files"]
    assert verified["sound"] is True


@pytest.mark.usefixtures("fitted")
def test_data_ls_and_show(cli: Cli) -> None:
    (dataset,) = keys(cli, "data", "ls")["datasets"]
    assert list(dataset) == ["dataset", "setting", *COUNTS, "order"]
    shown = keys(cli, "data", "show", "ratings")
    assert {"content_hash", "source", "dropped", "path"} <= set(shown)


@pytest.mark.usefixtures("fitted")
def test_doctor(cli: Cli) -> None:
    document = keys(cli, "doctor")
    assert list(document) == ["schema_version", "ok", "checks", "old"]
    assert document["ok"] is True
    assert {"torch", "device", "home", "models", "datasets"} <= {
        check["name"] for check in document["checks"]
    }


def test_doctor_says_what_it_removes(cli: Cli, isolated_home: Path) -> None:
    run = isolated_home / "runs" / "0123-ab"
    run.mkdir(parents=True)
    os.utime(run, (0, 0))
    (old,) = keys(cli, "doctor")["old"]
    assert list(old) == ["kind", "path", "bytes", "days", "removed"]
    assert (old["kind"], old["path"], old["removed"]) == ("runs", str(run), False)
    fixed = cli("doctor", "--fix")
    assert f"removed {run}: 0.0 MiB, unchanged for" in fixed.err
    assert json.loads(fixed.out)["old"][0]["removed"]
    assert not run.exists()


@pytest.mark.parametrize(
    "command", [["prepare"], ["fit", "--epochs", "1", "-v", "t"], ["models", "ls"], ["doctor"]]
)
@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_every_report_comes_in_every_format(
    cli: Cli, sample, command: list[str], form: str
) -> None:
    log = [sample[0]] if command[0] in ("prepare", "fit") else []
    outcome = cli(command[0], *log, *command[1:], "--format", form)
    assert outcome.code == 0, outcome.err
    if form == "jsonl":
        assert all(isinstance(json.loads(line), dict) for line in outcome.out.splitlines())
    elif form == "table":
        assert "─" in outcome.out


@pytest.mark.usefixtures("fitted")
def test_eval_with_groups_and_intervals(cli: Cli) -> None:
    arguments = ("--groups", "--intervals", "--history", "train")
    (result,) = keys(cli, "eval", "shop", *arguments, version=2)["results"]
    assert list(result["intervals"]["recall@20"]) == ["low", "high"]
    assert result["intervals"]["recall@20"]["low"] <= result["metrics"]["recall@20"]
    assert {group["of"] for group in result["groups"]} == {"users", "items"}
    assert list(result["groups"][0]) == ["of", "name", "size", "least", "most", "users", "metrics"]


def test_compare(cli: Cli, sample) -> None:
    document = keys(cli, "compare", sample[0], "--models", "pop,ease", "--seeds", 1)
    assert list(document) == ["schema_version", "dataset", "users", "results"]
    first, second = document["results"]
    assert list(first) == [
        "model",
        "seeds",
        "metrics",
        "valid_recall@20",
        "difference",
        "fit_seconds",
        "rank_seconds",
        "parameters",
        "peak_bytes",
        "trials",
        "settings",
    ]
    assert list(first["metrics"]["recall@20"]) == ["mean", "sd"]
    assert first["difference"] is None
    assert list(second["difference"]) == ["mean", "low", "high", "p_value"]


def test_tune(cli: Cli, sample) -> None:
    pytest.importorskip("optuna")
    document = keys(cli, "tune", sample[0], "-v", "ease", "--trials", 2)
    assert list(document) == [
        "schema_version",
        "variant",
        "dataset",
        "valid_recall@20",
        "values",
        "trials",
        "preset",
    ]
    assert document["trials"] == {"finished": 2, "pruned": 0, "failed": 0}
