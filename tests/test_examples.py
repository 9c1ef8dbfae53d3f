"""The examples work, and on the sample log the models are worth their cost."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from diffrec_cli import workflows
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sources.sample import SampleOptions, write_sample
from tests.cli.test_help import check

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_sample_log_is_what_the_generator_writes(tmp_path: Path) -> None:
    options = SampleOptions(users=500, items=300, interactions=15000)
    for made, kept in zip(
        write_sample(tmp_path / "sample.csv", options),
        (EXAMPLES / "sample.csv", EXAMPLES / "sample-items.csv"),
        strict=True,
    ):
        assert made.read_bytes() == kept.read_bytes()


def test_every_variant_beats_popularity_and_t_beats_base() -> None:
    prepared = workflows.prepare([EXAMPLES / "sample.csv"])
    models = [
        workflows.fit(prepared.dataset.name, variant=variant, device="cpu").model
        for variant in ("base", "l", "t", "lt")
    ]
    evaluated = workflows.evaluate(models, baselines=["pop"], device="cpu")
    recall = [result.evaluation.means["recall@20"] for result in evaluated.first_history]
    *variants, popularity = recall
    assert min(variants) > 1.5 * popularity
    base, latent, temporal, both = variants
    assert temporal > base
    assert both > latent


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example, with this environment's ``diffrec`` in front of PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        list(command),
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell script")
class TestNightly:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return write_sample(tmp_path / "log.csv", SampleOptions(80, 50, 1500))[0]

    def test_it_exports_a_list_for_every_user(self, log: Path, tmp_path: Path) -> None:
        process = run("sh", EXAMPLES / "nightly.sh", log, tmp_path)
        assert process.returncode == 0, process.stderr
        assert process.stdout == "nightly@1\n"
        assert json.loads((tmp_path / "metrics.json").read_text())["results"]
        header, *rows = (tmp_path / "lists.csv").read_text().splitlines()
        assert header == "user,rank,item,score"
        assert len({row.split(",")[0] for row in rows}) == 80
        assert not (tmp_path / "exporting").exists()

    def test_a_job_killed_while_it_exported_goes_on_there(self, log: Path, tmp_path: Path) -> None:
        fitted = workflows.fit(log, dataset_name="nightly", variant="pop", name="nightly")
        (tmp_path / "exporting").write_text(f"{fitted.model}\n")
        process = run("sh", EXAMPLES / "nightly.sh", log, tmp_path, LISTS="lists.parquet")
        assert process.returncode == 0, process.stderr
        assert process.stdout == "nightly@1\n"  # nothing was trained
        lists = pq.read_table(tmp_path / "lists.parquet")
        assert len(set(lists["user"].to_pylist())) == 80
        assert not (tmp_path / "exporting").exists()

    def test_a_model_that_is_not_good_enough_replaces_no_lists(
        self, log: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "lists.csv").write_text("yesterday's\n")
        process = run("sh", EXAMPLES / "nightly.sh", log, tmp_path, MINIMUM_RECALL="0.99")
        assert process.returncode == 7
        assert (tmp_path / "lists.csv").read_text() == "yesterday's\n"


def test_the_crontab_is_made_of_settings_and_jobs() -> None:
    setting = re.compile(r"[A-Z_]+=\S+")
    job = re.compile(r"(?:[0-9*/,-]+ ){5}(.+)")
    lines = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if line]
    kept = [line for line in lines if not line.startswith("#") and not setting.fullmatch(line)]
    commands = [match[1] for match in map(job.fullmatch, kept) if match]
    assert len(commands) == len(kept) == 2
    for command in commands:
        assert "nightly.sh" in command
        assert "%" not in command  # cron takes it for the end of a line
        assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0


def test_the_unit_and_the_container_start_the_server() -> None:
    unit = (EXAMPLES / "serve/diffrec.service").read_text()
    lines = re.findall(r"^(?:# )?ExecStart=%h/\.local/bin/diffrec (.+)$", unit, re.MULTILINE)
    container = (EXAMPLES / "serve/Containerfile").read_text()
    (last,) = re.findall(r"^CMD (.+)$", container, re.MULTILINE)
    commands = [*map(str.split, lines), json.loads(last)[1:]]
    assert len(commands) == 3
    for arguments in commands:
        assert arguments[0] == "serve"
        check(arguments)
    assert "SuccessExitStatus=143" in unit


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
class TestPipeline:
    @pytest.mark.skipif(not shutil.which("jq") or not shutil.which("mlr"), reason="needs jq, mlr")
    def test_it_makes_rows_for_every_user(self, checkerboard: Dataset, tmp_path: Path) -> None:
        store.save(checkerboard)
        model = workflows.fit("checkerboard", variant="ease").model
        (tmp_path / "users.txt").write_text("u0\nu1\nnobody\n")
        process = run(
            "bash",
            EXAMPLES / "pipeline.sh",
            tmp_path / "users.txt",
            tmp_path / "out",
            DIFFREC_MODEL=str(model),
        )
        assert process.returncode == 0, process.stderr
        best = [json.loads(line) for line in (tmp_path / "out/best.jsonl").open()]
        assert [row["user"] for row in best] == ["u0", "u1", "nobody"]
        header, *rows = (tmp_path / "out/mails.csv").read_text().splitlines()
        assert header == "user,items"
        assert [len(row.split(";")) for row in rows] == [5, 5, 5]
        assert best[0]["item"] == rows[0].split(",")[1].split(";")[0]
        assert process.stdout.split()[:2] == ["item", "count"]

    def test_it_says_which_tool_is_missing(self, tmp_path: Path) -> None:
        (tmp_path / "diffrec").symlink_to("/bin/sh")
        bash = shutil.which("bash")
        assert bash is not None
        process = subprocess.run(
            [bash, EXAMPLES / "pipeline.sh", "users.txt", tmp_path / "out"],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 1
        assert process.stderr == "pipeline.sh: jq is not installed; nothing was done\n"
        assert not (tmp_path / "out").exists()


def test_the_notebook_runs_and_leaves_nothing(tmp_path: Path, isolated_home: Path) -> None:
    (tmp_path / "tmp").mkdir()
    process = run(sys.executable, EXAMPLES / "notebook.py", TMPDIR=str(tmp_path / "tmp"))
    assert process.returncode == 0, process.stderr
    assert "popularity" in process.stdout
    assert not isolated_home.exists()
    assert not list((tmp_path / "tmp").glob("diffrec-*"))
