"""LightGCN (He et al., SIGIR 2020): here the source of item embeddings for L-DiffRec."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.trainable import Draws, Trainable


class LightGCN(Trainable):
    """Embeddings smoothed over the user-item graph, trained with the BPR loss.

    Parameters
    ----------
    train
        The training interactions, which are the graph.
    n_items
        |I|.
    generator
        Source of the initial embeddings, on the CPU.
    dim, layers
        Size of an embedding and number of propagations (64 and 3 in the paper's baselines).
    decay
        Weight of the L2 penalty on the embeddings of a batch.
    """

    graph: Tensor

    def __init__(
        self,
        train: Sequences,
        n_items: int,
        generator: torch.Generator,
        *,
        dim: int = 64,
        layers: int = 3,
        decay: float = 1e-4,
    ) -> None:
        super().__init__()
        self.n_users, self.n_items = len(train), n_items
        self.layers, self.decay = layers, decay
        nodes = self.n_users + n_items
        self.embedding = nn.Parameter(0.1 * torch.randn(nodes, dim, generator=generator))
        self.register_buffer("graph", _normalized_graph(train, n_items), persistent=False)

    def propagated(self) -> Tensor:
        """Return the mean over layers of D^-1/2 A D^-1/2 to the power of the layer, times E."""
        layer, total = self.embedding, self.embedding
        for _ in range(self.layers):
            layer = torch.sparse.mm(self.graph, layer)
            total = total + layer
        return total / (self.layers + 1)

    def item_embeddings(self) -> Tensor:
        """Return the final item embeddings, (|I|, dim)."""
        return self.propagated()[self.n_users :].detach()

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return BPR over one positive and one random item for every interaction of the rows."""
        users = backend.asarray(rows.users[rows.rows])
        positive = backend.asarray(rows.items.astype(np.int64)) + self.n_users
        negative = torch.randint(
            self.n_users,
            self.n_users + self.n_items,
            positive.shape,
            generator=draws.device,
            device=positive.device,
        )
        with torch.autocast(backend.device.type, enabled=False):  # sparse products need float32
            final = self.propagated()
            margin = (final[users] * (final[positive] - final[negative])).sum(dim=1)
            raw = self.embedding
            penalty = sum(raw[i].square().sum() for i in (users, positive, negative))
        return nn.functional.softplus(-margin).mean() + self.decay / 2 * penalty / len(users)


def _normalized_graph(train: Sequences, n_items: int) -> Tensor:
    """Return D^-1/2 A D^-1/2 of the bipartite graph as a sparse (nodes, nodes) tensor."""
    users = torch.from_numpy(train.rows)
    items = torch.from_numpy(train.items.astype(np.int64)) + len(train)
    index = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    nodes = len(train) + n_items
    degree = torch.bincount(index[0], minlength=nodes).clamp(min=1).float()
    values = (degree[index[0]] * degree[index[1]]).rsqrt()
    with warnings.catch_warnings():  # CSR is "beta" in torch, and several times faster
        warnings.simplefilter("ignore")
        coo = torch.sparse_coo_tensor(index, values, (nodes, nodes), check_invariants=False)
        return coo.coalesce().to_sparse_csr()
