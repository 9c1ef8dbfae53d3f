"""Settings of closed forms that are found on the valid part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffrec_cli.catalogue import closed_form, model_row
from diffrec_cli.config import FitConfig
from diffrec_cli.data.sequences import Rows
from diffrec_cli.graph.judging import K, hide, is_in, quality, top
from diffrec_cli.models.backend import NumpyBackend
from diffrec_cli.models.baselines import fit_closed_form
from diffrec_cli.models.baselines.sparse import matrix
from diffrec_cli.models.scorer import Scorer, build_scorer

Arrays = dict[str, NDArray[Any]]

#: Users, spread over all, by which tries are judged.
_USERS = 3_000
_BLOCK = 256


def selects_on_valid(config: FitConfig) -> bool:
    """Return whether a fit finds settings of the model on the valid part, beside its epochs."""
    row = model_row(config)
    if config.graph is not None:
        return True
    return row is not None and (row.select is not None or bool(row.tries))


def select_closed_form(
    config: FitConfig, train: Rows, valid: Rows, n_items: int
) -> tuple[FitConfig, Arrays]:
    """Return a model's settings with what they leave open found on valid, and its arrays of train.

    Parameters
    ----------
    config
        Its settings.
    train, valid
        Every user's interactions, without weights by order, oldest first; `valid` may be empty.
    n_items
        |I|.

    Raises
    ------
    DeviceError, MissingExtraError
        As for :func:`~diffrec_cli.models.baselines.fit_closed_form`.
    """
    row = closed_form(config)
    if not len(valid.items):
        return config, fit_closed_form(config, train, n_items)
    if row.select is not None:
        settings, arrays = row.select(config.comparator, train, valid, n_items)
        return replace(config, comparator=settings), arrays
    return _best_try(_tries(config), train, valid, n_items)


def _tries(config: FitConfig) -> list[FitConfig]:
    """Return the settings to try: these, and others if these are the defaults."""
    row = closed_form(config)
    defaults = FitConfig(comparator=row.config()).with_values({"seed": config.seed})
    others = row.tries if config.comparator == defaults.comparator else ()
    return [config, *(config.with_values(changes) for changes in others)]


def _best_try(
    tries: list[FitConfig], train: Rows, valid: Rows, n_items: int
) -> tuple[FitConfig, Arrays]:
    """Return the settings that rank best on valid, and their arrays."""
    if len(tries) == 1:
        return tries[0], fit_closed_form(tries[0], train, n_items)
    found = []
    for config in tries:
        arrays = fit_closed_form(config, train, n_items)
        value = judged(build_scorer(config, arrays, NumpyBackend()), train, valid)
        found.append((value, config, arrays))
    return max(found, key=lambda one: one[0])[1:]


def judged(scorer: Scorer, train: Rows, valid: Rows) -> float:
    """Return the mean of a scorer's valid Recall@20 and NDCG@20, of some users.

    Parameters
    ----------
    scorer
        The model.
    train, valid
        Every user's interactions: those that are read and may not be in a list, and those to find.
    """
    seen, held_out = matrix(train.closed, scorer.n_items), matrix(valid, scorer.n_items)
    users = np.flatnonzero(np.diff(held_out.indptr))
    users = users[:: max(1, len(users) // _USERS)]
    hits: list[NDArray[np.bool_]] = []
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        scores = np.array(scorer.backend.host(scorer.scores(train.take(block))), np.float32)
        hide(scores, seen[block])
        hits.append(is_in(held_out, block, top(scores, K)))
    return quality(np.concatenate(hits), np.diff(held_out.indptr)[users])
