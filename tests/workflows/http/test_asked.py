"""A request says what it wants in JSON or in its address, and each field is checked."""

import json
from typing import Any

import pytest
from starlette.datastructures import QueryParams

from diffrec_cli.workflows.http.asked import FIELDS, asked_by_json, asked_by_query
from diffrec_cli.workflows.http.options import ServeOptions
from diffrec_cli.workflows.http.refusals import Refusal
from diffrec_cli.workflows.serving.model_in_memory import Ask, Wanted

LIMITS = ServeOptions(max_k=50, max_items=3)


def by_json(values: Any) -> Ask:
    return asked_by_json(json.dumps(values).encode(), LIMITS)


def by_query(text: str) -> Ask:
    return asked_by_query(QueryParams(text), LIMITS)


def test_both_ways_say_the_same() -> None:
    wanted = Wanted(k=5, where="year > 1990", block=("7", "9"), titles=True, why=False)
    asked = by_json(
        {"user": "42", "k": 5, "where": "year > 1990", "block": ["7", "9"], "titles": True}
    )
    assert asked == Ask("42", (), wanted)
    assert by_query("user=42&k=5&where=year+%3E+1990&block=7&block=9&titles=true") == asked


def test_a_history_keeps_its_order() -> None:
    assert by_json({"history": ["9", "7"]}) == Ask(None, ("9", "7"), Wanted())
    assert by_query("history=9&history=7") == Ask(None, ("9", "7"), Wanted())


def test_null_is_as_good_as_nothing() -> None:
    assert by_json({"user": "42", "k": None, "history": None}) == Ask("42", (), Wanted())


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_is_one_of_a_request(field) -> None:
    assert field.name in {"user", "history", *Wanted.__dataclass_fields__}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "give user or history; neither"),
        ({"user": "1", "history": ["2"]}, "not both"),
        ({"history": []}, "no items"),
        ({"user": 42}, "user: not a text"),
        ({"user": ["42"]}, "user: not a text"),
        ({"user": "x" * 1001}, "user: not a text of 1000 letters"),
        ({"user": "\ud800"}, "user: not a text"),
        ({"history": "7"}, "history: not a list"),
        ({"history": ["7", 9]}, "history: not a list"),
        ({"history": ["1", "2", "3", "4"]}, "history: more than 3 items"),
        ({"user": "1", "k": 0}, "k 0: not 1 to 50"),
        ({"user": "1", "k": 51}, "k 51: not 1 to 50"),
        ({"user": "1", "k": 2.0}, "k: not a whole number"),
        ({"user": "1", "k": True}, "k: not a whole number"),
        ({"user": "1", "k": "5"}, "k: not a whole number"),
        ({"user": "1", "why": 1}, "why: not true or false"),
        ({"user": "1", "users": ["2"]}, "no field 'users'"),
        ({"y" * 90: 1}, "no field 'yyyy"),
        ([1], "no JSON object"),
        ("text", "no JSON object"),
        (None, "no JSON object"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_makes_no_sense_is_refused_by_name(values: Any, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        by_json(values)
    assert caught.value.status == 400
    assert words in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"user": "1"', b"[" * 100_000, b'{"k": ' + b"9" * 5000 + b"}"]
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="no JSON"):
        asked_by_json(body, LIMITS)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("user=1&user=2", "user: given 2 times"),
        ("user=1&k=many", "k: not a whole number"),
        ("user=1&k=-1", "k: not a whole number"),
        ("user=1&k=%D9%A3", "k: not a whole number"),
        ("user=1&why=yes", "why: not true or false"),
        ("user=1&shard=1", "no field 'shard'"),
    ],
)
def test_an_address_is_checked_too(query: str, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        by_query(query)
    assert words in caught.value.what
