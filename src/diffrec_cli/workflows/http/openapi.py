"""The description of all pages, for programs and for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffrec_cli import __version__
from diffrec_cli.workflows.http.asked import FIELDS, TEXTS, Field

_REFUSALS = {
    "400": "Something in the request is wrong.",
    "401": "There is no token, or a wrong one.",
    "404": "The user, or every item of the history, is unknown.",
    "408": "The request took too long to arrive.",
    "413": "The body is too large.",
    "415": "The body is no JSON by its Content-Type.",
    "500": "The server failed; its log tells why.",
    "503": "There is no time for it now.",
}
_ROW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "user": {"type": "string"},
        "rank": {"type": "integer", "description": "From 1."},
        "item": {"type": "string"},
        "score": {"type": "number"},
        "title": {"type": "string", "description": "If asked for."},
        "because": {
            "type": "array",
            "description": "If asked why.",
            "items": {
                "type": "object",
                "properties": {
                    "item": {"type": "string"},
                    "gain": {"type": "number"},
                    "title": {"type": "string"},
                },
            },
        },
    },
}
_LISTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "schema_version": {"type": "integer"},
        "model": {"type": "string", "description": "The model that made the list."},
        "recommendations": {"type": "array", "items": _ROW},
        "unknown_items": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Items of the request that the model does not know, if there are any.",
        },
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What is wrong, in a line."},
        "fix": {"type": "string", "description": "What to do about it, in a line."},
    },
}
_HEALTH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok", "stale"]},
        "model": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "problem": {"type": "string", "description": "Why the model is stale."},
    },
}


def description() -> dict[str, Any]:
    """Return the OpenAPI document of all pages."""
    by_query = {"summary": "A list, asked for by the address.", "parameters": _parameters()}
    by_body = {"summary": "A list, asked for by a body.", "requestBody": _body()}
    answers = {"200": _content("The list.", _LISTS), **_refusals()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "diffrec serve", "version": __version__},
        "paths": {
            "/recommend": {
                "get": {**by_query, "responses": answers},
                "post": {**by_body, "responses": answers},
            },
            "/health": _page("Which model is in memory; needs no token.", "The state.", _HEALTH),
            "/metrics": _page("Figures for Prometheus.", "Its text format."),
            "/openapi.json": _page("This description.", "OpenAPI 3.1.", {"type": "object"}),
            "/docs": _page("The same for people.", "A web page."),
        },
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}, {}],
    }


def page() -> str:
    """Return the description as a web page that needs nothing from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("docs.html.j2").render(fields=FIELDS, **description())


def _page(summary: str, what: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = {"description": what} if schema is None else _content(what, schema)
    return {"get": {"summary": summary, "responses": {"200": answer}}}


def _content(what: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": schema}}}


def _refusals() -> dict[str, Any]:
    return {status: _content(meaning, _ERROR) for status, meaning in _REFUSALS.items()}


def _parameters() -> list[dict[str, Any]]:
    return [
        {"name": field.name, "in": "query", "description": field.meaning, "schema": _schema(field)}
        for field in FIELDS
    ]


def _body() -> dict[str, Any]:
    fields = {field.name: {**_schema(field), "description": field.meaning} for field in FIELDS}
    schema = {"type": "object", "properties": fields, "additionalProperties": False}
    return {"required": True, **_content("What is asked for.", schema)}


def _schema(field: Field) -> dict[str, Any]:
    items = {"items": {"type": "string"}} if field.kind == TEXTS else {}
    return {"type": field.kind, **items}
