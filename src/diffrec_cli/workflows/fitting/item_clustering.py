"""Item groups for the latent variants, by clustering embeddings (section 3.5)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from diffrec_cli.catalogue.comparators import LightGCNConfig
from diffrec_cli.config import FitConfig, TrainingConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.data.reading.item_embeddings import read_embeddings
from diffrec_cli.data.sequences import input_rows
from diffrec_cli.models.comparators.lightgcn import LightGCN
from diffrec_cli.models.item_clusters import kmeans_groups, svd_embeddings
from diffrec_cli.training.loop import train
from diffrec_cli.workflows.progress import Listener, Note, Step

#: Not tuned: only k-means reads the result; groups are as good as SVD's on MovieLens-1M.
LIGHTGCN = TrainingConfig(lr=5e-3, batch_size=1000, epochs=60)


def item_groups(
    dataset: Dataset, config: FitConfig, device: str, listener: Listener
) -> NDArray[np.int64] | None:
    """Return the group of each item, (|I|,), or None for a variant without groups."""
    latent, seed = config.latent, config.training.seed
    if latent is None:
        return None
    if latent.C == 1:
        return np.zeros(dataset.n_items, np.int64)
    source = latent.item_embeddings
    listener(Note(f"clustering {dataset.n_items:,} items into {latent.C} groups ({source})"))
    if source == "svd":
        embeddings = svd_embeddings(dataset.train, dataset.n_items, seed)
    elif source == "lightgcn":
        embeddings = lightgcn_embeddings(dataset, seed, device, listener)
    else:
        embeddings = read_embeddings(Path(source), dataset.n_items)
    return kmeans_groups(embeddings, latent.C, seed)


def lightgcn_embeddings(
    dataset: Dataset, seed: int, device: str, listener: Listener
) -> NDArray[np.float32]:
    """Train LightGCN on the train part and return its item embeddings, (|I|, 64)."""
    device = "cpu" if device == "mps" else device  # MPS has no sparse products
    generator = torch.Generator().manual_seed(seed)
    model = LightGCN(LightGCNConfig(), dataset.train, dataset.n_items, generator)
    trained = train(
        model,
        input_rows(dataset.train, None),
        replace(LIGHTGCN, seed=seed),
        device=device,
        on_epoch=lambda e: listener(
            Step("LightGCN embeddings", e.epoch, LIGHTGCN.epochs, "epochs")
        ),
    )
    if trained.interruption is not None:
        raise trained.interruption
    embeddings: NDArray[np.float32] = model.item_embeddings().cpu().numpy()
    return embeddings
