"""The scripts of ``examples/reproduce``: any row runs again, and the tables are what rows say."""

import argparse
import csv
import sys
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.catalogue import candidates, preset
from diffrec_cli.data.sources.sample import SampleOptions, write_sample
from diffrec_cli.registry import versions

DIRECTORY = Path(__file__).parents[1] / "examples" / "reproduce"
sys.path.insert(0, str(DIRECTORY))
import reproduce  # noqa: E402  # a script beside its modules, not a package
import studies  # noqa: E402
import tables  # noqa: E402

KEPT = [
    pytest.param(row, id=f"{path.stem}-{line}")
    for path in (reproduce.RESULTS, reproduce.TRIALS)
    for line, row in enumerate(reproduce.read_rows(path), 2)
]


def row(**values: str) -> studies.Row:
    plain = {"study": "ours", "data": "tiny", "variant": "l", "preset": "auto", "seed": "3"}
    return plain | {"settings": "epochs=2 C=3"} | values


@pytest.fixture
def tiny(tmp_path: Path) -> None:
    log, _ = write_sample(tmp_path / "tiny.csv", SampleOptions(60, 40, 900, seed=1))
    workflows.prepare([log], name="tiny")


@pytest.mark.usefixtures("tiny")
def test_a_row_is_measured_and_leaves_no_model_behind() -> None:
    measured = reproduce.measure(row(), "cpu", "fp32", test=True)
    outcome = measured.row
    assert measured.tried == []
    assert (outcome["epochs"], outcome["precision"]) == ("2", "fp32")
    assert 0 < float(outcome[reproduce.VALID]) < 1
    assert all(0 < float(outcome[metric]) < 1 for metric in reproduce.TEST)
    assert versions.list_models() == []


@pytest.mark.usefixtures("tiny")
def test_a_trial_sees_no_test_figure() -> None:
    outcome = reproduce.measure(row(), "cpu", "fp32", test=False).row
    assert not set(outcome) & set(reproduce.TEST)


@pytest.mark.usefixtures("tiny")
def test_a_row_of_auto_has_all_that_was_tried() -> None:
    values = {"variant": "auto", "settings": "epochs=2"}
    measured = reproduce.measure(row(**values), "cpu", "fp32", test=False)
    verdicts = [one["verdict"] for one in measured.tried]
    assert verdicts.count("chosen") == 1
    assert set(verdicts) <= {"chosen", "tied", "behind", "ahead"}
    (chosen,) = (one for one in measured.tried if one["verdict"] == "chosen")
    assert chosen[reproduce.VALID] == measured.row[reproduce.VALID]
    assert measured.tried[0]["model"] == "t+masking+graph"


@pytest.mark.usefixtures("tiny")
def test_rows_run_once_and_run_again_to_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    todo, out = tmp_path / "todo.csv", tmp_path / "out.csv"
    reproduce.append_row(todo, row())
    args = argparse.Namespace(
        what=[str(todo)], out=out, jobs=1, minutes=5.0, device="cpu", precision="fp32"
    )
    reproduce.run(args)
    reproduce.run(args)
    (kept,) = reproduce.read_rows(out)
    capsys.readouterr()
    reproduce.rerun(argparse.Namespace(file=out, line=2, device="cpu", precision="fp32"))
    shown = {words[0]: words[1:] for words in map(str.split, capsys.readouterr().out.splitlines())}
    assert shown[reproduce.VALID] == [kept[reproduce.VALID]] * 2


def test_a_table_has_means_and_deviations_over_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    figures = dict.fromkeys(reproduce.TEST, "0.1") | {reproduce.VALID: "0.2", "parameters": "2e6"}
    runs = [
        row(seed="1", settings="", data="ml1m", epoch="10", seconds="5") | figures,
        row(seed="2", settings="", data="ml1m", epoch="20", seconds="7") | figures,
    ]
    runs[1]["recall@20"] = "0.3"
    tables.print_tables(runs, [])
    header, _, line = capsys.readouterr().out.strip().splitlines()[2:]
    names, cells = ([cell.strip() for cell in text.split("|")] for text in (header, line))
    shown = dict(zip(names, cells, strict=True))
    assert shown["recall@20"] == "0.2000 ± 0.1414"
    assert shown["recall@10"] == "0.1000 ± 0.0000"
    assert shown["parameters"] == "2.00M"
    assert (shown["seeds"], shown["epoch"], shown["seconds"]) == ("2", "15", "6")


def test_regret_is_the_share_that_the_best_is_ahead_by(capsys: pytest.CaptureFixture[str]) -> None:
    def measured(variant: str, value: str, settings: str = "", seed: str = "1") -> studies.Row:
        one = row(data="steam", variant=variant, settings=settings, seed=seed)
        return {**one, "recall@20": value}

    runs = [
        measured("auto", "0.45"),
        measured("base+smoothing+graph", "0.45"),
        measured("base+masking+graph", "0.5"),
        measured("multivae", "0.6"),
        measured("multivae", "0.9", seed="2"),
        measured("graph", "0.9", settings="refit=train+valid"),
    ]
    choices = [
        {
            "data": "steam",
            "model": "base+smoothing+graph",
            tables.VALID: "0.4",
            "verdict": "chosen",
        },
        {"data": "steam", "model": "ease", tables.VALID: "", "verdict": "not tried"},
    ]
    tables.print_choices(runs, choices)
    line = capsys.readouterr().out.splitlines()[2]
    assert "base+masking+graph 0.5000, of 2 | 10.0%" in line
    assert "multivae 0.6000, of 3 | 25.0%" in line


def test_logs_with_an_order_have_their_regret_with_both_histories(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = {"auto": ("0.3", "0.2"), "graph-t": ("0.3", "0.4"), "popularity": ("0.1", "")}
    runs = [
        row(data="half", variant=variant, settings="", seed="1")
        | {"recall@20": of_train, tables.FULL[0]: of_both}
        for variant, (of_train, of_both) in figures.items()
    ]
    choices = [{"data": "half", "model": "ials", tables.VALID: "0.4", "verdict": "chosen"}]
    tables.print_choices(runs, choices)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| half")]
    assert [line.split(" | ")[4] for line in lines] == ["0.3000", "0.2000"]
    assert [line.split(" | ")[-2:] for line in lines] == [
        ["graph-t 0.3000, of 2", "0.0% |"],
        ["graph-t 0.4000, of 1", "50.0% |"],
    ]


def test_every_candidate_of_auto_has_a_row_in_some_study() -> None:
    rows = [row for study in studies.STUDIES.values() for row in study()]
    measured = {(row["data"], row["variant"], row["settings"]) for row in rows}
    wanted = {
        (data, *key) for data in studies.ALL_LOGS for key in studies.candidates(data).values()
    }
    assert wanted <= measured


def test_auto_tries_what_the_studies_say() -> None:
    for data in studies.ALL_LOGS:
        ordered, users = (
            data not in studies.UNORDERED_LOGS,
            30_000 if data in studies.PUBLISHED else 1,
        )
        found = {str(one): one for one in candidates(ordered=ordered, users=users)}
        assert set(found) == set(studies.candidates(data))
        for name, (variant, settings) in studies.candidates(data).items():
            said = dict(setting.split("=") for setting in settings.split())
            config = preset("auto", variant, users=users)
            assert config.with_values(said) == config.with_values(found[name].values)


@pytest.mark.parametrize("kept", KEPT)
def test_the_settings_of_every_kept_row_still_exist(kept: studies.Row) -> None:
    if kept["variant"] == "auto":
        assert not kept["settings"]
        return
    config = preset(kept["preset"], kept["variant"], users=5949)
    values = dict(setting.split("=", 1) for setting in kept["settings"].split())
    for option in ("refit", "max_seconds"):  # not settings
        values.pop(option, None)
    config.with_values(values)


def test_every_row_of_the_results_belongs_to_a_study() -> None:
    known = {reproduce._key(row) for study in studies.STUDIES.values() for row in study()}
    assert {reproduce._key(row) for row in reproduce.read_rows(reproduce.RESULTS)} <= known


def test_every_column_of_the_kept_files_is_known() -> None:
    with reproduce.TRIALS.open() as stream:
        assert not set(next(csv.reader(stream))) & set(reproduce.TEST)
