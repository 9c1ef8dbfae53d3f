"""The search space of each model, and the order in which its settings are tried."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from diffrec_cli.catalogue.corruptions import DIFFUSION_SPACE
from diffrec_cli.catalogue.registered import CORRUPTIONS, MODELS
from diffrec_cli.catalogue.rows import Space
from diffrec_cli.catalogue.variant import Variant
from diffrec_cli.config import FitConfig
from diffrec_cli.errors import ConfigError

_RATES = (1e-5, 1e-4, 1e-3, 1e-2)
_LATENT: Space = {
    "lr": _RATES,
    "denoiser_lr": _RATES,
    "dims": ((300,), (200, 600), (1000,)),
    "C": (1, 2, 3, 4, 5),
    **DIFFUSION_SPACE,
}
_TEMPORAL: Space = {"w_min": (0.1, 0.3, 0.5)}


def space(variant: str) -> Space:
    """Return the values to search for each setting of a variant.

    Examples
    --------
    >>> space("multidae-t")["w_min"]
    (0.1, 0.3, 0.5)
    """
    meant = Variant.parse(variant)
    if meant.model is not None:
        own, weighted = MODELS[meant.model].space, True
    else:
        row = CORRUPTIONS[meant.corruption]
        own = _LATENT if meant.latent else row.space
        weighted = row.config is None or row.config.weighted
    return {**own, **_TEMPORAL} if meant.temporal and weighted else own


def draws(config: FitConfig, seed: int) -> Iterator[dict[str, Any]]:
    """Yield changes to try: none first, then all valid points of the space in random order.

    Parameters
    ----------
    config
        The settings to change.
    seed
        Seed of the order.
    """
    import numpy as np

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
    """Return the point of the grid with this number."""
    point = {}
    for name, choices in values.items():
        place, index = divmod(place, len(choices))
        point[name] = choices[index]
    return point
