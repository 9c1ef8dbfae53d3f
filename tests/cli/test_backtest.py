"""``diffrec backtest``: a table, a page and a picture of the same figures."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_bad_input import refused

ASKED = ("--models", "popularity,ease-t", "--cuts", 2, "--horizon", "26w")


def test_the_document_has_periods_and_models(cli: Cli, sample) -> None:
    outcome = cli("backtest", sample[0], *ASKED, "--format", "json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert list(document) == [
        *("schema_version", "data", "horizon", "models", "failures"),
        "periods",
    ]
    first, second = document["models"]
    assert list(first) == ["model", "metrics", "difference"]
    assert first["difference"] is None
    assert list(second["difference"]) == ["mean", "low", "high", "p_value"]
    period = document["periods"][0]
    counts = ("users", "new_users", "interactions", "left_out")
    assert list(period) == ["from", "until", *counts, "results"]
    assert list(period["results"][0]) == [
        *("model", "variant", "metrics", "valid_recall@20"),
        "fit_seconds",
    ]


def test_a_table_a_page_and_a_picture(cli: Cli, sample, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "weeks.svg"
    table = cli("backtest", sample[0], *ASKED, "--format", "table", "--plot", picture)
    assert table.code == 0, table.err
    assert "<svg" in picture.read_text()
    page = cli("backtest", sample[0], *ASKED, "--format", "md").out
    assert page.splitlines()[0].startswith("| from | users | new |")
    figures = [word for word in table.out.split() if word.startswith("0.")]
    assert len(figures) == 2 * 4 + 1  # two periods, two means, and a p
    assert all(figure in page for figure in figures)
    rows = cli("backtest", sample[0], *ASKED, "--format", "csv").out.splitlines()
    assert rows[0].startswith("from,until,users,new_users,model,variant,recall@10")
    assert len(rows) == 1 + 4


def test_nothing_is_measured_twice(cli: Cli, sample, monkeypatch) -> None:
    first = cli("backtest", sample[0], *ASKED)
    again = cli("backtest", sample[0], *ASKED)
    assert first.out == again.out


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--models", "magic"], "magic"),
        (["--models", ""], "no model"),
        (["--cuts", "0"], "--cuts 0"),
        (["--horizon", "long"], "--horizon long"),
        (["--plot", "weeks.xls"], "weeks.xls"),
        (["--choose-time", "soon"], "soon"),
        (["--since", "soon"], "--since soon"),
    ],
)
def test_bad_options_are_refused(cli: Cli, sample, options: list[str], word: str) -> None:
    refused(cli("backtest", sample[0], *options), 2, word)
