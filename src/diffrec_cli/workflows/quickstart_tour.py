"""A tour on a made-up log: sample, fit, evaluate, recommend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from diffrec_cli.catalogue import AUTO
from diffrec_cli.config.options import TRAIN
from diffrec_cli.paths import home
from diffrec_cli.registry import versions as registry
from diffrec_cli.workflows.evaluate_models import Evaluated, evaluate
from diffrec_cli.workflows.fit_model import Fitted, fit
from diffrec_cli.workflows.progress import Listener, Note, silent
from diffrec_cli.workflows.recommend_lists import recommend

NAME = "quickstart"
CHOOSE_SECONDS = 20.0


def _may_be_default() -> bool:
    """Tell whether no model of the user's own is the default."""
    return all(model.name == NAME or not model.default for model in registry.list_models())


@dataclass(frozen=True)
class Toured:
    """What the tour made.

    Parameters
    ----------
    log, items
        The sample log and its item table.
    fitted
        The model.
    evaluated
        Its test metrics beside popularity's.
    user, recommendations
        One user and their list.
    """

    log: Path
    items: Path
    fitted: Fitted
    evaluated: Evaluated
    user: str
    recommendations: pa.Table

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "log": str(self.log),
            "items": str(self.items),
            "model": self.fitted.model,
            **self.evaluated.to_dict(),
            "user": self.user,
            "recommendations": self.recommendations.to_pylist(),
        }


def quickstart(*, variant: str = AUTO, device: str = "auto", listener: Listener = silent) -> Toured:
    """Write a sample log, fit, evaluate and recommend, in under a minute."""
    from diffrec_cli.data.sources.sample import SampleOptions, write_sample
    from diffrec_cli.system_errors import writing

    directory = home() / NAME
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        log, items = write_sample(directory / "ratings.csv", SampleOptions(), overwrite=True)
    listener(Note(f"diffrec data sample {log}"))
    how = f"--choose-time {CHOOSE_SECONDS:.0f}" if variant == AUTO else f"--variant {variant}"
    listener(Note(f"diffrec fit {log} --items {items} {how} --name {NAME}"))
    fitted = fit(
        log,
        variant=variant,
        choose_seconds=CHOOSE_SECONDS,
        name=NAME,
        items=items,
        dataset_name=NAME,
        overwrite=True,
        default=_may_be_default(),
        device=device,
        listener=listener,
    )
    if fitted.interruption is not None:
        raise fitted.interruption
    listener(Note(f"diffrec eval {fitted.model} --history {TRAIN} --baselines pop"))
    evaluated = evaluate(
        [str(fitted.model)], history=TRAIN, baselines=["pop"], device=device, listener=listener
    )
    user = evaluated.results[0].user_ids[0]
    listener(Note(f"diffrec recommend --model {NAME} --user {user} -k 10 --titles"))
    lists = recommend(fitted.model, users=[user], k=10, titles=True)
    return Toured(log, items, fitted, evaluated, user, lists.table())
