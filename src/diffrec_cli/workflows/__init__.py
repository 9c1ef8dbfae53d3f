"""The Python API: everything a command does, callable from a script or a notebook.

Each function does one job and returns a frozen result; what happens on the way
is told to a listener (:mod:`diffrec_cli.workflows.events`)::

    from diffrec_cli import workflows

    fitted = workflows.fit("ratings.csv", variant="lt")
    lists = workflows.recommend(model=fitted.model, users=["42"], k=20)
    print(lists.table())

The functions are imported when they are first used, so that asking for a list
never waits for what only training needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffrec_cli.workflows.checkup import doctor as doctor
    from diffrec_cli.workflows.comparing import compare as compare
    from diffrec_cli.workflows.downloading import download as download
    from diffrec_cli.workflows.evaluating import evaluate as evaluate
    from diffrec_cli.workflows.exporting import export_lists as export_lists
    from diffrec_cli.workflows.fitting import fit as fit
    from diffrec_cli.workflows.preparing import prepare as prepare
    from diffrec_cli.workflows.recommending import recommend as recommend
    from diffrec_cli.workflows.relating import export_vectors as export_vectors
    from diffrec_cli.workflows.relating import similar as similar
    from diffrec_cli.workflows.reporting import report as report
    from diffrec_cli.workflows.touring import quickstart as quickstart
    from diffrec_cli.workflows.tuning import tune as tune
    from diffrec_cli.workflows.updating import update as update

_HOMES = {
    "compare": "comparing",
    "doctor": "checkup",
    "download": "downloading",
    "evaluate": "evaluating",
    "export_lists": "exporting",
    "export_vectors": "relating",
    "fit": "fitting",
    "prepare": "preparing",
    "quickstart": "touring",
    "recommend": "recommending",
    "report": "reporting",
    "similar": "relating",
    "tune": "tuning",
    "update": "updating",
}
__all__ = [
    "compare",
    "doctor",
    "download",
    "evaluate",
    "export_lists",
    "export_vectors",
    "fit",
    "prepare",
    "quickstart",
    "recommend",
    "report",
    "similar",
    "tune",
    "update",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
