"""The pages: lists as `recommend` makes them, and refusals that say what to do."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from diffrec_cli import workflows
from diffrec_cli.workflows.http import app as pages
from tests.workflows.http.conftest import Serve

TOKEN = "0123456789abcdef"
JSON = {"content-type": "application/json"}


def test_a_list_is_what_recommend_prints(client: TestClient, shop: str) -> None:
    answer = client.get("/recommend", params={"user": "u7", "k": 3, "titles": "true"}).json()
    expected = workflows.recommend(users=["u7"], k=3, titles=True).table().to_pylist()
    assert list(answer) == ["schema_version", "model", "recommendations"]
    assert (answer["schema_version"], answer["model"]) == (1, shop)
    for row, wanted in zip(answer["recommendations"], expected, strict=True):
        assert row == {**wanted, "score": pytest.approx(wanted["score"], rel=1e-6)}


def test_a_body_asks_for_the_same_as_an_address(client: TestClient) -> None:
    by_address = client.get("/recommend?history=i00&history=i02&k=3&why=true")
    by_body = client.post("/recommend", json={"history": ["i00", "i02"], "k": 3, "why": True})
    assert by_address.status_code == by_body.status_code == 200
    assert by_address.json() == by_body.json()


def test_items_that_the_model_does_not_know_are_named(client: TestClient) -> None:
    answer = client.post("/recommend", json={"history": ["i00", "new"], "block": ["newer", "i01"]})
    assert answer.json()["unknown_items"] == ["new", "newer"]


@pytest.mark.parametrize(
    ("values", "status", "error"),
    [
        ({"user": "nobody"}, 404, "unknown user 'nobody'"),
        ({"history": ["nothing"]}, 404, "no item of the history is known to the model"),
        ({"user": "u1", "k": 41}, 400, "k 41: larger than the catalogue of 40 items"),
        ({"user": "u1", "where": "colour = red"}, 400, "where: no column 'colour'"),
        ({"user": "u1", "allow": ["nothing"]}, 400, "allow leave no item"),
        (
            {"user": "u1", "allow": ["i01"], "block": ["i01"]},
            400,
            "allow and block leave no item",
        ),
        ({"user": "--user"}, 404, "unknown user '--user'"),
        ({"user": "u1", "k": 1001}, 400, "k 1001: not 1 to 1000"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_answered_is_told_why(
    client: TestClient, values: dict[str, object], status: int, error: str
) -> None:
    answer = client.post("/recommend", json=values)
    assert answer.status_code == status
    assert list(answer.json()) == ["error", "fix"]
    assert answer.json()["error"].startswith(error)
    assert answer.json()["fix"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/recommend/1", 404),
        ("GET", "/docs/", 404),
        ("DELETE", "/recommend", 405),
    ],
)
def test_pages_and_methods_that_there_are_not(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error", "fix"]


def test_a_body_of_another_type_is_refused(client: TestClient) -> None:
    answer = client.post("/recommend", content=b"user=u1", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_a_body_may_not_be_larger_than_the_limit_whatever_its_length_says(serve: Serve) -> None:
    client = serve(max_body=100)
    body = json.dumps({"user": "u1", "where": "x" * 100}).encode()
    told = client.post("/recommend", content=body, headers=JSON)
    untold = client.post("/recommend", content=iter([body[:50], body[50:]]), headers=JSON)
    for answer in (told, untold):
        assert answer.status_code == 413
        assert answer.json()["error"] == "the body is larger than 100 bytes"
        assert answer.headers["connection"] == "close"
    fits = json.dumps({"user": "u1"}).encode().ljust(100)
    assert client.post("/recommend", content=fits, headers=JSON).status_code == 200


def test_a_list_that_takes_too_long_is_not_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, go_on = serve(timeout=0.05), threading.Event()
    answers = client.following.model.answers

    def slow(asks):
        go_on.wait(10)
        return answers(asks)

    monkeypatch.setattr(client.following.model, "answers", slow)
    answer = client.get("/recommend?user=u1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    go_on.set()


def test_more_requests_than_the_limit_are_told_to_come_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, working, go_on = serve(max_requests=1), threading.Event(), threading.Event()
    answers = client.following.model.answers

    def slow(asks):
        working.set()
        go_on.wait(10)
        return answers(asks)

    monkeypatch.setattr(client.following.model, "answers", slow)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(client.get, "/recommend?user=u1")
        assert working.wait(10)
        assert client.get("/recommend?user=u2").status_code == 503
        assert client.get("/health").status_code == 200  # it goes on telling how it is
        go_on.set()
        assert first.result(10).status_code == 200


def test_a_fault_tells_nothing_of_itself(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(asks):
        raise RuntimeError("u2 has i07 at /home/shop")

    monkeypatch.setattr(client.following.model, "answers", fails)
    answer = client.get("/recommend?user=u1")
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server failed", "fix": "its log tells why"}


class TestToken:
    @pytest.fixture
    def guarded(self, serve: Serve) -> TestClient:
        return serve(token=TOKEN)

    @pytest.mark.parametrize("given", ["", TOKEN, f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"])
    def test_without_it_nothing_is_answered(self, guarded: TestClient, given: str) -> None:
        headers = {"authorization": given.encode()}
        for path in ("/recommend?user=u1", "/metrics", "/docs", "/openapi.json", "/nothing"):
            answer = guarded.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in answer.text

    def test_with_it_all_is(self, guarded: TestClient) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        assert guarded.get("/recommend?user=u1", headers=headers).status_code == 200

    def test_health_needs_none(self, guarded: TestClient) -> None:
        assert guarded.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:8000"])
def test_the_server_is_called_by_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil", ""])
def test_a_web_page_cannot_lead_here_by_a_name_of_its_own(client: TestClient, host: str) -> None:
    for path in ("/health", "/recommend?user=u1"):
        assert client.get(path, headers={"host": host}).status_code == 400


def test_health_names_the_model(client: TestClient, shop: str) -> None:
    health = client.get("/health").json()
    assert (health["status"], health["model"]) == ("ok", shop)
    assert list(health) == ["status", "model", "since"]


def test_metrics_count_pages_and_never_what_was_asked(client: TestClient, shop: str) -> None:
    client.get("/recommend?user=u1")
    client.get("/recommend?user=secret")
    client.get("/secret")
    answer = client.get("/metrics")
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'diffrec_requests_total{page="/recommend",status="200"} 1.0' in lines
    assert 'diffrec_requests_total{page="/recommend",status="404"} 1.0' in lines
    assert 'diffrec_requests_total{page="other",status="404"} 1.0' in lines
    assert 'diffrec_request_seconds_count{page="/recommend"} 2.0' in lines
    assert "diffrec_batch_size_count 2.0" in lines
    assert f'diffrec_model{{model="{shop}"}} 1.0' in lines
    assert "diffrec_requests_running 1.0" in lines  # this one
    assert "secret" not in answer.text


def test_nothing_of_other_users_is_in_any_answer(client: TestClient) -> None:
    others = {f'"u{number}"' for number in range(60)} - {'"u7"'}
    paths = ["user=u7", "user=u7&why=true", "user=u77", "user=u7&where=id+%3D+7", "history=i00"]
    answers = [client.get(f"/recommend?{path}").text for path in paths]
    answers += [client.get(path).text for path in ("/health", "/metrics", "/docs", "/openapi.json")]
    for text in answers:
        assert not [other for other in others if other in text]


def test_lists_ranked_at_once_are_bounded() -> None:
    assert pages._TOGETHER <= 256  # beyond it, NumPy is slower than torch
