"""The examples work, and on the sample log the models are worth their cost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffrec_cli import workflows
from diffrec_cli.data.sample import SampleOptions, write_sample

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
    recall = [result.evaluation.means["recall@20"] for result in evaluated.results]
    *variants, popularity = recall
    assert min(variants) > 1.5 * popularity
    base, latent, temporal, both = variants
    assert temporal > base
    assert both > latent


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell script")
def test_the_nightly_job_exports_a_list_for_every_user(tmp_path: Path) -> None:
    log, _ = write_sample(tmp_path / "log.csv", SampleOptions(80, 50, 1500))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.run(
        ["sh", EXAMPLES / "nightly.sh", log, tmp_path],
        env={**os.environ, "PATH": path},
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr.decode()
    assert process.stdout == b"nightly@1\n"
    assert json.loads((tmp_path / "metrics.json").read_text())["results"]
    header, *rows = (tmp_path / "lists.csv").read_text().splitlines()
    assert header == "user,rank,item,score"
    assert len({row.split(",")[0] for row in rows}) == 80
