"""The Python API: everything a command does, callable from a script or a notebook.

Each function does one job and returns a frozen result. A listener
(:mod:`diffrec_cli.workflows.progress`) gets notes and progress::

    from diffrec_cli import workflows

    fitted = workflows.fit("ratings.csv", variant="lt")
    lists = workflows.recommend(model=fitted.model, users=["42"], k=20)
    print(lists.table())

Functions are imported when first used, so that a list never waits for imports of training.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffrec_cli.workflows.backtest_models import backtest as backtest
    from diffrec_cli.workflows.check_installation import doctor as doctor
    from diffrec_cli.workflows.compare_models import compare as compare
    from diffrec_cli.workflows.download_data import download as download
    from diffrec_cli.workflows.evaluate_models import evaluate as evaluate
    from diffrec_cli.workflows.export_to_file import export_lists as export_lists
    from diffrec_cli.workflows.fit_model import fit as fit
    from diffrec_cli.workflows.forget_user import forget as forget
    from diffrec_cli.workflows.manage_datasets import list_datasets as list_datasets
    from diffrec_cli.workflows.manage_datasets import remove_dataset as remove_dataset
    from diffrec_cli.workflows.manage_datasets import sample as sample
    from diffrec_cli.workflows.manage_datasets import show_dataset as show_dataset
    from diffrec_cli.workflows.manage_models import default_model as default_model
    from diffrec_cli.workflows.manage_models import export_model as export_model
    from diffrec_cli.workflows.manage_models import import_model as import_model
    from diffrec_cli.workflows.manage_models import list_models as list_models
    from diffrec_cli.workflows.manage_models import prune_model as prune_model
    from diffrec_cli.workflows.manage_models import remove_model as remove_model
    from diffrec_cli.workflows.manage_models import rename_model as rename_model
    from diffrec_cli.workflows.manage_models import show_model as show_model
    from diffrec_cli.workflows.manage_models import verify_model as verify_model
    from diffrec_cli.workflows.prepare_data import prepare as prepare
    from diffrec_cli.workflows.quickstart_tour import quickstart as quickstart
    from diffrec_cli.workflows.recommend_lists import recommend as recommend
    from diffrec_cli.workflows.report_model import report as report
    from diffrec_cli.workflows.report_model import write_report as write_report
    from diffrec_cli.workflows.serve_lists import serve as serve
    from diffrec_cli.workflows.similar_items import similar as similar
    from diffrec_cli.workflows.tune_settings import tune as tune
    from diffrec_cli.workflows.update_model import update as update
    from diffrec_cli.workflows.write_vectors import export_vectors as export_vectors

_HOMES = {
    "backtest": "backtest_models",
    "compare": "compare_models",
    "default_model": "manage_models",
    "doctor": "check_installation",
    "download": "download_data",
    "evaluate": "evaluate_models",
    "export_lists": "export_to_file",
    "export_model": "manage_models",
    "export_vectors": "write_vectors",
    "fit": "fit_model",
    "import_model": "manage_models",
    "forget": "forget_user",
    "list_datasets": "manage_datasets",
    "list_models": "manage_models",
    "prepare": "prepare_data",
    "prune_model": "manage_models",
    "quickstart": "quickstart_tour",
    "recommend": "recommend_lists",
    "remove_dataset": "manage_datasets",
    "remove_model": "manage_models",
    "rename_model": "manage_models",
    "report": "report_model",
    "sample": "manage_datasets",
    "serve": "serve_lists",
    "show_dataset": "manage_datasets",
    "show_model": "manage_models",
    "similar": "similar_items",
    "tune": "tune_settings",
    "update": "update_model",
    "verify_model": "manage_models",
    "write_report": "report_model",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
