"""Every command's help ends with examples, and they are lines that the program takes."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from diffrec_cli.cli.app import ANYWHERE, app, with_refit_values
from tests.cli.conftest import Cli

ROOT: Any = typer.main.get_command(app)


def commands(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every command and every group of commands, by what follows ``diffrec``."""
    yield " ".join(path), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands())


def examples_of(command: Any) -> list[str]:
    """Return the lines of the section, without indentation."""
    title, *lines = (command.epilog or "").strip("\n").split("\n")
    assert title == "Examples:"
    return [line.strip().replace(r"\[", "[") for line in lines]


def calls(line: str) -> list[list[str]]:
    """Return the arguments of every ``diffrec`` in a line of the shell."""
    unquoted = line.replace('"$(', "$(").replace(')"', ")")  # what is run stands in quotes
    lexer = shlex.shlex(unquoted, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    redirected = False
    for token in lexer:
        if re.fullmatch(r"[|&;()]+", token):
            parts.append([])
        elif re.fullmatch(r"[<>]+", token):
            redirected = True
        elif not redirected:
            parts[-1].append(token)
        else:
            redirected = False
    return [part[1:] for part in parts if part and part[0] == "diffrec"]


def check(arguments: list[str]) -> None:
    """Parse arguments as the program does, without running anything."""
    command, context = ROOT, None
    rest = [word for word in with_refit_values(arguments) if word not in ANYWHERE]
    while hasattr(command, "commands"):
        # A group's parser alone: its context would call back, and --install-completion installs.
        context = command.context_class(command, info_name=command.name, parent=context)
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if not rest:
            return  # options of the program, such as --version
        name, *rest = rest
        command = command.commands[name]
    command.make_context(command.name, rest, parent=context)


def test_the_tree_is_the_whole_program() -> None:
    assert {"", "fit", "recommend", "models", "models mv", "data sample"} <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_fit_80_columns(
    cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = cli(*name.split(), "--help")
    assert outcome.code == 0
    lines = [line.rstrip() for line in outcome.out.rstrip().splitlines()]
    assert max(map(len, lines)) <= 80
    examples = examples_of(COMMANDS[name])
    assert 1 < len(examples) <= 6
    assert lines[-len(examples) - 1 :] == [" Examples:", *(f"   {line}" for line in examples)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_line_that_the_program_takes(name: str) -> None:
    lines = examples_of(COMMANDS[name])
    assert f"diffrec {name}".strip() in lines[0]
    for line in lines:
        assert calls(line), line
        for arguments in calls(line):
            check(arguments)


@pytest.mark.parametrize(
    "line",
    [
        "diffrec nonsense",
        "diffrec fit ratings.csv --bogus 3",
        "diffrec fit",
        "diffrec models mv old new newer",
        "diffrec recommend -u 42 -k many",
    ],
)
def test_a_wrong_example_would_be_found(line: str) -> None:
    (arguments,) = calls(line)
    with pytest.raises((KeyError, AssertionError, typer.TyperException)):
        check(arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_of_an_option_loses_what_stands_in_brackets(name: str) -> None:
    for parameter in COMMANDS[name].params:
        text = parameter.help or ""
        assert not re.search(r"(?<!\\)\[[a-z#/@]", text), f"{parameter.name}: a style to rich"
