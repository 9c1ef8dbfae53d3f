"""What Prometheus may read."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts of one server. No label has anything that a request said."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter(
            "diffrec_requests", "Requests answered.", ("page", "status"), registry=registry
        )
        self.seconds = Histogram(
            "diffrec_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("page",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.running = Gauge("diffrec_requests_running", "Requests now.", registry=registry)
        self.batches = Histogram(
            "diffrec_batch_size", "Requests ranked at once.", buckets=_SIZES, registry=registry
        )
        self.model = Gauge("diffrec_model", "The model in memory.", ("model",), registry=registry)
        self.loads = Counter(
            "diffrec_model_loads", "Models loaded.", ("outcome",), registry=registry
        )
        ProcessCollector(registry=registry)  # memory, time and open files, on Linux

    def serves(self, model: str) -> None:
        """Note that another model is in memory."""
        self.model.clear()
        self.model.labels(model).set(1)

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self._registry)
