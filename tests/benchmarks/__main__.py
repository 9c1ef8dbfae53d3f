"""Run the benchmarks and print their tables: ``python -m tests.benchmarks [GROUP...]``.

Groups: ranking, steps (how ranking grows with T), growth (with users, items and hidden size),
training, smoothing (beside Gaussian noise), forms (of a loss: with and without all scores), scaling
(of both with items, users and width), startup, prepare, memory, exports (and their memory),
kills (of an export). Ratios are medians over rounds in which all ways take turns.
"""

from __future__ import annotations

import argparse
import datetime
import platform
from collections.abc import Callable, Iterable

import torch

from diffrec_cli.training.devices import choose_device, device_name, fast_bf16
from tests.benchmarks import exports, large, processes, ranking, smoothing, training

Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", help="all of them if none is named")
    parser.add_argument("--users", type=int, default=2048, help="ranked in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--export-users", type=int, nargs="*", default=[20_000, 200_000])
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = choose_device(args.device)
    groups: dict[str, Callable[[], Iterable[Row]]] = {
        "ranking": lambda: ranking.run(args.users, args.rounds, device),
        "steps": lambda: ranking.steps(args.users, args.rounds, device),
        "growth": lambda: ranking.growth(args.users, args.rounds, device),
        "training": lambda: training.run(args.rounds, device),
        "smoothing": lambda: smoothing.run(args.users, args.rounds, device),
        "forms": lambda: large.forms(args.rounds, device),
        "scaling": lambda: large.growth(args.rounds, device),
        "startup": lambda: processes.startup(args.rounds),
        "prepare": lambda: processes.prepare(args.rows),
        "memory": processes.memory,
        "exports": lambda: exports.memory(args.export_users),
        "kills": lambda: exports.kills(max(args.export_users)),
    }
    unknown = set(args.groups) - set(groups)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
    print(f"{datetime.date.today()}, {machine(device)}", flush=True)
    for name in args.groups or groups:
        print(f"\n### {name}\n", flush=True)
        print_rows(groups[name]())


def machine(device: str) -> str:
    """Return what the figures were measured on."""
    bf16 = "with" if fast_bf16(device) else "without"
    return (
        f"{device_name(device)}, {platform.machine()}, {bf16} bf16 units, torch {torch.__version__}"
    )


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows as a Markdown table, each as soon as it is there."""
    columns: list[str] = []
    for row in rows:
        if list(row) != columns:
            columns = list(row)
            print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
        print(f"| {' | '.join(map(_cell, row.values()))} |", flush=True)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
