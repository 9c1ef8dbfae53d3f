"""Means over seeds of the rows in ``results.csv``, as Markdown."""

from __future__ import annotations

from statistics import mean, stdev

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
