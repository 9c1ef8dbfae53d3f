"""What a request may ask for: the fields of ``/recommend``, checked one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from diffrec_cli.workflows.http.options import ServeOptions
from diffrec_cli.workflows.http.refusals import Refusal
from diffrec_cli.workflows.serving.model_in_memory import Ask, Wanted

TEXT, TEXTS, NUMBER, FLAG = "string", "array", "integer", "boolean"  # as OpenAPI calls them
_MOST_LETTERS = 1000  # of an id, or of a condition


@dataclass(frozen=True)
class Field:
    """Something that a request may say.

    Parameters
    ----------
    name, kind
        Its name, and its type in JSON.
    meaning
        For people.
    """

    name: str
    kind: str
    meaning: str


FIELDS = (
    Field("user", TEXT, "Id of a user whom the model knows, as written in the log."),
    Field("history", TEXTS, "Instead of a user: items that someone has, oldest first."),
    Field("k", NUMBER, "Length of the list; without it 20, or all items of a smaller catalogue."),
    Field("where", TEXT, "Only items that match: year >= 1990 and genre contains Comedy."),
    Field("allow", TEXTS, "Only these items."),
    Field("block", TEXTS, "Never these items."),
    Field("include_seen", FLAG, "Also items that the user has."),
    Field("titles", FLAG, "Add the items' titles."),
    Field("why", FLAG, "Add the items of the history that raised each score most."),
)
_KINDS = {field.name: field.kind for field in FIELDS}


def asked_by_json(body: bytes, limits: ServeOptions) -> Ask:
    """Return what a JSON object asks for; raise a :class:`Refusal` if it is none."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("the body is no JSON", 'write it like {"user": "42", "k": 10}') from None
    if not isinstance(values, dict):
        raise _bad("the body is no JSON object", 'write it like {"user": "42", "k": 10}')
    return _ask(dict(values), limits)


def asked_by_query(query: QueryParams, limits: ServeOptions) -> Ask:
    """Return what the parameters of an address ask for; lists are given by repeating one."""
    values: dict[str, Any] = {}
    for name in query:
        texts = query.getlist(name)
        kind = _KINDS.get(name, TEXT)
        if kind != TEXTS and len(texts) > 1:
            raise _bad(f"{name}: given {len(texts)} times", "give it once")
        values[name] = texts if kind == TEXTS else _FROM_TEXT[kind](texts[0])
    return _ask(values, limits)


def _ask(values: Mapping[str, Any], limits: ServeOptions) -> Ask:
    unknown = [name for name in values if name not in _KINDS]
    if unknown:
        raise _bad(f"no field {_short(unknown[0])}", f"there are: {', '.join(_KINDS)}")
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        _check(name, value, limits)
    user, history = given.pop("user", None), given.pop("history", None)
    if (user is None) == (history is None):
        both = "not both" if user is not None else "neither is there"
        raise _bad(f"give user or history; {both}", "such as user=42, or history=7&history=9")
    if history is not None and not history:
        raise _bad("history: it has no items", "give one item or more, oldest first")
    given.update({name: tuple(given[name]) for name in ("allow", "block") if name in given})
    return Ask(user, tuple(history or ()), Wanted(**given))


def _check(name: str, value: Any, limits: ServeOptions) -> None:
    kind = _KINDS[name]
    right, what = _CHECKS[kind]
    if not right(value):
        raise _bad(f"{name}: not {what}", _meaning(name))
    if kind == NUMBER and not 1 <= value <= limits.max_k:
        raise _bad(f"{name} {value}: not 1 to {limits.max_k}", "such as 20")
    if kind == TEXTS and len(value) > limits.max_items:
        raise _bad(f"{name}: more than {limits.max_items} items", "give fewer")


def _meaning(name: str) -> str:
    return next(field.meaning for field in FIELDS if field.name == name)


def _is_text(value: Any) -> bool:
    """Tell whether a value is a text of a sensible length that can be written as UTF-8."""
    if not isinstance(value, str) or len(value) > _MOST_LETTERS:
        return False
    try:
        return bool(value.encode()) or value == ""
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    TEXT: (_is_text, f"a text of {_MOST_LETTERS} letters or fewer"),
    TEXTS: (
        lambda value: isinstance(value, list) and all(map(_is_text, value)),
        f"a list of texts of {_MOST_LETTERS} letters or fewer",
    ),
    NUMBER: (lambda value: type(value) is int, "a whole number"),
    FLAG: (lambda value: isinstance(value, bool), "true or false"),
}


def _as_number(text: str) -> Any:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {
    TEXT: str,
    NUMBER: _as_number,
    FLAG: lambda text: {"true": True, "1": True, "false": False, "0": False}.get(text, text),
}


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _bad(what: str, fix: str) -> Refusal:
    return Refusal(400, what, fix)
