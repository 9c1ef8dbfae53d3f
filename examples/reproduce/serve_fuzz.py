"""Bad requests to ``diffrec serve``: it answers each, or cuts it, and goes on.

``python serve_fuzz.py 10000`` starts a server of the default model with short limits and sends it
so many requests: damaged heads, bodies and fields, oversized and slow ones, clients that leave in
the middle. Halfway the model is removed from the registry (and put back at the end). Prints what
was answered, and fails if any answer is a 500, if a good request in between has no good answer, or
if memory grows.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from serving import Server, serving

from diffrec_cli import workflows
from diffrec_cli.registry import versions as registry

CHECK_EVERY = 100  # requests between two good ones
SLOW_EVERY = 500  # requests between two slow ones, of which each takes seconds
GROWTH = 1.10  # of memory, after the first quarter


def main(number: int) -> None:
    """Run the drill."""
    with tempfile.TemporaryDirectory() as directory:
        model = registry.resolve().record.reference
        exported = registry.export(model, Path(directory, "model.tar"))
        copy = registry.import_(exported, "fuzzed").record.reference
        workflows.default_model(copy)
        try:
            with serving("--timeout", "1", "--max-body", "20000", "--max-items", "200") as server:
                _drill(server, number, copy)
        finally:
            with suppress(Exception):
                registry.remove("fuzzed")
            workflows.default_model(model)


def _drill(server: Server, number: int, copy: str) -> None:
    chance, answers, memory = random.Random(1), Counter[str](), list[int]()
    dataset = registry.resolve().dataset()
    good = "/recommend?user=" + dataset.user_ids.at([0])[0]
    for place in range(number):
        if place == number // 2:
            registry.remove(copy)
        if place % CHECK_EVERY == 0:
            _check(server, good)
            memory.append(server.memory)
        slow = place % SLOW_EVERY == SLOW_EVERY - 1
        make: Callable[[Server, random.Random], str] = _slow if slow else chance.choice(KINDS)
        answers[f"{make.__name__[1:]}: {make(server, chance)}"] += 1
    time.sleep(1.5)  # until it has seen that the model is gone
    _check(server, good)
    memory.append(server.memory)
    for what, count in sorted(answers.items()):
        print(f"{count:6} {what}")
    quarter = memory[len(memory) // 4]
    print(f"memory in MB: {memory[0] / 1e6:.0f} at first, {quarter / 1e6:.0f} after a quarter,")
    print(f"{max(memory) / 1e6:.0f} at most, {memory[-1] / 1e6:.0f} at last")
    told = server.log.read_text()
    print("told:", *told.splitlines()[1:], sep="\n  ")
    faults = [what for what in answers if what.endswith(" 500")]
    if faults or memory[-1] > GROWTH * quarter or "was removed; it stays" not in told:
        raise SystemExit(f"a 500, growth, or nothing told of the removed model: {faults}")


def _check(server: Server, good: str) -> None:
    answer = json.loads(server.get(good))
    if len(answer.get("recommendations", ())) == 0:
        raise SystemExit(f"a good request got {answer}")


def _bytes(server: Server, chance: random.Random) -> str:
    """Send what is no HTTP."""
    return _send(server, chance.randbytes(chance.randrange(1, 4000)))


def _head(server: Server, chance: random.Random) -> str:
    """Send a head with some of its bytes changed."""
    head = bytearray(_post(b'{"user": "1"}'))
    for _ in range(chance.randrange(1, 6)):
        head[chance.randrange(len(head))] = chance.randrange(256)
    return _send(server, bytes(head))


def _path(server: Server, chance: random.Random) -> str:
    """Ask for a strange address."""
    letters = "abc/?&=%._-~:@!$'()*,;+0123456789"
    text = "".join(chance.choice(letters) for _ in range(chance.randrange(200)))
    pages = ["/", "/recommend?", "/recommend?user=", "/recommend?user=1&where=", "/docs/"]
    return _send(
        server, f"GET {chance.choice(pages)}{text} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )


def _json(server: Server, chance: random.Random) -> str:
    """Send a body of JSON in which anything may stand in the place of what should."""
    items = [str(chance.randrange(300)) for _ in range(chance.randrange(1, 60))]
    right: dict[str, object] = {
        "user": str(chance.randrange(100)),
        "history": items,
        "k": chance.randrange(1, 40),
        "where": f"id != {chance.randrange(300)}",
        "allow": items,
        "block": items,
        "titles": False,
        "why": True,
        "include_seen": True,
    }
    fields = chance.sample([*right, "shard"], chance.randrange(4))
    fields.append(chance.choice(["user", "history"]))
    values = {
        name: right[name] if name in right and chance.random() < 0.8 else _value(chance, 0)
        for name in fields
    }
    return _send(server, _post(json.dumps(values).encode()))


def _value(chance: random.Random, depth: int) -> object:
    plain = ["1", "", "\ud800", "\0", "x" * 1500, 0, 1, -1, 10**30, 0.5, 1e308, float("nan"), True]
    plain += [None, "id = 1", "id in (1, 2", "((((((", "not " * 300 + "id = 1", "'", "1" * 999]
    kind = chance.randrange(10)
    if kind < 7 or depth > 3:
        return chance.choice(plain)
    size = chance.randrange(300 if depth == 0 else 4)
    if kind < 9:
        return [_value(chance, depth + 1) for _ in range(size)]
    return {str(place): _value(chance, depth + 1) for place in range(size)}


def _body(server: Server, chance: random.Random) -> str:
    """Send a body that is cut, changed or of another type."""
    body = bytearray(b'{"history": ["1", "2", "3"], "k": 5, "why": true}')
    body[chance.randrange(len(body))] = chance.randrange(256)
    kind = chance.choice([b"application/json", b"text/plain", b"application/json; charset=latin-1"])
    return _send(server, _post(bytes(body[: chance.randrange(1, len(body))]), kind))


def _oversized(server: Server, chance: random.Random) -> str:
    """Send too much: in the body, in chunks, or in the head."""
    much = b"x" * chance.randrange(20_001, 200_000)
    chunked = b"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunked += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(much), much)
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Much: " + much * 2 + b"\r\n\r\n"
    return _send(server, chance.choice([_post(much), chunked, head]))


def _leaving(server: Server, chance: random.Random) -> str:
    """Leave before the request is complete, or before the answer comes."""
    request = _post(b'{"history": ["1", "2", "3"], "why": true}')
    with server.connect() as connection:
        connection.sendall(request[: chance.randrange(1, len(request) + 1)])
    return "left"


def _slow(server: Server, chance: random.Random) -> str:
    """Begin a request, and never end it."""
    request = _post(b'{"user": "1", "k": 5}')
    return _send(server, request[: chance.randrange(5, len(request))])


KINDS = (_bytes, _head, _path, _json, _json, _body, _oversized, _leaving)


def _post(body: bytes, kind: bytes = b"application/json") -> bytes:
    head = b"POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n" % kind
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _send(server: Server, request: bytes) -> str:
    """Send a request, and return the status of its answer, or that the connection was cut."""
    with server.connect() as connection:
        with suppress(OSError):  # it is cut while it sends
            connection.sendall(request)
            if not request.startswith((b"GET", b"POST")):
                connection.shutdown(socket.SHUT_WR)
        try:
            first = connection.recv(65536)
        except TimeoutError:
            raise SystemExit(f"no answer to {request[:200]!r}") from None
        except OSError:
            return "cut"
    return first.split(b" ", 2)[1].decode() if first.startswith(b"HTTP/") else "cut"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
