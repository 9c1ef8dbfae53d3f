"""Means over seeds of the rows in ``results.csv``, as Markdown."""

from __future__ import annotations

from statistics import mean, median, stdev

import studies

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
VALID = "valid_recall@20"
FULL = ("full_recall@20", "full_ndcg@20")
HEADER = ("data", "variant", "settings", VALID, *METRICS)
COSTS = ("parameters", "seeds", "epoch", "seconds")


def print_tables(rows: list[studies.Row], only: list[str]) -> None:
    """Print a table for each study: test figures as mean ± standard deviation over seeds.

    ``epoch`` and ``seconds`` are means too: the chosen epoch, and the time of the whole training.
    Studies of logs with an order have test figures of both histories.
    """
    for study in studies.STUDIES:
        mine = [row for row in rows if row["study"] == study]
        if mine and (not only or study in only):
            full = FULL if any(row.get(FULL[0]) for row in mine) else ()
            header = (*HEADER, *full, *COSTS)
            print(f"\n### {study}\n")
            print(_line(header))
            print(_line(["---"] * len(header)))
            for line in _lines(study, _in_order(study, mine), full):
                print(_line(line))


def print_choices(rows: list[studies.Row], choices: list[studies.Row]) -> None:
    """Print what ``auto`` chose on each log, and its regret in test Recall@20.

    Regret is how far the chosen model is behind the best, as a share of the best: of the
    candidates that were measured on test, and of all models that were, with seed 1 and fitted on
    train. Nothing of this is known to ``auto``, which sees the valid part alone. In the first table
    models read train, in the second, of logs with an order, train and valid.
    """
    for metric in ("recall@20", FULL[0]):
        lines = [_chosen(data, metric, rows, choices) for data in studies.ALL_LOGS]
        _print_regrets([line for line in lines if line is not None])


Chosen = tuple[list[str], float, float]
"""A line of the table, and the regret against candidates and against all models."""


def _print_regrets(lines: list[Chosen]) -> None:
    if not lines:
        return
    best = ("best candidate", "regret", "best", "regret")
    header = ("data", "chosen", "valid", "tried", "test", *best)
    print(_line(header))
    print(_line(["---"] * len(header)))
    for line, _, _ in lines:
        print(_line(line))
    of_candidates, of_all = (median(line[place] for line in lines) for place in (1, 2))
    print(f"\nmedian regret {of_candidates:.1%} and {of_all:.1%}, over {len(lines)} logs\n")


def _chosen(
    data: str, metric: str, rows: list[studies.Row], choices: list[studies.Row]
) -> Chosen | None:
    """Return the line of a log; None if it was not run, or has no such figure."""
    mine = [one for one in choices if one["data"] == data]
    measured = _measured(rows, data, metric)
    if not mine or ("auto", "") not in measured:
        return None
    (chosen,) = (one for one in mine if one["verdict"] == "chosen")
    own = measured.pop(("auto", ""))
    of_rule = {
        name: measured[key] for name, key in studies.candidates(data).items() if key in measured
    }
    everything = {f"{variant} {settings}".strip(): v for (variant, settings), v in measured.items()}
    tried = str(sum(bool(one[VALID]) for one in mine))
    line = [data, chosen["model"], chosen[VALID], tried, f"{own:.4f}"]
    regrets = []
    for known in (of_rule, everything):
        best = max(known, key=known.__getitem__, default="")
        regrets.append(max(0.0, 1 - own / known[best]) if known else 0.0)
        line += [f"{best} {known.get(best, 0):.4f}, of {len(known)}", f"{regrets[-1]:.1%}"]
    return line, *regrets


def _measured(rows: list[studies.Row], data: str, metric: str) -> dict[tuple[str, str], float]:
    """Return a test figure of what was fitted on train of a log with seed 1."""
    return {
        (row["variant"], row["settings"]): float(row[metric])
        for row in rows
        if row["data"] == data and row["seed"] == "1" and row["preset"] == "auto"
        if "refit=" not in row["settings"] and row.get(metric)
    }


def _in_order(study: str, rows: list[studies.Row]) -> list[studies.Row]:
    """Return the rows in the order of their study: they were appended as they were done."""
    order = {_what(row): place for place, row in enumerate(studies.STUDIES[study]())}
    return sorted(rows, key=lambda row: order.get(_what(row), len(order)))


def _lines(study: str, rows: list[studies.Row], full: tuple[str, ...]) -> list[list[str]]:
    lines = []
    for (data, variant, preset, settings), seeds in _grouped(rows).items():
        if study == "released" and (data, variant) in studies.PRINTED:
            figures = [f"{value:.4f}" for value in studies.PRINTED[data, variant]]
            lines.append([data, variant, "as printed", "", *figures, "", "", "", ""])
        lines.append(
            [
                data,
                variant,
                f"{preset} {settings}".strip(),
                _spread(seeds, VALID),
                *(_spread(seeds, metric) for metric in (*METRICS, *full)),
                f"{_mean(seeds, 'parameters') / 1e6:.2f}M",
                str(len(seeds)),
                f"{_mean(seeds, 'epoch'):.0f}",
                f"{_mean(seeds, 'seconds'):.0f}",
            ]
        )
    return lines


def _grouped(rows: list[studies.Row]) -> dict[tuple[str, ...], list[studies.Row]]:
    groups: dict[tuple[str, ...], list[studies.Row]] = {}
    for row in rows:
        groups.setdefault(_what(row), []).append(row)
    return groups


def _what(row: studies.Row) -> tuple[str, ...]:
    return row["data"], row["variant"], row["preset"], row["settings"]


def _mean(rows: list[studies.Row], name: str) -> float:
    return mean(float(row[name]) for row in rows)


def _spread(rows: list[studies.Row], name: str) -> str:
    values = [float(row[name]) for row in rows if row[name]]
    if not values:
        return ""
    spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{mean(values):.4f}{spread}"


def _line(cells: object) -> str:
    return f"| {' | '.join(cells)} |"  # type: ignore[arg-type]  # strings of any sequence
