"""``diffrec fit``: train a model on a dataset or a log."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli import _options as o
from diffrec_cli.cli._help import examples
from diffrec_cli.cli._output import (
    can_print,
    chosen,
    filled,
    flat,
    make_table,
    print_line,
    report,
    screen,
)
from diffrec_cli.cli._streams import require_stdout
from diffrec_cli.errors import UsageError

EXAMPLES = examples(
    "diffrec fit ratings.csv --items movies.csv",
    "diffrec fit ratings.csv --variant lt",
    "diffrec fit events.tsv.gz --user-col customer --item-col sku --max-time 30m",
    "diffrec fit ratings -v t --set lr=1e-3 --set dims=600 --name shop",
    "diffrec fit ratings -v t --name shop --refit",
    "diffrec fit today.csv --warm-start shop",
)


def fit(
    context: typer.Context,
    data: o.DataArgument,
    variant: Annotated[
        str,
        typer.Option(
            "--variant",
            "-v",
            metavar="auto|base|l|t|lt|...",
            help="auto: what ranks best on the valid part. base: DiffRec; l: latent, for many"
            " items; t: temporal, for tastes that drift; lt: both. Others: see compare --help.",
            autocompletion=completion.variants_or_auto,
        ),
    ] = "auto",
    corruption: Annotated[
        str | None,
        typer.Option(
            "--corruption",
            metavar="NAME",
            help="How histories are corrupted; smoothing and masking work with base"
            " and t."
            r" \[default: the variant's]",
            autocompletion=completion.corruptions,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            help=r"Name of the model. \[default: DATASET-VARIANT; with auto DATASET]",
            autocompletion=completion.model_names,
        ),
    ] = None,
    device: o.DeviceOption = "auto",
    precision: o.PrecisionOption = "auto",
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="NAME",
            help=f"Named settings: {', '.join(completion.PRESETS)}.",
            rich_help_panel=o.TRAINING,
            autocompletion=completion.presets,
        ),
    ] = "auto",
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, such as lr=1e-3 or dims=200,600; may be repeated.",
            autocompletion=completion.settings,
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", envvar="DIFFREC_SEED", help=r"Seed. \[default: 1]", rich_help_panel=o.TRAINING
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", help="Epochs at most.", rich_help_panel=o.TRAINING),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", help="Users in a batch.", rich_help_panel=o.TRAINING),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            help="Stop after this many epochs without a better valid Recall@20.",
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    item_embeddings: Annotated[
        str | None,
        typer.Option(
            "--item-embeddings",
            metavar="svd|lightgcn|FILE.npy",
            help="What the latent variants cluster items by.",
            rich_help_panel=o.TRAINING,
            autocompletion=completion.one_of("svd", "lightgcn"),
        ),
    ] = None,
    choose_time: Annotated[
        str | None,
        typer.Option(
            "--choose-time",
            metavar="DURATION",
            help="With auto: time to choose in; what is chosen is trained to its end."
            r" \[default: 5m]",
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    any_model: Annotated[
        bool,
        typer.Option(
            "--any",
            help="With auto: take a model that is no diffusion where it is ahead.",
            rich_help_panel=o.TRAINING,
        ),
    ] = False,
    max_time: Annotated[
        str | None,
        typer.Option(
            "--max-time",
            metavar="DURATION",
            help="Take at most about 90s, 10m, 2h..., the choice and item graphs included;"
            " --refit takes extra time.",
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue an interrupted fit.", rich_help_panel=o.TRAINING),
    ] = False,
    refit: Annotated[
        str | None,
        typer.Option(
            "--refit",
            metavar="[all|train+valid]",
            help="Then train again on all interactions, for deployment; or on train and valid,"
            " for a last test.",
            autocompletion=completion.one_of(*o.REFITS),
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    dataset: o.DatasetOption = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace a prepared dataset whose log has changed.",
            rich_help_panel=o.READING,
        ),
    ] = False,
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
    items: o.ItemsOption = None,
    item_id_col: o.ItemIdColOption = None,
    setting: o.SettingOption = None,
    min_rating: o.MinRatingOption = None,
    since: o.SinceOption = None,
    until: o.UntilOption = None,
    test_from: o.TestFromOption = None,
    ratios: o.RatiosOption = None,
    order: o.OrderOption = None,
    parts: o.PartsOption = None,
    repeats: o.RepeatsOption = None,
    target: o.TargetOption = None,
    split_by: o.SplitByOption = None,
    noise: o.NoiseOption = None,
    noise_ratio: o.NoiseRatioOption = None,
    min_user_interactions: o.MinUserOption = None,
    min_item_interactions: o.MinItemOption = None,
    split_seed: Annotated[
        int | None,
        typer.Option(
            "--split-seed",
            help=r"Seed of the noise, and of a random split. \[default: 1]",
            rich_help_panel=o.SPLITTING,
        ),
    ] = None,
    item_ranks: Annotated[
        int | None,
        typer.Option(
            "--item-ranks",
            min=1,
            metavar="N",
            help="Under torchrun: split the items over N processes, and users over the others."
            r" \[default: as few as memory allows]",
            rich_help_panel=o.TRAINING,
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--warm-start",
            metavar="MODEL",
            help="Go on from this model's weights and settings, a few epochs, as its next version:"
            " for tonight's log. (`update` adds interactions without training.)",
            rich_help_panel=o.TRAINING,
            autocompletion=completion.model_names,
        ),
    ] = None,
    log_json: Annotated[
        str | None,
        typer.Option(
            "--log-json",
            metavar="FILE|-",
            help="Append what happens to this file as JSON lines; - is stdout, which then has"
            " nothing else.",
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            "--track",
            metavar="tensorboard|mlflow|wandb",
            help="Send settings and epochs there, too; may be repeated.",
            autocompletion=completion.one_of("tensorboard", "mlflow", "wandb"),
        ),
    ] = None,
    no_default: Annotated[
        bool, typer.Option("--no-default", help="Keep the present default model.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, train nothing.")
    ] = False,
    form: o.FormatOption = None,
) -> None:
    """Train a model, keep the epoch best on the valid part, make it the default.

    Prints the model's reference. Ctrl-C keeps the best so far; --resume continues.
    """
    from diffrec_cli import workflows
    from diffrec_cli.workflows.watching import watched

    shorthands = {
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "patience": patience,
        "item_embeddings": item_embeddings,
    }
    values: dict[str, Any] = {key: v for key, v in shorthands.items() if v is not None}
    if log_json == "-" and form is not None:
        raise UsageError("--log-json - and --format both write to stdout", "leave one out")
    if dry_run or log_json == "-":
        require_stdout()
    with watched(screen, log_json, track or [], sys.stdout) as watch:
        fitted = workflows.fit(
            list(data),
            variant=variant,
            corruption=corruption,
            name=name,
            preset=preset,
            values=values | o.assignments(assign or []),
            read=o.read_options(context.params),
            split=o.split_options(context.params, split_seed),
            items=items,
            dataset_name=dataset,
            overwrite=overwrite,
            device=device,
            precision=precision,
            choose_seconds=o.duration(choose_time),
            any_model=any_model,
            max_seconds=o.duration(max_time),
            resume=resume,
            refit=refit,
            item_ranks=item_ranks,
            warm_start=warm_start,
            default=not no_default,
            dry_run=dry_run,
            listener=watch,
        )
        watch.ended("fitted", {"result": fitted.to_dict()})
    screen.close()
    if log_json != "-":
        show_fitted(fitted, chosen(form, piped="reference"))
    if fitted.interruption is not None:
        _say_how_to_resume(fitted)
        raise fitted.interruption


def show_fitted(fitted: Any, form: str) -> None:
    """Print the outcome of a fit; in a pipe, only the reference."""
    result = fitted.to_dict()
    if form == "reference":
        if fitted.model is not None:
            print_line(fitted.model)
        return
    report(form, payload=result, rows=[flat(result)], table=lambda: _table(result, _curve(fitted)))


def _table(result: dict[str, Any], curve: str) -> Any:
    table = make_table("model", result["model"] or "none (dry run)")
    keys = ("variant", "dataset", "epoch", "stopped", "device", "precision", "path")
    rows = [(key, result[key]) for key in keys if key in result]
    metrics = [(f"valid {name}", f"{v:.4f}") for name, v in result.get("valid", {}).items()]
    seconds = [("seconds", f"{result['seconds']:.1f}")] if "seconds" in result else []
    before = [("warm start", _before(warm))] if (warm := result.get("warm_start")) else []
    parameters = [("parameters", f"{result['parameters']:,}")]
    curves = [("curve", curve)] if curve else []
    return filled(table, [*rows[:3], *metrics, *curves, *seconds, *before, *parameters, *rows[3:]])


def _before(warm: dict[str, Any]) -> str:
    """Return what a fit went on from, to be seen beside its own figures."""
    value = warm["valid"].get("recall@20")
    quality = "" if value is None else f", valid recall@20 {value:.4f}"
    return f"{warm['model']}: {warm['epochs']} epochs, {warm['seconds']:.1f} s{quality}"


def _curve(fitted: Any) -> str:
    """Return valid Recall@20 over epochs as a sparkline; empty if measured only once."""
    from diffrec_cli.reporting.charts import ASCII, BLOCKS, sparkline

    if len(fitted.curve) < 2:
        return ""
    facts = fitted.training
    blocks = BLOCKS if can_print(BLOCKS) else ASCII
    ends = (fitted.curve[0], facts.valid["recall@20"])
    first, kept = (f"{value:.4f}".removeprefix("0") for value in ends)
    line = sparkline(fitted.curve, blocks=blocks)
    return f"{line}  {first} to {kept} (epoch {facts.epoch} of {facts.epochs})"


def _say_how_to_resume(fitted: Any) -> None:
    if fitted.model is None:
        screen.warn("interrupted before the first epoch was validated: nothing was kept")
        return
    facts = fitted.training
    screen.warn(
        f"interrupted after epoch {facts.epochs}; the best so far (epoch {facts.epoch}) is"
        f" {fitted.model}, not made the default. The same command with --resume goes on."
    )
