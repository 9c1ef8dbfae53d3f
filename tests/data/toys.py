"""Small logs and datasets, and how to read them back, for the tests of this directory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.reading.log import Log
from diffrec_cli.data.sequences import Sequences


def make_log(rows, *, rated=True, timed=True):
    """Build a log from (user, item, rating, time) tuples."""
    users = list(dict.fromkeys(r[0] for r in rows))
    items = list(dict.fromkeys(r[1] for r in rows))
    return Log(
        user=np.array([users.index(r[0]) for r in rows], np.int32),
        item=np.array([items.index(r[1]) for r in rows], np.int32),
        rating=np.array([r[2] for r in rows], np.float32) if rated else None,
        time=np.array([r[3] for r in rows], np.int64) if timed else None,
        user_ids=IdMap(users),
        item_ids=IdMap(items),
    )


def random_rows(seed, n=400, users=25, items=20, moments=60):
    rng = np.random.default_rng(seed)
    return [
        (f"u{rng.integers(users)}", f"i{rng.integers(items)}", int(rng.integers(1, 6)), int(t))
        for t in rng.integers(moments, size=n)
    ]


def lists(dataset, part):
    """Return {user id: item ids} of a part, without users who have none."""
    sequences = dataset.part(part)
    found = {
        user: dataset.item_ids.at(sequences.of(k))
        for k, user in enumerate(dataset.user_ids.array.to_pylist())
    }
    return {user: items for user, items in found.items() if items}


def make_dataset(**changes):
    values = {
        "name": "d",
        "setting": "clean",
        "order": "times",
        "train": Sequences.from_rows(np.array([0, 0, 1]), np.array([2, 0, 1]), 2),
        "valid": Sequences.from_rows(np.array([1]), np.array([0]), 2),
        "test": Sequences.from_rows(np.array([0]), np.array([1]), 2),
        "user_ids": IdMap(["007", "Ä, b"]),
        "item_table": pa.table({"id": ["x", "y", "z"], "title": ["X", None, "Z"]}),
        "dropped": {"duplicate": 3},
        "source": {"files": ["log.csv"]},
        **changes,
    }
    return Dataset(**values)


def make_sequences(*lists_of_items):
    """Build sequences from one list of items a user."""
    rows = np.repeat(np.arange(len(lists_of_items)), [len(items) for items in lists_of_items])
    items = np.array([item for items in lists_of_items for item in items], np.int64)
    return Sequences.from_rows(rows, items, len(lists_of_items))
