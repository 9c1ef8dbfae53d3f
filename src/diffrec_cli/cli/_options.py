"""Options that several commands share, declared once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from diffrec_cli.cli import _completion as completion
from diffrec_cli.cli._output import Format, PageFormat
from diffrec_cli.errors import UsageError

#: Values of ``--refit``; the first is meant by the option alone.
REFITS = ("all", "train+valid")

READING, SPLITTING, TRAINING = "Reading logs", "Splitting", "Training"

FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", envvar="DIFFREC_FORMAT", help="Format of the result."),
]
PageFormatOption = Annotated[
    PageFormat | None,
    typer.Option("--format", "-f", envvar="DIFFREC_FORMAT", help="Format of the result."),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="DIFFREC_DEVICE",
        metavar="auto|cuda|mps|cpu",
        help="Where to compute.",
        autocompletion=completion.device,
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        envvar="DIFFREC_PRECISION",
        metavar="auto|fp32|bf16",
        help="Arithmetic of matrix products.",
        autocompletion=completion.precision,
    ),
]
DataArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA|LOG...",
        help="A prepared dataset's name, or log files to prepare.",
        autocompletion=completion.datasets_or_files,
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Name of the dataset made from the log.",
        rich_help_panel=READING,
        autocompletion=completion.datasets,
    ),
]
DatasetArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of the dataset.", autocompletion=completion.datasets),
]
SplitOption = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="valid|test",
        help="The part to predict.",
        autocompletion=completion.one_of("valid", "test"),
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", metavar="DURATION", help="Search time for each model: 90s, 10m..."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="DIFFREC_MODEL",
        help=r"NAME or NAME@VERSION. \[default: the last]",
        autocompletion=completion.models,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="NAME or NAME@VERSION.", autocompletion=completion.models),
]
OptionalModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help=r"NAME or NAME@VERSION. \[default: the last]",
        autocompletion=completion.models,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

# Reading a log.
UserColOption = Annotated[
    str | None,
    typer.Option("--user-col", help="Column of user ids.", rich_help_panel=READING),
]
ItemColOption = Annotated[
    str | None,
    typer.Option("--item-col", help="Column of item ids.", rich_help_panel=READING),
]
RatingColOption = Annotated[
    str | None,
    typer.Option(
        "--rating-col", help="Column of ratings; none: every row counts.", rich_help_panel=READING
    ),
]
TimeColOption = Annotated[
    str | None,
    typer.Option(
        "--time-col", help="Column of timestamps; none: they are not read.", rich_help_panel=READING
    ),
]
EventColOption = Annotated[
    str | None,
    typer.Option(
        "--event-col",
        metavar="NAME|auto",
        help="Column of kinds of events; auto: event, event_type, behavior or type. It is read if"
        " one of these options is given.",
        rich_help_panel=READING,
    ),
]
EventKindsOption = Annotated[
    str | None,
    typer.Option(
        "--event-kinds",
        metavar="KIND,KIND...",
        help="Kinds of events to keep: purchase,cart.",
        rich_help_panel=READING,
    ),
]
EventWeightsOption = Annotated[
    str | None,
    typer.Option(
        "--event-weights",
        metavar="KIND=W,...",
        help="How much kinds count: view=.2,cart=.5 (others 1; 0 leaves one out).",
        rich_help_panel=READING,
    ),
]
WeightColOption = Annotated[
    str | None,
    typer.Option(
        "--weight-col",
        metavar="NAME",
        help="Column of counts, such as plays; a row has the strength log2(1 + count).",
        rich_help_panel=READING,
    ),
]
SepOption = Annotated[
    str | None,
    typer.Option("--sep", help="Field separator, such as '::' or '\\t'.", rich_help_panel=READING),
]
HeaderOption = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether line 1 names the columns; without names, give columns by position from 1.",
        rich_help_panel=READING,
        show_default=False,
    ),
]
SkipLinesOption = Annotated[
    int,
    typer.Option(
        "--skip-lines",
        min=0,
        help="Lines at the beginning that are neither names nor data (comments are found).",
        rich_help_panel=READING,
        show_default=False,
    ),
]
MissingOption = Annotated[
    str,
    typer.Option(
        "--missing",
        metavar="error|skip",
        help="Rows that miss a value, or have NULL or the like: stop, or leave them out.",
        rich_help_panel=READING,
        autocompletion=completion.one_of("error", "skip"),
    ),
]
QuotesOption = Annotated[
    bool | None,
    typer.Option(
        "--quotes/--no-quotes",
        help=r"Whether double quotes hold a field together. \[default: as the file shows]",
        rich_help_panel=READING,
        show_default=False,
    ),
]
EncodingOption = Annotated[
    str,
    typer.Option(
        "--encoding", help="Text encoding of the log and its items.", rich_help_panel=READING
    ),
]
TimeFormatOption = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        help="Format of textual timestamps, such as '%d/%m/%Y'.",
        rich_help_panel=READING,
    ),
]
ItemsOption = Annotated[
    Path | None,
    typer.Option("--items", help="Table of items: id, title, and more.", rich_help_panel=READING),
]
ItemIdColOption = Annotated[
    str | None,
    typer.Option(
        "--item-id-col", help="Column of ids in the table of items.", rich_help_panel=READING
    ),
]

ItemFeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--item-features",
        metavar="NAME,NAME...",
        help=r"Columns of the items by which new ones are like known ones. \[default: all]",
    ),
]

# Splitting it.
SettingOption = Annotated[
    str | None,
    typer.Option(
        "--setting",
        metavar="clean|noisy|temporal",
        help="Good ratings only, low ones mixed in, or timestamps required."
        r" \[default: clean]",
        rich_help_panel=SPLITTING,
        autocompletion=completion.one_of("clean", "noisy", "temporal"),
    ),
]
MinRatingOption = Annotated[
    float | None,
    typer.Option(
        "--min-rating",
        help=r"Lowest rating that counts as liked. \[default: 4, on scales up to 5]",
        rich_help_panel=SPLITTING,
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="MOMENT",
        help="Leave out rows before: 2025-01-31, 180d before the last row (h, d, w), or a number.",
        rich_help_panel=SPLITTING,
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="MOMENT",
        help="Leave out rows from this moment on.",
        rich_help_panel=SPLITTING,
    ),
]
TestFromOption = Annotated[
    str | None,
    typer.Option(
        "--test-from",
        metavar="MOMENT",
        help="Test is what is from this moment on; train and valid what is before.",
        rich_help_panel=SPLITTING,
    ),
]
RatiosOption = Annotated[
    str | None,
    typer.Option(
        "--ratios",
        metavar="A:B:C",
        help=r"Shares of train, valid and test. \[default: 7:1:2]",
        rich_help_panel=SPLITTING,
    ),
]
OrderOption = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="times|file|none",
        help="Whether a user's rows are in order by time, as in the file, or not at all: then the"
        r" split is random. \[default: times, or found out and told]",
        rich_help_panel=SPLITTING,
        autocompletion=completion.one_of("times", "file", "none"),
    ),
]
PartsOption = Annotated[
    str | None,
    typer.Option(
        "--parts",
        metavar="train,valid,test|train,test,valid",
        help="How the parts of a directory of lists follow in time.",
        rich_help_panel=SPLITTING,
        autocompletion=completion.one_of("train,valid,test", "train,test,valid"),
    ),
]
RepeatsOption = Annotated[
    str | None,
    typer.Option(
        "--repeats",
        metavar="first|last|max|keep",
        help="Which of a user's rows of an item counts: the oldest liked one, the last, or the"
        r" highest; keep: valid and test have what is bought again. \[default: first]",
        rich_help_panel=SPLITTING,
        autocompletion=completion.one_of("first", "last", "max", "keep"),
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="KIND,KIND...",
        help="Kinds of events that valid and test count, such as purchase; others are history, and"
        " lists may have their items.",
        rich_help_panel=SPLITTING,
    ),
]
SplitByOption = Annotated[
    str | None,
    typer.Option(
        "--split-by",
        metavar="user|time",
        help=r"Cut each user's history, or the whole log at two moments. \[default: user]",
        rich_help_panel=SPLITTING,
        autocompletion=completion.one_of("user", "time"),
    ),
]
NoiseOption = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="natural|random",
        help=r"What the noisy setting adds: low ratings, or random items. \[default: natural]",
        rich_help_panel=SPLITTING,
        autocompletion=completion.one_of("natural", "random"),
    ),
]
NoiseRatioOption = Annotated[
    float | None,
    typer.Option(
        "--noise-ratio",
        help="Random items added for each clean one.",
        rich_help_panel=SPLITTING,
    ),
]
MinUserOption = Annotated[
    int | None,
    typer.Option(
        "--min-user-interactions",
        help=r"Drop users with fewer. \[default: 1]",
        rich_help_panel=SPLITTING,
    ),
]
MinItemOption = Annotated[
    int | None,
    typer.Option(
        "--min-item-interactions",
        help=r"Drop items with fewer. \[default: 1]",
        rich_help_panel=SPLITTING,
    ),
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str | None) -> float | None:
    """Return the seconds in a text such as ``90``, ``90s``, ``10m`` or ``1.5h``."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a duration", "for example 90s, 10m or 1.5h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def assignments(texts: list[str]) -> dict[str, str]:
    """Return keys and values of ``key=value`` texts."""
    for text in texts:
        if "=" not in text:
            raise UsageError(f"--set {text}: not KEY=VALUE", "for example --set lr=1e-3")
    return {key.strip(): value for key, _, value in (text.partition("=") for text in texts)}


def names(text: str | None) -> list[str]:
    """Return the names in a list separated by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def cutoffs(text: str) -> list[int]:
    """Return the numbers in a list separated by commas."""
    try:
        return [int(k) for k in names(text)]
    except ValueError:
        raise UsageError(f"-k {text}: not whole numbers", "for example -k 10,20") from None


def read_options(given: Mapping[str, Any]) -> Any:
    """Return :class:`ReadOptions` from a command's parameters."""
    from diffrec_cli.config import ReadOptions

    read = _fields_of(ReadOptions, given)
    if read.get("sep") is not None:
        read["sep"] = read["sep"].replace("\\t", "\t")
    return ReadOptions(**read)


def split_options(given: Mapping[str, Any], seed: int | None) -> Any:
    """Return :class:`SplitOptions` from a command's parameters, or None if none was given.

    The seed is given apart: in some commands the parameter ``seed`` is that of training.
    """
    from diffrec_cli.config import SplitOptions

    split = _fields_of(SplitOptions, {**given, "seed": seed})
    split = {name: value for name, value in split.items() if value is not None}
    if "ratios" in split:
        split["ratios"] = _ratios(split["ratios"])
    return SplitOptions(**split) if split else None


#: Parameters of ``recommend`` whose field has another name in :class:`RecommendOptions`.
RENAMED = {"user": "users", "users": "users_file"}


def recommend_options(context: typer.Context) -> dict[str, Any]:
    """Return the fields of :class:`RecommendOptions` from a command's parameters."""
    from diffrec_cli.workflows.serving.options import RecommendOptions

    named = {RENAMED.get(name, name): value for name, value in context.params.items()}
    named["item_features"] = names(named.get("item_features"))
    options = _fields_of(RecommendOptions, named)
    source = context.get_parameter_source("strength")
    if source is not None and source.name != "COMMANDLINE" and not _moves(options):
        del options["strength"]  # a default of the configuration, with nothing to move
    read = read_options(context.params)
    reads = options["history"] is not None or options["events"] is not None
    options["read"] = read if read.changes and (reads or _said(context, read.changes)) else None
    return {name: value for name, value in options.items() if value is not None}


def _said(context: typer.Context, names: Iterable[str]) -> bool:
    """Return whether one of these parameters is on the command line, not configured."""
    sources = (context.get_parameter_source(name) for name in names)
    return any(source is not None and source.name == "COMMANDLINE" for source in sources)


def _moves(options: Mapping[str, Any]) -> bool:
    """Return whether some option moves lists."""
    return any(options[name] for name in ("like", "dislike", "like_where", "dislike_where"))


def _fields_of(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: given[field.name] for field in fields(kind) if field.name in given}


def _ratios(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.replace(",", ":").split(":"))
    except ValueError:
        raise UsageError(f"--ratios {text}: not numbers", "for example --ratios 7:1:2") from None
