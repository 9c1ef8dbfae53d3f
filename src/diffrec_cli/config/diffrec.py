"""Settings of DiffRec and of training, in groups.

Field names are the keys of ``--set key=value`` and, where the paper has a symbol, the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from diffrec_cli.config.checks import (
    NO_OR_SIZES,
    SEED,
    Count,
    NonNegative,
    Positive,
    Range,
    Rate,
    Settings,
    Size,
    Sizes,
    between,
    check,
)

MAX_STEPS = 10_000
Steps = Annotated[int, between(1, MAX_STEPS)]
#: How a loss over all items is computed: from the scores of all, or without them.
LossForm = Literal["auto", "scores", "compact"]


@dataclass(frozen=True)
class DiffusionConfig(Settings):
    """The corruption and its reversal (paper, sections 3.1 to 3.4)."""

    T: Steps = 5
    """Diffusion steps."""
    T_prime: int = 0
    """Forward steps at inference; with 0 the history is not corrupted."""
    s: Annotated[float, between(0, 1)] = 0.005
    """Noise scale of Eq. 4; 0 is no noise."""
    alpha_min: Positive = 0.005
    """Lower noise bound of Eq. 4."""
    alpha_max: Annotated[float, Range("above 0 and below 1", lambda alpha: 0 < alpha < 1)] = 0.01
    """Upper noise bound of Eq. 4."""
    first_beta: Annotated[
        float | None, Range("above 0 and below 1, or none", lambda beta: 0 < beta < 1)
    ] = None
    """If given, replaces beta_1 of Eq. 4, as in the released DiffRec and T-DiffRec code (1e-5). On
    MovieLens-1M valid Recall@20 was .1127 without and .1137 with it, .1131 and .1132 with weighted
    losses (seed 1; lr 5e-4, s 0.005): no more than seeds differ."""
    prediction: Literal["x0", "epsilon"] = "x0"
    """What the denoiser predicts (Table 5)."""
    step_sampling: Literal["importance", "uniform"] = "importance"
    """How t is drawn in training: Eq. 14 or Eq. 13."""
    weighted_loss: bool = False
    """Weight the loss of t > 1 by SNR(t-1) - SNR(t) (Eq. 11 without its 1/2, as in the released
    code)."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        check(0 <= self.T_prime <= self.T, "T_prime", self.T_prime, f"0 to T = {self.T}")
        below = f"below alpha_max = {self.alpha_max:g}"
        check(self.alpha_min < self.alpha_max, "alpha_min", self.alpha_min, below)
        check(self.prediction == "x0" or self.s > 0, "s", self.s, "above 0 to predict epsilon")


@dataclass(frozen=True)
class DenoiserConfig(Settings):
    """The MLP that predicts x_0 (or epsilon) from x_t and t."""

    dims: Sizes = (200, 600)
    """Hidden sizes, smallest layer first: [200, 600] is |I|-600-200-600-|I|."""
    step_embedding: Annotated[
        int, Range("an even number, 2 or more", lambda size: size >= 2 and size % 2 == 0)
    ] = 10
    """Size of the sinusoidal embedding of t."""
    dropout: Rate = 0.5
    """Dropout on x_t in training."""
    normalize_input: bool = False
    """L2-normalise the input of every step."""
    loss_form: LossForm = "auto"
    """How losses over all items are computed: from the ``scores`` of all, or ``compact``, without
    them, by the same mathematics. ``auto``: whatever is cheaper, which depends on the batch."""


@dataclass(frozen=True)
class LatentConfig(Settings):
    """L-DiffRec: item groups, their VAEs and the weights of the losses (paper, section 3.5)."""

    C: int = 2
    """Number of item groups."""
    z_dim: Size = 300
    """Size of z_0 over all groups."""
    encoder_dims: Annotated[tuple[int, ...], NO_OR_SIZES] = ()
    """Hidden sizes of the encoders, over all groups; without any they have a single layer."""
    decoder: Literal["joint", "separate"] = "separate"
    """One linear decoder for each group (section 3.5), or one for all items (released code). On
    MovieLens-1M valid Recall@20 was .1132 and .1104 (seed 1, batches of 396, else as ``auto``); on
    smaller logs neither was always better."""
    encoder_dropout: Rate = 0.1
    """Dropout on the history that the encoders read."""
    log_variance: Literal["bounded", "free"] = "bounded"
    """Whether the log-variance has the tanh of the mean (released code): on MovieLens-1M valid
    Recall@20 was .1135 with and .1144 without, with a wider denoiser .1142 and .1149 (seed 1)."""
    target: Literal["input", "history"] = "input"
    """What the decoders reconstruct: the encoders' input after dropout (released code), or the
    whole history."""
    gamma: NonNegative = 0.3
    """Cap of the KL weight in Eq. 15."""
    gamma_updates: Count = 200
    """The KL weight rises by 1 / this with each update, up to its cap; with 0 it starts there."""
    lambda_: NonNegative = 0.03
    """Weight of one of the two losses at the start."""
    lambda_min: NonNegative = 0.005
    """Smallest weight, from which lambda does not fall further."""
    lambda_epochs: Size = 500
    """Epochs over which lambda would fall linearly to 0."""
    lambda_on: Literal["diffusion", "vae"] = "diffusion"
    """Which loss lambda weighs: the diffusion's (paper, section 3.5), or the VAEs', as the released
    code does where the diffusion's is unweighted."""
    warmup: Literal["none", "vae"] = "none"
    """``vae`` trains the VAEs first, freezes them, then trains the diffusion. On MovieLens-1M valid
    Recall@20 was .1011, and .1104 without (seed 1, joint decoder, batches of 396)."""
    warmup_epochs: Size = 30
    """Epochs of the VAE stage when ``warmup`` is ``vae``."""
    denoiser_lr: Annotated[float | None, Range("above 0, or none", lambda lr: lr > 0)] = None
    """Learning rate of the denoiser; ``None`` means ``lr``."""
    item_embeddings: str = "svd"
    """What k-means clusters: ``svd``, ``lightgcn``, or a ``.npy`` file of shape (items, d)."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        check(1 <= self.C <= self.z_dim, "C", self.C, f"1 to z_dim = {self.z_dim}")
        check(all(d >= self.C for d in self.encoder_dims), "encoder_dims", None, "at least C each")


@dataclass(frozen=True)
class TemporalConfig(Settings):
    """T-DiffRec: weights of a user's interactions by their order (paper, section 3.6)."""

    w_min: Positive = 0.1
    """Weight of the oldest interaction."""
    w_max: float = 1.0
    """Weight of the newest interaction."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        super().__post_init__()
        check(self.w_min < self.w_max <= 1, "w_max", self.w_max, "above w_min and at most 1")


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """The optimiser, the batches and when to stop."""

    lr: Positive = 5e-4
    """Learning rate of AdamW."""
    weight_decay: NonNegative = 0.0
    """Weight decay of AdamW."""
    ema_decay: Rate = 0.0
    """Decay of an exponential moving average of the weights, which is validated and kept (0: no
    average). Update n has at most (1 + n) / (10 + n). For ``base`` and ``t`` it was worth 0 to 2 %
    of valid Recall@20 on four datasets."""
    batch_size: Size = 400
    """Users in a batch."""
    epoch_updates: Annotated[int | None, Range("1 or more, or none", lambda n: n >= 1)] = None
    """Updates in an epoch; ``none``: one pass over all users."""
    epochs: Size = 1000
    """Largest number of epochs."""
    patience: Size = 20
    """Stop after at least so many epochs without a better validation."""
    eval_every: Size = 1
    """Epochs from one validation to the next."""
    valid_users: Annotated[int | None, Range("1 or more, or none", lambda n: n >= 1)] = None
    """Users of a validation in training: a fixed sample. ``none``: all of them. The figures of the
    chosen epoch are of all."""
    seed: Annotated[int, SEED] = 1
    """Seed of initial weights, batches, noise and dropout."""
