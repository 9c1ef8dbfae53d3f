"""``diffrec eval``: Recall, NDCG and more, models and baselines side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, flat, make_table, plus_minus, report, screen
from diffrec_cli.cli._streams import require_stdout

_COLUMNS = 4  # metrics that fit side by side in 80 columns
_SCHEMA_VERSION = 2  # 1 had no history

EXAMPLES = examples(
    "diffrec eval --baselines pop,ease",
    "diffrec eval shop shop@1 --intervals --groups",
    "diffrec eval shop --metrics recall,ndcg,coverage -k 5,10 --format csv",
    "diffrec eval shop --min recall@20=0.10 || echo 'do not deploy'",
)


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help=r"Models, NAME or NAME@VERSION. \[default: the last]",
            autocompletion=completion.models,
        ),
    ] = None,
    split: o.SplitOption = "test",
    k: Annotated[str, typer.Option("-k", metavar="K,K...", help="Cutoffs.")] = "10,20",
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            help="Some of recall, ndcg, precision, mrr, hit, novelty, coverage.",
            autocompletion=completion.metrics,
        ),
    ] = "recall,ndcg",
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="train|train+valid",
            help="History to read when testing: train, as in the paper; or train+valid, as in use"
            r" \[default: both if there is an order, otherwise train; train+valid for a model that"
            " was trained on it]",
            autocompletion=completion.one_of("train", "train+valid"),
        ),
    ] = None,
    baselines: Annotated[
        str,
        typer.Option(
            "--baselines",
            help="Also fit and measure these: pop, itemknn, ease, ease-t...",
            autocompletion=completion.baseline_list,
        ),
    ] = "",
    per_user: Annotated[
        Path | None,
        typer.Option(
            "--per-user", metavar="FILE", help="Write each user's metrics (csv, parquet)."
        ),
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="METRIC@K=VALUE",
            help="Fail with exit code 7 below this value.",
            autocompletion=completion.minima,
        ),
    ] = None,
    groups: Annotated[
        bool,
        typer.Option("--groups", help="Also by user activity and item popularity."),
    ] = False,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Also a 95% interval of each mean.")
    ] = False,
    include_seen: Annotated[
        bool | None,
        typer.Option(
            "--include-seen/--exclude-seen",
            help=r"Whether lists have what users had before. \[default: if the log's repeats were"
            " kept]",
            show_default=False,
        ),
    ] = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.PageFormatOption = None,
) -> None:
    """Measure models: rank all items a user has not seen, against what came next.

    Recall@K is the share of a user's items that come next among the first K of
    the list, NDCG@K the same with more weight for earlier places; both are means
    over users.

    Several models are shown side by side, each compared with the first. With two
    histories the first one counts for --min, --per-user and comparisons.
    """
    if not minimum and per_user is None:
        require_stdout()
    from diffrec_cli import workflows
    from diffrec_cli.workflows.evaluate_models import parse_minima

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
        groups=groups,
        intervals=intervals,
        include_seen=include_seen,
        device=device,
        precision=precision,
        listener=screen,
    )
    screen.close()
    payload = evaluated.to_dict()
    report(
        chosen(form, piped="json"),
        payload=payload,
        rows=_records(payload["results"]),
        table=lambda: evaluation_table(evaluated),
        schema_version=_SCHEMA_VERSION,
    )
    evaluated.require(minima)


def evaluation_table(evaluated: Any) -> Any:
    """Return the table of an evaluation, one row a model."""
    results = evaluated.to_dict()["results"]
    metrics = list(results[0]["metrics"])
    paired = [">diff", ">p"] if evaluated.compared else []
    both = len({result["history"] for result in results}) > 1
    title = f"{results[0]['split']}, {results[0]['users']:,} users"
    title += "" if both else f", history {results[0]['history']}"
    if "groups" in results[0]:
        return _by_group(results, metrics[:_COLUMNS], title)
    if len(metrics) > _COLUMNS:
        return _by_metric(results, metrics, title)
    caption = (
        f"diff: {evaluated.compared} of the first model minus this one's;"
        " p: paired randomisation test over users"
    )
    table = make_table(
        *("model", *(f">{metric}" for metric in metrics), *paired),
        title=title,
        caption=caption if paired else None,
    )
    rows, history = [], None
    for result in results:
        if both and result["history"] != history:
            history = result["history"]
            rows.append([f"history {history}"] + [""] * (len(metrics) + len(paired)))
        rows.append([result["model"], *_row(result, bool(paired))])
    return filled(table, rows)


def _figure(result: dict[str, Any], metric: str) -> str:
    """Return a mean, with half of its interval if there is one."""
    mean, interval = result["metrics"][metric], result.get("intervals", {}).get(metric)
    if interval is None:
        return f"{mean:.4f}"
    return plus_minus(mean, (interval["high"] - interval["low"]) / 2)


def _by_metric(results: list[dict[str, Any]], metrics: list[str], title: str) -> Any:
    """Return one row a metric, for many metrics."""
    table = make_table("metric", *(f">{_name(result, results)}" for result in results), title=title)
    return filled(table, ([m, *(_figure(result, m) for result in results)] for m in metrics))


def _name(result: dict[str, Any], results: list[dict[str, Any]]) -> str:
    """Return the model, and its history where there are two."""
    both = len({other["history"] for other in results}) > 1
    return f"{result['model']} {result['history']}" if both else result["model"]


def _records(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one flat record a model and group."""
    records = []
    for result in results:
        records.append(flat({key: value for key, value in result.items() if key != "groups"}))
        head = {key: result[key] for key in ("model", "split", "history")}
        records += [flat({**head, **group}) for group in result.get("groups", [])]
    return records


def _by_group(results: list[dict[str, Any]], metrics: list[str], title: str) -> Any:
    """Return one row a model and group."""
    table = make_table(
        *("model", "group", ">users", *(f">{metric}" for metric in metrics)),
        title=title,
        caption="few, some, many: thirds of the users by train interactions. popular, middle, rare:"
        " items with a third of the interactions each; only relevant items of the group count.",
    )
    rows = []
    for result in results:
        whole = {
            "of": "users",
            "name": "all",
            "users": result["users"],
            "metrics": result["metrics"],
        }
        for group in [whole, *result["groups"]]:
            figures = [_cell(group["metrics"], metric) for metric in metrics]
            users = f"{group['users']:,}"
            rows.append(
                [_name(result, results), f"{group['of']}: {group['name']}", users, *figures]
            )
    return filled(table, rows)


def _cell(metrics: dict[str, float], metric: str) -> str:
    return f"{metrics[metric]:.4f}" if metric in metrics else ""


def _row(result: dict[str, Any], paired: bool) -> list[str]:
    cells = [_figure(result, metric) for metric in result["metrics"]]
    if not paired:
        return cells
    difference = result.get("difference")
    if difference is None:
        return [*cells, "", ""]
    return [*cells, f"{difference['mean']:+.4f}", f"{difference['p_value']:.4f}"]
