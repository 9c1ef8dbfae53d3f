"""What hyper-parameters are searched among, model by model.

The grids of DiffRec and the paper's comparators are those of the paper (section 4.1.3), less what
its own findings rule out (T' above 0) and what changes no list (CODIGEM's autoencoders beyond the
tenth). Those of the simple models are the usual ranges of the literature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from diffrec_cli.config import RECENT, SMOOTHING, VARIANTS, FitConfig
from diffrec_cli.errors import ConfigError

Space = Mapping[str, tuple[Any, ...]]

_LR: Space = {"lr": (1e-5, 1e-4, 1e-3, 1e-2)}
_DIFFUSION: Space = {
    "T": (2, 5, 10, 40, 50, 100),
    "s": (0.0, 1e-5, 1e-4, 5e-3, 1e-2, 1e-1),
    "alpha_min": (5e-4, 1e-3, 5e-3),
    "alpha_max": (5e-3, 1e-2),
}
_DROPOUT: Space = {"dropout": (0.1, 0.3, 0.5, 0.7)}
_AUTOENCODER: Space = {**_LR, **_DROPOUT, "weight_decay": (0.0, 1e-3, 1e-1)}
_EMBEDDING: Space = {
    **_LR,
    "dropout": (0.1, 0.2, 0.3, 0.4, 0.5),
    "decay": (1e-6, 1e-5, 1e-4),
}
_NEIGHBOURS: Space = {"neighbours": (20, 50, 100, 200, 500), "shrink": (0.0, 1.0, 10.0, 100.0)}

_SPACES: dict[str, Space] = {
    "base": {**_LR, "dims": ((300,), (200, 600), (1000,)), **_DIFFUSION},
    "l": {**_LR, "C": (1, 2, 3, 4, 5), **_DIFFUSION},
    "smoothing": {
        "lr": (3e-4, 1e-3, 3e-3),
        **_DROPOUT,
        "dim": (64, 128, 200, 400),
        "kept_weight": (0.5, 1.0),
        "weight_decay": (0.0, 0.2, 0.5),
        "a": (1.0, 1.5, 2.0),
        "T": (1, 2, 3),
    },
    "mf": _EMBEDDING,
    "lightgcn": {**_EMBEDDING, "layers": (1, 2, 3)},
    "cdae": {**_AUTOENCODER, "activation": ("sigmoid", "relu", "tanh")},
    "multidae": _AUTOENCODER,
    "multidae++": _AUTOENCODER,
    "multivae": {**_AUTOENCODER, "beta": (0.0, 0.3, 0.5, 0.7), "beta_updates": (0, 200, 500)},
    "codigem": {**_LR, "T": (2, 5, 10), "step_beta": (5e-5, 1e-4, 5e-4)},
    "acvae": {**_LR, **_DROPOUT, "beta": (0.1, 0.3, 0.5), "contrast": (0.0, 0.1, 0.3)},
    "popularity": {},
    "itemknn": _NEIGHBOURS,
    "userknn": _NEIGHBOURS,
    "ease": {"lambda": (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)},
    "rp3beta": {
        "alpha": (0.4, 0.7, 1.0, 1.3),
        "popularity": (0.0, 0.2, 0.4, 0.6, 0.8),
        "neighbours": (50, 100, 200, 500),
    },
    "slim": {"l1": (0.1, 1.0, 3.0, 10.0, 30.0), "l2": (1.0, 10.0, 100.0, 300.0, 1000.0)},
    "ials": {
        "dim": (32, 64, 128, 256),
        "confidence": (2.0, 5.0, 10.0, 20.0, 40.0),
        "regularization": (0.1, 1.0, 10.0, 50.0),
    },
}
_TEMPORAL: Space = {"w_min": (0.1, 0.3, 0.5)}


def space(variant: str) -> Space:
    """Return the values of each setting of a variant that are searched among.

    Examples
    --------
    >>> space("multidae-t")["w_min"]
    (0.1, 0.3, 0.5)
    """
    if variant in VARIANTS:
        own = _SPACES["l" if "l" in variant else "base"]
        return {**own, **_TEMPORAL} if "t" in variant else own
    if variant.endswith(SMOOTHING):
        own = _SPACES["smoothing"]
        return {**own, **_TEMPORAL} if variant == f"t{SMOOTHING}" else own
    own = _SPACES[variant.removesuffix(RECENT)]
    return {**own, **_TEMPORAL} if variant.endswith(RECENT) else own


def draws(config: FitConfig, seed: int) -> Iterator[dict[str, Any]]:
    """Yield settings to try: none changed first, then distinct ones of the space at random.

    Impossible ones are left out; it ends with the space.

    Parameters
    ----------
    config
        What the settings will be put into.
    seed
        Of the order.
    """
    yield {}
    values = space(config.variant)
    total = math.prod(len(choices) for choices in values.values()) if values else 0
    rng = np.random.default_rng(seed)
    for place in rng.permutation(total).tolist():
        tried = _at(values, place)
        try:
            config.with_values(tried)
        except ConfigError:
            continue
        yield tried


def _at(values: Space, place: int) -> dict[str, Any]:
    """Return the grid's point of that number."""
    point = {}
    for name, choices in values.items():
        place, index = divmod(place, len(choices))
        point[name] = choices[index]
    return point
