"""The model in memory follows the registry: a new one takes its place between two batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from diffrec_cli.registry import versions as registry
from diffrec_cli.registry.versions import Sighting
from diffrec_cli.workflows.http.metrics import Metrics
from diffrec_cli.workflows.http.refusals import in_a_line
from diffrec_cli.workflows.progress import Fault, Listener, Note
from diffrec_cli.workflows.serving.model_in_memory import Answer, Ask, ModelInMemory

_EVERY = 1.0  # seconds between two looks at the registry
_RETRY = 60.0  # seconds after which a model that could not be loaded is tried again


class Following:
    """The model that a reference means, always in memory.

    Parameters
    ----------
    reference
        ``NAME`` is its newest version, ``NAME@3`` this one; ``None`` is the registry's default.
    metrics, listener
        Get news.

    Raises
    ------
    NotFoundError, CorruptError
        There is no such model, or it cannot be loaded.
    """

    def __init__(self, reference: str | None, metrics: Metrics, listener: Listener) -> None:
        self._reference, self._metrics, self._listener = reference, metrics, listener
        self._seen = registry.sighted(reference)
        self._again: float | None = None  # when to try again what failed
        #: What is wrong, if the registry has another model than the one in memory.
        self.problem: str | None = None
        self._put(ModelInMemory(registry.resolve(reference)))

    def _put(self, model: ModelInMemory) -> None:
        self.model, self.since, self.problem = model, datetime.now(UTC), None
        self._metrics.serves(model.reference)
        self._metrics.loads.labels("loaded").inc()

    def answers(self, asks: Sequence[Ask]) -> Sequence[Answer | Exception]:
        """Answer a batch by the model of this moment."""
        self._metrics.batches.observe(len(asks))
        return self.model.answers(asks)

    async def watch(self) -> None:
        """Look at the registry until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Take what the registry has now, if it has something else; else keep what is there."""
        try:
            found = await asyncio.to_thread(registry.sighted, self._reference)
            if found != self._seen or self._is_time_again():
                self._seen = found
                await self._take(found)
        except Exception as error:  # whatever it is, lists are still made
            self._failed(error)

    async def _take(self, found: Sighting | None) -> None:
        self._again, before = None, self.model.reference
        if found is None:
            self.problem = f"{before} was removed; it stays in memory"
            self._listener(Fault(self.problem))
            return
        artifact = await asyncio.to_thread(registry.resolve, found.reference)
        self._put(await asyncio.to_thread(ModelInMemory, artifact))
        self._listener(Note(f"{self.model.reference} takes the place of {before}"))

    def _is_time_again(self) -> bool:
        return self._again is not None and time.monotonic() >= self._again

    def _failed(self, error: Exception) -> None:
        if self._again is not None and not self._is_time_again():
            return  # it was told a moment ago
        self._again = time.monotonic() + _RETRY
        wanted, kept = self._seen.reference if self._seen else "a model", self.model.reference
        self.problem = f"{wanted} cannot be loaded; the log tells why"
        self._metrics.loads.labels("failed").inc()
        self._listener(Fault(f"{wanted} cannot be loaded, {kept} stays: {in_a_line(error)}"))
