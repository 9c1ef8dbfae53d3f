"""BLAS on one thread a call, for many small calls from threads of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_inside = 0
_limit: Any = None


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let BLAS use one thread a call. Threads may be inside at the same time.

    Its own threads cost more than a small product or solution takes: 5 to 8 times where there are
    two cores. The limit holds for the process, so the first to enter sets it and the last lifts it.
    """
    global _inside, _limit
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

    with _lock:
        if _inside == 0:
            _limit = threadpool_limits(1, "blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()
