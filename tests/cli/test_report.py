"""``diffrec report``: where the page goes, and what its commands make."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store
from diffrec_cli.registry.versions import resolve
from tests.cli.conftest import Cli


def test_the_file_is_named_for_the_model(
    cli: Cli, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("report")
    assert (outcome.code, outcome.out) == (0, "shop-1.html\n")
    assert (tmp_path / "shop-1.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_an_existing_file_is_refused_unless_told(cli: Cli, fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    outcome = cli("report", "shop", "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--overwrite" in outcome.err
    assert out.read_text() == "mine"
    assert cli("report", "shop", "--out", out, "--overwrite").code == 0
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["nothing"], 4, "nothing"),
        (["shop@9"], 4, "shop"),
        (["shop", "--user", "nobody"], 4, "nobody"),
        (["shop", "--split", "train"], 2, "valid, test"),
        (["shop", "--out", "no/such/place.html"], 2, "no such directory"),
        (["shop", "--out", "."], 2, "directory"),
    ],
)
def test_a_mistake_is_named(
    cli: Cli, fitted: Path, arguments: list[str], code: int, word: str
) -> None:
    outcome = cli("report", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert word in outcome.err
    assert "fix:" in outcome.err


def test_the_commands_of_the_page_fit_the_same_model_again(
    cli: Cli, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = workflows.report("shop", device="cpu").recipe.commands[-1]
    _, *arguments = shlex.split(command)
    assert cli(*arguments, "--device", "cpu").out == "shop@2\n"
    first, second = (resolve(f"shop@{version}") for version in (1, 2))
    assert second.record.config == first.record.config
    for name, array in first.weights().items():
        assert (second.weights()[name] == array).all()


def test_the_commands_of_the_page_prepare_the_same_dataset_again(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "my log.csv"
    rows = [f"{n % 20}\t{n * 7 % 30}\t{1 + n % 5}\n" for n in range(400)]
    log.write_text("who\twhat\tstars\n" + "".join(rows))
    columns = ["--user-col", "who", "--item-col", "what", "--rating-col", "stars"]
    options = ["--min-rating", "2", "--ratios", "6:2:2", "--min-user-interactions", "2"]
    assert cli("prepare", log, *columns, *options, "--sep", "\\t", "--name", "small").code == 0
    assert cli("fit", "small", "-v", "pop").code == 0
    prepare, fit = workflows.report("small-pop", device="cpu").recipe.commands
    assert fit == "diffrec fit small --variant popularity --name small-pop"
    before = store.load("small").content_hash
    store.remove("small")
    for command in (prepare, fit):
        assert cli(*shlex.split(command)[1:]).code == 0
    assert store.load("small").content_hash == before
