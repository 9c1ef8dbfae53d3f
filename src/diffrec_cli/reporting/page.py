"""The page of a report: HTML that needs nothing else, for a phone, a desktop, or paper.

The result becomes a view of texts, tables and charts, which ``report.html.j2`` lays out. The
template escapes everything but the charts, which escape what they are given. The page's own policy
forbids all the same whatever would run or be fetched.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffrec_cli.config.values import setting_text
from diffrec_cli.reporting.charts import Bars, Line, bar_chart, line_chart
from diffrec_cli.visible import visible
from diffrec_cli.workflows.report_model import CUTOFFS, METRICS

if TYPE_CHECKING:
    from diffrec_cli.evaluation.segments import Group
    from diffrec_cli.workflows.evaluate_models import Evaluated, Result
    from diffrec_cli.workflows.report_model import Catalogue, Report

_VARIANTS = {"base": "DiffRec", "l": "L-DiffRec", "t": "T-DiffRec", "lt": "LT-DiffRec"}
_METRICS = {"ndcg": "NDCG", "mrr": "MRR", "hit": "Hit rate"}  # others begin with a capital
_HEADLINES = ("recall@20", "ndcg@20")
_GROUPS = {"users": "By the activity of the user", "items": "By the popularity of the item"}
_GROUP_NAMES = {"few": "Few interactions", "popular": "Popular items", "rare": "Rare items"}
_ENDINGS = {
    "epochs": "the last epoch",
    "patience": "patience",
    "time": "the time limit",
    "interrupted": "an interruption",
    "diverged": "divergence",
}

#: (x, y) from left to right.
_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Figure:
    """A chart, with a legend of (colour, name); without a chart, the caption says why."""

    name: str
    chart: str = ""
    caption: str = ""
    legend: tuple[tuple[str, str], ...] = ()


def page(report: Report) -> str:
    """Return the report as one HTML document."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = "{:,}".format
    return environment.get_template("report.html.j2").render(_view(report))


def _shown(value: Any) -> Any:
    """Return a value as the page shows it: charts as they are."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _view(report: Report) -> dict[str, Any]:
    record, measured = report.record, report.evaluated
    facts, made, kept = record.training, record.dataset, ("setting", "train", "valid", "test")
    variant = _VARIANTS.get(record.variant, record.variant)
    return {
        "report": report,
        "record": record,
        "about": f"{variant} on {made['dataset']}, {_date(record.created)}",
        "ending": _ENDINGS.get(facts.stopped, facts.stopped),
        "duration": _duration(facts.seconds),
        "training": _training(report),
        "accuracy": _accuracy(measured) if measured else None,
        "groups": _groups(measured) if measured else None,
        "reach": _reach(report.catalogue),
        "settings": [
            (
                s.group,
                s.key,
                setting_text(s.value),
                "" if s.value == s.auto else setting_text(s.auto),
            )
            for s in report.settings
        ],
        "commands": [
            line for command in report.recipe.commands for line in _on_lines(command).split("\n")
        ],
        "dataset": {"content hash": made["content_hash"]}
        | {key: made[key] for key in kept if key in made}
        | _source(report.source),
    }


def _training(report: Report) -> list[_Figure]:
    """Return the charts of the epoch log; none for a closed form."""
    both = {"recall@20": "Recall@20", "ndcg@20": "NDCG@20"}
    charts = {"Loss": {"loss": "Loss"}, "Recall@20 and NDCG@20 of the valid part": both}
    return [_by_epoch(report, *chart) for chart in charts.items() if report.epochs]


def _by_epoch(report: Report, title: str, names: Mapping[str, str]) -> _Figure:
    """Return a chart of one or two keys of the epoch log, with their names."""
    curves = {key: _curve(report, key) for key in names}
    if not all(curves.values()):
        return _Figure(title, caption="not measured, there was nothing to measure it on.")
    epoch = report.record.training.epoch
    lines = [Line(colour, points) for colour, points in zip("ab", curves.values(), strict=False)]
    chart = line_chart(
        lines,
        title=f"{title} by epoch; epoch {epoch} was chosen",
        across="epoch",
        mark=float(epoch),
        mark_name=f"epoch {epoch}",
    )
    changes = [_change(names[key], points, epoch) for key, points in curves.items()]
    caption = f"From epoch {lines[0].points[0][0]:g} to {epoch}: {', '.join(changes)}."
    # One line has a legend too, so that its plot is level with that of a chart of two.
    return _Figure(title, chart, caption, tuple(zip("ab", names.values(), strict=False)))


def _curve(report: Report, key: str) -> _Points:
    """Return (epoch, value) of every epoch for which there is one."""
    entries = [(entry["epoch"], entry.get(key)) for entry in report.epochs]
    return tuple((float(epoch), float(value)) for epoch, value in entries if value is not None)


def _change(name: str, points: _Points, epoch: int) -> str:
    """Return the first value of a curve and that of the chosen epoch in words."""
    (_, first), chosen = points[0], dict(points).get(float(epoch), points[-1][1])
    return f"{name} {first:.4g} to {chosen:.4g}"


def _accuracy(evaluated: Evaluated) -> dict[str, Any]:
    mine, popular = evaluated.first_history
    metrics = [f"{name}@{k}" for name in METRICS for k in CUTOFFS]
    rows = {m: (_metric_name(m), *_measured(mine, m), *_measured(popular, m)) for m in metrics}
    return {
        "cards": [rows[metric] for metric in _HEADLINES],
        "rows": list(rows.values()),
        "users": len(mine.evaluation.users),
        "compared": _metric_name(evaluated.compared or ""),
        "difference": popular.difference,
    }


def _measured(result: Result, metric: str) -> tuple[str, str]:
    """Return the mean of a metric and its interval."""
    around = (result.intervals or {}).get(metric)
    interval = "–" if around is None else f"{around[0]:.4f} to {around[1]:.4f}"
    return f"{result.evaluation.means[metric]:.4f}", interval


def _groups(evaluated: Evaluated) -> dict[str, Any]:
    mine, popular = (result.evaluation.groups for result in evaluated.first_history)
    pairs = list(zip(mine, popular, strict=True))  # both were measured on the same users
    return {
        "figures": [_group_figure(pairs, of, name) for of, name in _GROUPS.items()],
        "rows": [
            (
                _group_name(group),
                _span(group),
                f"{group.users:,}",
                *(f"{one.metrics[m]:.4f}" for m in _HEADLINES for one in (group, other)),
            )
            for group, other in pairs
        ],
    }


def _group_figure(pairs: list[tuple[Group, Group]], of: str, name: str) -> _Figure:
    bars = [
        Bars(
            f"{_group_name(group)} ({_span(group)})",
            (("a", group.metrics["recall@20"]), ("c", other.metrics["recall@20"])),
        )
        for group, other in pairs
        if group.of == of
    ]
    title = f"Recall@20, {name[:1].lower()}{name[1:]}: the model and popularity"
    return _Figure(name, bar_chart(bars, title=title), "Recall@20; in brackets, interactions.")


def _reach(reach: Catalogue) -> dict[str, Any]:
    chart = line_chart(
        [Line("a", reach.recommended.curve), Line("c", reach.log.curve)],
        title="Share of all places that the most frequent items take: lists and log",
        across="of the items, most frequent first",
        percent=True,
    )
    caption = "The closer a line is to the diagonal, the more evenly places are shared out."
    legend = (("a", "Places in lists"), ("c", "Interactions in the log"))
    (first, taken), *more = reach.recommended.top.items()
    rest = "".join(f", the most recommended {share:.0%} take {part:.1%}" for share, part in more)
    return {
        "covered": " and ".join(
            f"{share:.1%} in the top {k}" for k, share in reach.covered.items()
        ),
        "taken": f"The most recommended {first:.0%} of them take {taken:.1%} of all places{rest}.",
        "figure": _Figure("Who takes the places", chart, caption, legend),
        "rows": [
            (f"top {share:.0%}", f"{taken:.1%}", f"{reach.log.top[share]:.1%}")
            for share, taken in reach.recommended.top.items()
        ],
    }


def _on_lines(command: str) -> str:
    """Return a command line with each option on a line of its own, still one for a shell."""
    words = (_quoted(word) for word in shlex.split(command))
    return "".join(f" \\\n  {word}" if word.startswith("--") else f" {word}" for word in words)[1:]


def _quoted(word: str) -> str:
    """Return a word for a shell; what cannot be shown as an escape that bash, zsh and ksh read."""
    if visible(word) == word:
        return shlex.quote(word)
    return "$'" + visible(word.replace("\\", r"\\").replace("'", r"\'")) + "'"


def _source(source: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return where a dataset came from, as far as it was recorded."""
    rows: dict[str, str] = {}
    for key, value in source.items():
        name = prefix + key.replace("_", " ")
        if isinstance(value, Mapping):
            rows |= _source(value, f"{name}: ")
        elif value is not None:
            rows[name] = setting_text(value)
    return rows


def _metric_name(metric: str) -> str:
    name, _, k = metric.partition("@")
    return f"{_METRICS.get(name, name.capitalize())}@{k}"


def _group_name(group: Group) -> str:
    return _GROUP_NAMES.get(group.name, group.name.capitalize())


def _span(group: Group) -> str:
    least, most = group.least, group.most
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _date(created: str) -> str:
    """Return a day in words; a text that is no time, as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"
