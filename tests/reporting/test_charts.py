"""Charts: lines and bars as SVG, curves as block characters."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from fractions import Fraction

import pytest

from diffrec_cli.reporting.charts import (
    ASCII,
    BLOCKS,
    Bars,
    Line,
    bar_chart,
    line_chart,
    sparkline,
    ticks,
)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0, 0.27, [0, 0.1, 0.2, 0.3]),
        (0, 90, [0, 20, 40, 60, 80, 100]),
        (-3, 1, [-3, -2, -1, 0, 1]),
        (0, 0, [0, 0.5, 1]),
        (0, 4e6, [0, 1e6, 2e6, 3e6, 4e6]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert ticks(low, high) == expected


def test_a_line_lies_where_its_values_say() -> None:
    svg = line_chart([Line("a", ((0, 0), (1, 1), (4, 2)))], title="t", across="x")
    (points,) = re.findall(r'points="([^"]*)"', svg)
    # x is 0 to 4 over 100 units; y is 0 to 2 over 180 pixels, downwards.
    assert points == "0.00,180.00 25.00,90.00 100.00,0.00"


def test_a_mark_stands_at_its_x_with_a_dot_on_each_line() -> None:
    lines = [Line("a", ((1, 3), (2, 4))), Line("b", ((1, 1), (2, 2)))]
    svg = line_chart(lines, title="t", across="epoch", mark=2, mark_name="epoch 2")
    assert svg.count("<circle") == 2
    assert "epoch 2" in texts(svg)


def test_whole_numbers_are_never_split() -> None:
    svg = line_chart([Line("a", ((1, 3), (2, 4)))], title="t", across="epoch")
    assert "0.5" not in texts(svg)


def test_one_point_is_a_chart_too() -> None:
    ET.fromstring(line_chart([Line("a", ((1, 0),))], title="t", across="epoch", mark=1))


def test_shares_are_shown_in_per_cent() -> None:
    svg = line_chart([Line("a", ((0, 0), (1, 1)))], title="t", across="x", percent=True)
    assert texts(svg).count("50%") == 2


def test_bars_are_in_proportion_and_carry_their_figure() -> None:
    svg = bar_chart([Bars("few", (("a", 0.2), ("c", 0.05)))], title="t")
    long, short = (Fraction(w) for w in re.findall(r'width="([\d.]+)%" height="16"', svg))
    assert long == 4 * short
    assert texts(svg) == ["few", "0.2000", "0.0500"]


def test_bars_of_nothing_are_a_chart_too() -> None:
    ET.fromstring(bar_chart([Bars("few", (("a", 0.0),))], title="t"))
    ET.fromstring(bar_chart([], title="t"))


def test_a_chart_says_what_it_is_and_escapes_it() -> None:
    line = Line("a", ((0, 0), (1, 1)))
    charts = [
        line_chart([line], title="<b>&", across="<i>", mark=1, mark_name="<u>"),
        bar_chart([Bars("<i>", (("a", 1.0),))], title="<b>&"),
    ]
    for svg in charts:
        root = ET.fromstring(svg)  # well-formed although the names are markup
        assert root.get("role") == "img"
        assert root.get("aria-label") == root.findtext("title") == "<b>&"


def test_a_sparkline_rises_and_falls_with_its_values() -> None:
    assert sparkline([0, 7, 3.5]) == "▁█▅"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([]) == ""


def test_a_long_sparkline_is_cut_to_its_width_and_keeps_its_ends() -> None:
    line = sparkline([1.0, *[0.0] * 998, 1.0])
    assert line == "█" + 28 * "▁" + "█"


def test_a_sparkline_can_do_without_blocks() -> None:
    assert len(ASCII) == len(BLOCKS)
    assert sparkline([0, 7], blocks=ASCII).isascii()
