"""The curve at the end of ``diffrec fit``."""

from __future__ import annotations

import io
import re

import pytest

from diffrec_cli import workflows
from diffrec_cli.cli.fit import show_fitted
from diffrec_cli.reporting.charts import ASCII, BLOCKS
from tests.cli.conftest import Cli

FIT = ["fit", "ratings", "-v", "base", "--set", "dims=8", "--device", "cpu", "--format", "table"]


@pytest.mark.usefixtures("fitted")
def test_a_fit_ends_with_its_curve(cli: Cli) -> None:
    (line,) = (s for s in cli(*FIT, "--epochs", "5").out.splitlines() if "(epoch" in s)
    assert re.fullmatch(
        rf" curve +[{BLOCKS}]{{5}}  \.\d{{4}} to \.\d{{4}} \(epoch \d of 5\) *", line
    )


@pytest.mark.usefixtures("fitted")
def test_a_fit_of_one_epoch_has_no_curve(cli: Cli) -> None:
    assert "curve" not in cli(*FIT, "--epochs", "1").out


@pytest.mark.usefixtures("fitted")
def test_a_curve_is_ascii_where_blocks_cannot_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = workflows.fit(
        "ratings", variant="base", values={"dims": (8,), "epochs": 3}, device="cpu"
    )
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    show_fitted(result, "table")
    (line,) = (s for s in written.getvalue().decode("ascii").splitlines() if "(epoch" in s)
    assert any(f"{a}" in line for a in ASCII)
