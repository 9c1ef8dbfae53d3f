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


@pytest.fixture
def versions(cli: Cli, fitted: Path, tmp_path: Path) -> Path:
    """Return a state directory with ``shop@1``, the default, to ``shop@4``."""
    archive = cli("models", "export", "shop", tmp_path / "shop.tar").out.strip()
    for _ in range(3):
        assert cli("models", "import", archive).code == 0
    return fitted


@pytest.mark.usefixtures("versions")
def test_pruning_asks_first_and_says_what_went_and_what_stayed_and_why(cli: Cli) -> None:
    unasked = cli("models", "prune", "shop", "--keep", 1)
    assert unasked.code == 2
    assert "Remove 2 versions of shop? There is no terminal to ask on" in unasked.err
    looked = cli("models", "prune", "shop", "--keep", 1, "--dry-run", "-f", "csv")
    header, *lines = looked.out.splitlines()
    assert header == "model,created,freed_bytes,removed,why"
    assert [line.split(",")[0] for line in lines] == ["shop@2", "shop@3", "shop@1", "shop@4"]
    assert "2 versions to be removed" in looked.err
    done = cli("models", "prune", "shop", "--keep", 1, "--yes", "-f", "table")
    assert [line.split()[:4] for line in done.out.splitlines() if "shop@" in line] == [
        ["shop@2", "removed", *lines[0].split(",")[1][:16].split("T")],
        ["shop@3", "removed", *lines[1].split(",")[1][:16].split("T")],
        ["shop@1", "kept:", "the", "default"],
        ["shop@4", "kept:", "of", "the"],
    ]
    assert "2 versions removed" in done.err
    assert cli("models", "default").out == "shop@1\n"
    assert cli("models", "verify", "shop@4").code == 0


@pytest.mark.usefixtures("versions")
def test_pruning_keeps_what_is_young_and_asks_nothing_then(cli: Cli) -> None:
    document = json.loads(cli("models", "prune", "shop", "--keep", 1, "--older-than", "30d").out)
    assert document["removed"] == []
    assert [one["why"] for one in document["kept"]] == [
        "the default",
        "not that old",
        "not that old",
        "of the newest 1",
    ]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["shop", "--keep", 0], 2, "--keep"),
        (["shop"], 2, "--keep"),
        (["shop", "--keep", 1, "--older-than", 30], 2, "--older-than 30: no span of time"),
        (["shop@1", "--keep", 1], 2, "cannot be the name of a model"),
        (["shpo", "--keep", 1], 4, "no model 'shpo'"),
    ],
)
@pytest.mark.usefixtures("fitted")
def test_a_pruning_that_cannot_be_meant_is_refused(
    cli: Cli, options: list[object], code: int, said: str
) -> None:
    refused = cli("models", "prune", *options, "--yes")
    assert (refused.code, said in refused.err) == (code, True)
    assert cli("models", "verify").code == 0


@pytest.mark.usefixtures("versions")
def test_a_version_has_its_size_and_what_is_its_own_within_80_columns(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.loads(cli("models", "ls").out)["models"]
    for model in listed:
        record = Path(model["path"]) / "model.json"
        assert model["own_bytes"] == record.stat().st_size < model["bytes"]
    assert len({model["bytes"] - model["own_bytes"] for model in listed}) == 1
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli("models", "ls", "-f", "table").out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert sum("shop@" in line for line in lines) == 4  # no line is folded


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
