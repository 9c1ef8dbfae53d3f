"""``diffrec compare``: many models on one dataset, with equal effort for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, flat, make_table, plus_minus, report, screen
from diffrec_cli.cli._streams import require_stdout

MODELS = "base,t,multivae,itemknn,ease,ease-t,pop"

EXAMPLES = examples(
    "diffrec compare ratings.csv --models t,ease,ease-t --trials 10",
    "diffrec compare ratings -m base,t,lt,multivae --budget 10m --seeds 5",
    "diffrec compare ratings --plot cost.png --format md > compared.md",
)


def compare(
    data: o.DataArgument,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            "-m",
            metavar="NAME,NAME...",
            help="Models to compare.",
            autocompletion=completion.variant_list,
        ),
    ] = MODELS,
    seeds: Annotated[int, typer.Option("--seeds", help="Final fits of each model.")] = 3,
    trials: Annotated[
        int, typer.Option("--trials", help="Settings to try for each model; 0: its defaults.")
    ] = 0,
    budget: o.BudgetOption = None,
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting for every model that has it.",
            autocompletion=completion.settings,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw accuracy against cost (png, svg, pdf)."),
    ] = None,
    dataset: o.DatasetOption = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.PageFormatOption = None,
) -> None:
    """Compare models: the same search for each, fits over seeds, one table.

    Settings are chosen on the valid part; the table shows the test part.
    Results are kept: after Ctrl-C the same command continues.

    Models: base, l, t, lt (DiffRec); mf, lightgcn, cdae, multidae, multidae++,
    multivae, codigem, acvae; pop, itemknn, userknn, ease, rp3beta, slim, ials.
    Most have a variant with -t, which weighs recent interactions more: ease-t.
    """
    if plot is None:
        require_stdout()
    from diffrec_cli import workflows
    from diffrec_cli.reporting.plots import check_plot, draw_costs

    if plot is not None:
        check_plot(plot)
    compared = workflows.compare(
        list(data),
        o.names(models),
        seeds=seeds,
        trials=trials,
        budget=o.duration(budget),
        values=o.assignments(assign or []),
        dataset_name=dataset,
        device=device,
        precision=precision,
        listener=screen,
    )
    screen.close()
    payload = compared.to_dict()
    report(
        chosen(form, piped="json"),
        payload=payload,
        rows=[flat(result) for result in payload["results"]],
        table=lambda: _table(compared),
    )
    if plot is not None:
        draw_costs(compared, plot)


def _table(compared: Any) -> Any:
    columns = ("model", ">recall@20", ">ndcg@20", ">p", ">fit s", ">rank s", ">numbers", ">memory")
    table = make_table(
        *columns,
        title=f"{compared.dataset}: test, {compared.users:,} users",
        caption="mean and standard deviation over seeds; p: paired randomisation test over users"
        " against the first model, on recall@20",
    )
    return filled(table, map(_row, compared.results))


def _row(result: Any) -> list[str]:
    if result.failure:
        return [result.model, "failed", *[""] * 6]
    metrics = [plus_minus(*result.metrics[name]) for name in ("recall@20", "ndcg@20")]
    p = "" if result.difference is None else f"{result.difference.p_value:.4f}"
    seconds = [f"{value:.1f}" for value in (result.fit_seconds, result.rank_seconds)]
    memory = f"{result.peak_bytes / 1e9:.1f}G" if result.peak_bytes else ""
    return [result.model, *metrics, p, *seconds, _short(result.parameters), memory]


def _short(number: int) -> str:
    """Return 3.4M for 3,400,000."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)
