"""LightGCN (He et al., SIGIR 2020) while it learns; also a source of L-DiffRec's embeddings."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from diffrec_cli.config.comparators import LightGCNConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.bpr import bpr, draw_pairs
from diffrec_cli.models.randomness import dropout
from diffrec_cli.models.trainable import Draws, Trainable


class LightGCN(Trainable):
    """Embeddings smoothed over the user-item graph, trained with the BPR loss.

    Parameters
    ----------
    config
        Its settings.
    train
        The training interactions, which are the graph.
    n_items
        |I|.
    generator
        Source of the initial embeddings, on the CPU.
    """

    def __init__(
        self, config: LightGCNConfig, train: Sequences, n_items: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config, self.n_users, self.n_items = config, len(train), n_items
        nodes = self.n_users + n_items
        self.embedding = nn.Parameter(0.1 * torch.randn(nodes, config.dim, generator=generator))
        self._train = train
        self._graph: Tensor | None = None

    @property
    def graph(self) -> Tensor:
        """D^-1/2 A D^-1/2, a sparse (|U| + |I|, |U| + |I|) tensor; made at first use."""
        if self._graph is None:
            self._graph = _normalized_graph(self._train, self.n_items).to(self.embedding.device)
        return self._graph

    def propagated(self, dropped: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean over layers of the graph to the power of the layer, times E."""
        graph = self.graph if generator is None else _thinned(self.graph, dropped, generator)
        layer, total = self.embedding, self.embedding
        for _ in range(self.config.layers):
            layer = torch.sparse.mm(graph, layer)
            total = total + layer
        return total / (self.config.layers + 1)

    def item_embeddings(self) -> Tensor:
        """Return the final item embeddings, (|I|, dim)."""
        return self.propagated()[self.n_users :].detach()

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return BPR over one random item for every interaction of the rows."""
        user, positive, negative = draw_pairs(rows, self.n_items, backend, draws)
        nodes = user, positive + self.n_users, negative + self.n_users
        with torch.autocast(backend.device.type, enabled=False):  # sparse products need float32
            final = self.propagated(self.config.dropout, draws.device)
            raw = [embedding(node, self.embedding) for node in nodes]
            penalty = sum(vector.square().sum() for vector in raw) / len(user)
            smooth = [embedding(node, final) for node in nodes]
            return bpr(*smooth) + self.config.decay / 2 * penalty

    @torch.no_grad()
    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the smoothed vectors as :class:`FactorScorer` reads them."""
        final = self.propagated()
        return {"user_factors": final[: self.n_users], "item_factors": final[self.n_users :]}


def _thinned(graph: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Leave out a share `rate` of the edges and rescale the rest."""
    if rate == 0:
        return graph
    values = dropout(graph.values(), rate, generator)
    place = graph.crow_indices(), graph.col_indices()
    return torch.sparse_csr_tensor(*place, values, graph.shape, check_invariants=False)


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
