"""What every test gets: a state directory of its own, and small made-up data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences

# As the program does, before torch is loaded: waiting threads soon sleep.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes a user's own models."""
    home = tmp_path / "home"
    monkeypatch.setenv("DIFFREC_HOME", str(home))
    for name in ("DEVICE", "PRECISION", "SEED", "FORMAT", "MODEL"):
        monkeypatch.delenv(f"DIFFREC_{name}", raising=False)
    return home


@pytest.fixture
def checkerboard() -> Dataset:
    """Return a log with a known answer: even users want even items, odd users odd ones.

    60 users x 40 items; of his 20 items each user has 12 in train, 3 in valid, 3 in test.
    """
    rng = np.random.default_rng(7)
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    for user in range(60):
        mine = rng.permutation(np.arange(user % 2, 40, 2))
        parts["train"].append(mine[:12])
        parts["valid"].append(mine[12:15])
        parts["test"].append(mine[15:18])
    split = {
        name: Sequences.from_rows(
            np.repeat(np.arange(60), [len(row) for row in rows]), np.concatenate(rows), 60
        )
        for name, rows in parts.items()
    }
    return Dataset(
        name="checkerboard",
        setting="clean",
        order="times",
        user_ids=IdMap([f"u{i}" for i in range(60)]),
        item_table=pa.table(
            {"id": [f"i{i:02d}" for i in range(40)], "title": [f"Title {i}" for i in range(40)]}
        ),
        **split,
    )
