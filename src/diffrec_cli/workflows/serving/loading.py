"""From a stored model to a scorer, with all checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffrec_cli.config import FitConfig
from diffrec_cli.data.dataset import Dataset
from diffrec_cli.errors import CorruptError
from diffrec_cli.models.backend import Backend
from diffrec_cli.models.scorer import Scorer, build_scorer
from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.system_errors import is_out_of_memory


def load_scorer(
    artifact: Artifact,
    config: FitConfig,
    dataset: Dataset,
    backend: Backend,
    more: Mapping[str, Any] | None = None,
) -> Scorer:
    """Return the scorer of a stored model, with `more` arrays, by name, than are stored.

    Raises
    ------
    CorruptError
        The weights are damaged, or of another kind of model.
    RuntimeError
        There is no room for them on the device, as torch says it.
    """
    weights = {**artifact.weights(), **(more or {})}
    try:
        scorer = build_scorer(config, weights, backend)
    except (KeyError, ValueError, IndexError, RuntimeError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise _unfit(artifact, str(error)) from error
    if scorer.n_items != dataset.n_items:
        raise _unfit(artifact, f"{scorer.n_items} items instead of {dataset.n_items}")
    return scorer


def _unfit(artifact: Artifact, why: str) -> CorruptError:
    first_line = why.splitlines()[0] if why else "unknown"
    return CorruptError(
        f"{artifact.record.reference}: the weights are not those of a {artifact.record.variant}"
        f" model of its data ({first_line})",
        "import the model again from an export, or fit it again",
    )
