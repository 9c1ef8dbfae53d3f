"""Where to listen, and what is refused before anything is opened."""

from typing import Any

import pytest

from diffrec_cli.errors import UsageError
from diffrec_cli.workflows.http.options import ServeOptions


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "shop.example"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="other machines") as caught:
        ServeOptions(host=host)
    assert "--token-file" in caught.value.fix
    assert ServeOptions(host=host, token_file="token").hosts == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_this_machine_needs_none_and_is_called_by_its_own_names(host: str) -> None:
    assert host in ServeOptions(host=host).hosts


def test_a_unix_socket_has_no_name() -> None:
    assert ServeOptions(unix_socket="lists.sock").hosts == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "--timeout 0"),
        ({"timeout": float("nan")}, "--timeout nan"),
        ({"port": 65536}, "--port 65536"),
        ({"port": -1}, "--port -1"),
        ({"max_body": 0}, "--max-body 0"),
        ({"max_k": 0}, "--max-k 0"),
        ({"max_items": 0}, "--max-items 0"),
        ({"max_requests": 0}, "--max-requests 0"),
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ServeOptions(**options)
