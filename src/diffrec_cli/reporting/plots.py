"""Pictures of comparisons and backtests (extra ``plot``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffrec_cli.errors import MissingExtraError, UsageError
from diffrec_cli.files import check_user_file, user_file
from diffrec_cli.workflows.backtest_models import Backtested
from diffrec_cli.workflows.compare_models import Comparison

KINDS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise if a picture cannot be drawn into this file, before long work begins."""
    if path.suffix not in KINDS:
        raise UsageError(f"--plot {path}: unknown kind of file", f"end it in {', '.join(KINDS)}")
    check_user_file(path)
    _pyplot()


def draw_costs(compared: Comparison, path: Path) -> None:
    """Draw every model's accuracy against the time that fitting it took."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for result in compared.results:
        if result.failure:
            continue
        mean, sd = result.metrics["recall@20"]
        axes.errorbar(max(result.fit_seconds, 1e-3), mean, sd, fmt="o", capsize=2)
        axes.annotate(
            result.model,
            (max(result.fit_seconds, 1e-3), mean),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(xscale="log", xlabel="seconds of fitting", ylabel="Recall@20", title=compared.dataset)
    axes.grid(alpha=0.3)
    _save(figure, path)


def draw_periods(done: Backtested, path: Path) -> None:
    """Draw every model's accuracy in each period."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    starts = [period.start[:10] for period in done.periods]
    for model in done.means:
        figures = [
            period.trials[model].test["recall@20"] if model in period.trials else float("nan")
            for period in done.periods
        ]
        axes.plot(range(len(starts)), figures, marker="o", label=model)
    axes.set_xticks(range(len(starts)), starts, rotation=30, ha="right")
    axes.set(xlabel=f"{done.horizon} from", ylabel="Recall@20", title=done.name)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with user_file(path) as stream:
        figure.savefig(stream, format=path.suffix[1:], dpi=150)
    _pyplot().close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise MissingExtraError("--plot", "matplotlib", "plot") from error
    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot
