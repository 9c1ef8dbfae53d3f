"""What ``auto`` chose and why, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffrec_cli.training.loop import SELECTION_METRIC

#: Key of a model's figure on valid.
VALID = f"valid_{SELECTION_METRIC}"


def told(record: Mapping[str, Any]) -> list[str]:
    """Return what was chosen and why, in a few lines.

    Parameters
    ----------
    record
        ``chosen``; ``tried`` with the :data:`VALID` figure of each model, and whether it is
        ``ahead`` of what was chosen or ``behind`` it; ``not_tried``; and ``seconds``.

    Examples
    --------
    >>> one = {"model": "t", VALID: 0.5, "stopped": "patience", "ahead": False, "behind": False}
    >>> other = {**one, "model": "base", VALID: 0.4, "behind": True}
    >>> for line in told({"chosen": "t", "tried": [one, other], "not_tried": [], "seconds": 9.0}):
    ...     print(line)
    chose t, valid Recall@20 0.5000, of 2 tried in 9 s
    behind it: base 0.4000 (-20.0%)
    """
    (own,) = (row for row in record["tried"] if row["model"] == record["chosen"])
    others = [row for row in record["tried"] if row is not own]
    others.sort(key=lambda row: -row[VALID])

    def beside(row: Mapping[str, Any]) -> str:
        share = f" ({row[VALID] / own[VALID] - 1:+.1%})" if own[VALID] else ""
        early = ", not trained to its end" if row["stopped"] == "time" else ""
        return f"{row['model']} {row[VALID]:.4f}{share}{early}"

    def listed(rows: Sequence[Mapping[str, Any]]) -> str:
        return ", ".join(map(beside, rows))

    level = [row for row in others if not row["ahead"] and not row["behind"]]
    behind = [row for row in others if row["behind"]]
    ahead = [row for row in others if row["ahead"]]
    how = f"of {len(record['tried'])} tried in {record['seconds']:.0f} s"
    lines = [f"chose {record['chosen']}, valid Recall@20 {own[VALID]:.4f}, {how}"]
    if level:
        lines.append(f"valid cannot tell it from {listed(level)}; of equals the first is taken")
    if behind:
        lines.append(f"behind it: {listed(behind)}")
    if ahead:
        lines.append(f"ahead of it, but no diffusion: {listed(ahead)}; --any takes the best")
    if record["not_tried"]:
        names = ", ".join(record["not_tried"])
        lines.append(f"not tried for lack of time: {names}; a longer --choose-time tries more")
    return lines
