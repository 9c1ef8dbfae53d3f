"""A server's pages over a model of the checkerboard, without a socket."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

from diffrec_cli.workflows.http.app import make_app
from diffrec_cli.workflows.http.following import Following
from diffrec_cli.workflows.http.metrics import Metrics
from diffrec_cli.workflows.http.options import ServeOptions
from diffrec_cli.workflows.progress import Event
from tests.workflows.conftest import Fit

Serve = Callable[..., TestClient]


@pytest.fixture
def shop(fit: Fit) -> str:
    """Return a model that is quickly fitted."""
    return fit("ease")


@pytest.fixture
def told() -> list[Event]:
    """Return what the server tells its listener."""
    return []


@pytest.fixture
def serve(shop: str, told: list[Event]) -> Iterator[Serve]:
    """Return a function from options to a client of a running server; the model is `shop`."""
    with ExitStack() as stack:

        def served(
            model: str | None = None, token: str | None = None, **options: object
        ) -> TestClient:
            metrics = Metrics()
            following = Following(model, metrics, told.append)
            app = make_app(following, ServeOptions(**options), metrics, token)
            client = TestClient(app, "http://localhost:8000", raise_server_exceptions=False)
            client.following = following
            return stack.enter_context(client)

        yield served


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve()
