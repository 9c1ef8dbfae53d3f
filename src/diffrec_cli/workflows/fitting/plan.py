"""What a fit will compute, decided before it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from diffrec_cli import __version__
from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.models.baselines import fitting_memory, sized
from diffrec_cli.models.build import build_model, parameter_count
from diffrec_cli.models.graph_selection import graph_memory
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import Trainable
from diffrec_cli.ranking.batches import BATCH_BYTES, BLOCK_BATCH
from diffrec_cli.registry.forgotten import Watch
from diffrec_cli.training.devices import device_name
from diffrec_cli.training.distributed import ALONE, Processes
from diffrec_cli.workflows.fitting.warm_start import WarmStart

_PROCESS_BYTES = 480 * 2**20  # Python, torch and what else a fit imports
_INTERACTION_BYTES = 40
_RUN_SCHEMA = 5  # of what a checkpoint holds: others are not resumed


@dataclass(frozen=True)
class Job:
    """The input of a fit.

    Parameters
    ----------
    name
        Name of the model.
    dataset, config
        Training data and settings.
    preset
        Name of the preset, for the record.
    device, precision
        As :mod:`diffrec_cli.training.devices` chose them.
    trained_on
        On what to train again after selection: ``train`` is not to.
    default
        Whether the model becomes the default.
    processes
        Which process this is of several.
    warm
        The model that training goes on from, if any.
    watch
        Tells whether the data lose users meanwhile; ``None``: nothing will be published.
    """

    name: str
    dataset: Dataset
    config: FitConfig
    preset: str
    device: str
    precision: str
    trained_on: str
    default: bool
    processes: Processes = ALONE
    warm: WarmStart | None = None
    watch: Watch | None = None

    def require_whole(self) -> None:
        """Raise a :class:`LockedError` if the data lost users since they were read."""
        if self.watch is not None:
            self.watch.require_whole(self.dataset.content_hash)

    @property
    def training(self) -> FitConfig:
        """The settings to train with: of a warm start not those to store."""
        return self.config if self.warm is None else self.warm.settings(self.config)

    @property
    def fingerprint(self) -> str:
        """Equal for fits that compute the same."""
        key = [
            __version__,
            _RUN_SCHEMA,
            self.name,
            self.dataset.content_hash,
            self.config.to_dict(),
            self.precision,
            self.trained_on,
            *([] if self.warm is None else self.warm.key),
        ]
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def plan(job: Job) -> dict[str, Any]:
    """Return the decisions, the number of parameters, and an estimate of memory in bytes."""
    dataset, config = job.dataset, job.config
    model = _model(config, dataset) if config.trains else None
    parameters = 0 if model is None else parameter_count(model)
    if model is not None and job.processes.ranks > 1:
        model = _model(config, dataset, job.processes.items(dataset.n_items))
    users, items = job.processes.over_users[1], job.processes.over_items[1]
    return {
        "name": job.name,
        "variant": config.variant,
        "dataset": dataset.name,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "train": dataset.train.size,
        "preset": job.preset,
        "device": device_name(job.device),
        "precision": job.precision,
        "seed": config.seed,
        "parameters": parameters,
        "loss_form": _loss_form(config, model),
        "processes": [users, items],
        "memory_bytes": _memory(config, dataset, model, users * items),
        "config": config.to_dict(),
    }


def plan_line(plan: Mapping[str, Any]) -> str:
    """Return a plan in one line."""
    parts = [
        f"{plan['name']}: variant {plan['variant']}",
        f"preset {plan['preset']}",
        plan["device"],
        plan["precision"],
        f"{plan['users']:,} users x {plan['items']:,} items",
        f"about {plan['memory_bytes'] / 2**30:.1f} GiB",
    ]
    if plan["parameters"]:  # a closed form has no seed and no trained parameters
        parts.insert(2, f"seed {plan['seed']}")
        parts.insert(-1, f"{plan['parameters'] / 1e6:.1f}M parameters")
    if plan["loss_form"]:
        parts.insert(-1, f"loss_form {plan['loss_form']}")
    if plan["processes"] != [1, 1]:
        users, items = plan["processes"]
        parts[-1] += " each"
        parts.insert(-1, f"processes {users} over users x {items} over items")
    return ", ".join(parts)


def memory_needed(config: FitConfig, dataset: Dataset, item_ranks: int, ranks: int) -> int:
    """Return about how much memory each of `ranks` takes if so many have a part of the items."""
    items = ItemRange.part(dataset.n_items, 0, item_ranks)
    return _memory(config, dataset, _model(config, dataset, items), ranks)


def _model(config: FitConfig, dataset: Dataset, items: ItemRange | None = None) -> Trainable | None:
    """Return a model of shapes alone; latent variants as if all groups had the same size."""
    n_items = dataset.n_items
    if config.latent is not None and n_items < config.latent.C:
        return None  # clustering will refuse this
    even = None if config.latent is None else np.arange(n_items) % config.latent.C
    with torch.device("meta"):  # nothing is allocated or drawn
        return build_model(config, n_items, even, dataset.train, items)


def _loss_form(config: FitConfig, model: Trainable | None) -> str | None:
    """Return how the losses will be computed; None for models that have no such setting."""
    if model is None or "loss_form" not in config.keys():  # noqa: SIM118  # it is a method
        return None
    return "compact" if model.compact else "scores"


def _memory(config: FitConfig, dataset: Dataset, model: Trainable | None, ranks: int) -> int:
    """Estimate the peak: this process, the log, a validation, and training or item graphs."""
    n_items = dataset.n_items
    of_log = _INTERACTION_BYTES * sum(part.size for part in dataset.parts.values())
    of_ranking = min(BATCH_BYTES, 4 * n_items * min(dataset.n_users, BLOCK_BATCH))
    others = _PROCESS_BYTES + of_log + of_ranking
    lengths = dataset.train.lengths
    of_graph = 0 if config.graph is None else graph_memory(config.graph, n_items, lengths, ranks)
    if model is None:
        of_fit = fitting_memory(sized(config, n_items), n_items, lengths)
        return max(of_fit, of_graph) + others
    users = min(dataset.n_users, config.training.batch_size)
    copies = 5 if config.training.ema_decay > 0 else 4  # weights, gradients, moments, average
    of_fit = copies * 4 * parameter_count(model) + model.batch_bytes(users)
    return max(of_fit, of_graph) + others
