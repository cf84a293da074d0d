"""K4 and B9: a key goes through every path there is, at every log level; it is shown nowhere by us."""

from __future__ import annotations

import asyncio
import logging
import traceback

import httpx
import pytest
import requests

from backend_retrofit.templates.request_engine import (
    QueueClosed,
    RequestEngine,
    RequestQueueFull,
    RequestTimeout,
)
from test.loopback import Reply, Reset
from test.runtime.conftest import Api, Gated, caller, until

CANARY = "sk-CANARY-0a1b2c3d4e5f"


@pytest.fixture
def keyed(caplog):
    """A backend with a key, all loggers at their most talkative, and a check that the key was not shown."""
    caplog.set_level(1)
    api = Api({"api_key": CANARY}, initial_retry_delay=0.001, max_retries=1)
    assert api.api_key == CANARY
    yield api
    ours = [record for record in caplog.records if record.name == Api.__module__]
    for record in ours:
        text = logging.Formatter("%(message)s %(args)s %(exc_text)s").format(record)
        assert "CANARY" not in text + repr(vars(record))
    assert "CANARY" not in repr(api.request_queue) + repr(list(api.request_queue)) + repr(
        RequestEngine.of(api)
    )


def url_with_key(server):
    return f"{server.url}/v1/chat?key={CANARY}"


ARGUMENTS = {"headers": {"Authorization": f"Bearer {CANARY}"}}


def shown_by_us(error):
    """What an exception of ours, or a note of ours on another's, says."""
    notes = "".join(getattr(error, "__notes__", []))
    return notes + (
        str(error) + repr(error) + str(error.args) if type(error).__module__.startswith("backend_") else ""
    )


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(503),
        Reply(429, headers={"Retry-After": "900"}),
        Reply(401),
        Reset(),
        Reply(200, b"xy", cut_after=1),
    ],
)
@pytest.mark.parametrize("way", ["direct", "submitted", "raise_for_status", "async"])
def test_K4_failures(keyed, server, trouble, way):
    server.app = lambda request: trouble
    url = url_with_key(server)

    def raising():
        response = requests.post(url, json={"prompt": CANARY}, **ARGUMENTS)
        response.raise_for_status()

    async def with_httpx():
        async with httpx.AsyncClient() as client:
            await keyed.acall(client.post, url, json={"prompt": CANARY}, **ARGUMENTS)

    ways = {
        "direct": lambda: keyed.call(requests.post, url, json={"prompt": CANARY}, **ARGUMENTS),
        "submitted": lambda: keyed.submit(requests.post, url, json={"prompt": CANARY}, **ARGUMENTS).result(
            10
        ),
        "async": lambda: asyncio.run(with_httpx()),
        "raise_for_status": lambda: keyed.call(raising),
    }
    error = caller(ways[way]).exception(20)
    assert "CANARY" not in shown_by_us(error)
    assert server.requests


@pytest.mark.parametrize("kind", [RequestQueueFull, RequestTimeout, QueueClosed])
def test_K4_errors_of_ours(keyed, kind):
    gated = Gated()
    keyed.max_concurrent_requests = 1
    running = caller(keyed.call, gated)
    until(lambda: gated.now == 1)
    if kind is RequestQueueFull:
        keyed.queue_size = 0
    elif kind is RequestTimeout:
        keyed.queue_timeout = 0.01
    else:
        RequestEngine.of(keyed).gate.close(join=False)
    with pytest.raises(kind) as caught:
        keyed.call(requests.get, f"http://127.0.0.1:9/?key={CANARY}", **ARGUMENTS)
    gated.end()
    running.result(5)
    assert "CANARY" not in shown_by_us(caught.value)
    # The traceback's text holds source lines, never values.
    assert "CANARY" not in "".join(traceback.format_exception(caught.value)).replace("{CANARY}", "")


def test_K4_requests_that_wait_are_shown_without_their_arguments(keyed):
    gated = Gated()
    keyed.max_concurrent_requests = 1
    futures = [keyed.submit(gated, CANARY) for _ in range(3)]
    until(lambda: len(keyed.request_queue) == 2)
    shown = repr(keyed.request_queue) + repr(list(keyed.request_queue)) + repr(futures)
    assert "CANARY" not in shown + repr(RequestEngine.of(keyed).gate.line())
    gated.end(3)
    for future in futures:
        assert future.result(5) == CANARY


@pytest.mark.parametrize("name", ["max_retries", "queue_size", "queue_enabled", "initial_retry_delay"])
def test_settings_name_themselves_when_refused(keyed, name):
    with pytest.raises(ValueError, match=name):
        setattr(keyed, name, object())


def test_K4_statistics_hold_no_key(keyed, server):
    keyed.call(requests.get, url_with_key(server), **ARGUMENTS)
    assert "CANARY" not in repr(RequestEngine.of(keyed).gate.stats())
    assert "CANARY" not in repr(keyed._queued(requests.get))
