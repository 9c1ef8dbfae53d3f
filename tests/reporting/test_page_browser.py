"""The page of ``diffrec report`` in a real browser, on a phone and on a desktop."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Cli

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
]
PHONE, DESKTOP, HEIGHT = 390, 1200, 4000
#: A browser's window is never as narrow as a phone: the page stands in a frame that is.
FRAME = """<!DOCTYPE html><style>body {{ margin: 0 }} iframe {{ border: 0 }}</style>
<iframe id="frame" src="page.html" style="width: {width}px; height: {height}px"></iframe>
<p id="found"></p><script>
onload = () => {{
  const inside = document.getElementById("frame").contentDocument;
  const wide = [...inside.querySelectorAll("body *")].filter(element =>
    !element.closest(".scroll, svg") && element.getBoundingClientRect().right > {width} + 0.5);
  const sizes = [...inside.querySelectorAll("body *")].map(element =>
    parseFloat(inside.defaultView.getComputedStyle(element).fontSize));
  document.getElementById("found").textContent = "width=" + inside.documentElement.scrollWidth +
    " wide=" + wide.length +
    " smallest=" + Math.min(...sizes);
}};</script>"""

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome"),
    pytest.mark.usefixtures("fitted"),
]


@pytest.fixture
def page(cli: Cli, tmp_path: Path) -> Path:
    """Return a report; ``frame.html`` beside it shows it on a phone."""
    path = tmp_path / "page.html"
    assert cli("report", "shop", "--out", path, "--device", "cpu").code == 0
    frame = FRAME.format(width=PHONE, height=HEIGHT)
    path.with_name("frame.html").write_text(frame, "utf-8")
    return path


def browse(page: Path, width: int, *more: str) -> str:
    """Open a page, and return what the browser printed."""
    profile = page.with_name("profile")
    shutil.rmtree(profile, ignore_errors=True)
    size = f"--window-size={width},{HEIGHT}"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", size, *more, page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True, text=True)
    return done.stdout


def screenshot(page: Path, width: int, *more: str) -> np.ndarray:
    """Return (height, width, 3) what the browser shows, 0 to 1."""
    image = pytest.importorskip("matplotlib.image")
    path = page.with_suffix(".png")
    browse(page, width, f"--screenshot={path}", *more)
    return image.imread(path)[..., :3]


def ink(picture: np.ndarray) -> np.ndarray:
    """Return (height, width) where a picture is not of the colour of its corner."""
    return np.abs(picture - picture[0, 0]).max(axis=2) > 0.15


def check_content(picture: np.ndarray) -> None:
    shown = ink(picture)
    assert 0.005 < shown.mean() < 0.5  # neither blank nor black
    for part in np.array_split(shown, 10):
        assert part.any()  # nowhere a large hole
    colours = np.unique((picture * 15).astype(np.uint8).reshape(-1, 3), axis=0)
    assert len(colours) > 20


def blue(picture: np.ndarray) -> int:
    """Return the number of pixels in the colour of the model's lines and bars."""
    return int((np.abs(picture - np.array([0x2B, 0x62, 0x94]) / 255).max(axis=2) < 0.05).sum())


def test_a_desktop_shows_content_and_charts(page: Path) -> None:
    picture = screenshot(page, DESKTOP)
    assert picture.shape[:2] == (HEIGHT, DESKTOP)
    check_content(picture)
    assert blue(picture) > 5000
    assert not ink(picture)[:, :40].any()  # margins stay empty
    assert not ink(picture)[:, -40:].any()


def test_a_phone_shows_content_and_charts(page: Path) -> None:
    picture = screenshot(page.with_name("frame.html"), 600)[:, :PHONE]
    check_content(picture)
    assert blue(picture) > 3000
    assert not ink(picture)[:, :10].any()


def test_the_dark_is_dark(page: Path) -> None:
    picture = screenshot(page, DESKTOP, "--blink-settings=preferredColorScheme=0")
    assert picture[0, 0].max() < 0.2
    check_content(picture)


def test_nothing_is_wider_than_a_phone_and_no_text_is_small(page: Path) -> None:
    found = browse(page.with_name("frame.html"), 600, "--dump-dom")
    facts = dict(fact.split("=") for fact in found.split('id="found">')[1].split("<")[0].split())
    assert facts["width"] == str(PHONE)
    assert facts["wide"] == "0"
    assert float(facts["smallest"]) >= 15
