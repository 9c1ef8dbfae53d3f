"""Charts as inline SVG for a page, and as a line of block characters for a terminal.

Across, everything is placed in per cent, and down in pixels: a chart fills the width that
it is given and its text keeps its size, on a phone as on a desktop. Colours are the page's, by
class: ``a`` is the model (or the first line), ``b`` a second one, ``c`` what it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"  # as many, where the blocks cannot be printed

_LEFT, _WIDTH = 15.0, 79.0  # of the plot, in per cent; its axis stands to the left
_TOP, _HEIGHT, _BELOW = 26, 180, 44  # of it, above it and below it, in pixels
_BAR, _BAR_GAP, _NAME_LINE, _GROUP_GAP = 16, 6, 26, 16  # pixels
_LONGEST_BAR = 76.0  # per cent; its figure stands to the right


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Parameters
    ----------
    colour
        Class of its colour, ``a``, ``b`` or ``c``.
    points
        (x, y), from left to right.
    """

    colour: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Bars:
    """Bars below a common name.

    Parameters
    ----------
    name
        What they are of.
    values
        Colour and length of each.
    """

    name: str
    values: tuple[tuple[str, float], ...]


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    across: str,
    percent: bool = False,
    mark: float | None = None,
    mark_name: str = "",
) -> str:
    """Return an SVG of lines over a common pair of axes, which begin at 0 or below.

    Parameters
    ----------
    lines
        One or more, each with one or more points.
    title
        What the chart shows, for those who cannot see it.
    across
        What x is.
    percent
        Whether x and y are shares, and shown in per cent.
    mark, mark_name
        An x that is marked by an upright line, and what is written there.
    """
    points = [point for line in lines for point in line.points]
    x_ticks = ticks(min(0.0, *(x for x, _ in points)), max(x for x, _ in points))
    y_ticks = ticks(min(0.0, *(y for _, y in points)), max(y for _, y in points))
    x_range = (min(x_ticks[0], 0.0), max(x for x, _ in points))
    axes = _Axes(x_range, (y_ticks[0], y_ticks[-1]))
    form = _percent if percent else _plain
    parts = [_y_tick(axes, y, form(y)) for y in y_ticks]
    parts += [
        _x_tick(axes, x, form(x))
        for x in x_ticks
        if x <= axes.x_range[1] and (percent or x.is_integer())  # there is no half an epoch
    ]
    bottom = _TOP + _HEIGHT + _BELOW
    parts.append(
        f'<text class="axis" x="{_LEFT + _WIDTH:g}%" y="{bottom - 4}" text-anchor="end">'
        f"{escape(across)}</text>"
    )
    parts += [_polyline(axes, line) for line in lines]
    if mark is not None:
        parts.append(_mark(axes, lines, mark, mark_name))
    return _svg(title, bottom, parts)


def bar_chart(groups: Sequence[Bars], *, title: str) -> str:
    """Return an SVG of lying bars in groups, each with its figure.

    Parameters
    ----------
    groups
        One or more; values are 0 or more.
    title
        What the chart shows, for those who cannot see it.
    """
    longest = max((value for group in groups for _, value in group.values), default=0.0) or 1.0
    parts, top = [], 0
    for group in groups:
        parts.append(f'<text x="0" y="{top + 16}">{escape(group.name)}</text>')
        top += _NAME_LINE
        for colour, value in group.values:
            width = _LONGEST_BAR * value / longest
            parts.append(
                f'<rect class="bar {colour}" x="0" y="{top}" width="{width:.2f}%"'
                f' height="{_BAR}" rx="2"/>'
                f'<text class="figure" x="{width + 2:.2f}%" y="{top + 13}">{value:.4f}</text>'
            )
            top += _BAR + _BAR_GAP
        top += _GROUP_GAP
    return _svg(title, max(1, top - _GROUP_GAP), parts)


def ticks(low: float, high: float) -> list[float]:
    """Return some round numbers that enclose a range.

    Examples
    --------
    >>> ticks(0, 0.27)
    [0.0, 0.1, 0.2, 0.3]
    >>> ticks(0, 40)
    [0.0, 10.0, 20.0, 30.0, 40.0]
    """
    span = high - low if high > low else abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(span / 3))
    step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= 4.5)
    first, last = math.floor(low / step), math.ceil(round(max(high, low + span) / step, 9))
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def sparkline(values: Sequence[float], *, width: int = 30, blocks: str = BLOCKS) -> str:
    """Return a curve as a line of characters of different height.

    Parameters
    ----------
    values
        Finite numbers, from left to right.
    width
        Characters at most; of more values some are left out, the last never.
    blocks
        The characters, from the lowest.

    Examples
    --------
    >>> sparkline([1, 2, 8, 4])
    '▁▂█▄'
    """
    if len(values) > width:
        last = len(values) - 1
        values = [values[round(place * last / (width - 1))] for place in range(width)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(blocks) - 1) / (high - low) if high > low else 0.0
    return "".join(blocks[round((value - low) * scale)] for value in values)


@dataclass(frozen=True)
class _Axes:
    """Where values lie: per cent of the chart's width, pixels of its height."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def across(self, x: float) -> float:
        return _LEFT + _WIDTH * _share(x, self.x_range)

    def down(self, y: float) -> float:
        return _TOP + _HEIGHT * (1 - _share(y, self.y_range))


def _share(value: float, of: tuple[float, float]) -> float:
    low, high = of
    return (value - low) / (high - low) if high > low else 0.0


def _plain(value: float) -> str:
    return f"{value:,g}" if abs(value) < 1e5 else f"{value:.1e}"


def _percent(value: float) -> str:
    return f"{100 * value:g}%"


def _y_tick(axes: _Axes, y: float, text: str) -> str:
    down = axes.down(y)
    return (
        f'<line class="grid" x1="{_LEFT:g}%" x2="{_LEFT + _WIDTH:g}%"'
        f' y1="{down:.1f}" y2="{down:.1f}"/>'
        f'<text class="axis" x="{_LEFT - 2:g}%" y="{down + 5:.1f}" text-anchor="end">{text}</text>'
    )


def _x_tick(axes: _Axes, x: float, text: str) -> str:
    return (
        f'<text class="axis" x="{axes.across(x):.2f}%" y="{_TOP + _HEIGHT + 20}"'
        f' text-anchor="middle">{text}</text>'
    )


def _polyline(axes: _Axes, line: Line) -> str:
    """Return the line in a drawing of its own, which is stretched to the width of the plot."""
    points = " ".join(
        f"{100 * _share(x, axes.x_range):.2f},{axes.down(y) - _TOP:.2f}" for x, y in line.points
    )
    return (
        f'<svg x="{_LEFT:g}%" y="{_TOP}" width="{_WIDTH:g}%" height="{_HEIGHT}"'
        f' viewBox="0 0 100 {_HEIGHT}" preserveAspectRatio="none" overflow="visible">'
        f'<polyline class="line {line.colour}" points="{points}"/></svg>'
    )


def _mark(axes: _Axes, lines: Sequence[Line], x: float, name: str) -> str:
    across = axes.across(x)
    anchor = "end" if across > _LEFT + _WIDTH / 2 else "start"
    dots = [
        f'<circle class="dot {line.colour}" cx="{across:.2f}%" cy="{axes.down(y):.1f}" r="4.5"/>'
        for line in lines
        for place, y in line.points
        if place == x
    ]
    return (
        f'<line class="mark" x1="{across:.2f}%" x2="{across:.2f}%"'
        f' y1="{_TOP}" y2="{_TOP + _HEIGHT}"/>'
        f'<text class="axis" x="{across:.2f}%" y="{_TOP - 9}" text-anchor="{anchor}">'
        f"{escape(name)}</text>{''.join(dots)}"
    )


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    from markupsafe import Markup  # tells a template that everything in it is escaped

    return Markup(
        f'<svg class="chart" role="img" aria-label="{escape(title)}" width="100%"'
        f' height="{height}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )
