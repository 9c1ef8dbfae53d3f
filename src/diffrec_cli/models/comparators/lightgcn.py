"""LightGCN (He et al., SIGIR 2020) in training; also a source of L-DiffRec's embeddings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor, nn
from torch.nn.functional import embedding

from diffrec_cli.catalogue.comparators import LightGCNConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.randomness import Draws, Numbers, dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.comparators.bpr import bpr, draw_pairs
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.trainable import Trainable


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
        self._graph: Graph | None = None

    @property
    def graph(self) -> Graph:
        """The training interactions as a graph on the model's device; made at first use."""
        if self._graph is None:
            self._graph = Graph.of(self._train, self.n_items, self.embedding.device)
        return self._graph

    def propagated(self, adjacency: Tensor) -> Tensor:
        """Return the mean over layers l of ``adjacency^l E``."""
        layer: Tensor = self.embedding
        total = layer
        for _ in range(self.config.layers):
            layer = _product(adjacency, layer)
            total = total + layer
        return total / (self.config.layers + 1)

    def item_embeddings(self) -> Tensor:
        """Return the final item embeddings, (|I|, dim)."""
        return self.propagated(self.graph.whole)[self.n_users :].detach()

    @classmethod
    def of(
        cls, config: FitConfig, train: Any, items: ItemRange, generator: torch.Generator
    ) -> LightGCN:
        """Return the model of these settings."""
        return cls(config.settings(LightGCNConfig), train, items.n_items, generator)

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the BPR loss with one random item for each interaction, and the L2 penalty."""
        user, positive, negative = draw_pairs(rows, self.n_items, backend, draws)
        nodes = user, positive + self.n_users, negative + self.n_users
        with torch.autocast(backend.device.type, enabled=False):  # sparse products need float32
            edges = draws.at("edges", np.zeros(1, np.int64), self._train.size)
            final = self.propagated(self.graph.thinned(self.config.dropout, edges))
            raw = [embedding(node, self.embedding) for node in nodes]
            penalty = sum(vector.square().sum() for vector in raw) / len(user)
            smooth = [embedding(node, final) for node in nodes]
            return bpr(*smooth) + self.config.decay / 2 * penalty

    @torch.no_grad()
    def scoring_weights(self) -> dict[str, Tensor]:
        """Return the smoothed vectors of items, which :class:`FactorScorer` reads."""
        return {"item_factors": self.item_embeddings()}


@dataclass(frozen=True)
class Graph:
    """Users and items as nodes, interactions as edges of weight ``(d_u d_i)^-1/2``.

    Parameters
    ----------
    pointers, neighbours
        Of the adjacency matrix in CSR form: (nodes + 1,) and (2 nnz,).
    edge
        The interaction of each entry of the matrix, (2 nnz,).
    weights
        Weight of each interaction, (nnz,).
    """

    pointers: Tensor
    neighbours: Tensor
    edge: Tensor
    weights: Tensor

    @classmethod
    def of(cls, train: Sequences, n_items: int, device: torch.device) -> Graph:
        """Return the graph of the interactions on a device."""
        users, items = train.row_index, train.items.astype(np.int64)
        degrees = np.bincount(users, minlength=len(train)), np.bincount(items, minlength=n_items)
        weights = (degrees[0][users] * degrees[1][items]) ** -0.5
        nodes = len(train) + n_items
        here, there = users, items + len(train)
        ends = np.concatenate([here, there]), np.concatenate([there, here])
        edges = np.tile(np.arange(len(users)), 2)
        matrix = coo_array((edges, ends), (nodes, nodes)).tocsr()
        index = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
        arrays = *index, matrix.data, weights.astype(np.float32)
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    @cached_property
    def whole(self) -> Tensor:
        """D^-1/2 A D^-1/2, symmetric, (nodes, nodes), sparse."""
        return self._matrix(self.weights)

    def thinned(self, rate: float, numbers: Numbers) -> Tensor:
        """Return the matrix with a share of the edges dropped and the others rescaled."""
        return self._matrix(dropout(self.weights, rate, numbers)) if rate > 0 else self.whole

    def _matrix(self, weights: Tensor) -> Tensor:
        nodes = len(self.pointers) - 1
        values = weights[self.edge]
        with warnings.catch_warnings():  # CSR is "beta" in torch, and several times faster
            warnings.simplefilter("ignore")
            return torch.sparse_csr_tensor(
                self.pointers, self.neighbours, values, (nodes, nodes), check_invariants=False
            )


class _Propagation(torch.autograd.Function):
    """The product with a symmetric sparse matrix.

    Torch would transpose it for each gradient, which takes ten times as long as the product.
    """

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, layer: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return adjacency @ layer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.adjacency @ gradients[0]


def _product(adjacency: Tensor, layer: Tensor) -> Tensor:
    product: Tensor = _Propagation.apply(adjacency, layer)  # type: ignore[no-untyped-call]
    return product
