"""K4 and B9: a key goes through every path there is, at every log level; it is shown nowhere by us."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import traceback

import aiohttp
import anthropic
import groq
import httpx
import openai
import pytest
import requests

from backend_retrofit_runtime import (
    CircuitOpen,
    QueueClosed,
    RequestEngine,
    RequestQueueFull,
    RequestTimeout,
)
from test.loopback import Reply, Reset
from test.runtime.conftest import Answer, Api, Flaky, Gated, caller, until

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


# Every way in which we give up or refuse says why, and that is all.

GIVING_UP = {
    "as often as allowed": ({"max_retries": 1}, [Reply(503)] * 2, "get"),
    "over max_retry_after": ({}, [Reply(429, headers={"Retry-After": "900"})], "get"),
    "sending it twice could do harm": ({}, [Reset()], "post"),
    "total_timeout": ({"total_timeout": 5, "initial_retry_delay": 50}, [Reply(503)], "get"),
    "the retry budget": ({"retry_budget": 1}, [Reply(503)] * 2, "get"),
    "the circuit breaker": ({"circuit_breaker": 1, "max_retry_delay": 50}, [Reply(503)], "get"),
}


@pytest.mark.parametrize("why", GIVING_UP)
@pytest.mark.parametrize("way", ["response", "exception"])
def test_B9_the_reason_for_giving_up_holds_no_key(keyed, server, caplog, why, way):
    settings, replies, method = GIVING_UP[why]
    keyed.max_retries = 5
    for name, value in settings.items():
        setattr(keyed, name, value)
    server.script(*replies)

    def call(url, **arguments):
        response = getattr(requests, method)(url, **arguments)
        if way == "exception":
            response.raise_for_status()
        return response

    call.__name__ = method
    error = caller(keyed.call, call, f"{server.url}/files?key={CANARY}", **ARGUMENTS).exception(10)
    assert "CANARY" not in shown_by_us(error)
    (gave_up,) = [record.getMessage() for record in caplog.records if "giving up" in record.getMessage()]
    assert "CANARY" not in gave_up
    assert len(server.requests) == len(replies)


def refused_port():
    """Return a port at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.mark.parametrize("call", [requests.get, httpx.get], ids=["requests", "httpx"])
@pytest.mark.parametrize("trouble", ["refused", "no such scheme", "header"])
def test_K4_what_their_errors_say_of_url_and_headers_is_not_passed_on(keyed, server, caplog, call, trouble):
    """The caller gets the error as it was raised (B8), with the URL in its text; our lines and notes name its type."""
    url = f"http://127.0.0.1:{refused_port()}/v1/chat?key={CANARY}"
    headers = ARGUMENTS["headers"]
    if trouble == "no such scheme":
        url = url.replace("http:", "nothing:")
    elif trouble == "header":
        url, headers = url_with_key(server), {"Authorization": f"Bearer {CANARY}\r\nX: y"}
    error = caller(keyed.call, call, url, headers=headers).exception(10)
    assert error is not None
    assert "CANARY" not in shown_by_us(error)
    assert any("retry 1/1" in record.getMessage() for record in caplog.records) == (trouble == "refused")


def test_K4_an_open_circuit_breaker_shows_no_key(keyed, server):
    keyed.circuit_breaker = 1
    server.script(Reply(503), Reply(503))
    keyed.call(requests.get, url_with_key(server), **ARGUMENTS)
    with pytest.raises(CircuitOpen) as caught:
        keyed.call(requests.get, url_with_key(server), **ARGUMENTS)
    assert "CANARY" not in shown_by_us(caught.value)


@pytest.mark.parametrize("place", ["constructor", "metadata", "environment", ".env"])
@pytest.mark.parametrize("key", [f"{CANARY}\nmore", f"more\r\n{CANARY}", f"{CANARY}\0"])
def test_K4_a_key_with_a_line_break_is_refused_without_being_shown(place, key, monkeypatch, tmp_path, caplog):
    caplog.set_level(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNTIME_TEST_KEY", raising=False)
    if place == "environment":
        if "\0" in key:
            pytest.skip("an environment has no such values")
        monkeypatch.setenv("RUNTIME_TEST_KEY", key)
    elif place == ".env":
        (tmp_path / ".env").write_bytes(f'RUNTIME_TEST_KEY="{key}"\n'.encode())
    api = Api({"api_key": key} if place == "metadata" else None, key if place == "constructor" else None)
    with pytest.raises(ValueError, match="line break") as caught:
        api.api_key  # noqa: B018
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "CANARY" not in text.replace("{CANARY}", "") + caplog.text


def test_B9_listeners_hear_of_no_key(keyed, server, monkeypatch):
    events = []
    monkeypatch.setattr(RequestEngine, "listeners", [events.append])
    server.script(Reply(503), Reply(503))
    keyed.call(requests.get, url_with_key(server), **ARGUMENTS)
    assert [event["event"] for event in events] == ["retry", "gave up"]
    assert "CANARY" not in repr(events)


# Objects of ours, and what is kept in them, as a debugger or an error tracker would show them.


def test_K4_no_object_of_ours_shows_a_key(keyed, server):
    gated = Gated()
    keyed.max_concurrent_requests = 1
    engine = RequestEngine.of(keyed)
    running = keyed.submit(gated, CANARY)
    until(lambda: gated.now == 1)
    future = keyed.submit(requests.get, url_with_key(server), **ARGUMENTS)
    (job,) = engine.gate.line()

    async def asynchronous(url, headers):
        return url

    coroutine = keyed._queued(asynchronous)(url_with_key(server), **ARGUMENTS)
    session = aiohttp.ClientSession
    things = [
        engine, engine.gate, engine.waiting, keyed._queued, keyed._queued(requests.get), keyed._queued(session.get),
        job, job.slot, job.request, job.future, future, coroutine, type(keyed).api_key, type(keyed).__dict__["api_key"],
        type(keyed).max_retries, keyed.priority("high"), engine.logger, engine.kinds, engine.without_retries,
        *engine.gate.workers,
    ]  # fmt: skip
    for thing in things:
        assert "CANARY" not in f"{thing!r} {thing!s} {thing}", type(thing)
    coroutine.close()
    gated.end()
    assert future.result(5).status_code == 200
    assert "CANARY" not in repr(future) + str(running)


def test_K4_no_stream_of_ours_shows_a_key(keyed):
    def parts(key):
        yield key

    async def async_parts(key):
        yield key

    stream = keyed.call(parts, CANARY)
    waiting = keyed._queued(async_parts)(CANARY)
    assert "CANARY" not in f"{stream!r} {stream!s} {waiting!r} {waiting!s}"
    assert list(stream) == [CANARY]


# What others log


VENDORS = [openai.OpenAI, anthropic.Anthropic, groq.Groq]


@pytest.fixture
def call_of(server):
    """Give a function that returns a call which has the key in its headers, and the arguments to make it with."""
    with contextlib.ExitStack() as clients:

        def call_of(kind):
            if not isinstance(kind, type):
                return kind, {"url": server.url, **ARGUMENTS}
            client = clients.enter_context(kind(api_key=CANARY, base_url=server.url))
            arguments = {"model": "m", "messages": []}
            if kind is anthropic.Anthropic:
                return client.messages.create, {**arguments, "max_tokens": 5}
            return client.chat.completions.create, arguments

        yield call_of


@pytest.mark.parametrize("kind", [requests.get, httpx.get, *VENDORS], ids=lambda kind: kind.__module__)
def test_K4_a_key_in_the_headers_is_logged_by_nobody(keyed, server, caplog, call_of, kind):
    """Not at any level, nor by the libraries that make our calls, retries and backoff included."""
    server.app = lambda request: Reply(503)
    call, arguments = call_of(kind)
    with contextlib.suppress(Exception):
        keyed.call(call, **arguments)
    assert [CANARY in str(request.headers) for request in server.requests] == [True, True]
    assert {"test.runtime.api"} < {record.name for record in caplog.records}
    assert [record.name for record in caplog.records if "CANARY" in record.getMessage()] == []


@pytest.mark.parametrize("call", [requests.get, httpx.get], ids=["requests", "httpx"])
def test_K4_we_let_nobody_log_a_key_in_the_url_who_would_not_have_without_us(keyed, server, caplog, call):
    server.app = lambda request: Reply(503)

    def talkers(function, *args):
        caplog.clear()
        function(*args, url_with_key(server))
        return {(record.name, record.msg) for record in caplog.records if "CANARY" in record.getMessage()}

    assert talkers(keyed.call, call) <= talkers(call)


def test_K4_asyncio_and_futures_that_complain_of_a_forgotten_failure_show_no_key(keyed, caplog):
    """Nobody looked at the error of a task; a callback of a future raised; a task was dropped half way."""

    async def call(key):
        return Answer(500)

    def callback(future):
        raise ValueError("from the callback")

    async def main():
        keyed.max_concurrent_requests = 0
        tasks = [asyncio.ensure_future(keyed._queued(call)(CANARY)) for _ in range(2)]
        await asyncio.sleep(0)
        assert len(keyed.request_queue) == 2
        assert "CANARY" not in repr(tasks)
        RequestEngine.of(keyed).gate.close(join=False)
        await asyncio.sleep(0.01)
        assert all(task.done() for task in tasks)

    future = keyed.submit(Flaky("done"), CANARY)
    future.result(5)
    future.add_done_callback(callback)
    asyncio.run(main(), debug=True)
    names = {record.name for record in caplog.records}
    assert {"asyncio", "concurrent.futures"} <= names
    assert CANARY not in caplog.text
