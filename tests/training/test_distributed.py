"""Several processes compute what one computes: the losses, the gradients, the lists."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException

from diffrec_cli import workflows
from diffrec_cli.catalogue import MODELS
from diffrec_cli.catalogue import own_preset as preset
from diffrec_cli.data import store
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.sequences import Sequences
from diffrec_cli.errors import CorruptError, StorageError
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.registry import versions as registry
from diffrec_cli.system_errors import writing
from diffrec_cli.training.distributed import ALONE, divisors
from diffrec_cli.training.parted_tensors import _quiet
from diffrec_cli.training.tensor_files import load_tensors, load_whole, read_state
from tests.training import mesh_worker
from tests.training.mesh_worker import Case

USERS, ITEMS, RANKS = 30, 41, 2
#: So many items that few of their rows are read in a batch.
WIDE = 1500
SMALL: dict[str, dict[str, Any]] = {
    "base": {"dims": (8,), "loss_form": "scores", "step_sampling": "importance"},
    "base normalised": {"dims": (8,), "normalize_input": True, "T_prime": 2},
    "base compact": {"dims": (6,), "loss_form": "compact", "dropout": 0.3},
    "base epsilon": {"dims": (8,), "prediction": "epsilon"},
    "t": {"dims": (4, 8)},
    "l": {"dims": (6,), "loss_form": "scores", "C": 3, "decoder": "separate", "warmup": "none"},
    "l joint": {"dims": (6,), "loss_form": "scores", "C": 3, "decoder": "joint", "warmup": "none"},
    "lt compact": {"dims": (6,), "loss_form": "compact", "C": 3, "warmup": "none"},
    "base+smoothing": {"dim": 6, "rank": 5, "loss_form": "scores", "confidence": 3.0},
    "t+smoothing": {"dim": 6, "rank": 5, "loss_form": "compact", "confidence": 3.0},
    "t+masking": {"dim": 6, "half_lives": (1.0, 4.0), "temperature": None},
    "t+masking cosine": {"dim": 6, "half_lives": (1.0, 4.0), "temperature": 0.2},
    "base+masking": {"dim": 6},
    "l in stages": {"dims": (6,), "C": 2, "warmup": "vae"},
    "l of many groups": {"dims": (6,), "z_dim": 60, "loss_form": "compact", "C": 41},
    "l wide": {"dims": (6,), "loss_form": "compact", "C": 3, "warmup": "none"},
    "t+masking wide": {"dim": 6, "half_lives": (1.0, 4.0), "temperature": None},
    "cdae": {"dim": 6},
    "multidae": {"dims": (6,)},
    "multidae++": {"dims": (6,)},
    "multivae": {"dims": (6,)},
    "codigem": {"dim": 6},
}


def history(items: int) -> Sequences:
    rng = np.random.default_rng(3)
    rows = [rng.permutation(items)[: rng.integers(2, 9)] for _ in range(USERS)]
    users = np.repeat(np.arange(USERS), [len(row) for row in rows])
    return Sequences.from_rows(users, np.concatenate(rows), USERS)


def case_of(name: str) -> Case:
    variant = name.split()[0]
    known = preset("auto", variant, users=USERS)
    items = WIDE if name.endswith("wide") else ITEMS
    return Case(known.with_values(SMALL[name]), history(items), items)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def mesh_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mesh")


@pytest.fixture(scope="module")
def found(mesh_folder: Path) -> dict[Any, dict[str, dict[str, Any]]]:
    """Return what each process of each grid computed, by (processes over items, rank)."""
    folder = mesh_folder
    cases = {name: case_of(name) for name in SMALL}
    torch.multiprocessing.spawn(
        mesh_worker.work, (RANKS, free_port(), cases, folder), nprocs=RANKS, join=True
    )
    results: dict[Any, dict[str, dict[str, Any]]] = {
        (item_ranks, rank): torch.load(folder / f"{item_ranks}-{rank}.pt", weights_only=False)
        for item_ranks in (1, RANKS)
        for rank in range(RANKS)
    }
    return {**results, "alone": mesh_worker.alone(cases)}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("item_ranks", [1, RANKS])
class TestTwoProcesses:
    def test_losses_are_those_of_one_process(self, found, name: str, item_ranks: int) -> None:
        wanted = found["alone"][name]["losses"]
        for rank in range(RANKS):
            assert found[item_ranks, rank][name]["losses"] == pytest.approx(wanted, rel=1e-4)

    def test_gradients_are_those_of_one_process(self, found, name: str, item_ranks: int) -> None:
        whole = found["alone"][name]["gradients"]
        for rank in range(RANKS):
            mine = found[item_ranks, rank][name]
            assert mine["gradients"].keys() == whole.keys()
            for parameter, gradient in mine["gradients"].items():
                part = mine["parts"].get(parameter)
                wanted = whole[parameter] if part is None else whole[parameter][part.columns]
                largest = whole[parameter].abs().max().item()
                torch.testing.assert_close(
                    gradient, wanted, rtol=1e-3, atol=1e-5 * largest + 1e-9, msg=parameter
                )

    def test_lists_are_those_of_one_process(self, found, name: str, item_ranks: int) -> None:
        for rank in range(RANKS):
            np.testing.assert_array_equal(
                found[item_ranks, rank][name]["lists"], found["alone"][name]["lists"]
            )


def test_what_processes_store_replaces_what_others_left(found, mesh_folder: Path) -> None:
    assert len(list((mesh_folder / "stored-00000007").glob("*.safetensors"))) == RANKS
    whole = load_whole(mesh_folder, mesh_worker.NAME)
    torch.testing.assert_close(whole["V"], mesh_worker.WHOLE)
    assert whole["step"] == 3.0
    assert read_state(mesh_folder, mesh_worker.NAME) == {"epoch": 7}


@pytest.mark.parametrize("start", [0, 3, 6])
def test_any_number_of_processes_reads_its_rows(found, mesh_folder: Path, start: int) -> None:
    part = ItemRange(11, start, start + 5)
    mine = torch.empty(5, 2)
    load_tensors(mesh_folder, mesh_worker.NAME, {"V": mine}, {"V": part})
    torch.testing.assert_close(mine, mesh_worker.WHOLE[part.columns])


def test_a_damaged_part_is_named(found, mesh_folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(mesh_folder, tmp_path / "run")
    part = min((run / "stored-00000007").glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(CorruptError, match="stored-00000007: the checkpoint is damaged"):
        load_whole(run, mesh_worker.NAME)
    mine = torch.empty(5, 3)
    with pytest.raises(CorruptError, match="damaged"):
        load_tensors(mesh_folder, mesh_worker.NAME, {"V": mine}, {"V": ItemRange(11, 0, 5)})


def test_a_full_disk_in_a_process_is_its_error(isolated_home: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    failed = CheckpointException("write", {0: (ValueError("another"), None), 1: (full, None)})
    with (
        pytest.raises(StorageError, match="no space left"),
        writing(isolated_home / "run"),
        _quiet(),
    ):
        raise failed


def test_all_models_that_say_so_are_held_to_it() -> None:
    parallel = {name for name, row in MODELS.items() if row.parallel}
    assert parallel == {name for name in SMALL if name in MODELS}


def test_items_are_split_into_parts_that_differ_by_one() -> None:
    parts = [ItemRange.part(10, rank, 4) for rank in range(4)]
    assert [len(part) for part in parts] == [2, 3, 2, 3]
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_one_process_has_everything() -> None:
    users = np.arange(7)
    assert ALONE.items(9) == ItemRange.whole(9)
    np.testing.assert_array_equal(ALONE.part(users), users)
    assert ALONE.told("text") == "text"
    assert ALONE.first


def test_divisors_are_the_numbers_of_processes_that_items_can_be_split_over() -> None:
    assert divisors(12) == [1, 2, 3, 4, 6, 12]


def torchrun(processes: int, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in several processes, as a user does."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    return subprocess.run(
        [sys.executable, *launcher, "-m", "diffrec_cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "DIFFREC_HOME": str(home), "OMP_NUM_THREADS": "1"},
        check=False,
    )


SETTINGS = ("--set", "dims=8", "--set", "batch_size=20", "--epochs", "3", "--precision", "fp32")


@pytest.fixture
def home(checkerboard: Dataset, isolated_home: Path) -> Path:
    store.save(checkerboard)
    return isolated_home


def test_two_processes_publish_the_model_of_one(home: Path) -> None:
    settings = {"dims": (8,), "batch_size": 20, "epochs": 3}
    one = workflows.fit(
        "checkerboard", variant="base", name="one", values=settings, precision="fp32", device="cpu"
    )
    fit = ("fit", "checkerboard", "-v", "base", *SETTINGS, "--name", "two")
    done = torchrun(2, *fit, "--item-ranks", "2", "--device", "cpu", home=home)
    assert (done.returncode, done.stdout.split()) == (0, ["two@1"]), done.stderr
    assert "processes 1 over users x 2 over items" in done.stderr
    assert done.stderr.count("two: variant base") == 1  # one of them speaks
    logs = [registry.resolve(name).epoch_log() for name in (str(one.model), "two")]
    losses = [[entry["loss"] for entry in log] for log in logs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    weights = [registry.resolve(name).weights() for name in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    for name, array in weights[0].items():
        np.testing.assert_allclose(weights[1][name], array, rtol=0.02, atol=2e-3)


def test_two_processes_build_the_graphs_of_one(home: Path) -> None:
    fit = ("-v", "base+graph", *SETTINGS, "--device", "cpu", "--refit", "train+valid")
    for processes, name in ((1, "one"), (2, "two")):
        command = ("fit", "checkerboard", *fit, "--name", name)
        done = torchrun(processes, *command, home=home)
        assert done.returncode == 0, done.stderr
    one, two = (registry.resolve(name).weights() for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert {"graph.ridge.data", "graph.factors.V"} <= one.keys()
    for name in (name for name in one if name.startswith("graph.")):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert not list(home.glob("runs/*"))


def test_two_processes_evaluate_and_write_what_one_does(home: Path, tmp_path: Path) -> None:
    settings = {"dims": (8,), "batch_size": 20, "epochs": 2}
    workflows.fit("checkerboard", variant="base", name="m", values=settings, device="cpu")
    workflows.export_lists(tmp_path / "one.csv", "m", all_users=True, k=5, device="cpu")
    out = tmp_path / "two.csv"
    recommend = ("recommend", "--model", "m", "--all-users", "-k", "5", "--device", "cpu")
    done = torchrun(2, *recommend, "-o", str(out), home=home)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == (tmp_path / "one.csv").read_bytes()
    done = torchrun(2, "eval", "m", "--format", "json", "--device", "cpu", home=home)
    found = json.loads(done.stdout)["results"]
    wanted = workflows.evaluate(["m"], device="cpu").to_dict()["results"]
    assert found == json.loads(json.dumps(wanted))


MANY = ("fit", "checkerboard", "-v", "base", *SETTINGS[:4], "--precision", "fp32", "--name", "m")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
class TestFaults:
    """A process of two that dies, or hangs, in the midst of a fit."""

    @pytest.mark.parametrize(
        ("signal_", "timeout"),
        [(signal.SIGKILL, "600"), pytest.param(signal.SIGSTOP, "5", marks=pytest.mark.long)],
        ids=["dies", "hangs"],
    )
    def test_the_job_ends_with_one_error_and_can_be_resumed_by_one(
        self, home: Path, signal_: signal.Signals, timeout: str, tmp_path: Path
    ) -> None:
        settings = {"dims": (8,), "batch_size": 20, "epochs": 2000, "patience": 2000}
        fit = [*MANY, "--epochs", "2000", "--set", "patience=2000", "--device", "cpu"]
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        errors = tmp_path / "errors.txt"
        job = subprocess.Popen(
            [sys.executable, *launcher, "-m", "diffrec_cli", *fit],
            stderr=errors.open("wb"),
            env={**os.environ, "DIFFREC_RANK_TIMEOUT": timeout, "OMP_NUM_THREADS": "1"},
        )
        wait_until(lambda: list(home.glob("runs/*/checkpoint-*/state.json")), job)
        os.kill(worker(job.pid, rank=1), signal_)
        assert job.wait(60) != 0
        said = errors.read_text()
        assert said.count("error: a process of this job has ended, or does not answer") == 1
        assert "--resume" in said
        resumed = workflows.fit(
            "checkerboard",
            variant="base",
            name="m",
            values=settings,
            device="cpu",
            precision="fp32",
            resume=True,
            max_seconds=3.0,
        )
        assert resumed.training is not None
        losses = [entry["loss"] for entry in registry.resolve("m").epoch_log()]
        undisturbed = workflows.fit(
            "checkerboard",
            variant="base",
            values={**settings, "epochs": 3},
            device="cpu",
            precision="fp32",
            name="short",
        )
        wanted = [entry["loss"] for entry in registry.resolve(str(undisturbed.model)).epoch_log()]
        assert losses[:3] == pytest.approx(wanted, rel=1e-4)


def wait_until(there: Callable[[], object], job: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 120
    while not there():
        assert job.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.1)


def worker(launcher: int, rank: int) -> int:
    """Return the process of a rank that a launcher started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    for child in map(int, children):
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in variables:
            return child
    raise LookupError(rank)
