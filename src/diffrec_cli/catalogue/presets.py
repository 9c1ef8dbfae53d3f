"""Presets: named hyper-parameters with their source.

The ``paper-*`` presets are those of the checkpoints that the paper's authors released (in the file
names), for their three datasets, clean and noisy. ``auto`` is this project's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from diffrec_cli.catalogue.registered import CORRUPTIONS, MODELS
from diffrec_cli.catalogue.rows import Model, Values
from diffrec_cli.catalogue.sizes import LARGE, batch_size
from diffrec_cli.catalogue.variant import Variant
from diffrec_cli.config import (
    GAUSSIAN,
    DenoiserConfig,
    DiffusionConfig,
    FitConfig,
    GraphSum,
    LatentConfig,
    OrderedGraphSum,
    TemporalConfig,
    TrainingConfig,
)
from diffrec_cli.errors import CorruptError, UsageError
from diffrec_cli.files import dump_json, read_record, write_atomically
from diffrec_cli.paths import check_name, is_name, presets_dir
from diffrec_cli.system_errors import writing

# Where the names say nothing else, released runs have weighted losses, batches of 400 and
# validation every 5 epochs. DiffRec and T-DiffRec replace beta_1.
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

_YELP_LATENT: Values = {
    "lr": 5e-4,
    "denoiser_lr": 1e-4,
    "T": 5,
    "s": 0.01,
    "weighted_loss": False,
    "lambda_on": "vae",
}
_AMAZON_LATENT: Values = {
    "lr": 5e-4,
    "denoiser_lr": 1e-4,
    "lambda_": 0.05,
    "T": 5,
    "s": 0.5,
    "alpha_min": 0.001,
    "alpha_max": 0.005,
}

# Changes by preset and variant. T- and LT-DiffRec start from DiffRec and L-DiffRec. The authors
# released them for Yelp and Amazon-book, clean. With noise w_min is that of the same clean dataset,
# and for MovieLens-1M the smallest.
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
        "l": _YELP_LATENT,
        "t": {"s": 0.005, "w_min": 0.5},
        "lt": {
            "batch_size": 200,
            "denoiser_lr": 5e-5,
            "weighted_loss": True,
            "lambda_on": "diffusion",
            "w_min": 0.5,
        },
    },
    "paper-yelp-noisy": {
        "base": {
            "lr": 1e-5,
            "dims": (1000,),
            "T": 5,
            "s": 0.001,
            "alpha_min": 0.0005,
            "weighted_loss": False,
        },
        "l": _YELP_LATENT,
        "t": {"w_min": 0.5},
        "lt": {"w_min": 0.5},
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
        "l": _AMAZON_LATENT,
        "t": {"lr": 1e-5, "T": 10, "s": 0.0005, "alpha_min": 0.001, "w_min": 0.1},
        "lt": {"lambda_": 0.03, "s": 0.7, "w_min": 0.1},
    },
    "paper-amazon-book-noisy": {
        "base": {
            "lr": 5e-5,
            "dims": (1000,),
            "T": 10,
            "s": 0.005,
            "alpha_min": 0.0001,
            "alpha_max": 0.0005,
        },
        "l": {**_AMAZON_LATENT, "lambda_": 0.07},
        "t": {"w_min": 0.1},
        "lt": {"w_min": 0.1},
    },
}
PRESETS = ("auto", *_CHANGES)
_KIND, _SCHEMA_VERSION = "preset", 1  # records of users' own presets


def preset(name: str, variant: str, *, users: int, interactions: int | None = None) -> FitConfig:
    """Return the settings of a preset for a variant.

    Parameters
    ----------
    name
        One of :data:`PRESETS`; those of the paper are for its variants of DiffRec alone.
    variant
        Name of a model, see :func:`~diffrec_cli.catalogue.names`.
    users
        Number of users of the dataset; ``auto`` sizes the batch by it.
    interactions
        Number of train interactions, which ``auto`` reads. ``None``: many.

    Raises
    ------
    UsageError
        There is no such preset, or no such model.

    Examples
    --------
    >>> preset("paper-ml-1m", "base", users=5949).diffusion.T
    40
    """
    meant = Variant.parse(variant)
    if name not in PRESETS:
        known = [*PRESETS, *_own_names()]
        raise UsageError(f"--preset {name}: unknown", f"one of: {', '.join(known)}")
    if name == "auto":
        return auto(meant, users, interactions)
    if meant.model is not None or meant.corruption != GAUSSIAN or meant.graph:
        raise UsageError(
            f"--preset {name} is for DiffRec's variants, not for {variant}", "leave --preset out"
        )
    return _released(_CHANGES[name], meant)


def own_preset(
    name: str, variant: str, *, users: int, interactions: int | None = None
) -> FitConfig:
    """Return the settings of a preset: one of :data:`PRESETS`, or the user's own.

    Raises
    ------
    UsageError
        There is no such preset, or it is for another variant.
    """
    path = presets_dir() / f"{name}.json"
    if name in PRESETS or not is_name(name) or not path.is_file():
        return preset(name, variant, users=users, interactions=interactions)
    meant = Variant.parse(variant)
    record = read_record(path, kind=_KIND, schema_version=_SCHEMA_VERSION)
    if record.get("variant") != str(meant):
        raise UsageError(
            f"--preset {name} is for {record.get('variant')}, not for {variant}",
            f"fit --variant {record.get('variant')} --preset {name}",
        )
    values = record.get("values")
    if not isinstance(values, dict):
        raise CorruptError(f"{path}: the preset is damaged (values)", "tune again, or remove it")
    return auto(meant, users, interactions).with_values(values)


def check_own_name(name: str) -> None:
    """Raise UsageError if a user's own preset cannot have this name."""
    check_name(name, "preset")
    if name in PRESETS:
        raise UsageError(f"{name!r} is one of diffrec's own presets", "choose another name")


def write_own(name: str, variant: str, values: Values) -> None:
    """Store a user's own preset, replacing one of the same name."""
    path = presets_dir() / f"{name}.json"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"kind": _KIND, "schema_version": _SCHEMA_VERSION, "variant": variant}
        write_atomically(path, dump_json({**head, "values": dict(values)}))


def _own_names() -> list[str]:
    return sorted(path.stem for path in presets_dir().glob("*.json"))


def _released(changes: Mapping[str, Values], variant: Variant) -> FitConfig:
    config = _RELEASED_LATENT if variant.latent else _RELEASED_BASE
    config = config.with_values(changes["l" if variant.latent else "base"])
    if not variant.temporal:
        return config
    return replace(config, temporal=TemporalConfig()).with_values(changes[str(variant)])


def auto(variant: Variant, users: int, interactions: int | None = None) -> FitConfig:
    """Return settings that do well without tuning.

    DiffRec's were chosen on valid Recall@20 of MovieLens-1M (clean and noisy), MovieLens-100k and
    two sample logs (40 and 10 interactions a user); ``examples/reproduce`` has all trials and the
    reasons. Without a latent space the loss is unweighted, the learning rate lower than the
    released one and the noise much larger, above all with many users. In the latent space a wider
    denoiser and a free log-variance are better with many users, a weighted loss with few. With
    very many, `base`, `t` and smoothing train in larger batches with a higher learning rate, as
    chosen on gowalla, and count updates instead of passes.
    """
    each = math.inf if interactions is None else interactions / max(1, users)
    if variant.model is not None:
        config = _comparator(MODELS[variant.model], users, each)
    elif variant.latent:
        config = _latent(users)
    else:
        config = CORRUPTIONS[variant.corruption].auto(variant.temporal, users, each)
    weighted = config.corruption is None or config.corruption.weighted
    if variant.temporal and weighted and config.temporal is None:
        config = replace(config, temporal=TemporalConfig())
    if not variant.graph:
        return config
    return replace(config, graph=OrderedGraphSum() if variant.temporal else GraphSum())


def _latent(users: int) -> FitConfig:
    large = users >= LARGE
    weight = 10.0 if large else 0.003  # unweighted losses are smaller than those weighted by Eq. 11
    return FitConfig(
        diffusion=DiffusionConfig(weighted_loss=not large),
        denoiser=DenoiserConfig(dims=(1000,) if large else (300,)),
        training=TrainingConfig(lr=2e-3, batch_size=batch_size(users, updates=30), ema_decay=0.99),
        latent=LatentConfig(
            gamma=0.01 if large else 0.03,
            gamma_updates=20_000 if large else 6667,  # to the cap in 200
            lambda_=weight,
            lambda_min=weight,
            log_variance="free" if large else "bounded",
            denoiser_lr=1e-3,
        ),
    )


def _comparator(row: Model, users: int, each: float) -> FitConfig:
    """Return settings of a model other than DiffRec; its noise, if it has any, is DiffRec's."""
    training = TrainingConfig(lr=1e-3, batch_size=batch_size(users, updates=row.updates))
    config = FitConfig(training=training, comparator=row.config())
    if "diffusion" in row.config.groups:
        config = replace(config, diffusion=CORRUPTIONS[GAUSSIAN].auto(False, users, each).diffusion)
    return config.with_values(row.auto)
