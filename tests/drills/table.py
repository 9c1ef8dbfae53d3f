"""What a drill found, as one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
    """Print the rows, then each fault; return 1 if there is one, else 0."""
    rows = list(rows)
    width = max((len(row.kind) for row in rows), default=4)
    print(f"{'kind':{width}} {'tries':>6} {'done':>6} {'refused':>8} {'signal':>7} {'faults':>7}")
    for row in rows:
        print(
            f"{row.kind:{width}} {row.tries:6} {row.succeeded:6} {row.refused:8}"
            f" {row.signalled:7} {len(row.faults):7}"
        )
    for row in rows:
        for fault in row.faults:
            print(f"\n{row.kind}: {fault}")
    return int(any(row.faults for row in rows))
