"""All settings as frozen dataclasses, checked once, stored whole with the model.

Field names are the keys of ``--set key=value`` and, where the paper has a
symbol, the paper's symbols.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from diffrec_cli.errors import ConfigError

Variant = Literal["base", "l", "t", "lt"]
VARIANTS: tuple[Variant, ...] = ("base", "l", "t", "lt")
MAX_STEPS = 10_000


@dataclass(frozen=True)
class ReadOptions:
    """How a log file is read; ``None`` means: find out."""

    user_col: str | None = None
    """Column of user ids: a name, or a position from 1 when there is no header."""
    item_col: str | None = None
    """Column of item ids."""
    rating_col: str | None = None
    """Column of ratings."""
    time_col: str | None = None
    """Column of timestamps."""
    sep: str | None = None
    """Field separator, of one or more characters (``\\t`` may be written so)."""
    header: bool | None = None
    """Whether the first line holds column names."""
    encoding: str = "utf-8"
    """Text encoding of the file."""
    time_format: str | None = None
    """strptime format of textual timestamps."""


@dataclass(frozen=True)
class SplitOptions:
    """How a log becomes a dataset (paper, section 4.1.1)."""

    setting: Literal["clean", "noisy", "temporal"] = "clean"
    """Clean keeps ratings at or above the threshold; noisy mixes others into train and valid;
    temporal is clean and insists on timestamps."""
    min_rating: float | None = None
    """Threshold of a positive rating; ``None`` is 4 on scales up to 5, an error on others."""
    ratios: tuple[float, float, float] = (7, 1, 2)
    """Shares of train, valid and test."""
    split_by: Literal["user", "time"] = "user"
    """Cut each user's sequence, or the whole log at two moments."""
    noise: Literal["natural", "random"] = "natural"
    """Source of noise in the noisy setting: low ratings, or items drawn at random."""
    noise_ratio: float | None = None
    """Random noise: items added per clean item."""
    min_user_interactions: int = 1
    """Users with fewer interactions are dropped, together with ``min_item_interactions`` until
    both hold (k-core)."""
    min_item_interactions: int = 1
    """Items with fewer interactions are dropped."""
    seed: int = 1
    """Seed of the noise."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _choice("setting", self.setting, ("clean", "noisy", "temporal"))
        _choice("split_by", self.split_by, ("user", "time"))
        _choice("noise", self.noise, ("natural", "random"))
        infinite = float("inf")  # comparisons with it hold for no NaN
        shares = all(ratio >= 0 for ratio in self.ratios) and sum(self.ratios) < infinite
        _check(
            len(self.ratios) == 3 and shares and self.ratios[0] > 0,
            "ratios",
            self.ratios,
            "three finite numbers, the first above 0 and none below",
        )
        rating = self.min_rating
        _check(rating is None or abs(rating) < infinite, "min_rating", rating, "a finite number")
        _check(self.min_user_interactions >= 1, "min_user_interactions", None, "1 or more")
        _check(self.min_item_interactions >= 1, "min_item_interactions", None, "1 or more")
        _check(0 <= self.seed < 2**63, "seed", self.seed, "0 to 2**63 - 1")
        self._check_noise()

    def _check_noise(self) -> None:
        """Refuse noise that would silently have no effect."""
        ratio, random = self.noise_ratio, self.noise == "random"
        for name, given in (("noise_ratio", ratio is not None), ("noise", random)):
            option = "--noise-ratio" if name == "noise_ratio" else "--noise random"
            if given and self.setting != "noisy":
                raise ConfigError(
                    f"{name} has no effect in the setting {self.setting!r}",
                    f"{option} needs --setting noisy",
                )
        if ratio is not None and not random:
            raise ConfigError(
                "noise_ratio has no effect on natural noise", "--noise-ratio needs --noise random"
            )
        finite = ratio is not None and 0 < ratio < float("inf")
        _check(finite or not random, "noise_ratio", ratio, "above 0 and finite (say 0.3)")


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
        _check(1 <= self.T <= MAX_STEPS, "T", self.T, f"1 to {MAX_STEPS}")
        _check(0 <= self.T_prime <= self.T, "T_prime", self.T_prime, f"0 to T = {self.T}")
        _check(self.s >= 0, "s", self.s, "0 or more")
        _check(self.alpha_min > 0, "alpha_min", self.alpha_min, "above 0")
        _check(
            self.alpha_min < self.alpha_max,
            "alpha_min",
            self.alpha_min,
            f"below alpha_max = {self.alpha_max:g}",
        )
        _check(
            self.s * self.alpha_max < 1,
            "s",
            self.s,
            f"such that s * alpha_max is below 1 (alpha_max = {self.alpha_max:g})",
        )
        beta = self.first_beta
        _check(beta is None or 0 < beta < 1, "first_beta", beta, "above 0 and below 1, or none")
        _choice("prediction", self.prediction, ("x0", "epsilon"))
        _choice("step_sampling", self.step_sampling, ("importance", "uniform"))
        _check(self.prediction == "x0" or self.s > 0, "s", self.s, "above 0 to predict epsilon")


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
        _check(positive, "dims", self.dims, "one or more sizes of 1 or more")
        even = self.step_embedding >= 2 and self.step_embedding % 2 == 0
        _check(even, "step_embedding", self.step_embedding, "an even number, 2 or more")
        _check(0 <= self.dropout < 1, "dropout", self.dropout, "0 or more and below 1")


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
        _check(1 <= self.C <= self.z_dim, "C", self.C, f"1 to z_dim = {self.z_dim}")
        _check(all(d >= self.C for d in self.encoder_dims), "encoder_dims", None, "at least C each")
        _choice("decoder", self.decoder, ("joint", "separate"))
        _choice("log_variance", self.log_variance, ("bounded", "free"))
        _choice("target", self.target, ("input", "history"))
        _choice("warmup", self.warmup, ("none", "vae"))
        _check(0 <= self.encoder_dropout < 1, "encoder_dropout", None, "0 or more and below 1")
        _check(self.gamma >= 0, "gamma", self.gamma, "0 or more")
        _check(self.gamma_updates >= 0, "gamma_updates", self.gamma_updates, "0 or more")
        _check(self.lambda_ >= 0, "lambda_", self.lambda_, "0 or more")
        _check(self.lambda_min >= 0, "lambda_min", self.lambda_min, "0 or more")
        _check(self.lambda_epochs >= 1, "lambda_epochs", self.lambda_epochs, "1 or more")
        _check(self.warmup_epochs >= 1, "warmup_epochs", self.warmup_epochs, "1 or more")
        rate = self.denoiser_lr
        _check(rate is None or rate > 0, "denoiser_lr", rate, "above 0, or none")


@dataclass(frozen=True)
class TemporalConfig:
    """T-DiffRec: weights of a user's interactions by their order (paper, section 3.6)."""

    w_min: float = 0.1
    """Weight of the oldest interaction."""
    w_max: float = 1.0
    """Weight of the newest interaction."""

    def __post_init__(self) -> None:
        """Check every field and name the one that is wrong."""
        _check(self.w_min > 0, "w_min", self.w_min, "above 0")
        _check(self.w_min < self.w_max <= 1, "w_max", self.w_max, "above w_min and at most 1")


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
        _check(self.lr > 0, "lr", self.lr, "above 0")
        _check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _check(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "0 or more and below 1")
        _check(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        _check(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        _check(self.patience >= 1, "patience", self.patience, "1 or more")
        _check(self.eval_every >= 1, "eval_every", self.eval_every, "1 or more")
        _check(0 <= self.seed < 2**63, "seed", self.seed, "0 to 2**63 - 1")


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides what a fit computes.

    A variant is a composition: with :class:`LatentConfig` the diffusion runs in the
    latent space, with :class:`TemporalConfig` the input is weighted by order.
    """

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latent: LatentConfig | None = None
    temporal: TemporalConfig | None = None

    def __post_init__(self) -> None:
        """Check what hangs on several groups."""
        if self.latent is not None and self.latent.warmup == "vae":
            warmup, epochs = self.latent.warmup_epochs, self.training.epochs
            _check(warmup < epochs, "warmup_epochs", warmup, f"below epochs = {epochs}")

    @property
    def variant(self) -> Variant:
        """``base``, ``l``, ``t`` or ``lt``."""
        if self.latent is not None:
            return "l" if self.temporal is None else "lt"
        return "base" if self.temporal is None else "t"

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, for JSON."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FitConfig:
        """Rebuild what :meth:`to_dict` gave; unknown fields are an error."""
        groups = {
            name: None if values.get(name) is None else _from_plain(group, values[name])
            for name, group in _GROUPS.items()
        }
        return FitConfig(**groups)  # type: ignore[arg-type]  # each group has its own class

    def with_values(self, values: Mapping[str, Any]) -> FitConfig:
        """Return a copy with fields replaced by name, wherever they live.

        Parameters
        ----------
        values
            Field name to value; text (from ``--set``) is converted to the field's type.

        Raises
        ------
        ConfigError
            The variant has no such field, or the value is not of its type or range.

        Examples
        --------
        >>> FitConfig().with_values({"T": "40", "dims": "300"}).diffusion.T
        40
        """
        changes: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            group, name, kind = self._field(key)
            changes.setdefault(group, {})[name] = _convert(key, value, kind)
        return dataclasses.replace(
            self,
            **{
                group: dataclasses.replace(getattr(self, group), **fields)
                for group, fields in changes.items()
            },
        )

    def _field(self, key: str) -> tuple[str, str, Any]:
        for group, kind in _GROUPS.items():
            if getattr(self, group) is None:
                continue
            if name := _has(kind, key):
                return group, name, typing.get_type_hints(kind)[name]
        others = [_GROUP_VARIANTS[g] for g, kind in _GROUPS.items() if _has(kind, key)]
        fix = f"fit --variant {others[0]}" if others else f"one of: {', '.join(self.keys())}"
        raise ConfigError(f"--set {key}: variant {self.variant} has no such setting", fix)

    def keys(self) -> list[str]:
        """Return the names that :meth:`with_values` takes for this variant."""
        groups = [getattr(self, group) for group in _GROUPS]
        return [f.name.rstrip("_") for g in groups if g is not None for f in dataclasses.fields(g)]


_GROUPS: dict[str, type[Any]] = {
    "diffusion": DiffusionConfig,
    "denoiser": DenoiserConfig,
    "latent": LatentConfig,
    "temporal": TemporalConfig,
    "training": TrainingConfig,
}


_GROUP_VARIANTS = {"latent": "l or lt", "temporal": "t or lt"}


def _has(group: type[Any], key: str) -> str | None:
    """Return the name of the group's field that a key means, if there is one."""
    names = {field.name for field in dataclasses.fields(group)}
    # `lambda` is a keyword of Python: its field is lambda_.
    return next((name for name in (key, f"{key}_") if name in names), None)


def _from_plain(group: type[Any], values: Mapping[str, Any]) -> Any:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return group(**fields)
    except TypeError as error:
        raise ConfigError(
            f"{group.__name__}: {error}", "the record is of another version"
        ) from error


def _convert(key: str, value: Any, kind: Any) -> Any:
    """Convert text to the type of a field; other values pass."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    text = value.strip()
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", ""):
            return None
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    try:
        return _parse(text, kind)
    except ValueError:
        raise ConfigError(
            f"--set {key}={value}: not {_describe(kind)}", f"give {_describe(kind)}"
        ) from None


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _parse(text: str, kind: Any) -> Any:
    """Return the value of a text; raise ValueError if it is none of that kind."""
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text.lower()]
    if kind in (int, float):
        return kind(text)
    if typing.get_origin(kind) is tuple:
        parts = [part for part in text.strip("[]() ").split(",") if part.strip()]
        return tuple(typing.get_args(kind)[0](part) for part in parts)
    return text


def _describe(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    if typing.get_origin(kind) is tuple:
        return "whole numbers, separated by commas"
    return {int: "a whole number", float: "a number"}.get(kind, "text")


def _check(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        given = "" if value is None else f" = {value}"
        raise ConfigError(f"{name}{given} is out of range", f"{name} must be {expected}")


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    _check(value in allowed, name, value, " or ".join(allowed))
