"""``diffrec fit --warm-start``: the night after."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from diffrec_cli.registry import versions as registry

SMALL = ["--epochs", "8", "--set", "dims=8", "--set", "patience=8", "--device", "cpu"]


@pytest.fixture
def shop(cli, sample, tmp_path: Path) -> Path:
    """A log as `shop` was fitted on, and the same log a day later, as a file."""
    done = cli("fit", sample[0], "-v", "base", "--name", "shop", "--min-rating", "3", *SMALL)
    assert done.code == 0, done.err
    rows = list(csv.reader(Path(sample[0]).read_text().splitlines()))
    gone = rows[1][1]
    kept = [row for row in rows[1:] if row[1] != gone]
    later = [["new user", row[1], "5", row[3]] for row in kept[:6]]
    later += [[row[0], "new item", "5", row[3]] for row in kept[:40]]
    path = tmp_path / "today.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([rows[0], *kept, *later])
    return path


def test_the_next_version_goes_on_and_says_from_what(cli, shop: Path) -> None:
    done = cli("fit", shop, "--warm-start", "shop", "--format", "json")
    assert done.code == 0, done.err
    before, after = (registry.resolve(f"shop@{version}").record for version in (1, 2))
    assert "going on from shop@1 (8 epochs, " in done.err
    assert "1 items and 1 users are new, 1 and 0 are gone" in done.err
    shown = json.loads(done.out)
    warm = shown["warm_start"]
    assert (shown["model"], warm["model"], warm["epochs"]) == ("shop@2", "shop@1", 8)
    assert warm["valid"] == dict(before.training.valid)
    assert (warm["new_items"], warm["gone_items"], warm["new_users"]) == (1, 1, 1)
    assert after.config == before.config
    assert shown["epochs"] == 2  # a sixth of 8
    again = cli("fit", shop, "--warm-start", "shop", "-q", "--format", "json")
    assert json.loads(again.out)["epochs"] == 2  # of those of the fit anew, every night


def test_epochs_that_are_said_are_taken(cli, shop: Path) -> None:
    done = cli("fit", shop, "--warm-start", "shop", "--epochs", "3", "--format", "json")
    assert json.loads(done.out)["epochs"] == 3


def test_the_record_says_what_it_went_on_from(cli, shop: Path) -> None:
    shown = json.loads(cli("fit", shop, "--warm-start", "shop", "--format", "json").out)
    warm, after = shown["warm_start"], registry.resolve("shop@2").record
    assert after.training.warm_start == warm


def test_the_log_is_read_and_split_as_yesterday(cli, shop: Path) -> None:
    assert cli("fit", shop, "--warm-start", "shop", "-q").code == 0
    first, second = (registry.resolve(f"shop@{version}").dataset() for version in (1, 2))
    assert second.source["split"] == first.source["split"]
    assert second.source["split"]["min_rating"] == 3.0
    done = cli("fit", shop, "--warm-start", "shop", "--min-rating", "5", "--dataset", "d", "-q")
    assert done.code == 0, done.err
    assert registry.resolve("shop").dataset().source["split"]["min_rating"] == 5.0


def test_a_table_shows_the_model_before_beside_the_new_one(cli, shop: Path) -> None:
    table = cli("fit", shop, "--warm-start", "shop@1", "--format", "table").out
    (line,) = (line for line in table.splitlines() if line.strip().startswith("warm start"))
    assert "shop@1: 8 epochs" in line
    assert "valid recall@20 0." in line


def test_a_closed_form_keeps_its_settings_and_is_fitted_anew(cli, shop: Path) -> None:
    assert cli("fit", shop, "-v", "graph", "--name", "g", "-q").code == 0
    done = cli("fit", shop, "--warm-start", "g")
    assert done.code == 0, done.err
    first, second = (registry.resolve(f"g@{version}") for version in (1, 2))
    assert second.config() == first.config()
    assert "found on valid" not in done.err
    assert second.record.training.warm_start["model"] == "g@1"
    for name, array in first.weights().items():
        assert (second.weights()[name] == array).all(), name


def test_weights_by_item_and_graphs_of_today(cli, shop: Path) -> None:
    small = ["--epochs", "2", "--set", "dim=8", "--device", "cpu"]
    assert cli("fit", shop, "-v", "t+masking+graph", "--name", "m", *small, "-q").code == 0
    done = cli("fit", shop, "--warm-start", "m", "--refit", "-q")
    assert done.code == 0, done.err
    first, second = (registry.resolve(f"m@{version}") for version in (1, 2))
    assert second.config().graph == first.config().graph  # weights found on valid are kept


def test_an_interrupted_version_is_passed_over(cli, shop: Path, monkeypatch) -> None:
    from diffrec_cli.workflows.fitting import training

    def interrupted(self, epoch) -> None:
        if epoch.epoch == 2:  # there is a checkpoint after the first
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Listening, "epoch", interrupted)
        assert cli("fit", shop, "--warm-start", "shop").code == 130
    assert not registry.resolve("shop@2").record.training.complete
    done = cli("fit", shop, "--warm-start", "shop", "--resume")
    assert done.code == 0, done.err
    assert registry.resolve("shop@3").record.training.warm_start["model"] == "shop@1"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("-v", "t"), "its settings are those of base"),
        (("--preset", "paper-ml-1m"), "its settings are those of base"),
        (("--corruption", "smoothing"), "its settings are those of base"),
        (("--set", "dims=9"), "the model's arrays have other shapes"),
        (("--set", "no=9"), "no such setting"),
    ],
)
def test_what_it_cannot_take(cli, shop: Path, options: tuple[str, ...], what: str) -> None:
    done = cli("fit", shop, "--warm-start", "shop", *options)
    assert done.code == 2
    assert what in done.err
    assert registry.latest_version("shop") == 1


def test_models_that_keep_too_little_are_refused(cli, shop: Path) -> None:
    assert cli("fit", shop, "-v", "mf", "--epochs", "1", "--name", "f", "-q").code == 0
    done = cli("fit", shop, "--warm-start", "f")
    assert done.code == 2
    assert "mf keeps too little to go on from" in done.err
    assert cli("fit", shop, "--warm-start", "nobody").code == 4
