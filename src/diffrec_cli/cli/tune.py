"""``diffrec tune``: a guided search for one model's settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import chosen, filled, flat, make_table, report, screen
from diffrec_cli.cli._streams import require_stdout

EXAMPLES = examples(
    "diffrec tune ratings.csv --variant t --trials 30 --write-preset mine",
    "diffrec tune ratings -v lt --budget 2h --jobs 2 --set epochs=200",
    "diffrec fit ratings -v t --preset mine",
)


def tune(
    data: o.DataArgument,
    variant: Annotated[
        str,
        typer.Option(
            "--variant",
            "-v",
            metavar="NAME",
            help="base, l, t, lt, multivae, ...",
            autocompletion=completion.variants,
        ),
    ] = "base",
    trials: Annotated[
        int, typer.Option("--trials", help="Trials in all, with those of earlier sessions.")
    ] = 20,
    budget: o.BudgetOption = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", help="Trials at a time, if memory allows.")
    ] = 1,
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting to hold fixed.",
            autocompletion=completion.settings,
        ),
    ] = None,
    write_preset: Annotated[
        str | None,
        typer.Option(
            "--write-preset", metavar="NAME", help="Store the best settings for fit --preset."
        ),
    ] = None,
    dataset: o.DatasetOption = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    form: o.FormatOption = None,
) -> None:
    r"""Search the paper's grid for the settings with the best valid Recall@20.

    The first trial is the model's defaults; bad trials are stopped early.
    The same command continues an earlier search.
    Needs Optuna: pip install 'diffrec-cli\[tune]'
    """
    from diffrec_cli import workflows

    if write_preset is None:
        require_stdout()
    tuned = workflows.tune(
        list(data),
        variant=variant,
        trials=trials,
        budget=o.duration(budget),
        jobs=jobs,
        values=o.assignments(assign or []),
        write_preset=write_preset,
        dataset_name=dataset,
        device=device,
        precision=precision,
        listener=screen,
    )
    screen.close()
    result = tuned.to_dict()
    report(
        chosen(form, piped="json"),
        payload=result,
        rows=[flat(result)],
        table=lambda: _table(result),
    )
    preset = f" or --preset {tuned.preset}" if tuned.preset else ""
    screen.say(f"diffrec fit {tuned.dataset} --variant {tuned.variant} {tuned.options}{preset}")


def _table(result: dict[str, Any]) -> Any:
    table = make_table(f"{result['variant']} on {result['dataset']}", f">{'best'}")
    rows = [("valid recall@20", f"{result['valid_recall@20']:.4f}"), *result["values"].items()]
    trials = [(f"trials {how}", count) for how, count in result["trials"].items()]
    return filled(table, [*rows, *trials])
