"""Exports of lists for all users: memory as users grow, and kills that leave no trace."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.idmap import IdMap
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.models.build import build_model, parameter_count, stored_weights
from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.record import ModelRecord, TrainingFacts
from diffrec_cli.workflows.serving.user_histories import CHUNK
from tests.benchmarks.measure import run_process
from tests.benchmarks.processes import DIFFREC, MB
from tests.benchmarks.sizes import YELP, settings

Row = dict[str, object]
EACH = 20  # interactions of a user


def memory(user_counts: list[int]) -> Iterator[Row]:
    """Measure exports of so many users from Yelp's catalogue, 50 items each."""
    with tempfile.TemporaryDirectory() as home:
        env, out = _environment(home), Path(home) / "lists.parquet"
        for users in user_counts:
            publish(f"u{users}", users)
            seconds, peak = run_process(_export(f"u{users}", out), env)
            yield {
                "users": users,
                "seconds": seconds,
                "users a second": users / seconds,
                "peak MB": peak / MB,
                "file MB": out.stat().st_size / MB,
            }


def kills(users: int, times: int = 3) -> Iterator[Row]:
    """Kill an export again and again, let it go on, and compare the file with another's."""
    with tempfile.TemporaryDirectory() as home:
        env = _environment(home)
        publish("all", users)
        whole, killed = Path(home) / "whole.parquet", Path(home) / "killed.parquet"
        run_process(_export("all", whole), env)
        again = _export("all", killed)
        parts = [-(-users // CHUNK) * (kill + 1) // (times + 1) for kill in range(times)]
        found = [_kill(again, env, killed.with_name(f"{killed.name}.partial"), n) for n in parts]
        run_process(again, env)
        yield {
            "users": users,
            "killed at so many parts": " ".join(map(str, found)),
            "sha256 of an undisturbed run's file": _hash(whole)[:16],
            "of the killed one's": _hash(killed)[:16],
            "the same bytes": whole.read_bytes() == killed.read_bytes(),
        }


def publish(name: str, users: int) -> None:
    """Store an untrained model of Yelp's catalogue with so many users."""
    config = settings((1000,), 5)
    model = build_model(config, YELP.items)
    facts = TrainingFacts(1, 1, 1, "epochs", 0.0, "cpu", "fp32")
    record = ModelRecord(name, "base", config.to_dict(), facts, parameter_count(model))
    with torch.no_grad():
        weights = stored_weights(model.scoring_weights())
    registry.publish(record, weights, dataset(users), [])


def dataset(users: int) -> Dataset:
    """Return random histories, popular items more often."""
    rng = np.random.default_rng(1)
    first = (YELP.items * rng.random(users * EACH) ** 2).astype(np.int64).reshape(users, EACH)
    items = (np.sort(first, axis=1) + np.arange(EACH)) % YELP.items  # distinct in a row
    nothing = Sequences(np.zeros(users + 1, np.int64), np.zeros(0, np.int32))
    return Dataset(
        name="export",
        setting="clean",
        order="times",
        train=Sequences.from_rows(np.repeat(np.arange(users), EACH), items.ravel(), users),
        valid=nothing,
        test=nothing,
        user_ids=IdMap([f"user{number:08d}" for number in range(users)]),
        item_table=pa.table({"id": [f"item{number:06d}" for number in range(YELP.items)]}),
    )


def _environment(home: str) -> dict[str, str]:
    os.environ["DIFFREC_HOME"] = home  # of this process too, which stores the models
    return {"DIFFREC_HOME": home}


def _export(model: str, out: Path) -> list[str]:
    options = ["--model", model, "--all-users", "-k", "50", "--out", str(out), "-q"]
    return [*DIFFREC, "recommend", *options]


def _kill(command: list[str], env: dict[str, str], parts: Path, n: int) -> int:
    """Kill a command while it makes the part after the n-th; return how many there are."""
    with subprocess.Popen(command, env={**os.environ, **env}) as process:
        while len(list(parts.glob("*.parquet"))) < n and process.poll() is None:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the export was over before it could be killed ({process.returncode})")
    return len(list(parts.glob("*.parquet")))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
