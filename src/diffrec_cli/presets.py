"""Named hyper-parameters with their source.

The ``paper-*`` presets are the settings of the checkpoints that the paper's authors released
(their file names carry them), for their three datasets. ``auto`` is this project's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diffrec_cli.config import (
    RECENT,
    SMOOTHING,
    VARIANTS,
    DenoiserConfig,
    DiffusionConfig,
    FitConfig,
    LatentConfig,
    SmoothingConfig,
    TemporalConfig,
    TrainingConfig,
    comparator_class,
    full_name,
    is_diffrec,
)
from diffrec_cli.errors import UsageError
from diffrec_cli.files import dump_json, read_record, storage_errors, write_atomically
from diffrec_cli.paths import check_name, is_name, presets_dir

Values = Mapping[str, Any]

# Shared by all released runs: the weighted loss, batches of 400, a validation every 5 epochs, and
# beta_1 overwritten in DiffRec and T-DiffRec alone.
_RELEASED_TRAINING = TrainingConfig(batch_size=400, patience=20, eval_every=5)
_RELEASED_BASE = FitConfig(
    diffusion=DiffusionConfig(weighted_loss=True, first_beta=1e-5), training=_RELEASED_TRAINING
)
_RELEASED_LATENT = FitConfig(
    diffusion=DiffusionConfig(weighted_loss=True),
    denoiser=DenoiserConfig(dims=(300,)),
    latent=LatentConfig(decoder="joint", item_embeddings="lightgcn"),
    training=_RELEASED_TRAINING,
)

# What a variant of a preset changes. T- and LT-DiffRec start from DiffRec and L-DiffRec. The
# authors released neither for MovieLens-1M: there they get the widest weights of the others.
_CHANGES: dict[str, dict[str, Values]] = {
    "paper-ml-1m": {
        "base": {"lr": 1e-3, "T": 40, "s": 0.005, "alpha_min": 0.005, "alpha_max": 0.01},
        "l": {"lr": 1e-3, "denoiser_lr": 5e-4, "T": 40, "s": 0.005, "alpha_max": 0.02},
        "t": {"w_min": 0.1},
        "lt": {"w_min": 0.1},
    },
    "paper-ml-1m-noisy": {
        "base": {"lr": 1e-3, "T": 5, "s": 0.5, "alpha_min": 0.001, "weighted_loss": False},
        "l": {"lr": 1e-3, "denoiser_lr": 5e-4, "T": 100, "s": 0.005, "alpha_max": 0.02},
        "t": {"w_min": 0.1},
        "lt": {"w_min": 0.1},
    },
    "paper-yelp": {
        "base": {"lr": 1e-5, "dims": (1000,), "T": 5, "s": 0.01, "alpha_min": 0.001},
        "l": {"lr": 5e-4, "denoiser_lr": 1e-4, "T": 5, "s": 0.01},
        "t": {"s": 0.005, "w_min": 0.5},
        "lt": {"batch_size": 200, "w_min": 0.5},
    },
    "paper-amazon-book": {
        "base": {
            "lr": 5e-5,
            "dims": (1000,),
            "T": 5,
            "s": 1e-4,
            "alpha_min": 0.0005,
            "alpha_max": 0.005,
        },
        "l": {
            "lr": 5e-4,
            "denoiser_lr": 1e-4,
            "lambda_": 0.05,
            "T": 5,
            "s": 0.5,
            "alpha_min": 0.001,
            "alpha_max": 0.005,
        },
        "t": {"lr": 1e-5, "T": 10, "s": 0.0005, "alpha_min": 0.001, "w_min": 0.1},
        "lt": {"lambda_": 0.03, "s": 0.7, "w_min": 0.1},
    },
}
PRESETS = ("auto", *_CHANGES)
_KIND, _SCHEMA_VERSION = "preset", 1  # of a user's own

# What the comparators change of their own defaults, chosen on valid Recall@20 of MovieLens-1M
# (examples/reproduce/comparators.csv has the trials).
_COMPARED: dict[str, Values] = {
    "mf": {"decay": 1e-2},
    "lightgcn": {"lr": 5e-3, "layers": 2, "dropout": 0.3},
    "multidae": {"lr": 3e-4, "ema_decay": 0.99, "dropout": 0.7},
    "multidae++": {"lr": 3e-4, "ema_decay": 0.99, "dropout": 0.7},
    "multivae": {"lr": 3e-4, "ema_decay": 0.99, "beta": 0.3},
}

_UPDATES = {"lightgcn": 15}  # of an epoch: each passes over the whole graph

#: Train interactions of a user, on average, below and from which ``auto`` sets smoothing otherwise.
SPARSE, DENSE = 3.0, 30.0
#: Users from which ``auto`` uses what was best on MovieLens-1M instead of on smaller logs.
LARGE = 3000


# What smoothing changes from DENSE on.
_SMOOTHING_DENSE: dict[str, Values] = {
    "base": {"kept_weight": 1.0, "bias": False},
    "t": {"weight_decay": 0.5},
}


def preset(name: str, variant: str, *, users: int, interactions: int | None = None) -> FitConfig:
    """Return the settings of a preset for a variant.

    Parameters
    ----------
    name
        One of :data:`PRESETS`.
    variant
        ``base``, ``l``, ``t`` or ``lt``.
    users
        Users of the dataset; ``auto`` sizes the batch by it.
    interactions
        In its train part; by how many a user has ``auto`` sets smoothing. ``None``: many.

    Raises
    ------
    UsageError
        There is no such preset.

    Examples
    --------
    >>> preset("paper-ml-1m", "base", users=5949).diffusion.T
    40
    """
    if name == "auto":
        return auto(variant, users, interactions)
    if variant not in VARIANTS and name in PRESETS:
        raise UsageError(
            f"--preset {name}: of DiffRec's variants, not of {variant}", "leave --preset out"
        )
    if name not in PRESETS:
        known = [*PRESETS, *_own_names()]
        raise UsageError(f"--preset {name}: unknown", f"one of: {', '.join(known)}")
    return _released(_CHANGES[name], variant)


def own_preset(
    name: str, variant: str, *, users: int, interactions: int | None = None
) -> FitConfig:
    """Return the settings of a preset, one of :data:`PRESETS` or of the user's own.

    Raises
    ------
    UsageError
        There is no such preset, or it is of another variant.
    """
    path = presets_dir() / f"{name}.json"
    if name in PRESETS or not is_name(name) or not path.is_file():
        return preset(name, variant, users=users, interactions=interactions)
    record = read_record(path, kind=_KIND, schema_version=_SCHEMA_VERSION)
    if record.get("variant") != full_name(variant):
        raise UsageError(
            f"--preset {name}: of {record.get('variant')}, not of {variant}",
            f"fit --variant {record.get('variant')} --preset {name}",
        )
    return auto(full_name(variant), users, interactions).with_values(record.get("values", {}))


def check_own_name(name: str) -> None:
    """Raise UsageError if the user's own preset cannot have this name."""
    check_name(name, "preset")
    if name in PRESETS:
        raise UsageError(f"{name!r} is a preset of diffrec's", "choose another name")


def write_own(name: str, variant: str, values: Values) -> None:
    """Store settings under a name, replacing what has it."""
    path = presets_dir() / f"{name}.json"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"kind": _KIND, "schema_version": _SCHEMA_VERSION, "variant": variant}
        write_atomically(path, dump_json({**head, "values": dict(values)}))


def _own_names() -> list[str]:
    return sorted(path.stem for path in presets_dir().glob("*.json"))


def _released(changes: Mapping[str, Values], variant: str) -> FitConfig:
    config = _RELEASED_LATENT if variant in ("l", "lt") else _RELEASED_BASE
    config = config.with_values(changes["l" if variant in ("l", "lt") else "base"])
    if variant in ("base", "l"):
        return config
    return replace(config, temporal=TemporalConfig()).with_values(changes[variant])


def auto(variant: str, users: int, interactions: int | None = None) -> FitConfig:
    """Return settings that do well without tuning.

    Chosen on validation Recall@20 over MovieLens-1M (clean and noisy), MovieLens-100k and two
    sample logs (40 and 10 interactions a user); ``examples/reproduce`` has every trial and
    the reasons. Over interactions the loss is unweighted, the learning rate smaller
    than the released one and the noise far larger, the more so where there are many users to learn
    from. In the latent space many users pay for a wider denoiser and for a log-variance that is
    free; few are better served by the weighted loss.
    """
    if not is_diffrec(variant):
        return _comparator(full_name(variant), users)
    if variant.endswith(SMOOTHING):
        each = math.inf if interactions is None else interactions / max(1, users)
        return _smoothing(variant.removesuffix(SMOOTHING), users, each)
    large = users >= LARGE
    training = TrainingConfig(lr=3e-4, batch_size=_batch_size(users, updates=60), ema_decay=0.99)
    temporal = TemporalConfig() if variant in ("t", "lt") else None
    if variant in ("base", "t"):
        diffusion = (
            DiffusionConfig(T=10, s=0.5, alpha_min=0.001) if large else DiffusionConfig(s=0.1)
        )
        return FitConfig(diffusion=diffusion, training=training, temporal=temporal)
    weight = 10.0 if large else 0.003  # of a loss without and with Eq. 11's weights
    return FitConfig(
        diffusion=DiffusionConfig(weighted_loss=not large),
        denoiser=DenoiserConfig(dims=(1000,) if large else (300,)),
        training=replace(training, lr=2e-3, batch_size=_batch_size(users, updates=30)),
        latent=LatentConfig(
            gamma=0.01 if large else 0.03,
            lambda_=weight,
            lambda_min=weight,
            log_variance="free" if large else "bounded",
            denoiser_lr=1e-3,
        ),
        temporal=temporal,
    )


def _smoothing(variant: str, users: int, each: float) -> FitConfig:
    """Return the settings of a variant whose corruption smooths over the item graph.

    Chosen on valid Recall@20 over MovieLens-1M (clean and noisy), MovieLens-100k and sample logs
    (``examples/reproduce/smoothing.csv``), and where these agree with several, on the tail of
    train of MovieLens-1M. The valid curve has a hump before its best, so patience is longer than
    elsewhere.

    The fewer interactions a user has, `each` on average, the better copying them fits and the
    worse it serves: so the less count those that the denoiser was shown. Where there are many, the
    embeddings of ``t`` go on growing after they serve best, and ``base`` needs no bias.
    """
    config = FitConfig(
        training=TrainingConfig(
            lr=1e-3, batch_size=_batch_size(users, updates=60), ema_decay=0.99, patience=30
        ),
        temporal=TemporalConfig() if variant == "t" else None,
        smoothing=SmoothingConfig(),
    )
    if each < SPARSE:
        return config.with_values({"kept_weight": 0.0, "adds_smooth": False})
    if each < DENSE:
        return config
    return config.with_values(_SMOOTHING_DENSE[variant])


def _comparator(variant: str, users: int) -> FitConfig:
    """Return the settings of a model that DiffRec is compared with."""
    kind = comparator_class(variant)
    updates = _UPDATES.get(kind.model, 60)
    config = FitConfig(
        training=TrainingConfig(lr=1e-3, batch_size=_batch_size(users, updates=updates)),
        temporal=TemporalConfig() if variant.endswith(RECENT) else None,
        comparator=kind(),
    )
    return config.with_values(_COMPARED.get(kind.model, {}))


def _batch_size(users: int, *, updates: int) -> int:
    """Return the size that makes an epoch `updates` updates, between 100 users and the paper's 400.

    On small logs it is 100, or fewer so that an epoch has ten updates.
    """
    if users < 100 * updates:
        return max(50, min(100, users // 10))
    return min(400, users // updates)
