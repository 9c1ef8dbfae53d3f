"""The denoiser for smoothing on the item graph, in training.

It reads the history after dropout, c, and the smoothed x_t, and predicts

    h = w_z E^T x_t / kappa + w_c E^T c / |c|_1
    x_0 = E h + w_smooth A c + b

with weights w for each step t, item embeddings E and an optional bias b. The source has small
networks in place of the weights, and adds c beside A c, which can lead to copying the history.
Here no term copies it, and the loss can give less weight to the interactions in c.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from diffrec_cli.catalogue.corruptions import SmoothingConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows, Sequences
from diffrec_cli.diffusion.corruption import Corruption
from diffrec_cli.diffusion.randomness import Draws, sparse_dropout
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.denoiser import xavier
from diffrec_cli.models.graph_denoiser_inference import lengths
from diffrec_cli.models.item_spectrum import item_spectrum
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
    n_items
        |I|.
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
        n_items: int,
        generator: torch.Generator,
        *,
        compact: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.n_items, self.compact = config, n_items, compact
        self.E = xavier(n_items, config.dim, n_items + config.dim, generator)
        self.mix = nn.Parameter(torch.tensor(INITIAL).repeat(config.T + 1, 1))  # (T + 1, 3)
        b = torch.zeros(n_items)
        if config.bias:
            self.b = nn.Parameter(b)
        else:
            self.register_buffer("b", b)
        mean_length = train.size / max(1, len(train))
        self.register_buffer("kappa", torch.tensor([max(1.0, mean_length)]))
        reads = torch.tensor([config.reads_z, True, config.adds_smooth])
        self.register_buffer("reads", reads.float(), persistent=False)
        self._train = train
        self._basis: tuple[Tensor, Tensor] | None = None

    @property
    def basis(self) -> tuple[Tensor, Tensor]:
        """Q (|I|, r) and the eigenvalues (r,) on the model's device; made at first use."""
        if self._basis is None:
            spectrum = item_spectrum(self._train, self.n_items, self.config.rank)
            device = self.E.device
            self._basis = (
                torch.from_numpy(spectrum.Q).to(device),
                torch.from_numpy(spectrum.values).to(device),
            )
        return self._basis

    @classmethod
    def of(
        cls, config: FitConfig, train: Sequences | None, n_items: int, generator: torch.Generator
    ) -> GraphDenoiser:
        """Return the denoiser of these settings."""
        if train is None:
            raise ValueError("smoothing needs the interactions")
        own = config.settings(SmoothingConfig)
        d, r = own.dim, min(own.rank, n_items, len(train))
        compact = is_compact(
            own.loss_form,
            users=min(len(train), config.training.batch_size),
            of_user=3 * d + 2 * r,
            of_batch=2 * d * (d + r),
        )
        return cls(own, train, n_items, generator, compact=compact)

    def losses(
        self, corruption: Corruption, rows: Rows, t: Tensor, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Return the squared error of each predicted history, (B,), averaged over items.

        Errors at interactions in c weigh less. As the corruption is linear and the prediction reads
        only E^T x_t, E^T x is corrupted instead of x.
        """
        Q, values = self.basis
        w = (self.mix * self.reads)[t]  # (B, 3)
        c = sparse_dropout(rows, self.config.dropout, draws)
        read = rows.above(c)
        xE, cE = backend.sparse_product(read, self.E).split(len(rows))  # E^T x and E^T c, (B, d)
        xQ, cQ = backend.sparse_product(read, Q).split(len(rows))  # (B, r)
        products = own_products(self.E, self.b, Q) if self.compact else None
        QE = Q.T @ self.E if products is None else products[0][self.config.dim :]  # (r, d)
        z = corruption.corrupt(xE, t, (xQ * values) @ QE)  # E^T x_t
        history = cE / backend.asarray(lengths(c))
        h = w[:, [W_Z]] * z / self.kappa + w[:, [W_C]] * history  # (B, d)
        seen = w[:, [W_SMOOTH]] * cQ * values  # (B, r)
        hidden = torch.cat([h, seen], 1)
        kept = replace(c, values=c.values * (1.0 - self.config.dropout))  # values of the history
        confidence = self.config.confidence
        less = confidence * (1.0 - self.config.kept_weight)
        if products is None:
            scores = hidden @ torch.cat([self.E, Q], 1).T + self.b  # (B, |I|)
            errors = squares(scores, rows, backend)
        else:
            VE, bV = products
            xV = torch.cat([xE, xQ], 1)
            VQ = torch.cat([QE.T, torch.eye(len(QE)).to(Q)])  # Q's columns are orthonormal
            VV = torch.cat([VE, VQ], 1)  # (d + r, d + r)
            errors = squared_errors(rows, xV, hidden, VV, bV, self.b, backend)
        for weight, some in ((confidence - 1.0, rows), (-less, kept)):
            if weight == 0:
                continue
            if products is None:
                at = entries(scores, some, backend)
            else:
                at = self._scores_at(h, seen, some, backend)
            errors = errors + weight * squares_at(at, some, backend)
        return errors / self.n_items

    def _scores_at(self, h: Tensor, seen: Tensor, rows: Rows, backend: TorchBackend) -> Tensor:
        """Return the scores at the entries of the rows, (nnz,)."""
        learned = scores_at(h, self.E, rows, backend) + self.b[backend.asarray(rows.items)]
        return learned + scores_at(seen, self.basis[0], rows, backend)

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch and the graph take beside the weights."""
        d, r = self.config.dim, min(self.config.rank, self.n_items, len(self._train))
        # Q and its singular vectors' other side, and E beside Q.
        graph = 4 * (self.n_items * (2 * r + d) + len(self._train) * r)
        if self.compact:
            return graph + compact_bytes(users, self.n_items, d)
        return graph + 4 * SCORE_ARRAYS * users * self.n_items

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
