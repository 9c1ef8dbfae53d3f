"""The denoiser for smoothing on the item graph, in training.

It reads the history after dropout, c, and the smoothed x_t, and predicts

    h = w_z E^T x_t / kappa + w_c E^T c / |c|_1
    x_0 = E h + w_smooth A c + b

with weights w for each step t, item embeddings E and an optional bias b. The source has small
networks in place of the weights, and adds c beside A c, which can lead to copying the history.
Here no term copies it, and the loss can give less weight to the interactions in c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any

import torch
from torch import Tensor, nn

from diffrec_cli.catalogue.corruptions import SmoothingConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.randomness import Draws, sparse_dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.graph_denoiser_inference import lengths
from diffrec_cli.models.initial_weights import xavier, zeros
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.item_spectrum import item_spectrum, spectrum_rank
from diffrec_cli.models.likelihood import entries, squares, squares_at
from diffrec_cli.models.linear_output import (
    compact_bytes,
    is_compact,
    own_products,
    scores_at,
    squared_errors,
)
from diffrec_cli.models.trainable import SCORE_ARRAYS

#: Columns of the weights of a step.
W_Z, W_C, W_SMOOTH = range(3)
#: Their initial values. A w_z of 3 instead of 1 took valid Recall@20 from .0827 to .0845 on noisy
#: MovieLens-1M, and from .1277 to .1294 with weights by order (seed 1).
INITIAL = (3.0, 1.0, 1.0)


class GraphDenoiser(nn.Module):
    """Item embeddings, weights of each step, and the item graph.

    Parameters
    ----------
    config
        Its settings.
    train
        The interactions that make the graph.
    items
        The items of its arrays.
    generator
        Source of the initial weights, on the CPU.
    compact
        Whether to compute losses without the scores of all items.
    """

    b: Tensor
    kappa: Tensor
    reads: Tensor

    def __init__(
        self,
        config: SmoothingConfig,
        train: Sequences,
        items: ItemRange,
        generator: torch.Generator,
        *,
        compact: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.items, self.compact = config, items, compact
        self.E = xavier(items, config.dim, items.n_items + config.dim, generator)
        self.mix = nn.Parameter(torch.tensor(INITIAL).repeat(config.T + 1, 1))  # (T + 1, 3)
        if config.bias:
            self.b = zeros(items)
        else:
            self.register_buffer("b", torch.zeros(len(items)), persistent=False)
        mean_length = train.size / max(1, len(train))
        self.register_buffer("kappa", torch.tensor([max(1.0, mean_length)]))
        reads = torch.tensor([config.reads_z, True, config.adds_smooth])
        self.register_buffer("reads", reads.float(), persistent=False)
        self._graph = _Graph(train, items, config.rank)

    @property
    def basis(self) -> tuple[Tensor, Tensor]:
        """Q (|I|, r) and the eigenvalues (r,) on the model's device; made at first use."""
        return self._graph.basis(TorchBackend(str(self.E.device)))

    @classmethod
    def of(
        cls,
        config: FitConfig,
        train: Sequences | None,
        items: ItemRange,
        generator: torch.Generator,
    ) -> GraphDenoiser:
        """Return the denoiser of these settings."""
        if train is None:
            raise ValueError("smoothing needs the interactions")
        own = config.settings(SmoothingConfig)
        d, r = own.dim, spectrum_rank(train, items.n_items, own.rank)
        compact = is_compact(
            own.loss_form,
            users=min(len(train), config.training.batch_size),
            of_user=3 * d + 2 * r,
            of_batch=2 * d * (d + r),
        )
        return cls(own, train, items, generator, compact=compact)

    def losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Return the squared error of each predicted history, (B,), averaged over items.

        Errors at interactions in c weigh less. As the corruption is linear and the prediction reads
        only E^T x_t, E^T x is corrupted instead of x.
        """
        Q, values = self._graph.basis(backend)
        w = (self.mix * self.reads)[t, :, None]  # (B, 3, 1)
        c = sparse_dropout(rows, self.config.dropout, draws)
        own, read = backend.own(rows), backend.own(rows.above(c))
        of_E = backend.summed(backend.sparse_product(read, self.E))
        xE, cE = of_E.split(len(rows))  # E^T x and E^T c, (B, d)
        xQ, cQ = backend.summed(backend.sparse_product(read, Q)).split(len(rows))  # (B, r)
        VE, bV = map(backend.summed, self._products(Q))
        QE = VE[-len(values) :]  # (r, d)
        z = corruption.corrupt(xE, t, (xQ * values) @ QE)  # E^T x_t
        history = cE / backend.asarray(lengths(c))
        h = w[:, W_Z] * z / self.kappa + w[:, W_C] * history  # (B, d)
        seen = w[:, W_SMOOTH] * cQ * values  # (B, r)
        hidden = torch.cat([h, seen], 1)
        kept = replace(c, values=c.values * (1.0 - self.config.dropout))  # values of the history
        confidence = self.config.confidence
        less = confidence * (1.0 - self.config.kept_weight)
        shared_h, shared_seen = backend.shared(h), backend.shared(seen)
        if not self.compact:
            scores = torch.cat([shared_h, shared_seen], 1) @ torch.cat([self.E, Q], 1).T + self.b
            errors = squares(scores, rows, backend)  # scores (B, |I|)
        else:
            xV = torch.cat([xE, xQ], 1)
            eye = torch.eye(len(QE), dtype=Q.dtype, device=Q.device)
            VQ = torch.cat([QE.T, eye])  # Q's columns are orthonormal
            VV = torch.cat([VE, VQ], 1)  # (d + r, d + r)
            errors = squared_errors(rows, own, xV, hidden, VV, bV, self.b, backend)
        for weight, some in ((confidence - 1.0, rows), (-less, kept)):
            if weight == 0:
                continue
            if not self.compact:
                at = entries(scores, backend.own(some), backend)
            else:
                at = self._scores_at(shared_h, shared_seen, backend.own(some), backend)
            errors = errors + weight * squares_at(at, some, backend)
        return errors / self.items.n_items

    def _products(self, Q: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[E, Q]^T E``, or ``Q^T E`` alone if no more is read of it, and ``b [E, Q]``."""
        if self.compact:
            return own_products(self.E, self.b, Q)
        return Q.T @ self.E, self.b.new_zeros(0)

    def _scores_at(self, h: Tensor, seen: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
        """Return the scores at the entries of the rows, (nnz,)."""
        learned = scores_at(h, self.E, rows, backend) + self.b[backend.asarray(rows.items)]
        return learned + scores_at(seen, self.basis[0], rows, backend)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch and the graph take beside the weights."""
        d, r, n_users = self.config.dim, self._graph.rank, self._graph.n_users
        # Q and its singular vectors' other side, and E beside Q.
        graph = 4 * (self.items.n_items * r + len(self.items) * (r + d) + n_users * r)
        if self.compact:
            return graph + compact_bytes(users, len(self.items), d)
        return graph + 4 * SCORE_ARRAYS * users * len(self.items)

    @torch.no_grad()
    def scoring_weights(self) -> dict[str, Tensor]:
        """Return what :class:`~.graph_denoiser_inference.GraphDenoiserScorer` reads."""
        Q, values = self.basis
        E, b = self.E.detach(), self.b.detach()
        V = torch.cat([E, Q], 1)
        return {
            "V": V,
            "b": b,
            "values": values,
            "mix": self.mix.detach() * self.reads,
            "kappa": self.kappa,
            "EV": E.T @ V,
            "bV": b @ V,
        }

    def trained_weights(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters, by name, that are among the stored arrays."""
        E = stored["V"][:, : self.config.dim]
        return {"E": E, "mix": stored["mix"], "b": stored["b"]}


class _Graph:
    """The item graph of the training interactions; copies of a model share it.

    Parameters
    ----------
    train
        The interactions.
    items
        The items whose rows of Q are wanted.
    most
        The largest number of eigenvectors.
    """

    def __init__(self, train: Sequences, items: ItemRange, most: int) -> None:
        self._train, self._items = train, items
        self.n_users, self.rank = len(train), spectrum_rank(train, items.n_items, most)
        self._made: tuple[Tensor, Tensor] | None = None

    def __deepcopy__(self, memo: object) -> _Graph:
        """Return the graph itself: it is as large as the catalogue."""
        return self

    def basis(self, backend: TorchBackend) -> tuple[Tensor, Tensor]:
        """Return Q (|I|, r) and the eigenvalues (r,); one process makes them for all."""
        if self._made is None:
            n_items, r = self._items.n_items, self.rank
            Q, values = backend.made_once(
                lambda: astuple(item_spectrum(self._train, n_items, r)), ((n_items, r), (r,))
            )
            own = Q if self._items.is_whole else Q[self._items.columns].clone()
            self._made = own, values
        return self._made
