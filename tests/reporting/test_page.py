"""The page of a report: all that it says, and nothing that runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from tests.cli.conftest import Cli

VOID = {"meta", "br", "hr", "img", "link", "input"}
#: What would make a browser fetch or run something.
FOREIGN = ("script", "link", "img", "iframe", "object", "embed", "base", "form")


class Page(HTMLParser):
    """Reads a page; fails on a tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(cli: Cli, *arguments: object) -> str:
    outcome = cli("report", *arguments, "--out", "-", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_the_page_has_all_there_is_to_know(cli: Cli, fitted: Path) -> None:
    text = Page(report(cli, "shop")).text
    for word in (
        "shop@1",
        "T-DiffRec on ratings",
        "At a glance",
        "95% interval",
        "Popularity",
        "of 4",  # epochs
        "Recall@20 and NDCG@20 of the valid part",
        "Hit rate@10",
        "Coverage@20",
        "Few interactions",
        "Rare items",
        "Reach into the catalogue",
        "most recommended 1% of them",
        "Had latest, newest first",
        "Top 10",
        "alpha_min",
        "w_min",
        "content hash",
        "--variant t",
        "--set dims=16",
        "--set epochs=4",
        "safetensors",
    ):
        assert word in text, word


def test_the_figures_are_those_of_eval(cli: Cli, fitted: Path) -> None:
    evaluated = cli(
        "eval", "shop", "-k", "20", "--history", "train", "--format", "csv", "--device", "cpu"
    ).out
    header, row = (line.split(",") for line in evaluated.splitlines())
    recall = float(row[header.index("metrics.recall@20")])
    assert f"Recall@20, test part {recall:.4f}" in Page(report(cli, "shop")).text


def test_the_lists_are_those_of_recommend(cli: Cli, fitted: Path) -> None:
    command = ["recommend", "--user", "u0001", "-k", "10", "--titles", "--format", "jsonl"]
    titles = re.findall(r'"title": "([^"]*)"', cli(*command).out)
    text = Page(report(cli, "shop", "--user", "u0001")).text
    assert "Top 10 " + " ".join(titles) in text


def test_the_page_needs_nothing_else(cli: Cli, fitted: Path) -> None:
    page = report(cli, "shop")
    assert not re.search(r"https?://|//\w|url\(|@import|src=|href=", page)
    assert not set(FOREIGN) & set(Page(page).tags)
    assert "default-src 'none'" in page
    assert len(page.encode()) < 200_000


def test_it_is_made_for_phones_and_for_the_dark(cli: Cli, fitted: Path) -> None:
    page = report(cli, "shop")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_what_comes_from_data_is_shown_not_run(cli: Cli, sample, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&<b>"
    lines = sample[0].read_text().splitlines()
    (tmp_path / "log.csv").write_text(
        "\n".join([lines[0], *(line.replace("u0001,", "<i>u0001,") for line in lines[1:])])
    )
    ids = sorted({line.split(",")[1] for line in lines[1:]})
    quoted = evil.replace('"', '""')
    table = "".join(f'{item},"{quoted}"\n' for item in ids)
    (tmp_path / "items.csv").write_text("item,title\n" + table)
    fit = ["fit", tmp_path / "log.csv", "--items", tmp_path / "items.csv", "-v", "ease"]
    assert cli(*fit).code == 0
    page = report(cli, "--user", "<i>u0001")
    assert "<script" not in page
    assert "<i>" not in page
    text = Page(page).text
    assert text.count(evil) > 10
    assert "User <i>u0001" in text


def test_a_model_without_titles_shows_ids(cli: Cli, sample) -> None:
    assert cli("fit", sample[0], "-v", "pop").code == 0
    listed = cli("recommend", "--user", "u0001", "-k", "1", "--format", "csv").out
    item = listed.splitlines()[1].split(",")[2]
    assert f"Top 10 {item} " in Page(report(cli, "--user", "u0001")).text


def test_a_closed_form_has_no_training_curve(cli: Cli, fitted: Path) -> None:
    assert cli("fit", "ratings", "-v", "ease").code == 0
    text = Page(report(cli, "ratings-ease")).text
    assert "no training curve" in text
    assert "Epoch chosen none: a closed form" in text
    assert "by epoch" not in text
    assert "--variant ease" in text


def test_a_refitted_model_has_no_accuracy_to_show(cli: Cli, fitted: Path) -> None:
    options = ["-v", "base", "--refit", "--epochs", "2", "--set", "dims=8", "--device", "cpu"]
    assert cli("fit", "ratings", "--name", "whole", *options).code == 0
    text = Page(report(cli, "whole")).text
    assert "trained on every interaction (--refit)" in text
    assert "95% interval" not in text
    assert "Rare items" not in text
    assert "Top 10" in text
    assert "--refit=all" in text


def test_a_log_too_small_to_validate_has_a_report(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "tiny.csv"
    log.write_text("user,item\n" + "".join(f"{n % 6},{n % 5}\n" for n in range(9)))
    assert (
        cli("fit", log, "--epochs", "2", "-v", "base", "--set", "dims=8", "--device", "cpu").code
        == 0
    )
    text = Page(report(cli)).text
    assert "not measured" in text
    assert "Had, among others" in text  # there is no time column
