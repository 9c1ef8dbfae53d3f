"""The description tells of every page, and of nothing else."""

from starlette.routing import Route
from starlette.testclient import TestClient

from diffrec_cli.workflows.http.app import Pages
from diffrec_cli.workflows.http.asked import FIELDS
from diffrec_cli.workflows.http.metrics import Metrics
from diffrec_cli.workflows.http.openapi import description
from diffrec_cli.workflows.http.options import ServeOptions


def described() -> set[tuple[str, str]]:
    return {
        (path, method.upper())
        for path, methods in description()["paths"].items()
        for method in methods
    }


def test_every_page_is_described_with_its_methods(client: TestClient) -> None:
    pages = Pages(client.following, ServeOptions(), Metrics())
    routes = {
        (route.path, method)
        for route in pages.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described() == routes


def test_the_answers_of_a_list_have_the_shape_that_is_described(client: TestClient) -> None:
    schema = description()["paths"]["/recommend"]["get"]["responses"]["200"]["content"]
    lists = schema["application/json"]["schema"]["properties"]
    row = lists["recommendations"]["items"]["properties"]
    asked = {"user": "u1", "titles": True, "why": True, "block": ["nothing"]}
    answer = client.post("/recommend", json=asked).json()
    assert list(answer) == list(lists)
    assert list(answer["recommendations"][0]) == list(row)
    reason = row["because"]["items"]["properties"]
    assert list(answer["recommendations"][0]["because"][0]) == list(reason)


def test_it_is_served_to_programs_and_to_people(client: TestClient) -> None:
    assert client.get("/openapi.json").json() == description()
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for field in FIELDS:
        assert f"<code>{field.name}</code>" in page.text
    assert "http://" not in page.text.replace("http://127", "")
    assert "https://" not in page.text
