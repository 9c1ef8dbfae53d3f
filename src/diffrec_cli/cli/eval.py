"""``diffrec eval``: Recall, NDCG and more, models and baselines side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _options as o
from diffrec_cli.cli._output import chosen, filled, flat, make_table, report, screen

_COLUMNS = 4  # metrics that stand beside each other in 80 columns


def evaluate(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models, NAME or NAME@VERSION. [default: the last]")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="valid|test", help="What to predict.")
    ] = "test",
    k: Annotated[str, typer.Option("-k", metavar="K,K...", help="Cutoffs.")] = "10,20",
    metrics: Annotated[
        str,
        typer.Option("--metrics", help="Some of recall, ndcg, precision, mrr, hit, coverage."),
    ] = "recall,ndcg",
    history: Annotated[
        str,
        typer.Option(
            "--history",
            metavar="train|train+valid",
            help="What the model reads when testing; the paper's protocol is train.",
        ),
    ] = "train",
    baselines: Annotated[
        str, typer.Option("--baselines", help="Also measure some of pop, itemknn, ease.")
    ] = "",
    per_user: Annotated[
        Path | None,
        typer.Option(
            "--per-user", metavar="FILE", help="Write each user's metrics (csv, parquet)."
        ),
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC@K=VALUE", help="Exit with 7 below this value."),
    ] = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.PageFormatOption = None,
) -> None:
    """Rank everything a user has not seen, and compare with what came next.

    Several models stand side by side, with the paired difference to the first.

    Example: diffrec eval --baselines pop,ease --min recall@20=0.1
    """
    from diffrec_cli import workflows
    from diffrec_cli.workflows.evaluating import parse_minima

    minima = parse_minima(minimum or [])
    evaluated = workflows.evaluate(
        models or [],
        split=split,
        ks=o.cutoffs(k),
        metrics=o.names(metrics),
        history=history,
        baselines=o.names(baselines),
        minima=minima,
        per_user=per_user,
        device=device,
        precision=precision,
        listener=screen,
    )
    screen.close()
    payload = evaluated.to_dict()
    report(
        chosen(form, piped="json"),
        payload=payload,
        rows=[flat(result) for result in payload["results"]],
        table=lambda: evaluation_table(evaluated),
    )
    evaluated.require(minima)


def evaluation_table(evaluated: Any) -> Any:
    """Return the table of an evaluation, one row a model."""
    results = evaluated.to_dict()["results"]
    metrics = list(results[0]["metrics"])
    paired = [">diff", ">p"] if evaluated.compared else []
    title = f"{results[0]['split']}, {results[0]['users']:,} users"
    if len(metrics) > _COLUMNS:
        return _by_metric(results, metrics, title)
    table = make_table("model", *(f">{metric}" for metric in metrics), *paired, title=title)
    if paired:
        table.caption = (
            f"diff: {evaluated.compared} of the first model minus this one's;"
            " p: paired randomisation test over users"
        )
    return filled(table, (_row(result, bool(paired)) for result in results))


def _by_metric(results: list[dict[str, Any]], metrics: list[str], title: str) -> Any:
    """Return one row a metric: many metrics do not fit beside each other."""
    table = make_table("metric", *(f">{result['model']}" for result in results), title=title)
    return filled(
        table, ([m, *(f"{result['metrics'][m]:.4f}" for result in results)] for m in metrics)
    )


def _row(result: dict[str, Any], paired: bool) -> list[str]:
    cells = [result["model"], *(f"{value:.4f}" for value in result["metrics"].values())]
    if not paired:
        return cells
    difference = result.get("difference")
    if difference is None:
        return [*cells, "", ""]
    return [*cells, f"{difference['mean']:+.4f}", f"{difference['p_value']:.4f}"]
