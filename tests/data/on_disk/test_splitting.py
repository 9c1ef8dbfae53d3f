"""A log that is sorted on disk gives the very dataset, report and notes that it gives in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diffrec_cli import workflows
from diffrec_cli.config import ReadOptions, SplitOptions
from diffrec_cli.errors import DataError
from diffrec_cli.workflows.progress import Note

#: Rows at a time: a user's rows are in many runs, and groups have few users, or one.
FEW = 150
ROWS = 3000
WHOLE_DATES = 1_500_000_000

Columns = dict[str, list[object]]


def random_log(seed: int = 0) -> Columns:
    """Return a log with repeated pairs, equal times, low ratings, and rare users and items."""
    rng = np.random.default_rng(seed)
    users, items = (
        (size * rng.random(ROWS) ** power).astype(int) for size, power in ((160, 2), (90, 3))
    )
    days = rng.integers(0, 400, ROWS)
    return {
        "user": [f"ü{user}" for user in users],
        "item": [f"i,{item}" for item in items],
        "rating": rng.integers(1, 11, ROWS).astype(float) / 2,
        "time": (WHOLE_DATES + 86_400 * days).tolist(),
    }


def write(path: Path, columns: Columns) -> Path:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(f'"{value}"' for value in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("log") / "log.csv", random_log())


def prepared(*paths: Path, rows: int | None, **options):
    events: list[object] = []
    found = workflows.prepare(
        paths, dry_run=True, rows_in_memory=rows, listener=events.append, **options
    )
    return found.dataset, [event.text for event in events if isinstance(event, Note)]


def assert_alike(*paths: Path, rows: int = FEW, **options) -> list[str]:
    """Check that both ways agree; return what was told."""
    here, told = prepared(*paths, rows=None, **options)
    there, told_too = prepared(*paths, rows=rows, **options)
    for name, part in here.parts.items():
        assert np.array_equal(part.indptr, there.parts[name].indptr), name
        assert np.array_equal(part.items, there.parts[name].items), name
        assert there.parts[name].items.dtype == np.int32
    assert there.user_ids.array.to_pylist() == here.user_ids.array.to_pylist()
    assert there.item_table.to_pydict() == here.item_table.to_pydict()
    assert there.summary() == here.summary()
    assert (there.order, there.source) == (here.order, here.source)
    assert there.content_hash == here.content_hash
    assert told_too == told
    return told


COMBINATIONS = [
    dict(zip(("min_rating", "repeats", "split_by", "core", "test_from"), values, strict=True))
    for values in itertools.product(
        (None, 2.5), ("first", "last", "max"), ("user", "time"), ((1, 1), (3, 5)), (None, "60d")
    )
]


@pytest.mark.parametrize("said", COMBINATIONS, ids=lambda said: "-".join(map(str, said.values())))
def test_every_combination_of_rules_gives_the_same_dataset(log: Path, said) -> None:
    users, items = said.pop("core")
    assert_alike(
        log,
        split=SplitOptions(**said, min_user_interactions=users, min_item_interactions=items),
    )
