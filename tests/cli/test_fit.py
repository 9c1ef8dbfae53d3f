"""``diffrec fit``."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

QUICK = ["--epochs", "2", "--set", "dims=8", "--device", "cpu"]


@pytest.mark.parametrize("variant", ["base", "l", "t", "lt"])
def test_piped_it_prints_the_reference_alone(cli: Cli, sample, variant: str) -> None:
    outcome = cli("fit", sample[0], "--variant", variant, *QUICK)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"ratings-{variant}@1\n"


def test_a_second_fit_is_the_next_version_and_the_default(cli: Cli, fitted: Path) -> None:
    assert cli("fit", "ratings", "--name", "shop", *QUICK).out == "shop@2\n"
    assert cli("models", "default").out == "shop@2\n"


def test_the_first_line_says_what_was_decided(cli: Cli, fitted: Path) -> None:
    plan = cli("fit", "ratings", *QUICK).err.splitlines()[0]
    for word in ("variant base", "preset auto", "seed 1", "cpu", "parameters", "GiB"):
        assert word in plan


def test_a_dry_run_decides_and_trains_nothing(cli: Cli, fitted: Path) -> None:
    outcome = cli("fit", "ratings", "--dry-run", "--format", "json", *QUICK)
    plan = json.loads(outcome.out)
    assert plan["model"] is None
    assert plan["config"]["training"]["epochs"] == 2
    assert "shop,1" in cli("models", "ls", "--format", "csv").out
    assert cli("models", "ls", "--format", "csv").out.count("\n") == 2


def test_the_epoch_log_is_kept_with_the_model(cli: Cli, fitted: Path) -> None:
    path = Path(json.loads(cli("fit", "ratings", "--format", "json", *QUICK).out)["path"])
    log = [json.loads(line) for line in (path / "epochs.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2]
    assert {"loss", "recall@20", "best", "seconds"} <= set(log[0])


def test_nothing_of_a_finished_fit_is_left_in_runs(cli: Cli, fitted: Path) -> None:
    cli("fit", "ratings", *QUICK)
    assert list((fitted / "runs").iterdir()) == []


def test_time_is_a_limit(cli: Cli, fitted: Path) -> None:
    options = ["--max-time", "0.01s", "--epochs", "1000", "--set", "dims=8", "--format", "json"]
    result = json.loads(cli("fit", "ratings", *options).out)
    assert (result["stopped"], result["epochs"]) == ("time", 1)


def test_the_environment_and_the_configuration_file_give_defaults(
    cli: Cli, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fitted / "config.toml").write_text('[fit]\nseed = 11\nepochs = 1\n"max-time" = "1h"\n')
    options = ["--dry-run", "--format", "json"]

    def seed(*more: str) -> int:
        return json.loads(cli("fit", "ratings", *options, *more).out)["seed"]

    assert seed() == 11
    monkeypatch.setenv("DIFFREC_SEED", "12")
    assert seed() == 12
    assert seed("--seed", "13") == 13


def test_item_embeddings_may_come_from_lightgcn(cli: Cli, fitted: Path) -> None:
    outcome = cli("fit", "ratings", "-v", "l", "--item-embeddings", "lightgcn", *QUICK)
    assert outcome.code == 0, outcome.err
    assert "(lightgcn)" in outcome.err


def test_a_log_too_small_to_validate_still_trains(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_text(
        "user,item\n" + "".join(f"{n % 6},{n % 5}\n" for n in range(9))
    )
    outcome = cli("fit", tmp_path / "tiny.csv", *QUICK)
    assert outcome.code == 0, outcome.err
    assert "no valid interactions" in outcome.err
    assert cli("recommend", "--user", "0", "-k", "2").out.count("\n") == 3


def test_bf16_trains(cli: Cli, fitted: Path) -> None:
    result = json.loads(
        cli("fit", "ratings", "--precision", "bf16", "--format", "json", *QUICK).out
    )
    assert result["precision"] == "bf16"
