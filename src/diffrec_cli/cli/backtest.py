"""``diffrec backtest``: how models would have done, at several moments of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, make_table, report, screen
from diffrec_cli.cli._streams import require_stdout

EXAMPLES = examples(
    "diffrec backtest orders.csv",
    "diffrec backtest orders.csv --models auto,ease-t --cuts 12 --horizon 4w",
    "diffrec backtest orders.csv --since 365d --plot weeks.png --format md",
)


def backtest(
    context: typer.Context,
    log: Annotated[list[str], typer.Argument(metavar="LOG...", help="Log files with times.")],
    models: Annotated[
        str,
        typer.Option(
            "--models",
            "-m",
            metavar="NAME,NAME...",
            help="Models to fit at each moment.",
            autocompletion=completion.variant_list,
        ),
    ] = "auto,graph-t,ease-t",
    cuts: Annotated[int, typer.Option("--cuts", help="Number of moments.")] = 5,
    horizon: Annotated[
        str,
        typer.Option(
            "--horizon", metavar="SPAN", help="What is predicted at each: 12h, 7d, 4w and so on."
        ),
    ] = "7d",
    choose_time: Annotated[
        str | None,
        typer.Option(
            "--choose-time", metavar="TIME", help=r"Time for auto to choose. \[default: 1m]"
        ),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            "--search",
            metavar="first|each",
            help="Choose, and find settings on valid, at the first moment or at each anew.",
            autocompletion=completion.one_of("first", "each"),
        ),
    ] = "first",
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting for every named model that has it.",
            autocompletion=completion.settings,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw Recall@20 over time (png, svg, pdf)."),
    ] = None,
    user_col: o.UserColOption = None,
    item_col: o.ItemColOption = None,
    rating_col: o.RatingColOption = None,
    time_col: o.TimeColOption = None,
    event_col: o.EventColOption = None,
    event_kinds: o.EventKindsOption = None,
    event_weights: o.EventWeightsOption = None,
    weight_col: o.WeightColOption = None,
    sep: o.SepOption = None,
    header: o.HeaderOption = None,
    skip_lines: o.SkipLinesOption = 0,
    missing: o.MissingOption = "error",
    quotes: o.QuotesOption = None,
    encoding: o.EncodingOption = "utf-8",
    time_format: o.TimeFormatOption = None,
    min_rating: o.MinRatingOption = None,
    since: o.SinceOption = None,
    until: o.UntilOption = None,
    ratios: o.RatiosOption = None,
    repeats: o.RepeatsOption = None,
    target: o.TargetOption = None,
    min_user_interactions: o.MinUserOption = None,
    min_item_interactions: o.MinItemOption = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.PageFormatOption = None,
) -> None:
    """Fit models on the past at several moments, and measure them on what came next.

    At each moment models know what was known then: users, items and rows.
    Results are kept: after Ctrl-C the same command continues. A period is what
    `prepare --test-from A --until B`, `fit` and `eval --history train+valid` give.
    """
    if plot is None:
        require_stdout()
    from diffrec_cli import workflows
    from diffrec_cli.reporting.plots import check_plot, draw_periods

    if plot is not None:
        check_plot(plot)
    done = workflows.backtest(
        log,
        o.names(models),
        cuts=cuts,
        horizon=horizon,
        values=o.assignments(assign or []),
        choose_seconds=o.duration(choose_time),
        search=search,
        read=o.read_options(context.params),
        split=o.split_options(context.params, None),
        device=device,
        precision=precision,
        listener=screen,
    )
    screen.close()
    report(
        chosen(form, piped="json"),
        payload=done.to_dict(),
        rows=_rows(done),
        table=lambda: _table(done),
    )
    if plot is not None:
        draw_periods(done, plot)


def _rows(done: Any) -> list[dict[str, Any]]:
    """Return a flat record of each period and model."""
    return [
        {
            "from": period.start,
            "until": period.end,
            "users": period.users,
            "new_users": period.newcomers,
            "model": model,
            "variant": trial.variant,
            **trial.test,
            "fit_seconds": trial.fit_seconds,
        }
        for period in done.periods
        for model, trial in period.trials.items()
    ]


def _table(done: Any) -> Any:
    models = list(done.means)
    table = make_table(
        *("from", ">users", ">new", *(f">{model}" for model in models)),
        title=f"{done.name}: recall@20, {done.horizon} from each moment",
        caption="below: means over the users of all periods; p: paired randomisation test over them"
        " against the first model",
    )
    shown = 16 if done.horizon.endswith("h") else 10  # with or without the time of day
    for period in done.periods:
        figures = [
            f"{period.trials[model].test['recall@20']:.4f}" if model in period.trials else ""
            for model in models
        ]
        start = period.start[:shown].replace("T", " ")
        filled(table, [[start, f"{period.users:,}", f"{period.newcomers:,}", *figures]])
    table.add_section()
    for metric in ("recall@20", "ndcg@20"):
        filled(table, [[metric, "", "", *(f"{done.means[m][metric]:.4f}" for m in models)]])
    p = [f"{done.differences[m].p_value:.4f}" if m in done.differences else "" for m in models]
    return filled(table, [["p", "", "", *p]])
