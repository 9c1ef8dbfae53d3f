"""Random models and batches, as the package and as the oracle want them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch

from diffrec_cli.config import DenoiserConfig, DiffusionConfig, FitConfig, LatentConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.diffusion.randomness import Draws, Numbers
from diffrec_cli.models.build import build_model
from diffrec_cli.models.trainable import Trainable
from tests import oracle

STEPS = [1, 2, 5, 40, 100]
PREDICTIONS = ["x0", "epsilon"]
FIRST_BETAS = [None, 1e-5]
DIMS = [(5,), (4, 7), (3, 8, 5)]  # one to three hidden layers from the middle outwards


def random_generator(**values: object) -> np.random.Generator:
    """A generator of its own for each combination of values, the same in every run."""
    return np.random.default_rng(zlib.crc32(repr(sorted(values.items())).encode()))


def random_schedule(rng: np.random.Generator) -> dict[str, float]:
    """Noise from next to none to next to all."""
    return {
        "s": 10 ** rng.uniform(-2.5, 0),
        "alpha_min": rng.uniform(0.005, 0.3),
        "alpha_max": rng.uniform(0.4, 0.95),
    }


def diffusion_of(config: FitConfig) -> oracle.Diffusion:
    c = config.diffusion
    return oracle.Diffusion(
        c.T, c.s, c.alpha_min, c.alpha_max, c.first_beta, c.prediction, c.weighted_loss
    )


@dataclass
class Case:
    """A configuration of random sizes with random weights, and a batch of random users."""

    config: FitConfig
    n_items: int
    w: oracle.Weights  # of the denoiser
    v: oracle.Weights  # of the VAEs
    of_item: np.ndarray | None
    rows: Rows

    @cached_property
    def diffusion(self) -> oracle.Diffusion:
        return diffusion_of(self.config)

    @property
    def normalize(self) -> bool:
        return self.config.denoiser.normalize_input

    @property
    def width(self) -> int:
        """D: the size of what is diffused."""
        return len(self.w["b_out"])

    @property
    def x(self) -> np.ndarray:
        """The batch as a dense matrix, (B, |I|)."""
        return dense(self.rows, self.n_items)

    @property
    def weights(self) -> oracle.Weights:
        """All weights by the names that the package gives them."""
        return named(self.w, self.v)

    def target(self, x: np.ndarray) -> np.ndarray:
        """What the decoders reconstruct when the encoders read x, (B, |I|)."""
        return x if self.config.latent.target == "input" else self.x

    @property
    def embedding(self) -> np.ndarray:
        """The embeddings of t = 0..T, (T + 1, E)."""
        T, E = self.config.diffusion.T, self.config.denoiser.step_embedding
        return np.stack([oracle.step_embedding(t, E) for t in range(T + 1)])

    def latent(self, update: int = 1, epoch: int = 1) -> oracle.Latent:
        c = self.config.latent
        stage = "both"
        if c.warmup == "vae":
            stage = "vae" if epoch <= c.warmup_epochs else "diffusion"
        return oracle.Latent(
            self.of_item,
            c.decoder == "joint",
            oracle.gamma_of(update, c.gamma, c.gamma_updates),
            oracle.lambda_of(epoch, c.lambda_, c.lambda_min, c.lambda_epochs),
            c.log_variance == "bounded",
            stage,
            c.lambda_on,
        )

    def model(self, dtype: torch.dtype = torch.float64) -> Trainable:
        """The package's model with these weights."""
        model = build_model(self.config, self.n_items, self.of_item).to(dtype)
        np.testing.assert_allclose(model.denoiser.embedding, self.embedding, atol=1e-6)
        if dtype == torch.float64:  # the package rounds its own to float32
            model.denoiser.embedding.copy_(torch.from_numpy(self.embedding))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                assert parameter.shape == self.weights[name].shape, name
                parameter.copy_(torch.from_numpy(self.weights[name]))
        assert {name for name, _ in model.named_parameters()} == set(self.weights)
        return model

    def scoring_weights(self, dtype: type = np.float64) -> dict[str, Any]:
        """The arrays that a scorer of the package reads."""
        arrays = self.weights | {"denoiser.embedding": self.embedding}
        weights: dict[str, Any] = {name: array.astype(dtype) for name, array in arrays.items()}
        return weights if self.of_item is None else weights | {"of_item": self.of_item}


def named(w: oracle.Weights, v: oracle.Weights) -> oracle.Weights:
    return {f"denoiser.{name}": a for name, a in w.items()} | {
        f"vae.{name}": a for name, a in v.items()
    }


def dense(rows: Rows, n_items: int) -> np.ndarray:
    x = np.zeros((len(rows), n_items))
    for user, (a, b) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
        x[user, rows.items[a:b]] = rows.values[a:b]
    return x


def random_rows(rng: np.random.Generator, users: int, n_items: int, least: int) -> Rows:
    """Users with at least `least` items each, weighted at random, in random order."""
    lengths = rng.integers(least, n_items // 2, users)
    return Rows(
        np.arange(users),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([rng.permutation(n_items)[:n] for n in lengths]).astype(np.int32),
        rng.uniform(0.1, 1, lengths.sum()),
    )


def random_case(
    *, C: int | None = None, users: int | None = None, least: int = 1, **values: Any
) -> Case:
    """Draw whatever `values` (settings by name) leaves open; C groups make it L-DiffRec."""
    rng = random_generator(C=C, users=users, least=least, **values)
    n_items = int(rng.integers(10, 30)) + 5 * (C or 0)
    drawn = random_schedule(rng) | {
        "dims": DIMS[rng.integers(3)],
        "step_embedding": int(2 * rng.integers(1, 6)),
        "first_beta": FIRST_BETAS[rng.integers(2)],
        "weighted_loss": bool(rng.integers(2)),
        "normalize_input": bool(rng.integers(2)),
        "step_sampling": "uniform",
        "loss_form": "scores",  # the other form draws its noise otherwise: test_compact_losses.py
    }
    of_item = None
    if C is not None:
        hidden = [(), (4 * C,), (3 * C, 5 * C)]
        drawn |= {
            "C": C,
            "z_dim": C * int(rng.integers(3, 6)),
            "encoder_dims": hidden[rng.integers(3)],
            "log_variance": ("bounded", "free")[rng.integers(2)],
            "gamma": rng.uniform(0.1, 1),
            "gamma_updates": int(rng.integers(0, 4)),
            "lambda_": rng.uniform(0.1, 2),
            "lambda_min": rng.uniform(0, 0.1),
            "lambda_epochs": int(rng.integers(1, 5)),
            "lambda_on": ("diffusion", "vae")[rng.integers(2)],
        }
        groups = np.concatenate(
            [np.arange(n_items - n_items // 3) % C, rng.integers(C, size=n_items // 3)]
        )
        of_item = rng.permutation(groups)
    config = configured(drawn | values)
    width = n_items if config.latent is None else config.latent.z_dim
    w = oracle.denoiser_shapes(width, config.denoiser.step_embedding, config.denoiser.dims)
    v = {}
    if config.latent is not None:
        c = config.latent
        v = oracle.vae_shapes(of_item, c.z_dim, c.encoder_dims, c.decoder == "joint")
    return Case(
        config,
        n_items,
        random_weights(rng, w),
        random_weights(rng, v),
        of_item,
        random_rows(rng, users or int(rng.integers(2, 9)), n_items, least),
    )


def configured(values: dict[str, Any]) -> FitConfig:
    """A configuration by the names of its settings; a number of groups makes it latent."""
    kinds = {"diffusion": DiffusionConfig, "denoiser": DenoiserConfig, "latent": LatentConfig}
    if "C" not in values:
        del kinds["latent"]
    names = {group: {field.name for field in fields(kind)} for group, kind in kinds.items()}
    assert set(values) <= set().union(*names.values())
    return FitConfig(
        **{
            group: kind(**{name: values[name] for name in names[group] & set(values)})
            for group, kind in kinds.items()
        }
    )


def random_weights(rng: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> oracle.Weights:
    """Large enough that every tanh bends, small enough that none is flat."""
    return {name: rng.normal(size=shape) / np.sqrt(max(shape)) for name, shape in shapes.items()}


class Replay:
    """The numbers that the package draws from the same seed, under the names of their purposes."""

    def __init__(self, case: Case, seed: int, dtype: torch.dtype = torch.float64) -> None:
        self.case, self.dtype = case, dtype
        self.draws, self.users = self.package(seed), case.rows.users

    @staticmethod
    def package(seed: int) -> Draws:
        """What the package is given to draw from."""
        return Draws(seed)

    def history(self) -> np.ndarray:
        """Drop interactions of the batch and rescale the rest, (B, |I|)."""
        rate, rows = self.case.config.latent.encoder_dropout, self.case.rows
        if rate == 0:
            return self.case.x
        kept = self.draws.pairs("history", rows.users[rows.row_index], rows.items) >= rate
        values = np.where(kept, rows.values / (1 - rate), 0.0)
        return dense(Rows(rows.users, rows.indptr, rows.items, values), self.case.n_items)

    def normal(self, what: str) -> np.ndarray:
        """Standard normal noise, (B, D)."""
        return self._of_batch(what).normal().double().numpy()

    def draw(self, p: np.ndarray | None = None) -> oracle.Draw:
        """Lines 4 and 5 of Algorithm 1, with the distribution p of t or the uniform one."""
        T, rate = self.case.config.diffusion.T, self.case.config.denoiser.dropout
        p = np.full(T, 1 / T) if p is None else p
        u = self.draws.at("step", self.users, 1).uniform().double().numpy()[:, 0]
        t = np.array([min(T, 1 + np.count_nonzero(np.cumsum(p) <= one)) for one in u])
        eps, mask = self.normal("noise"), np.ones((len(t), self.case.width))
        if rate > 0:
            mask = self._of_batch("dropout").kept(rate).double().numpy() / (1 - rate)
        return oracle.Draw(t, p, eps, mask)

    def _of_batch(self, what: str) -> Numbers:
        return self.draws.at(what, self.users, self.case.width)
