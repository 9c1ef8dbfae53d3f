"""Implicit alternating least squares, by the library ``implicit`` (extra ``baselines``).

Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue.simple_models import IALSConfig
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.errors import MissingExtraError
from diffrec_cli.graph.blas import one_thread_each
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.baselines.sparse import matrix
from diffrec_cli.models.comparators.factors_inference import FactorScorer, FoldIn


def fit_ials(config: IALSConfig, train: Rows, n_items: int) -> dict[str, NDArray[Any]]:
    """Return the factors of items, (items, dim); those of users are computed from histories.

    Raises
    ------
    MissingExtraError
        ``implicit`` is not installed.
    """
    try:
        from implicit.cpu.als import (  # type: ignore[import-untyped]  # it has no types
            AlternatingLeastSquares,
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError("ials", "implicit", "baselines") from error

    weighted = (config.confidence * matrix(train, n_items)).astype(np.float32)
    with one_thread_each():
        als = AlternatingLeastSquares(
            factors=config.dim,
            regularization=config.regularization,
            iterations=config.iterations,
            random_state=config.seed,
            num_threads=1,  # sums in one order: the same seed gives the same factors
        )
        als.fit(weighted, show_progress=False)
    return {"item_factors": np.ascontiguousarray(als.item_factors, np.float32)}


def ials_scorer(config: FitConfig, weights: Mapping[str, Any], backend: Backend) -> FactorScorer:
    """Return the scorer, which computes every user's vector from their history."""
    settings = config.settings(IALSConfig)
    return FactorScorer(weights, backend, FoldIn(settings.confidence, 1.0, settings.regularization))
