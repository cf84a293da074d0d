"""Q14: counts for Prometheus and OpenTelemetry, with the real libraries."""

from __future__ import annotations

import threading
from unittest import mock

import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.instrumentation import count_with_opentelemetry, count_with_prometheus
from test.runtime.conftest import Answer, Api, Flaky, Gated, until


class Shop(Api):
    pass


@pytest.fixture(autouse=True)
def own_listeners():
    with mock.patch.object(RequestEngine, "listeners", []):
        yield


@pytest.fixture
def busy():
    """A backend with two requests that run and one that waits, after one that was retried twice and given up."""
    shop = Shop(max_concurrent_requests=2, max_retries=2, initial_retry_delay=0.001, retry_jitter=0)

    def load():
        shop.call(Flaky(Answer(503), Answer(503), Answer(503)))
        gated = Gated()
        threads = [threading.Thread(target=shop.call, args=(gated, n)) for n in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: (shop.current_requests, len(shop.request_queue)) == (2, 1))
        loads.append((gated, threads))

    loads = []
    yield load
    for gated, threads in loads:
        gated.end(3)
        for thread in threads:
            thread.join(10)


def test_Q14_prometheus(busy):
    registry = prometheus_client.CollectorRegistry()
    count_with_prometheus(registry)
    busy()
    labels = {"backend": "Shop", "method": "call", "status": "503"}
    assert registry.get_sample_value("backend_retries_total", labels) == 2
    assert registry.get_sample_value("backend_requests_given_up_total", labels) == 1
    del labels["status"]
    assert registry.get_sample_value("backend_retry_delay_seconds_total", labels) == pytest.approx(0.003)
    assert registry.get_sample_value("backend_requests_in_flight", {"backend": "Shop"}) == 2
    assert registry.get_sample_value("backend_requests_waiting", {"backend": "Shop"}) == 1
    assert b'backend_retries_total{backend="Shop"' in prometheus_client.generate_latest(registry)


def test_Q14_opentelemetry(busy):
    reader = InMemoryMetricReader()
    count_with_opentelemetry(MeterProvider([reader]).get_meter("test"))
    busy()
    points = {
        metric.name: [point for point in metric.data.data_points if point.attributes["backend"] == "Shop"]
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert [(p.value, p.attributes["http.response.status_code"]) for p in points["backend.retries"]] == [
        (2, 503)
    ]
    assert [p.value for p in points["backend.requests.given_up"]] == [1]
    assert [(p.count, p.sum) for p in points["backend.retry.delay"]] == [(2, pytest.approx(0.003))]
    assert [p.value for p in points["backend.requests.in_flight"]] == [2]
    assert [p.value for p in points["backend.requests.waiting"]] == [1]
