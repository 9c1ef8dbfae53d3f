"""``diffrec models`` and ``diffrec data``."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.mark.usefixtures("fitted")
def test_a_model_goes_through_its_life(cli: Cli, tmp_path: Path) -> None:
    archive = tmp_path / "shop.tar"
    assert cli("models", "export", "shop", archive).out == f"{archive}\n"
    assert cli("models", "import", archive).out == "shop@2\n"
    assert cli("models", "import", archive, "--name", "copy").out == "copy@1\n"
    assert cli("models", "default").out == "shop@1\n"  # importing changes no default
    assert cli("models", "default", "copy").out == "copy@1\n"
    assert cli("models", "mv", "copy", "twin").code == 0
    assert cli("models", "default").out == "twin@1\n"
    assert cli("models", "rm", "shop@1", "--yes").code == 0
    listed = [json.loads(line) for line in cli("models", "ls", "-f", "jsonl").out.splitlines()]
    assert [(m["name"], m["version"], m["default"]) for m in listed] == [
        ("shop", 2, False),
        ("twin", 1, True),
    ]


@pytest.mark.usefixtures("fitted")
def test_a_model_outlives_its_dataset(cli: Cli) -> None:
    assert cli("data", "rm", "ratings", "--yes").code == 0
    assert cli("recommend", "--user", "u0001", "-k", 1).code == 0
    assert cli("eval").code == 0


@pytest.mark.usefixtures("fitted")
def test_export_names_the_archive_and_replaces_nothing_unasked(cli: Cli, tmp_path: Path) -> None:
    made = cli("models", "export", "shop", tmp_path)
    assert made.out == f"{tmp_path / 'shop-1.tar'}\n"
    assert cli("models", "export", "shop", tmp_path).code == 2
    assert cli("models", "export", "shop", tmp_path, "--overwrite").code == 0
    assert cli("models", "export", "shop", tmp_path / "no" / "x.tar").code == 2
    assert cli("models", "export", "shop", "-").code == 2


@pytest.mark.usefixtures("fitted")
def test_removing_the_default_says_which_is_the_default_now(cli: Cli, tmp_path: Path) -> None:
    archive = cli("models", "export", "shop", tmp_path).out.strip()
    cli("models", "import", archive, "--name", "other")
    assert "default model is now other@1" in cli("models", "rm", "shop", "--yes").err


def test_an_empty_registry_is_no_error(cli: Cli) -> None:
    assert json.loads(cli("models", "ls").out)["models"] == []
    assert json.loads(cli("data", "ls").out)["datasets"] == []


def test_a_sample_log_and_its_items(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "s.csv"
    options = ["--users", "50", "--items", "40", "--interactions", "900", "--seed", "3"]
    assert cli("data", "sample", log, *options).out == f"{log}\n"
    assert log.read_text().splitlines()[0] == "user,item,rating,timestamp"
    assert len(log.read_text().splitlines()) == 901
    assert (tmp_path / "s-items.csv").read_text().startswith("item,title,")


def test_where_the_configuration_is(cli: Cli, isolated_home: Path) -> None:
    assert cli("config", "path").out == f"{isolated_home / 'config.toml'}\n"
    isolated_home.mkdir()
    (isolated_home / "config.toml").write_text("[recommend]\nk = 7\n")
    assert json.loads(cli("config", "show").out)["defaults"] == {"recommend": {"k": 7}}
