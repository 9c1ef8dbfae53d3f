"""Nothing of the data acts on a terminal, and nothing is lost of it in a pipe."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from diffrec_cli.cli.app import run
from tests.cli.conftest import Cli
from tests.test_visible import ACTING

#: Ids and titles that act on a terminal, and some that look like rich's markup, or are wide.
HOSTILE = [text for text in ACTING.values() if text != "\udce9"]  # a log is text
HOSTILE += ["[red]red[/red]", ":smile:", "日本語", "e\u0301te", "[/]", "\\[b]"]
USER = f"u{HOSTILE[0]}0"
USERS, ITEMS = 60, 40
CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]"
)


def text_of(number: int) -> str:
    return f"{HOSTILE[number % len(HOSTILE)]}{number}"


def write_log(directory: Path) -> tuple[Path, Path]:
    """Write a log and a table of items with hostile ids and titles."""
    log, items = directory / "log.csv", directory / "items.csv"
    with log.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user", "item", "timestamp"])
        for user in range(USERS):
            for place in range(20):
                item = (user * 7 + place * 3) % ITEMS
                writer.writerow([f"u{text_of(user)}", f"i{text_of(item)}", 1000 + 60 * place])
    with items.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["item", "title"])
        writer.writerows([f"i{text_of(item)}", f"t{text_of(item + 5)}"] for item in range(ITEMS))
    return log, items


@pytest.fixture(scope="module")
def _hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFREC_HOME", str(directory / "home"))
        log, items = map(str, write_log(directory))
        assert run(["fit", log, "--items", items, "-v", "ease", "--name", "shop", "-q"]) == 0
    return directory / "home"


@pytest.fixture(autouse=True)
def hostile(_hostile: Path, isolated_home: Path) -> Path:
    """Return a state directory with a model of hostile ids and titles."""
    shutil.copytree(_hostile, isolated_home)
    return isolated_home


@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend", "--user", USER, "-k", ITEMS, "--titles", "--format", "table", "--why"),
        ("recommend", "--user", "\x1b[31mno one\u202e"),
        ("recommend", "--user", USER, "--where", "\x1b]0;x\x07 > 1"),
        ("recommend", "--user", USER, "--device", "\x1b[31m"),
        ("recommend", "--user", USER, "--model", "\x1b]52;c;aGk=\x07"),
        ("recommend", "--users", "no\x9b31mfile"),
        ("recommend", "--user", USER, "--on-unknown", "\x1b[31m"),
        ("recommend", "--\x1b[31m"),
        ("\x1b[31m",),
        ("fit", "log", "--set", "\x1b[31m=1"),
        ("fit", "log", "-v", "base", "--set", "lr=\x1b[31m", "--debug"),
        ("prepare", "no\x1b[31mfile\u202e.csv"),
        ("eval", "shop", "--metrics", "\x1b[31m"),
        ("eval", "shop", "--min", "\x1b[31m=1"),
        ("compare", "log", "--models", "\x1b[31m"),
        ("data", "show", "\x1b[31m"),
        ("similar", text_of(3), "--format", "table"),
        ("forget", "--user", USER, "--dry-run", "--format", "table"),
        ("report", "shop", "--user", USER, "--out", "-"),
    ],
    ids=lambda arguments: ascii(" ".join(map(str, arguments))),
)
def test_tables_messages_and_pages_have_no_character_that_acts(
    cli: Cli, arguments: tuple[object, ...]
) -> None:
    outcome = cli(*arguments)
    assert outcome.code in (0, 2, 3, 4)
    assert outcome.out + outcome.err
    assert CONTROL.findall(outcome.out + outcome.err) == []


def test_columns_are_aligned_whatever_the_ids(cli: Cli) -> None:
    arguments = ("recommend", "--user", USER, "-k", ITEMS, "--titles", "--format", "table")
    shown = [line.rstrip("\n") for line in cli(*arguments).out.split("\n") if line.strip()]
    assert len({cell_len(line) for line in shown}) == 1
    assert r"u\x1b[31m0" in shown[2]


def test_what_looks_like_markup_stands_for_itself(cli: Cli) -> None:
    arguments = ("recommend", "--user", USER, "-k", ITEMS, "--include-seen", "--format", "table")
    shown = cli(*arguments).out
    for text in ("[red]red[/red]", ":smile:", "[/]", "\\[b]", "日本語"):
        assert f"i{text}" in shown


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_csv_and_json_round_trip_whatever_the_encoding_of_stdout(form: str, encoding: str) -> None:
    arguments = ["recommend", "--user", USER, "-k", str(ITEMS), "--include-seen", "--titles"]
    process = program(*arguments, "--format", form, encoding=encoding)
    assert process.returncode == 0, process.stderr
    found = parsed(process.stdout.decode(), form)
    assert {row["user"] for row in found} == {USER}
    assert {row["item"] for row in found} == {f"i{text_of(item)}" for item in range(ITEMS)}
    assert {row["title"] for row in found} == {f"t{text_of(item + 5)}" for item in range(ITEMS)}
    if form != "csv":  # which has no escapes: it is UTF-8 for whoever reads it
        process.stdout.decode(encoding)


def parsed(text: str, form: str) -> list[dict[str, str]]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if form == "json":
        return json.loads(text)["recommendations"]
    return [json.loads(line) for line in text.split("\n") if line]


def program(*arguments: str, encoding: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "diffrec_cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend", "--user", USER, "-k", str(ITEMS), "--titles", "--format", "table"),
        ("recommend", "--user", "é日"),
        ("--help",),
    ],
)
def test_an_encoding_without_letters_and_lines_gets_escapes_and_ascii_borders(
    arguments: tuple[str, ...],
) -> None:
    process = program(*arguments, encoding="ascii")
    assert process.returncode in (0, 4)
    shown = (process.stdout + process.stderr).decode("ascii")
    assert "internal error" not in shown
    assert "--help" in arguments or r"\u65e5" in shown or r"\xe9" in shown


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "table"])
def test_on_a_terminal_every_format_is_only_seen(form: str) -> None:
    import pty

    arguments = ["recommend", "--user", USER, "-k", str(ITEMS), "--titles", "--no-color"]
    primary, terminal = pty.openpty()
    command = [sys.executable, "-m", "diffrec_cli", *arguments, "--format", form]
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = read_all(primary)
    assert process.wait() == 0
    assert CONTROL.findall(shown.replace("\r\n", "\n")) == []
    assert ("\\u001b" if form.startswith("json") else r"\x1b") in shown


def read_all(descriptor: int) -> str:
    pieces = []
    try:
        while piece := os.read(descriptor, 4096):
            pieces.append(piece)
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(descriptor)
    return b"".join(pieces).decode()


def test_a_command_of_a_page_is_one_that_a_shell_reads_back(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "a\x1b[31m'b\\.csv"
    write_log(tmp_path)[0].rename(log)
    assert cli("fit", log, "-v", "pop", "--name", "other", "-q").code == 0
    page = cli("report", "other", "--out", "-").out
    assert CONTROL.findall(page) == []
    assert r"a\x1b[31m\&#39;b\\.csv" in page
