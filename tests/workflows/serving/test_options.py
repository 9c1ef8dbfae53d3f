"""The command line and the workflow have the same options, and say what contradicts what."""

import dataclasses

import pytest
import typer

from diffrec_cli.cli._options import RENAMED
from diffrec_cli.cli.app import app
from diffrec_cli.config import ReadOptions
from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.serving.options import RecommendOptions

#: Parameters of the command that are not about what is recommended.
OF_THE_COMMAND = {"context", "model", "out", "form", "help"}


def test_the_command_has_every_option_of_the_workflow_and_no_other() -> None:
    command = typer.main.get_command(app).commands["recommend"]  # type: ignore[attr-defined]
    given = {p.name: p.default for p in command.params if p.name not in OF_THE_COMMAND}
    reading = {field.name for field in dataclasses.fields(ReadOptions)} & given.keys()
    assert "user_col" in reading
    given = {name: given[name] for name in given.keys() - reading} | {"read": None}
    named = {RENAMED.get(name, name): default for name, default in given.items()}
    fields = {field.name: field.default for field in dataclasses.fields(RecommendOptions)}
    assert named.keys() == fields.keys()
    assert {name: default or fields[name] for name, default in named.items()} == fields


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "give one of --user"),
        ({"users": ["u"], "all_users": True}, "not several"),
        ({"users": ["u"], "shard": "1/2"}, "only with --all-users"),
        ({"like": ["i"], "events": "e.csv"}, "--events: for known users"),
        ({"users": ["u"], "k": 0}, "-k 0"),
        ({"users": ["u"], "diversity": 1.5}, "--diversity 1.5"),
        ({"users": ["u"], "strength": -1.0}, "--strength -1"),
        ({"users": ["u"], "on_unknown": "guess"}, "--on-unknown guess"),
        ({"users_file": "-", "allow": "-"}, "ask for stdin"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        RecommendOptions(**options)  # type: ignore[arg-type]
    assert what in caught.value.what
    assert caught.value.fix
