"""L-DiffRec and LT-DiffRec: diffusion in the latent space of the group VAEs (section 3.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffrec_cli.config import FitConfig, LatentConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.importance import StepSampler
from diffrec_cli.diffusion.randomness import Draws, sparse_dropout
from diffrec_cli.models import linear_output
from diffrec_cli.models.backend import TorchBackend
from diffrec_cli.models.denoiser import Denoiser
from diffrec_cli.models.diffrec_inference import corruption_of
from diffrec_cli.models.initial_weights import read_sparsely, xavier, zeros
from diffrec_cli.models.item_range import ItemRange
from diffrec_cli.models.likelihood import annealed, divergence, multinomial, sample, wide
from diffrec_cli.models.trainable import SCORE_ARRAYS, Trainable
from diffrec_cli.models.vae import PREFIX, Groups, GroupVAE

#: Names of the arrays that have a row for each item of a group.
_OF_GROUP = re.compile(r"vae\.(?:encoder\.(\d+)\.0\.W|decoder\.(\d+))")


class LatentDiffRec(Trainable):
    """L-DiffRec in training.

    Parameters
    ----------
    config
        Settings, with ``config.latent``.
    of_item
        (|I|,) group of each item of the catalogue, 0 to C - 1.
    items
        The items of its arrays.
    generator
        Source of the initial weights, on the CPU.
    sized_by
        Groups of an earlier model's items, if layers shall have its sizes.
    """

    updates: Tensor

    def __init__(
        self,
        config: FitConfig,
        of_item: NDArray[np.int64],
        items: ItemRange,
        generator: torch.Generator,
        sized_by: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__()
        if config.latent is None:
            raise ValueError("a latent model needs config.latent")
        self.config: LatentConfig = config.latent
        self.items, self.n_items = items, items.n_items
        self.of_item = of_item[items.columns]
        self.groups = Groups(of_item)
        self.compact = linear_output.is_in_blocks(
            config.denoiser.loss_form, config.training.batch_size * self.n_items
        )
        self.corruption = corruption_of(config)
        sized_like = self.groups if sized_by is None else Groups(sized_by)
        self.vae = _vae_parameters(self.config, self.groups, sized_like, items, generator)
        T = self.corruption.T
        self.denoiser = Denoiser(ItemRange.whole(self.config.z_dim), T, config.denoiser, generator)
        self.sampler = StepSampler(T, by_importance=self.corruption.by_importance)
        self.register_buffer("updates", torch.zeros(()))
        self.epoch = 1
        self._view: GroupVAE | None = None

    def loss(self, rows: Rows, backend: TorchBackend, draws: Draws) -> Tensor:
        """Return the negative of Eq. 15 and the latent diffusion loss, one weighted by lambda."""
        history, rows = rows, sparse_dropout(rows, self.config.encoder_dropout, draws)
        target = rows if self.config.target == "input" else history
        vae = self._on(backend)
        if self.config.warmup == "vae":
            return self._stage_loss(vae, rows, target, backend, draws)
        mean, log_variance = self._encode(vae, rows)
        code = draws.at("code", rows.users, self.config.z_dim)
        z_0 = sample(mean, log_variance, code)
        z_hat, diffusion = self._diffuse(z_0, rows.users, backend, draws)
        # The decoder reads the prediction at the sampled step, as in the released code.
        of_vae = self._vae_loss(vae, z_hat, mean, log_variance, target, backend)
        if self.config.lambda_on == "vae":
            return self._lambda() * of_vae + diffusion
        return of_vae + self._lambda() * diffusion

    def _stage_loss(
        self, vae: GroupVAE, rows: Rows, target: Rows, backend: TorchBackend, draws: Draws
    ) -> Tensor:
        """Return the loss of the VAEs in the warm-up, then that of the diffusion alone."""
        code = draws.at("code", rows.users, self.config.z_dim)
        if not self.selectable:
            mean, log_variance = self._encode(vae, rows)
            z_0 = sample(mean, log_variance, code)
            return self._vae_loss(vae, z_0, mean, log_variance, target, backend)
        with torch.no_grad():
            z_0 = sample(*self._encode(vae, rows), code)
        _, diffusion = self._diffuse(z_0, rows.users, backend, draws)
        return diffusion

    def _encode(self, vae: GroupVAE, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of z_0, in float32 for the KL term."""
        mean, log_variance = vae.encode(rows)
        if self.config.log_variance == "bounded":
            log_variance = torch.tanh(log_variance)
        return wide(mean), wide(log_variance)

    def _diffuse(
        self, z_0: Tensor, users: NDArray[np.int64], backend: TorchBackend, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Return the predicted z_0, (B, z), and the mean diffusion loss: Algorithm 1 on z_0."""
        z = self.config.z_dim
        t, scale = self.sampler.draw(draws.at("step", users, 1))
        y = self.corruption.mixed_in(z_0, draws.at("noise", users, z))
        z_t = self.corruption.corrupt(z_0, t, y)
        prediction = self.denoiser(z_t, t, draws.at("dropout", users, z), backend.alone)
        losses = self.corruption.losses(prediction, self.corruption.target(z_0, y), t)
        if self.corruption.by_importance:
            self.sampler.tell(backend.of_batch(t), backend.of_batch(losses))
        return self.corruption.predicted_x0(prediction, z_t, t), (losses * scale).mean()

    def _vae_loss(
        self,
        vae: GroupVAE,
        z: Tensor,
        mean: Tensor,
        log_variance: Tensor,
        rows: Rows,
        backend: TorchBackend,
    ) -> Tensor:
        """Return the negative of Eq. 15, averaged over users, with one softmax over all groups."""
        if self.compact:
            error = linear_output.multinomial(vae.output(), z, rows, backend)
        else:
            error = multinomial(vae.decode(backend.shared(z)), rows, backend, vae.column)
        gamma = annealed(self.updates, self.config.gamma, self.config.gamma_updates)
        self.updates += 1
        return error + gamma * divergence(mean, log_variance)

    def _lambda(self) -> float:
        """Return lambda, which falls with each epoch."""
        left = 1.0 - (self.epoch - 1) / self.config.lambda_epochs
        return max(self.config.lambda_ * left, self.config.lambda_min)

    def _on(self, backend: TorchBackend) -> GroupVAE:
        """Return the VAEs, as cached views of this model's parameters."""
        if self._view is None or self._view.backend is not backend:
            weights = {name: p for name, p in self.named_parameters() if name.startswith(PREFIX)}
            self._view = GroupVAE(backend, self.of_item, weights)
        return self._view

    def batch_bytes(self, users: int) -> int:
        """Return about how much memory a batch takes beside the weights and their gradients."""
        if self.compact:
            return linear_output.compact_bytes(users, len(self.items), self.config.z_dim)
        return 4 * SCORE_ARRAYS * users * len(self.items)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the VAEs' parameters and the denoiser's, each with its learning rate."""
        return [
            {"params": list(self.vae.parameters()), "lr": lr},
            {"params": list(self.denoiser.parameters()), "lr": self.config.denoiser_lr or lr},
        ]

    def scoring_weights(self) -> dict[str, Any]:
        """Return the live arrays, and the group of each item."""
        return {**super().scoring_weights(), "of_item": self.of_item}

    def items_of(self, name: str, stored: Mapping[str, Any] | None) -> NDArray[np.int64] | None:
        """Return the items of a group, or all; inner layers have rows for no items."""
        of_item = self.groups.of_item if stored is None else np.asarray(stored["of_item"])
        joint = ("vae.decoder.0",) if self.config.decoder == "joint" else ()
        if name in ("vae.bias", *joint):
            return np.arange(len(of_item))
        of_group = _OF_GROUP.fullmatch(name)
        return (
            None if of_group is None else np.flatnonzero(of_item == int(of_group[1] or of_group[2]))
        )

    def start_epoch(self, epoch: int) -> None:
        """Set lambda and the stage for this epoch."""
        self.epoch = epoch

    @property
    def selectable(self) -> bool:
        """Whether the warm-up of the VAEs is over."""
        return self.config.warmup == "none" or self.epoch > self.config.warmup_epochs


def _vae_parameters(
    config: LatentConfig,
    groups: Groups,
    sized_like: Groups,
    items: ItemRange,
    generator: torch.Generator,
) -> nn.ModuleDict:
    """Create the weights of a :class:`GroupVAE`: Xavier matrices, zero biases."""
    parts = _parts(groups, items)
    widths = sized_like.shares(config.z_dim)
    hidden = [sized_like.shares(size) for size in config.encoder_dims]
    encoders = nn.ModuleDict()
    for c, size in enumerate(groups.sizes.tolist()):
        sizes = [size, *(h[c] for h in hidden), 2 * widths[c]]
        rows = [parts[c], *map(ItemRange.whole, sizes[1:-1])]
        encoders[str(c)] = nn.ModuleDict(
            {
                str(i): _Layer(rows[i], sizes[i + 1], generator, of_items=i == 0)
                for i in range(len(rows))
            }
        )
    if config.decoder == "joint":
        shapes = [(items, config.z_dim)]
    else:
        shapes = list(zip(parts, widths, strict=True))
    decoders = nn.ParameterDict(
        {str(c): xavier(a, b, a.n_items + b, generator) for c, (a, b) in enumerate(shapes)}
    )
    vae = nn.ModuleDict({"encoder": encoders, "decoder": decoders})
    vae.register_parameter("bias", zeros(items))
    return vae


def _parts(groups: Groups, items: ItemRange) -> list[ItemRange]:
    """Return which of each group's items are among these: consecutive ones, as of all items."""
    before, until = groups.of_item[: items.start], groups.of_item[: items.stop]
    C = len(groups.sizes)
    first, last = np.bincount(before, minlength=C), np.bincount(until, minlength=C)
    return [
        ItemRange(int(size), int(a), int(b))
        for size, a, b in zip(groups.sizes, first, last, strict=True)
    ]


class _Layer(nn.Module):
    """A matrix with one row for each input, and a bias."""

    def __init__(
        self, inputs: ItemRange, fan_out: int, generator: torch.Generator, *, of_items: bool
    ) -> None:
        super().__init__()
        self.W = xavier(inputs, fan_out, inputs.n_items + fan_out, generator)
        if of_items:
            read_sparsely(self.W)
        self.b = nn.Parameter(torch.zeros(fan_out))
