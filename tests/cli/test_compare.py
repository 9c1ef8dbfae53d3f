"""``diffrec compare`` and the pages that reports make."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_bad_input import refused


def test_a_table_a_page_and_a_picture_of_the_same_figures(cli: Cli, sample, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "cost.svg"
    arguments = ("compare", sample[0], "--models", "pop,itemknn", "--seeds", 1)
    table = cli(*arguments, "--format", "table", "--plot", picture)
    assert table.code == 0, table.err
    assert "<svg" in picture.read_text()
    assert "itemknn" in picture.read_text() or "Recall@20" in picture.read_text()
    page, web = (
        cli("compare", "ratings", *arguments[2:], "-f", form).out for form in ("md", "html")
    )
    assert page.splitlines()[0].startswith("| model | recall@20 |")
    assert page.splitlines()[1].startswith("| --- | ---: |")
    assert web.startswith("<table>")
    figure = next(word for word in table.out.split() if "±" in word)
    assert figure in page
    assert figure in web


def test_csv_has_a_line_a_model(cli: Cli, sample) -> None:
    out = cli("compare", sample[0], "--models", "pop,itemknn", "--seeds", 1, "-f", "csv").out
    header, *rows = out.splitlines()
    assert header.startswith("model,seeds,metrics.recall@10.mean,metrics.recall@10.sd")
    assert len(rows) == 2


def test_nothing_is_measured_twice(cli: Cli, sample) -> None:
    arguments = ("compare", sample[0], "--models", "pop,itemknn", "--seeds", 1)
    first, second = cli(*arguments), cli("compare", "ratings", *arguments[2:])
    assert first.out == second.out
    assert "seed 1 of 1" in first.err
    assert "seed 1 of 1" not in second.err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--models", "magic"], "magic"),
        (["--models", ""], "no model"),
        (["--seeds", "0"], "--seeds"),
        (["--trials", "-1"], "--trials"),
        (["--budget", "soon"], "soon"),
        (["--plot", "cost.xls"], "cost.xls"),
        (["--set", "lr"], "lr"),
    ],
)
def test_options_without_sense(cli: Cli, sample, options: list[str], word: str) -> None:
    refused(cli("compare", sample[0], *options), 2, word)


def test_data_that_are_not_there(cli: Cli) -> None:
    refused(cli("compare", "nowhere"), 4, "nowhere")
