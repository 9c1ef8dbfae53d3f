"""A small model to store; also used by the scripts that tests run in other processes."""

import numpy as np
import pyarrow as pa

from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.registry import ModelRecord, TrainingFacts, publish

WEIGHTS = {
    "in.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "in.bias": np.array([0.5, -0.5, 0.25], np.float32),
    "scale": np.array(2.0, np.float32),
}
EPOCH_LOG = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": float("nan")}]


def dataset():
    rows = np.array([0, 0, 1])
    return Dataset(
        name="tiny",
        setting="clean",
        order="times",
        train=Sequences.from_rows(rows, np.array([0, 1, 2]), users=2),
        valid=Sequences.from_rows(np.array([0]), np.array([2]), users=2),
        test=Sequences.from_rows(np.array([1]), np.array([0]), users=2),
        user_ids=IdMap(["u1", "Zoë"]),
        item_table=pa.table({"id": ["a", "b", "c"], "title": ["A", None, "C"]}),
    )


def record(name="ml", **changes):
    training = TrainingFacts(
        seed=1,
        epoch=2,
        epochs=2,
        stopped="patience",
        seconds=1.5,
        device="cpu",
        precision="fp32",
        valid={"recall@20": 0.125, "ndcg@20": float("nan")},
    )
    values = {
        "name": name,
        "variant": "base",
        "config": FitConfig().to_dict(),
        "training": training,
        "parameters": 16,
    }
    return ModelRecord(**{**values, **changes})


def store(name="ml", **options):
    return publish(record(name), WEIGHTS, dataset(), EPOCH_LOG, **options)
