"""The page of a report: HTML that needs nothing else, for a phone, a desktop, or paper.

Everything that comes from data goes through :func:`escape` or a table of :mod:`._pages`, which
escapes too; the page's own policy forbids whatever would run or be fetched all the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffrec_cli.cli._charts import Bars, Line, bar_chart, line_chart
from diffrec_cli.cli._output import filled, flat, make_table
from diffrec_cli.cli._pages import html

if TYPE_CHECKING:
    from diffrec_cli.evaluation.segments import Group
    from diffrec_cli.workflows.evaluate_models import Result
    from diffrec_cli.workflows.report_model import Concentration, Example, Report

_VARIANTS = {"base": "DiffRec", "l": "L-DiffRec", "t": "T-DiffRec", "lt": "LT-DiffRec"}
_METRICS = {
    "recall": "Recall",
    "ndcg": "NDCG",
    "precision": "Precision",
    "mrr": "MRR",
    "hit": "Hit rate",
    "coverage": "Coverage",
    "novelty": "Novelty",
}
_HEADLINES = ("recall@20", "ndcg@20")
_GROUPS = {"users": "By the activity of the user", "items": "By the popularity of the item"}
_GROUP_NAMES = {
    "few": "Few interactions",
    "some": "Some",
    "many": "Many",
    "popular": "Popular items",
    "middle": "Middle",
    "rare": "Rare items",
}

#: Groups of an evaluation by what they are of, and their name.
_ByGroup = Mapping[tuple[str, str], "Group"]

_ENDINGS = {
    "epochs": "the last epoch",
    "patience": "patience",
    "time": "the time limit",
    "interrupted": "an interruption",
    "diverged": "divergence",
}


def _style() -> str:
    """Return the style sheet, which lies beside this module."""
    return (Path(__file__).parent / "report.css").read_text("utf-8")


def page(report: Report) -> str:
    """Return the report as one HTML document."""
    sections = [
        _glance(report),
        _training(report),
        _accuracy(report),
        _groups(report),
        _reach(report),
        _examples(report),
        _settings(report),
        _repeat(report),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{escape(report.record.reference)}: report</title>
<style>
{_style()}</style>
</head>
<body>
<main>
{_head(report)}
{"".join(sections)}</main>
</body>
</html>
"""


def _head(report: Report) -> str:
    record = report.record
    variant = _VARIANTS.get(record.variant, record.variant)
    words = f"{variant} on {record.dataset['dataset']}, {_date(record.created)}"
    return (
        f'<header>\n<p class="kind">Report of a recommendation model</p>\n'
        f"<h1>{escape(record.reference)}</h1>\n<p>{escape(words)}</p>\n</header>"
    )


# At a glance -----------------------------------------------------------------------------


def _glance(report: Report) -> str:
    cards = "".join(_headline(report, metric) for metric in _HEADLINES)
    body = f'<div class="cards">\n{cards}</div>\n' if cards else ""
    if report.unmeasured:
        body = f"<p>{escape(report.unmeasured)}</p>\n"
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n"
        for name, value in _facts(report)
    )
    return _section("At a glance", f"{body}<dl>\n{facts}</dl>\n")


def _headline(report: Report, metric: str) -> str:
    if report.evaluated is None:
        return ""
    mine, popular = report.evaluated.results
    return (
        f'<div class="card">\n<p>{_metric_name(metric)}, {escape(report.split)} part</p>\n'
        f'<p class="big">{mine.evaluation.means[metric]:.4f}</p>\n'
        f"<p>95% interval {_interval(mine, metric)}</p>\n"
        f'<p class="soft">Popularity {popular.evaluation.means[metric]:.4f},'
        f" {_interval(popular, metric)}</p>\n</div>\n"
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    facts, counts = report.record.training, report.record.dataset
    epochs = f"{facts.epoch} of {facts.epochs}" if report.epochs else "none: a closed form"
    figures = [("Epoch chosen", epochs)]
    if report.epochs:
        figures.append(("Training ended by", _ENDINGS.get(facts.stopped, facts.stopped)))
    figures += [
        ("Time to fit", _duration(facts.seconds)),
        ("Device", facts.device),
        ("Parameters", f"{report.record.parameters:,}"),
    ]
    names = [name for name in ("users", "items", "interactions") if name in counts]
    return figures + [(name.capitalize(), f"{counts[name]:,}") for name in names]


# Training --------------------------------------------------------------------------------


def _training(report: Report) -> str:
    if not report.epochs:
        note = "The model is a closed form: it is computed at once and has no training curve."
        return _section("Training", f"<p>{note}</p>\n")
    charts = [
        _epochs_chart(report, "Loss", {"loss": "Loss"}),
        _epochs_chart(
            report,
            "Recall@20 and NDCG@20 of the valid part",
            {"recall@20": "Recall@20", "ndcg@20": "NDCG@20"},
        ),
    ]
    return _section("Training", f'<div class="columns">\n{"".join(charts)}</div>\n')


def _curve(report: Report, key: str) -> tuple[tuple[float, float], ...]:
    """Return (epoch, value) of every epoch for which there is one."""
    entries = [(entry["epoch"], entry.get(key)) for entry in report.epochs]
    return tuple((float(epoch), float(value)) for epoch, value in entries if value is not None)


def _epochs_chart(report: Report, title: str, names: Mapping[str, str]) -> str:
    """Return a chart of one or two keys of the epoch log, which are called so."""
    curves = {key: _curve(report, key) for key in names}
    if not all(curves.values()):
        return f"<p>{title}: not measured, there was nothing to measure it on.</p>\n"
    epoch = report.record.training.epoch
    lines = [Line(colour, points) for colour, points in zip("ab", curves.values(), strict=False)]
    chart = line_chart(
        lines,
        title=f"{title} by epoch; epoch {epoch} was chosen",
        across="epoch",
        mark=float(epoch),
        mark_name=f"epoch {epoch}",
    )
    # One line has a legend too: beside a chart with two, its plot then stands as high.
    legend = _legend(*zip("ab", names.values(), strict=False))
    told = [_told(names[key], points, epoch) for key, points in curves.items()]
    caption = f"From epoch {lines[0].points[0][0]:g} to {epoch}: {', '.join(told)}."
    return _figure(title, legend, chart, caption)


def _told(name: str, points: tuple[tuple[float, float], ...], epoch: int) -> str:
    """Return the first value of a curve and that of the chosen epoch in words."""
    (_, first), chosen = points[0], dict(points).get(float(epoch), points[-1][1])
    return f"{name} {first:.4g} to {chosen:.4g}"


# Accuracy --------------------------------------------------------------------------------


def _accuracy(report: Report) -> str:
    if report.evaluated is None:  # the glance has said why
        return ""
    mine, popular = report.evaluated.results
    table = make_table("", "Model", "95% interval", "Popularity", "95% interval")
    means = sorted(mine.evaluation.means, key=_metric_order)
    rows = [
        (
            _metric_name(metric),
            f"{mine.evaluation.means[metric]:.4f}",
            _interval(mine, metric),
            f"{popular.evaluation.means[metric]:.4f}",
            _interval(popular, metric),
        )
        for metric in means
    ]
    users = f"{len(mine.evaluation.users):,}"
    notes = (
        f"Measured on the {escape(report.split)} part of {users} users, over all items that a user"
        " did not have before; intervals are over users. Novelty is in bits: the mean of"
        " log2(users / users who have the item). Coverage is the share of the catalogue in any list"
        " of these users; it has no interval."
    )
    body = _scroll(filled(table, rows), "Metrics", numbers=True)
    return _section("Accuracy", f'{_difference(report)}{body}<p class="note">{notes}</p>\n')


def _difference(report: Report) -> str:
    """Say in a line how sure it is that the model beats popularity."""
    if report.evaluated is None:
        return ""
    compared, paired = report.evaluated.compared, report.evaluated.results[1].difference
    if compared is None or paired is None:
        return ""
    return (
        f"<p>On {_metric_name(compared)} the model differs from popularity"
        f" by {paired.difference:+.4f} (95% interval {paired.low:+.4f} to {paired.high:+.4f};"
        f" p = {paired.p_value:.4f}, paired randomisation test).</p>\n"
    )


def _groups(report: Report) -> str:
    if report.evaluated is None:
        return ""
    mine, popular = (_groups_of(result) for result in report.evaluated.results)
    figures = "".join(_group_figure(mine, popular, of, name) for of, name in _GROUPS.items())
    table = make_table(
        "", "Interactions", "Users", "Recall@20", "Popularity's", "NDCG@20", "Popularity's"
    )
    rows = [
        (
            _GROUP_NAMES[name],
            _span(group.least, group.most),
            f"{group.users:,}",
            *(
                f"{one.metrics[metric]:.4f}"
                for metric in _HEADLINES
                for one in (group, popular[of, name])
            ),
        )
        for (of, name), group in mine.items()
    ]
    note = (
        "Users are in thirds by their train interactions; items in three groups that hold a third"
        " of the train interactions each, so the popular ones are few. Of what a user liked, only"
        " the items of the group count there."
    )
    legend = _legend(("a", report.record.reference), ("c", "Popularity"))
    body = (
        f'{legend}<div class="columns">\n{figures}</div>\n'
        f"{_scroll(filled(table, rows), 'Accuracy by group', numbers=True)}"
        f'<p class="note">{note}</p>\n'
    )
    return _section("For whom, and for what", body)


def _group_figure(mine: _ByGroup, popular: _ByGroup, of: str, name: str) -> str:
    bars = [
        Bars(
            f"{_GROUP_NAMES[key[1]]} ({_span(group.least, group.most)})",
            (("a", group.metrics["recall@20"]), ("c", popular[key].metrics["recall@20"])),
        )
        for key, group in mine.items()
        if key[0] == of
    ]
    title = f"Recall@20, {name[:1].lower()}{name[1:]}: the model and popularity"
    return _figure(name, "", bar_chart(bars, title=title), "Recall@20; in brackets, interactions.")


def _groups_of(result: Result) -> _ByGroup:
    return {(group.of, group.name): group for group in result.evaluation.groups}


# What it recommends ----------------------------------------------------------------------


def _reach(report: Report) -> str:
    reach = report.catalogue
    shares = " and ".join(f"{share:.1%} in the top {k}" for k, share in reach.covered.items())
    chart = line_chart(
        [Line("a", reach.recommended.curve), Line("c", reach.log.curve)],
        title="Share of all places that the most frequent items take: lists and log",
        across="of the items, most frequent first",
        percent=True,
    )
    legend = _legend(("a", "Places in lists"), ("c", "Interactions in the log"))
    table = make_table("Most frequent items", "Places in lists", "Interactions in the log")
    rows = [
        (f"top {share:.0%}", f"{taken:.1%}", f"{reach.log.top[share]:.1%}")
        for share, taken in reach.recommended.top.items()
    ]
    caption = "The closer a line is to the diagonal, the more evenly places are shared out."
    body = (
        f"<p>Of {reach.items:,} items, the lists of all {reach.users:,} users hold {shares}."
        f" {_spread(reach.recommended)}</p>\n"
        f'<div class="columns">\n{_figure("Who takes the places", legend, chart, caption)}'
        f"<div>{_scroll(filled(table, rows), 'Concentration', numbers=True)}</div>\n</div>\n"
    )
    return _section("Reach into the catalogue", body)


def _spread(recommended: Concentration) -> str:
    (first, taken), *more = recommended.top.items()
    rest = "".join(f", the most recommended {share:.0%} take {part:.1%}" for share, part in more)
    return f"The most recommended {first:.0%} of them take {taken:.1%} of all places{rest}."


def _examples(report: Report) -> str:
    cards = "".join(_example(report, example) for example in report.examples)
    note = (
        "Lists are made from everything that is known of a user, the valid and the test part"
        " included; what somebody has is not recommended again."
    )
    return _section("Examples", f'<p class="note">{note}</p>\n<div class="cards">\n{cards}</div>\n')


def _example(report: Report, example: Example) -> str:
    had = "Had latest, newest first" if report.ordered else "Had, among others"
    return (
        f'<div class="card">\n<h3>User <bdi>{escape(example.user)}</bdi></h3>\n'
        f'<p class="soft">{example.interactions:,} interactions</p>\n'
        f'<h4>{had}</h4>\n<ul role="list">{_entries(example.latest)}</ul>\n'
        f"<h4>Top {len(example.recommended)}</h4>\n"
        f'<ol role="list">{_entries(example.recommended)}</ol>\n</div>\n'
    )


def _entries(texts: Iterable[str]) -> str:
    """Return list entries; text of another direction stays within its own."""
    return "".join(f"<li><bdi>{escape(text)}</bdi></li>" for text in texts)


# How it was made -------------------------------------------------------------------------


def _settings(report: Report) -> str:
    from diffrec_cli.workflows.report_model import setting_text

    table = make_table("Group", "Setting", "Value", "Auto")
    rows = [
        (
            setting.group,
            setting.key,
            setting_text(setting.value),
            "" if setting.value == setting.auto else setting_text(setting.auto),
        )
        for setting in report.settings
    ]
    if not rows:
        return _section("Settings", "<p>The model has no settings.</p>\n")
    note = "The last column is what the preset auto has here, where that is something else."
    body = f'{_scroll(filled(table, rows), "Settings")}<p class="note">{note}</p>\n'
    return _section("Settings", body)


def _repeat(report: Report) -> str:
    record, recipe = report.record, report.recipe
    commands = escape("\n".join(map(_on_lines, recipe.commands)))
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in recipe.notes)
    facts = {
        "content hash": record.dataset["content_hash"],
        **{
            key: record.dataset[key]
            for key in ("setting", "train", "valid", "test")
            if key in record.dataset
        },
        **_source(report.source),
    }
    dataset = filled(make_table("Property", "Value"), facts.items())
    packages = filled(make_table("Package", "Version"), record.packages.items())
    body = (
        f"<p>These commands fit the same model again.</p>\n<pre><code>{commands}</code></pre>\n"
        f"{notes}<h3>Dataset {escape(record.dataset['dataset'])}</h3>\n"
        f"{_scroll(dataset, 'Dataset')}<h3>Packages</h3>\n{_scroll(packages, 'Packages')}"
    )
    return _section("How to repeat it", body)


def _on_lines(command: str) -> str:
    """Return a command line with each option on a line of its own, still one for a shell."""
    words = (shlex.quote(word) for word in shlex.split(command))
    return "".join(f" \\\n  {word}" if word.startswith("--") else f" {word}" for word in words)[1:]


def _source(source: Mapping[str, Any]) -> dict[str, str]:
    """Return where a dataset came from, as far as something was said about it."""
    from diffrec_cli.workflows.report_model import setting_text

    return {
        key.replace(".", ": ").replace("_", " "): setting_text(value)
        for key, value in flat(source).items()
        if value is not None
    }


# Pieces ----------------------------------------------------------------------------------


def _section(name: str, body: str) -> str:
    return f"<section>\n<h2>{escape(name)}</h2>\n{body}</section>\n"


def _figure(name: str, legend: str, chart: str, caption: str) -> str:
    return (
        f"<figure>\n<h3>{escape(name)}</h3>\n{legend}{chart}\n"
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
    )


def _legend(*entries: tuple[str, str]) -> str:
    items = "".join(f'<li class="{colour}">{escape(name)}</li>' for colour, name in entries)
    return f'<ul class="legend">{items}</ul>\n'


def _scroll(table: Any, name: str, *, numbers: bool = False) -> str:
    """Return a table in a box of its own that scrolls, with the keyboard too."""
    kind = "scroll numbers" if numbers else "scroll"
    return (
        f'<div class="{kind}" role="region" aria-label="{escape(name)}" tabindex="0">\n'
        f"{html(table)}\n</div>\n"
    )


def _interval(result: Result, metric: str) -> str:
    around = (result.intervals or {}).get(metric)
    return "–" if around is None else f"{around[0]:.4f} to {around[1]:.4f}"


def _metric_name(metric: str) -> str:
    name, _, k = metric.partition("@")
    return f"{_METRICS.get(name, name)}@{k}"


def _metric_order(metric: str) -> tuple[int, int]:
    name, _, k = metric.partition("@")
    return list(_METRICS).index(name), int(k)


def _span(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _date(created: str) -> str:
    """Return a day in words; what is no time, as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:.1f} hours"
