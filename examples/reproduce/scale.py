"""Memory of a process and bytes between processes, beside what a cost model says.

Made-up histories over a catalogue of a million items (a tenth where users are split too), width 64.
Each grid of processes runs a few updates in a network of its own, whose loopback counts what is
sent. Printed are the bytes of weights, gradients and moments of a process, and the bytes that all
processes send in an update, measured and by the model below. Needs Linux and root.

    python scale.py
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffrec_cli.catalogue import own_preset
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.build import build_model
from diffrec_cli.training.distributed import arranged, connected

WIDTH, USERS, BATCH, EACH, UPDATES = 64, 1000, 40, 20, 2
GRIDS = ((1, 1), (1, 2), (1, 4), (2, 1), (4, 1), (2, 2))  # users x items
SETTINGS: dict[str, dict[str, Any]] = {
    "t+masking": {"dim": WIDTH, "half_lives": (2.0,), "temperature": None, "states": 4},
    "base": {"dims": (WIDTH,), "loss_form": "compact"},
}


@dataclass
class Size:
    """What the cost model reads."""

    n_items: int
    users: int  # of a batch, in a process
    states: int  # of masking, of these users


def config_of(variant: str) -> FitConfig:
    """Return the settings of a model."""
    return own_preset("auto", variant, users=USERS).with_values(
        {**SETTINGS[variant], "batch_size": BATCH}
    )


def history(n_items: int) -> Sequences:
    """Return made-up histories."""
    rng = np.random.default_rng(1)
    items = rng.integers(0, n_items, (USERS, EACH))
    return Sequences.from_rows(np.repeat(np.arange(USERS), EACH), items.ravel(), USERS)


def over_items(variant: str, size: Size) -> int:
    """Return the numbers that are summed over the processes of an item split, in an update."""
    if variant == "t+masking":
        # The hidden vectors, their gradients; the largest score and the sum of each state.
        return 2 * size.states * WIDTH + 2 * size.states + 1
    # x W_in and x V; W_in^T W_in, V^T V, b V; x b of each user, b b.
    return 2 * size.users * WIDTH + 2 * WIDTH**2 + WIDTH + size.users + 1


def over_users(variant: str, items: int, parameters: int) -> int:
    """Return the numbers that are summed over the processes of a user split: dense gradients.

    `items` and `parameters` are those of a process. Masking's E is sent by rows.
    """
    return parameters - (items * WIDTH if variant == "t+masking" else 0)


def sent(numbers: int, processes: int) -> float:
    """Return the bytes that all processes of one sum send: each 2 (n - 1) / n of it."""
    return 4.0 * numbers * 2 * (processes - 1)


def sent_rows(rows: int, processes: int) -> float:
    """Return the bytes that all processes send of rows and their places: each to all others."""
    return processes * (processes - 1) * rows * (4.0 * WIDTH + 8)


def work(
    rank: int, grid: tuple[int, int], variant: str, n_items: int, port: int, told: Any
) -> None:
    """Run the updates as one process of a grid; the first one tells what it measured."""
    torch.set_num_threads(1)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "scale",
        "RANK": str(rank),
        "WORLD_SIZE": str(grid[0] * grid[1]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    config, train = config_of(variant), history(n_items)
    with connected("cpu"):
        processes = arranged("cpu", grid[1])
        model = build_model(config, n_items, None, train, processes.items(n_items))
        backend = processes.backend("cpu", n_items, BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        rows, batch = input_rows(train, config.temporal), np.arange(BATCH)
        own = processes.part(batch)
        bytes_before, began = 0, 0.0
        for update in range(UPDATES + 1):
            if update == 1:  # the first one also connects
                processes.wait()
                bytes_before, began = loopback(), time.perf_counter()
            share = len(own) / BATCH
            (share * model.loss(rows.take(own), backend, Draws(1, 1, update))).backward()
            processes.add_gradients(model)
            optimizer.step()
            if update < UPDATES:
                optimizer.zero_grad(set_to_none=True)
        seconds = (time.perf_counter() - began) / UPDATES
        measured = (loopback() - bytes_before) / UPDATES
        parameters = list(model.parameters())
        tensors = [*parameters, *(p.grad for p in parameters)]
        tensors += [value for of in optimizer.state.values() for value in of.values()]
        held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        states = model.samples(np.diff(rows.indptr)[own])
        size = Size(n_items, len(own), states)
        by_items = grid[0] * sent(over_items(variant, size), grid[1])
        count = sum(p.numel() for p in parameters)
        by_users = grid[1] * sent(over_users(variant, n_items // grid[1], count), grid[0])
        if variant == "t+masking":
            read = len(np.unique(backend.own(rows.take(own)).items))
            by_users += grid[1] * sent_rows(read, grid[0])
        if rank == 0:
            told.put((held, measured, by_items + by_users, seconds))


def loopback() -> int:
    """Return the bytes that were sent in this network."""
    with Path("/proc/net/dev").open() as table:
        line = next(line for line in table if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


def run(variant: str, grid: tuple[int, int], n_items: int) -> tuple[float, float, float, float]:
    """Return bytes held, bytes sent and those of the model, and seconds of an update."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    context = get_context("spawn")
    told = context.Queue()
    jobs = [
        context.Process(target=work, args=(rank, grid, variant, n_items, port, told))
        for rank in range(grid[0] * grid[1])
    ]
    for job in jobs:
        job.start()
    found = told.get()
    for job in jobs:
        job.join()
    return found


def main() -> None:
    """Print a line for each model and grid."""
    if len(sys.argv) == 1:  # the same in a network of its own
        here = f"ip link set lo up; exec {sys.executable} {__file__} inside"
        raise SystemExit(subprocess.run(["unshare", "--net", "sh", "-c", here]).returncode)
    print(f"{'model':<11}{'items':>10}  {'users x items':<14}{'held':>9}{'sent':>12}{'model':>12}")
    for variant in SETTINGS:
        for grid in GRIDS:
            n_items = 1_000_000 if grid[0] == 1 else 100_000
            held, measured, wanted, seconds = run(variant, grid, n_items)
            print(
                f"{variant:<11}{n_items:>10,}  {f'{grid[0]} x {grid[1]}':<14}"
                f"{held / 1e6:>6,.0f} MB{measured / 1e6:>9,.2f} MB{wanted / 1e6:>9,.2f} MB"
                f"  {seconds:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
