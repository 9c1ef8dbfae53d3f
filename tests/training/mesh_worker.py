"""What each process of `test_distributed.py` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Sequences, input_rows
from diffrec_cli.diffusion.randomness import Draws
from diffrec_cli.models.build import build_model
from diffrec_cli.models.initial_weights import parts_of
from diffrec_cli.models.scorer import build_scorer
from diffrec_cli.training.distributed import ALONE, Processes, arranged, connected
from diffrec_cli.training.tensor_files import save_tensors

UPDATES, K = 3, 5
NAME, WHOLE = "stored", torch.arange(22.0).view(11, 2)


@dataclass
class Case:
    """A model, and what it is trained on."""

    config: FitConfig
    train: Sequences
    n_items: int


def computed(case: Case, processes: Processes) -> dict[str, Any]:
    """Return losses, gradients and lists, as far as this process has them."""
    latent = case.config.latent
    of_item = None if latent is None else np.arange(case.n_items) % latent.C
    model = build_model(
        case.config, case.n_items, of_item, case.train, processes.items(case.n_items)
    )
    rows, batch = input_rows(case.train, case.config.temporal), np.arange(len(case.train))
    backend = processes.backend("cpu", case.n_items, len(batch))
    own, lengths = processes.part(batch), case.train.lengths
    share = model.samples(lengths[own]) / model.samples(lengths[batch])
    losses = []
    for update in range(UPDATES):
        model.zero_grad()
        loss = share * model.loss(rows.take(own), backend, Draws(1, 1, update))
        loss.backward()
        processes.add_gradients(model)
        losses.append(float(processes.sum_over_users(loss.detach().clone())))
    with torch.inference_mode():
        scorer = build_scorer(case.config, model.eval().scoring_weights(), backend)
        ranked = processes.ranked(
            scorer, case.train, K, users=batch, seen=case.train, temporal=case.config.temporal
        )
        lists = np.concatenate([batch.items for batch in ranked])
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {
        "losses": losses,
        "gradients": gradients,
        "parts": parts_of(model),
        "lists": lists,
    }


def work(rank: int, ranks: int, port: int, cases: dict[str, Case], folder: Path) -> None:
    """Compute all cases in each grid of two processes, and store what came of it."""
    torch.set_num_threads(1)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    with connected("cpu"):
        for item_ranks in (1, ranks):
            processes = arranged("cpu", item_ranks)
            found = {name: computed(case, processes) for name, case in cases.items()}
            torch.save(found, folder / f"{item_ranks}-{rank}.pt")
        store(processes, folder)


def store(processes: Processes, folder: Path) -> None:
    """Write a tensor of which each process has rows, where other processes left a file."""
    stale = folder / f"{NAME}-00000007" / "shard-00009-model-00001-of-00001.safetensors"
    if processes.first:
        stale.parent.mkdir()
        stale.write_bytes(b"of other processes")
    processes.wait()
    part = processes.items(len(WHOLE))
    tensors = {"V": WHOLE[part.columns], "step": torch.tensor(3.0)}
    save_tensors(folder, NAME, tensors, {"V": part}, {"epoch": 7}, processes)


def alone(cases: dict[str, Case]) -> dict[str, dict[str, Any]]:
    """Return what one process computes."""
    return {name: computed(case, ALONE) for name, case in cases.items()}
