"""Counts for Prometheus and OpenTelemetry, of all backends of the process: one call each, in the installed runtime only.

from backend_retrofit_runtime.instrumentation import count_with_prometheus

Each counts retries and requests that were given up, as they happen, and shows how many requests wait and run now, when
it is asked. Names and labels follow prometheus.io/docs/practices/naming and OpenTelemetry's semantic conventions.
"""

from collections.abc import Callable, Iterator
from typing import Any

from .engine import RequestEngine, engines

Listener = Callable[[dict[str, Any]], None]


def count_with_prometheus(registry: Any = None) -> Listener:
    """Count in a registry of prometheus_client; return the listener, which was added to `RequestEngine.listeners`.

    Args:
        registry: a `CollectorRegistry`; the library's own by default.

    Raises:
        ImportError: where prometheus_client is not installed.
        ValueError: from prometheus_client, where that registry has these metrics already.
    """
    import prometheus_client
    from prometheus_client.core import GaugeMetricFamily

    registry = prometheus_client.REGISTRY if registry is None else registry
    labels = ("backend", "method", "status")
    retries = prometheus_client.Counter(
        "backend_retries", "Attempts that failed and were made again.", labels, registry=registry
    )
    given_up = prometheus_client.Counter(
        "backend_requests_given_up", "Requests whose last attempt failed.", labels, registry=registry
    )
    delays = prometheus_client.Counter(
        "backend_retry_delay_seconds", "Seconds between attempts.", labels[:2], registry=registry
    )

    class Now:
        """What is so at the moment of a scrape."""

        def describe(self) -> list[Any]:
            return []

        def collect(self) -> Iterator[Any]:
            for state, about in (("waiting", "wait"), ("in_flight", "run")):
                gauge = GaugeMetricFamily(
                    f"backend_requests_{state}", f"Requests that {about} now.", labels=["backend"]
                )
                for backend, number in _now(state).items():
                    gauge.add_metric([backend], number)
                yield gauge

    registry.register(Now())

    def listen(event: dict[str, Any]) -> None:
        status = "" if event["status"] is None else str(event["status"])
        counter = retries if event["event"] == "retry" else given_up
        counter.labels(event["backend"], event["method"], status).inc()
        if event["delay"] is not None:
            delays.labels(event["backend"], event["method"]).inc(event["delay"])

    RequestEngine.listeners.append(listen)
    return listen


def count_with_opentelemetry(meter: Any = None) -> Listener:
    """Count with a meter of OpenTelemetry; return the listener, which was added to `RequestEngine.listeners`.

    Args:
        meter: of the meter provider that is set, by default.

    Raises:
        ImportError: where opentelemetry-api is not installed.
    """
    from opentelemetry import metrics

    meter = metrics.get_meter("backend_retrofit_runtime") if meter is None else meter
    retries = meter.create_counter(
        "backend.retries", unit="{attempt}", description="Attempts that failed and were made again."
    )
    given_up = meter.create_counter(
        "backend.requests.given_up", unit="{request}", description="Requests whose last attempt failed."
    )
    delays = meter.create_histogram("backend.retry.delay", unit="s", description="Time between two attempts.")

    def observe(state: str) -> Callable[[Any], Iterator[metrics.Observation]]:
        return lambda options: (
            metrics.Observation(number, {"backend": name}) for name, number in _now(state).items()
        )

    for state, about in (("waiting", "wait"), ("in_flight", "run")):
        meter.create_observable_up_down_counter(
            f"backend.requests.{state}",
            [observe(state)],
            unit="{request}",
            description=f"Requests that {about} now.",
        )

    def listen(event: dict[str, Any]) -> None:
        attributes = {"backend": event["backend"], "method": event["method"]}
        if event["delay"] is not None:
            delays.record(event["delay"], attributes)
        if event["status"] is not None:
            attributes["http.response.status_code"] = event["status"]
        (retries if event["event"] == "retry" else given_up).add(1, attributes)

    RequestEngine.listeners.append(listen)
    return listen


def _now(state: str) -> dict[str, int]:
    """Return class name -> how many requests of all its instances are in a state of `RequestEngine.stats`."""
    numbers: dict[str, int] = {}
    for engine in list(engines.values()):
        numbers[engine.label] = numbers.get(engine.label, 0) + engine.stats()[state]
    return numbers
