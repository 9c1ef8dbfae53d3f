"""Settings of DiffRec and of training, in groups.

Field names are the keys of ``--set key=value`` and, where the paper has a symbol, the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diffrec_cli.config.values import check, choice

MAX_STEPS = 10_000


@dataclass(frozen=True)
class DiffusionConfig:
    """The corruption and how its reversal is learned (paper, sections 3.1 to 3.4)."""

    T: int = 5
    """Diffusion steps."""
    T_prime: int = 0
    """Forward steps at inference; 0 lets the history enter as it is."""
    s: float = 0.005
    """Noise scale of Eq. 4; 0 is no noise."""
    alpha_min: float = 0.005
    """Lower noise bound of Eq. 4."""
    alpha_max: float = 0.01
    """Upper noise bound of Eq. 4."""
    first_beta: float | None = None
    """If given, replaces beta_1 after Eq. 4, as the released DiffRec and T-DiffRec code does with
    1e-5. By default Eq. 4 stands: on MovieLens-1M valid Recall@20 was .1127 without and .1137 with
    it, .1131 and .1132 with weighted losses (seed 1; lr 5e-4, s 0.005): no more than seeds
    differ."""
    prediction: Literal["x0", "epsilon"] = "x0"
    """What the denoiser predicts (Table 5)."""
    step_sampling: Literal["importance", "uniform"] = "importance"
    """How t is drawn in training: Eq. 14 or Eq. 13."""
    weighted_loss: bool = False
    """Weight the loss of t > 1 by SNR(t-1) - SNR(t) (Eq. 11, times two: the 1/2 is dropped, as the
    released code does, a constant against t = 1)."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(1 <= self.T <= MAX_STEPS, "T", self.T, f"1 to {MAX_STEPS}")
        check(0 <= self.T_prime <= self.T, "T_prime", self.T_prime, f"0 to T = {self.T}")
        check(self.s >= 0, "s", self.s, "0 or more")
        check(self.alpha_min > 0, "alpha_min", self.alpha_min, "above 0")
        check(
            self.alpha_min < self.alpha_max,
            "alpha_min",
            self.alpha_min,
            f"below alpha_max = {self.alpha_max:g}",
        )
        check(
            self.s * self.alpha_max < 1,
            "s",
            self.s,
            f"such that s * alpha_max is below 1 (alpha_max = {self.alpha_max:g})",
        )
        beta = self.first_beta
        check(beta is None or 0 < beta < 1, "first_beta", beta, "above 0 and below 1, or none")
        choice("prediction", self.prediction, ("x0", "epsilon"))
        choice("step_sampling", self.step_sampling, ("importance", "uniform"))
        check(self.prediction == "x0" or self.s > 0, "s", self.s, "above 0 to predict epsilon")


@dataclass(frozen=True)
class DenoiserConfig:
    """The MLP that predicts x_0 (or epsilon) from x_t and t."""

    dims: tuple[int, ...] = (200, 600)
    """Hidden sizes from the middle outwards: [200, 600] is |I|-600-200-600-|I|."""
    step_embedding: int = 10
    """Size of the sinusoidal embedding of t."""
    dropout: float = 0.5
    """Dropout on x_t in training."""
    normalize_input: bool = False
    """L2-normalise the input of every step."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        positive = len(self.dims) > 0 and min(self.dims) >= 1
        check(positive, "dims", self.dims, "one or more sizes of 1 or more")
        even = self.step_embedding >= 2 and self.step_embedding % 2 == 0
        check(even, "step_embedding", self.step_embedding, "an even number, 2 or more")
        check(0 <= self.dropout < 1, "dropout", self.dropout, "0 or more and below 1")


@dataclass(frozen=True)
class LatentConfig:
    """L-DiffRec: item groups, their VAEs and the weights of the losses (paper, section 3.5)."""

    C: int = 2
    """Number of item groups."""
    z_dim: int = 300
    """Size of z_0 over all groups."""
    encoder_dims: tuple[int, ...] = ()
    """Hidden sizes of the encoders, over all groups; none is a single layer."""
    decoder: Literal["joint", "separate"] = "separate"
    """One linear decoder a group (section 3.5), or one for all items (released code). On
    MovieLens-1M valid Recall@20 was .1132 and .1104 (seed 1, batches of 396, else as ``auto``); on
    smaller logs neither was always ahead."""
    encoder_dropout: float = 0.1
    """Dropout on the history that the encoders read."""
    log_variance: Literal["bounded", "free"] = "bounded"
    """Whether tanh follows the encoders' last layer for the log-variance as it does for the mean
    (released code), or not: on MovieLens-1M valid Recall@20 was .1135 and .1144, with a wider
    denoiser .1142 and .1149 (seed 1)."""
    target: Literal["input", "history"] = "input"
    """What the decoders reconstruct: what the encoders read, dropped and rescaled (released code),
    or the whole history."""
    gamma: float = 0.3
    """Cap of the KL weight in Eq. 15."""
    gamma_updates: int = 200
    """Updates over which the KL weight rises to its cap."""
    lambda_: float = 0.03
    """Weight of the diffusion loss at the start."""
    lambda_min: float = 0.005
    """Weight of the diffusion loss at the end of its annealing."""
    lambda_epochs: int = 500
    """Epochs over which lambda falls linearly to ``lambda_min``."""
    warmup: Literal["none", "vae"] = "none"
    """``vae`` trains the VAEs first, freezes them, then trains the diffusion. On MovieLens-1M valid
    Recall@20 was .1011, and .1104 without (seed 1, joint decoder, batches of 396)."""
    warmup_epochs: int = 30
    """Epochs of the VAE stage when ``warmup`` is ``vae``."""
    denoiser_lr: float | None = None
    """Learning rate of the denoiser; ``None`` is the same as ``lr``."""
    item_embeddings: str = "svd"
    """What k-means clusters: ``svd``, ``lightgcn``, or a ``.npy`` file of shape (items, d)."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(1 <= self.C <= self.z_dim, "C", self.C, f"1 to z_dim = {self.z_dim}")
        check(all(d >= self.C for d in self.encoder_dims), "encoder_dims", None, "at least C each")
        choice("decoder", self.decoder, ("joint", "separate"))
        choice("log_variance", self.log_variance, ("bounded", "free"))
        choice("target", self.target, ("input", "history"))
        choice("warmup", self.warmup, ("none", "vae"))
        check(0 <= self.encoder_dropout < 1, "encoder_dropout", None, "0 or more and below 1")
        check(self.gamma >= 0, "gamma", self.gamma, "0 or more")
        check(self.gamma_updates >= 0, "gamma_updates", self.gamma_updates, "0 or more")
        check(self.lambda_ >= 0, "lambda_", self.lambda_, "0 or more")
        check(self.lambda_min >= 0, "lambda_min", self.lambda_min, "0 or more")
        check(self.lambda_epochs >= 1, "lambda_epochs", self.lambda_epochs, "1 or more")
        check(self.warmup_epochs >= 1, "warmup_epochs", self.warmup_epochs, "1 or more")
        rate = self.denoiser_lr
        check(rate is None or rate > 0, "denoiser_lr", rate, "above 0, or none")


@dataclass(frozen=True)
class TemporalConfig:
    """T-DiffRec: weights of a user's interactions by their order (paper, section 3.6)."""

    w_min: float = 0.1
    """Weight of the oldest interaction."""
    w_max: float = 1.0
    """Weight of the newest interaction."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.w_min > 0, "w_min", self.w_min, "above 0")
        check(self.w_min < self.w_max <= 1, "w_max", self.w_max, "above w_min and at most 1")


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser, the batches and when to stop."""

    lr: float = 5e-4
    """Learning rate of AdamW."""
    weight_decay: float = 0.0
    """Weight decay of AdamW."""
    ema_decay: float = 0.0
    """Decay of an exponential moving average of the weights, which is what is validated and kept
    (0: the weights themselves). Reached gradually: update n has (1 + n) / (10 + n) at the most.
    Over interactions worth 0 to 2 % of valid Recall@20 on four datasets."""
    batch_size: int = 400
    """Users in a batch."""
    epochs: int = 1000
    """Epochs at the most."""
    patience: int = 20
    """Stop at a validation that comes this many epochs after the best one, or more."""
    eval_every: int = 1
    """Epochs between two validations."""
    seed: int = 1
    """Seed of initial weights, batches, noise and dropout."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        check(self.lr > 0, "lr", self.lr, "above 0")
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        check(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "0 or more and below 1")
        check(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        check(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        check(self.patience >= 1, "patience", self.patience, "1 or more")
        check(self.eval_every >= 1, "eval_every", self.eval_every, "1 or more")
        check(0 <= self.seed < 2**63, "seed", self.seed, "0 to 2**63 - 1")
