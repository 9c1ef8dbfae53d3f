"""What a drill found, as one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_WIDTH = 58  # of the kind


@dataclass(frozen=True)
class Row:
    """How the tries of one kind ended."""

    kind: str
    tries: int
    succeeded: int
    refused: int
    signalled: int
    faults: tuple[str, ...]


def show(rows: Iterable[Row]) -> int:
    """Print each row as it comes, then their sum, then each fault; return 1 if there is one."""
    print(f"{'kind':{_WIDTH}} {'tries':>6} {'done':>6} {'refused':>8} {'signal':>7} {'faults':>7}")
    shown = []
    for row in rows:
        _print(row)
        shown.append(row)
    _print(_sum(shown))
    for row in shown:
        for fault in row.faults:
            print(f"\n{row.kind}: {fault}")
    return int(any(row.faults for row in shown))


def _print(row: Row) -> None:
    counts = f"{row.tries:6} {row.succeeded:6} {row.refused:8} {row.signalled:7}"
    print(f"{row.kind[:_WIDTH]:{_WIDTH}} {counts} {len(row.faults):7}", flush=True)


def _sum(rows: list[Row]) -> Row:
    return Row(
        "all",
        sum(row.tries for row in rows),
        sum(row.succeeded for row in rows),
        sum(row.refused for row in rows),
        sum(row.signalled for row in rows),
        tuple(fault for row in rows for fault in row.faults),
    )
