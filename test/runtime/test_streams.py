"""S1: a stream holds its slot to the end, however it ends, and is retried only before its first item."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import gzip
import io
import json
import shutil
import sys
import unittest.mock
import urllib.request

import aiohttp
import anthropic
import boto3
import httpx
import openai
import pytest
import requests
import urllib3

from backend_retrofit_runtime import RequestEngine
from test.loopback import LoopbackServer, Reply, Reset, sse
from test.runtime.conftest import Answer, Api, Flaky, assert_at_rest, caller, closed_later, queue_up, until


@pytest.fixture
def single():
    return Api(max_concurrent_requests=1, initial_retry_delay=0.01)


@pytest.fixture
def lines(server):
    """A server that streams three parts, the last two only when asked for."""
    server.app = lambda request: Reply(200, iter([b"one\n", b"two\n", b"three\n"]))
    return server


def numbers(count=3):
    yield from range(count)


def held(api):
    return api.current_requests == 1


# Ways to open a stream with real clients, and to read it: each gives an iterator and a function that closes it.


def httpx_client():
    return closed_later(httpx.Client())


def sdk_client(kind, server):
    return closed_later(kind(api_key="test-key", base_url=server.url))


def requests_lines(api, url):
    response = api.call(requests.get, url, stream=True)
    return response.iter_lines(), response.close


def requests_content(api, url):
    response = api.call(requests.get, url, stream=True)
    return response.iter_content(2), response.close


def httpx_send(api, url):
    client = httpx_client()
    response = api.call(client.send, client.build_request("GET", url), stream=True)
    return response.iter_lines(), response.close


def httpx_stream(api, url):
    manager = api.call(httpx_client().stream, "GET", url)
    response = manager.__enter__()
    return response.iter_lines(), lambda: manager.__exit__(None, None, None)


def generator(api, url):
    def parts():
        with requests.get(url, stream=True) as response:
            yield from response.iter_lines()

    stream = api.call(parts)
    return stream, stream.close


OPENED = [requests_lines, requests_content, httpx_send, httpx_stream, generator]
opened = pytest.mark.parametrize("opened", OPENED, ids=[one.__name__ for one in OPENED])


@opened
def test_S1_held_while_read_and_given_back_when_exhausted(single, lines, opened):
    parts, close = opened(single, lines.url)
    assert next(parts)
    assert held(single)
    assert list(parts)
    if opened is httpx_stream:
        assert held(single), "until the context is left"
        close()
    assert_at_rest(single)


@opened
def test_S1_given_back_when_closed_half_way(single, lines, opened):
    parts, close = opened(single, lines.url)
    next(parts)
    assert held(single)
    close()
    assert_at_rest(single)


@opened
def test_S1_closed_twice_frees_one_slot(single, lines, opened):
    _, close = opened(single, lines.url)
    close()
    other = single.call(numbers)
    close()
    assert held(single)
    list(other)
    assert_at_rest(single)


@opened
def test_S1_given_back_when_dropped_unread(single, lines, opened):
    parts, close = opened(single, lines.url)
    assert held(single)
    del parts, close
    gc.collect()
    assert_at_rest(single)


@opened
def test_S1_given_back_when_dropped_half_read(single, lines, opened):
    parts, close = opened(single, lines.url)
    next(parts)
    assert held(single)
    del parts, close
    gc.collect()
    assert_at_rest(single)


def test_S1_who_waits_gets_the_slot_of_a_dropped_stream(single):
    stream = single.call(numbers)
    (waiting,) = queue_up(single, lambda number: number, 1)
    del stream
    assert waiting.result(5) == 0
    assert_at_rest(single)


def test_S1_given_back_when_the_reader_raises(single, lines):
    def read():
        with single.call(requests.get, lines.url, stream=True) as response:
            for _ in response.iter_lines():
                raise KeyError("the reader")

    with pytest.raises(KeyError):
        read()
    gc.collect()
    assert_at_rest(single)


def test_S1_given_back_when_the_stream_breaks_off(single, server):
    server.script(Reply(200, iter([b"one\n", b"two\n"]), cut_after=1))
    response = single.call(requests.get, server.url, stream=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(response.iter_lines())
    assert_at_rest(single)
    assert len(server.requests) == 1, "something was delivered: no second attempt"


def test_S1_a_response_that_was_read_holds_nothing(single, server):
    single.call(requests.get, server.url)
    assert single.current_requests == 0
    single.call(requests.get, server.url, stream=True).content  # noqa: B018
    assert single.current_requests == 0


def test_S1_the_response_is_the_same_object_of_the_same_type(single, lines):
    responses = []

    def get():
        responses.append(requests.get(lines.url, stream=True))
        return responses[0]

    response = single.call(get)
    assert response is responses[0]
    assert type(response) is requests.Response
    assert response.raw.status == 200
    assert response.content == b"one\ntwo\nthree\n"
    assert_at_rest(single)


def test_S1_a_generator_stays_a_generator_to_its_reader(single):
    def echo():
        got = yield 1
        while got is not None:
            got = yield got

    stream = single.call(echo)
    assert next(stream) == 1
    assert stream.send(5) == 5
    with pytest.raises(KeyError):
        stream.throw(KeyError("x"))
    del stream
    gc.collect()
    assert_at_rest(single)


class Items:
    """A stream that can be iterated over and closed, and no more."""

    def __iter__(self):
        return iter("ab")

    def close(self):
        pass


class AsyncItems:
    """The same, `async`; what closes it has the name that OpenAI's has."""

    async def __aiter__(self):
        yield "a"

    async def close(self):
        pass


def letters():
    yield from "ab"


def response_that_was_made_up():
    """Return what many tests of clients make up: a response of requests whose body is a file."""
    response = requests.Response()
    response.status_code, response.raw = 200, io.BytesIO(b"abc")
    return response


ASKED_FOR = """
read readline read1 readinto stream close aclose __enter__ __exit__ __aenter__ __aexit__ __aiter__ send asend
release_conn getvalue
""".split()


@pytest.mark.parametrize(
    ("make", "inside"),
    [
        (letters, lambda result: result),
        (Items, lambda result: result),
        (AsyncItems, lambda result: result),
        (response_that_was_made_up, lambda result: result.raw),
    ],
)
def test_S1_what_a_stream_lacks_it_lacks_while_it_is_held(single, make, inside):
    """Who asks `hasattr(response, "aclose")` goes on as before."""

    def make_one(stream=False):
        return make()

    held = single.call(make_one, stream=True)
    assert single.current_requests == 1
    plain = make()
    assert [hasattr(inside(held), name) for name in ASKED_FOR] == [
        hasattr(inside(plain), name) for name in ASKED_FOR
    ]
    with contextlib.ExitStack() as stack:
        if hasattr(inside(held), "__enter__"):
            stack.enter_context(inside(held))


def test_S1_what_is_set_is_set_inside(single):
    inside = Items()
    held = single.call(lambda stream: inside, stream=True)
    held.note = 5
    assert inside.note == held.note == 5
    del held.note
    assert not hasattr(inside, "note")
    held.close = "something else"
    assert held.close == "something else"
    del held.close
    held.close()
    assert_at_rest(single)


def test_S1_a_response_whose_body_is_a_file_is_read_as_before(single):
    response = single.call(response_that_was_made_up)
    assert response.content == b"abc"
    assert single.current_requests == 0


def test_S1_a_queued_stream_is_held_too(single):
    first = single.call(numbers)
    queued = caller(single.call, numbers)
    until(lambda: len(single.request_queue) == 1)
    assert list(first) == [0, 1, 2]
    stream = queued.result(5)
    assert held(single)
    assert list(stream) == [0, 1, 2]
    del queued
    assert_at_rest(single)


def test_S1_a_submitted_stream_is_held_too(single):
    stream = single.submit(numbers).result(5)
    assert held(single)
    assert list(stream) == [0, 1, 2]
    assert_at_rest(single)


def test_S1_many_streams_keep_the_limit(server):
    api = Api(max_concurrent_requests=3)
    server.app = lambda request: Reply(200, iter([b"x" * 10] * 5), delay=0.005)

    def read():
        with api.call(requests.get, server.url, stream=True) as response:
            return len(b"".join(response.iter_content(7)))

    assert [future.result(20) for future in [caller(read) for _ in range(15)]] == [50] * 15
    assert server.most_in_flight <= 3
    assert_at_rest(api)


def test_S1_many_streams_without_a_limit_leave_nothing_behind(api, server):
    api.queue_enabled = False
    server.app = lambda request: Reply(200, iter([b"x"]))
    for _ in range(20):
        assert api.call(requests.get, server.url, stream=True).content == b"x"
    assert len(RequestEngine.of(api).gate.deferred) < 5


class Frozen:
    """A response that is still to be read, and takes no attribute."""

    status_code = 200
    is_stream_consumed = False
    stream = property(lambda self: numbers())


def test_S1_a_response_that_takes_no_attribute_is_handed_out_as_it_is(api, monkeypatch):
    def refuse(response, name, value):
        raise TypeError(name)

    monkeypatch.setattr(Frozen, "__setattr__", refuse)

    async def get():
        return Frozen()

    assert type(api.call(Frozen)) is type(asyncio.run(api.acall(get))) is Frozen
    assert_at_rest(api)


# Retried before the first item only


class Breaks:
    """A stream that raises after so many items, the first times."""

    def __init__(self, after, times=1, error=None):
        self.after, self.left, self.calls = after, times, 0
        self.error = error or Answer(503)

    def __call__(self):
        self.calls += 1
        for number in range(3):
            if number == self.after and self.left:
                self.left -= 1
                error = ConnectionError("lost")
                error.status_code = 503
                raise error
            yield number


def test_S1_ctrl_c_while_its_failure_is_looked_at_frees_the_slot(single):
    def leave(event):
        raise KeyboardInterrupt

    stream = single.call(Breaks(0))
    RequestEngine.listeners.append(leave)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    finally:
        RequestEngine.listeners.remove(leave)
    assert_at_rest(single)


def test_S1_retried_before_the_first_item(single):
    breaks = Breaks(after=0, times=2)
    assert list(single.call(breaks.__call__)) == [0, 1, 2]
    assert breaks.calls == 3
    assert_at_rest(single)


def test_S1_not_retried_after_it(single):
    breaks = Breaks(after=1)
    stream = single.call(breaks.__call__)
    assert next(stream) == 0
    with pytest.raises(ConnectionError):
        next(stream)
    assert breaks.calls == 1
    assert_at_rest(single)


def test_S1_given_up_before_the_first_item(single):
    single.max_retries = 2
    breaks = Breaks(after=0, times=9)
    with pytest.raises(ConnectionError):
        list(single.call(breaks.__call__))
    assert breaks.calls == 3
    assert_at_rest(single)


def test_S1_backing_off_before_the_first_item_holds_no_slot(single):
    single.initial_retry_delay = 1
    reading = caller(lambda: list(single.call(Breaks(after=0).__call__)))
    until(lambda: len(single.request_queue) == 1)
    assert single.call(len, "abc") == 3
    assert reading.result(5) == [0, 1, 2]
    assert_at_rest(single)


@pytest.mark.parametrize("trouble", [[Reply(503)] * 2, [Reset()]])
@opened
def test_S1_real_streams_are_retried_before_they_begin(single, lines, trouble, opened):
    if opened is generator:
        pytest.skip("nothing tells what kind of request a function of the user's makes")
    lines.script(*trouble)
    parts, close = opened(single, lines.url)
    assert list(parts)
    close()
    assert len(lines.requests) == len(trouble) + 1
    assert_at_rest(single)


# Async


def run(coroutine):
    return caller(asyncio.run, coroutine).result(20)


async def async_numbers():
    for number in range(3):
        yield number


@pytest.mark.parametrize("end", ["exhausted", "closed", "dropped", "cancelled"])
@pytest.mark.parametrize("library", ["httpx", "aiohttp", "aiohttp awaited", "generator"])
def test_S1_async_streams(single, lines, library, end):
    async def parts_of(kept):
        if library == "httpx":
            client = kept.enter(httpx.AsyncClient())
            async with single._queued(client.stream)("GET", lines.url) as response:
                async for part in response.aiter_lines():
                    yield part
        elif library == "generator":
            async for part in single._queued(async_numbers)():
                yield part
        else:
            session = kept.enter(aiohttp.ClientSession())
            if library == "aiohttp":
                async with single._queued(session.get)(lines.url) as response:
                    async for part in response.content:
                        yield part
            else:
                response = await single._queued(session.get)(lines.url)
                async for part in response.content:
                    yield part

    class Kept:
        def enter(self, client):
            self.client = client
            return client

    async def go():
        kept = Kept()
        stream = parts_of(kept)
        await stream.__anext__()
        if library != "aiohttp awaited":  # a short body may have come with the headers
            assert held(single)
        if end == "exhausted":
            async for _ in stream:
                pass
        elif end == "closed":
            await stream.aclose()
        elif end == "cancelled":
            with pytest.raises(asyncio.CancelledError):
                await stream.athrow(asyncio.CancelledError())
        del stream
        gc.collect()
        for _ in range(50):
            await asyncio.sleep(0)
        if hasattr(kept, "client"):
            await (kept.client.aclose if library == "httpx" else kept.client.close)()

    run(go())
    gc.collect()
    assert_at_rest(single)


def test_S1_async_generator_is_retried_before_the_first_item_only(single):
    outcomes = Flaky(Answer(503), "fine", Answer(503))

    async def parts():
        for number in range(3):
            outcome = outcomes()
            if isinstance(outcome, Answer):
                error = ConnectionError("lost")
                error.status_code = 503
                raise error
            yield number

    async def go():
        got = []

        async def read():
            async for number in single._queued(parts)():
                got.append(number)

        with pytest.raises(ConnectionError):
            await read()
        return got

    assert run(go()) == [0]
    assert_at_rest(single)


def test_S1_async_generator_that_is_closed_closes_the_one_inside(single):
    closed = []

    async def parts():
        try:
            for number in range(3):
                yield number
        finally:
            closed.append(True)

    async def go():
        stream = single._queued(parts)().__aiter__()
        await stream.__anext__()
        await stream.aclose()
        assert closed == [True]

    run(go())
    assert_at_rest(single)


def test_S1_async_generator_of_a_loop_that_was_closed_gives_its_slot_back(single):
    """Without a loop to close it in, such a generator is collected without running its `finally`."""

    async def parts():
        for number in range(3):
            yield number

    loop = asyncio.new_event_loop()

    async def first():
        stream = single._queued(parts)().__aiter__()
        assert await stream.__anext__() == 0
        return stream

    stream = loop.run_until_complete(first())
    assert held(single)
    loop.close()
    del stream
    gc.collect()
    assert_at_rest(single)


def test_S1_the_slot_of_a_dropped_stream_comes_back_though_ctrl_c_interrupts_its_finalizer(
    single, monkeypatch
):
    def interrupted(self):
        raise KeyboardInterrupt

    stream = single.call(lambda: (number for number in range(3)))
    assert next(stream) == 0
    held_stream = type(stream)
    assert held(single)
    with monkeypatch.context() as patched:
        patched.setattr(held_stream, "__del__", interrupted)
        patched.setattr(sys, "unraisablehook", lambda unraisable: None)
        del stream
        gc.collect()
    assert single.call(str, 7) == "7"
    assert_at_rest(single)


@pytest.mark.parametrize("fails", ["never", "inside", "on the way in"])
def test_S1_async_with_gives_its_slot_back_at_its_end_though_the_call_is_kept(single, lines, fails):
    single.max_retries = 0
    raised = {
        "never": contextlib.nullcontext(),
        "inside": pytest.raises(ZeroDivisionError),
        "on the way in": pytest.raises(httpx.ConnectError),
    }

    async def go():
        async with httpx.AsyncClient() as client:
            url = "http://127.0.0.1:9" if fails == "on the way in" else lines.url
            call = single._queued(client.stream)("GET", url)
            with raised[fails]:
                async with call as response:
                    assert held(single)
                    assert response.status_code == 200
                    if fails == "inside":
                        raise ZeroDivisionError
            assert single.current_requests == 0
            del call

    asyncio.run(asyncio.wait_for(go(), 20))
    assert_at_rest(single)


def test_S1_what_a_dropped_stream_reads_from_is_closed_before_its_slot_is_given_away(single):
    gate, given_away = RequestEngine.of(single).gate, []

    class Items:
        def __iter__(self):
            return self

        def __next__(self):
            return 1

        def close(self):
            pass

        def __del__(self):
            given_away.append(bool(gate.deferred) or not gate.active)

    stream = single.call(lambda stream: Items(), stream=True)
    assert next(stream) == 1
    assert held(single)
    del stream
    assert given_away == [False]
    assert_at_rest(single)


ENDS = ["exhausted", "closed", "breaks off", "cancelled", "dropped"]


@pytest.mark.parametrize("end", ENDS)
def test_S1_async_response_sent_with_stream_true(single, server, end):
    server.app = lambda request: Reply(
        200, iter([b"one\n", b"two\n", b"three\n"]), cut_after=2 if end == "breaks off" else None
    )

    async def go():
        async with httpx.AsyncClient() as client:
            response = await single.acall(client.send, client.build_request("GET", server.url), stream=True)
            assert held(single)
            parts = response.aiter_raw(4)
            assert await parts.__anext__() == b"one\n"
            assert held(single)
            if end == "exhausted":
                assert b"".join([part async for part in parts]) == b"two\nthree\n"
            elif end == "closed":
                await response.aclose()
            elif end == "breaks off":
                with pytest.raises(httpx.RemoteProtocolError):
                    async for _ in parts:
                        pass
            elif end == "cancelled":
                with pytest.raises(asyncio.CancelledError):
                    await parts.athrow(asyncio.CancelledError())
            if end in ("exhausted", "closed", "breaks off"):
                assert not held(single)
            del response, parts
            gc.collect()
            for _ in range(50):
                await asyncio.sleep(0)
            gc.collect()  # once more: httpx's response and what it reads from are a cycle, in which the generator was
            assert not held(single)

    run(go())
    assert_at_rest(single)


@pytest.mark.parametrize("end", ENDS)
def test_S1_async_iterator_that_is_awaited_first(single, end):
    closed = []

    async def numbers():
        try:
            yield 0
            if end == "breaks off":
                raise KeyError("x")
            if end == "cancelled":
                await asyncio.sleep(60)
            yield 1
        finally:
            closed.append(True)

    async def call():
        return numbers()

    async def go():
        stream = await single.acall(call)
        assert held(single)
        assert await stream.__anext__() == 0
        assert held(single)
        if end == "exhausted":
            assert [number async for number in stream] == [1]
        elif end == "closed":
            await stream.aclose()
        elif end == "breaks off":
            with pytest.raises(KeyError):
                await stream.__anext__()
        elif end == "cancelled":
            task = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        if end != "dropped":
            assert not held(single)
            assert closed == [True]
        del stream
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not held(single)

    run(go())
    assert_at_rest(single)


@pytest.mark.parametrize("error", [KeyError("not retried"), asyncio.CancelledError()])
def test_S1_async_iterator_that_fails_before_its_first_item_gives_its_slot_back(single, error):
    async def numbers():
        raise error
        yield 0

    async def call():
        return numbers()

    async def go():
        stream = await single.acall(call)
        with pytest.raises(type(error)):
            await stream.__anext__()
        assert not held(single)

    run(go())
    assert_at_rest(single)


def test_S1_async_iterator_is_retried_before_its_first_item(single):
    calls = Flaky(Answer(503), Answer(503))

    async def numbers():
        if isinstance(calls(), Answer):
            error = ConnectionError("lost")
            error.status_code = 503
            raise error
        yield 0

    async def call():
        return numbers()

    async def go():
        stream = await single.acall(call)
        assert [number async for number in stream] == [0]

    run(go())
    assert calls.calls == 3
    assert_at_rest(single)


def test_S1_a_stream_that_is_iterable_only_is_closed_itself_after_some_items(single):
    class Stream:
        name, closed = "of a vendor", False

        def __iter__(self):
            yield from range(3)

        def close(self):
            self.closed = True

    made = Stream()
    stream = single.call(lambda stream: made, stream=True)
    assert next(iter(stream)) == 0
    assert stream.name == "of a vendor"
    stream.close()
    assert made.closed
    assert_at_rest(single)


def test_S1_an_async_stream_that_is_iterable_only_is_closed_itself_after_some_items(single):
    class Stream:
        name, closed = "of a vendor", False

        async def __aiter__(self):
            for number in range(3):
                yield number

        async def aclose(self):
            self.closed = True

        async def close(self):
            raise AssertionError("not asked for")

    made = Stream()

    async def call(stream):
        return made

    async def go():
        stream = await single.acall(call, stream=True)
        async for number in stream:
            assert number == 0
            break
        assert stream.name == "of a vendor"
        await stream.aclose()
        assert made.closed
        assert not held(single)

    run(go())
    assert_at_rest(single)


@pytest.mark.parametrize("how", ["closing", "leaving", "entering"])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_S1_given_back_though_the_stream_cannot_be_closed(single, how, kind):
    class Stream:
        def close(self):
            raise kind("at the end")

        def __iter__(self):
            yield from range(3)

        def __enter__(self):
            if how == "entering":
                raise kind("at the beginning")
            return self

        def __exit__(self, *exc):
            self.close()

    def read(stream):
        if how == "closing":
            next(stream)
            assert held(single)
            stream.close()
        with stream:
            assert held(single)

    stream = single.call(lambda stream: Stream(), stream=True)
    with pytest.raises(kind):
        read(stream)
    assert not held(single)
    assert_at_rest(single)


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
def test_S1_given_back_though_an_async_stream_cannot_be_entered(single, kind):
    class Stream:
        async def __anext__(self):
            raise StopAsyncIteration

        async def __aenter__(self):
            raise kind("at the beginning")

        async def __aexit__(self, *exc):
            raise AssertionError("it was never entered")

    async def call(stream):
        return Stream()

    async def go():
        stream = await single.acall(call, stream=True)
        assert held(single)
        with pytest.raises(kind):
            async with stream:
                pass
        assert not held(single)

    run(go())
    assert_at_rest(single)


@pytest.mark.parametrize("end", ["whole", "in parts", "breaks off"])
def test_S1_given_back_when_the_raw_body_was_read(single, server, end):
    server.app = lambda request: Reply(
        200, iter([b"one\n", b"two\n"]), cut_after=1 if end == "breaks off" else None
    )
    response = single.call(requests.get, server.url, stream=True)
    assert held(single)
    if end == "whole":
        assert response.raw.read() == b"one\ntwo\n"
    elif end == "in parts":
        assert response.raw.read(4) == b"one\n"
        assert held(single)
        assert [response.raw.read(4) for _ in range(2)] == [b"two\n", b""]
    else:
        with pytest.raises(urllib3.exceptions.HTTPError):
            response.raw.read()
    assert not held(single)
    assert_at_rest(single)


def first_of(stream):
    next(stream)
    return stream


def raw_part_of(response):
    assert response.raw.read(1)
    return response


def entered(manager):
    manager.__enter__()
    return manager


READERS = {
    "generator": lambda api, url: api.call(numbers),
    "generator, one item read": lambda api, url: first_of(api.call(numbers)),
    "generator, after a retry": lambda api, url: api.call(Flaky(Answer(503), numbers())),
    "response": lambda api, url: api.call(requests.get, url, stream=True),
    "response, read in part": lambda api, url: raw_part_of(api.call(requests.get, url, stream=True)),
    "manager": lambda api, url: entered(api.call(httpx_client().stream, "GET", url)),
}


@pytest.mark.parametrize("careful", [False, True], ids=["", "careful"])
@pytest.mark.parametrize("reader", READERS)
def test_S1_a_reader_makes_other_requests_under_slots_of_their_own_where_one_is_free(lines, reader, careful):
    api = Api(max_concurrent_requests=2, initial_retry_delay=0.01, total_timeout=60 if careful else None)
    stream = READERS[reader](api, lines.url)
    assert api.current_requests == 1
    assert api.call(lambda: api.current_requests) == 2
    del stream
    gc.collect()
    assert_at_rest(api)


@pytest.mark.parametrize("total_timeout", [None, 60], ids=["", "careful"])
def test_S1_a_reader_makes_other_async_requests_under_slots_of_their_own_where_one_is_free(total_timeout):
    api = Api(max_concurrent_requests=2, total_timeout=total_timeout)

    async def call():
        return async_numbers()

    async def in_flight():
        return api.current_requests

    async def go():
        stream = await api.acall(call)
        assert await api.acall(in_flight) == 2
        await stream.__anext__()
        assert await api.acall(in_flight) == 2
        await stream.aclose()
        assert await api.acall(in_flight) == 1

    run(go())
    assert_at_rest(api)


# Vendors' streams


def openai_chunk(text):
    return {
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }  # fmt: skip


def test_S1_openai_stream_holds_its_slot(single):
    with LoopbackServer(lambda request: sse([openai_chunk("a"), openai_chunk("b")])) as server:
        client = sdk_client(openai.OpenAI, server)
        stream = single.call(client.chat.completions.create, model="m", messages=[], stream=True)
        assert isinstance(stream, openai.Stream)
        assert next(stream).choices[0].delta.content == "a"
        assert held(single)
        assert [chunk.choices[0].delta.content for chunk in stream] == ["b"]
        assert_at_rest(single)


def test_S1_openai_stream_as_a_context(single):
    with LoopbackServer(lambda request: sse([openai_chunk("a"), openai_chunk("b")])) as server:
        client = sdk_client(openai.OpenAI, server)
        with single.call(client.chat.completions.create, model="m", messages=[], stream=True) as stream:
            next(iter(stream))
            assert held(single)
        assert_at_rest(single)


ERRORS = [
    ("openai", {"error": {"type": "server_error", "code": None, "message": "overloaded"}}, True),
    (
        "openai",
        {"error": {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "slow down"}},
        True,
    ),
    ("openai", {"error": {"type": "invalid_request_error", "code": "bad", "message": "bad"}}, False),
    (
        "openai",
        {"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "no money"}},
        False,
    ),
    ("anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, True),
    ("anthropic", {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, True),
    ("anthropic", {"type": "error", "error": {"type": "api_error", "message": "oops"}}, True),
    ("anthropic", {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}, False),
]


@pytest.mark.parametrize(("vendor", "error", "retried"), ERRORS)
@pytest.mark.parametrize("first", [True, False], ids=["first event", "second event"])
def test_S1_error_event_inside_a_200_stream(single, server, vendor, error, retried, first):
    """Retried if it comes first and is of the passing kind (overloaded_error, rate_limit_error, api_error)."""
    if vendor == "openai":
        good, prefix = f"data: {json.dumps(openai_chunk('a'))}\n\n", "data: "
        client = sdk_client(openai.OpenAI, server)
        create, arguments = client.chat.completions.create, {"model": "m", "messages": []}
    else:
        ping = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
        good = f"event: content_block_delta\ndata: {json.dumps(ping)}\n\n"
        prefix = "event: error\ndata: "
        client = sdk_client(anthropic.Anthropic, server)
        create, arguments = client.messages.create, {"model": "m", "messages": [], "max_tokens": 5}
    bad = f"{prefix}{json.dumps(error)}\n\n"
    kind = {"Content-Type": "text/event-stream"}
    server.script(Reply(200, iter([text.encode() for text in ([bad] if first else [good, bad])]), kind))
    server.app = lambda request: Reply(200, iter([good.encode()]), kind)
    stream = single.call(create, stream=True, **arguments)
    if first and retried:
        assert len(list(stream)) == 1
        assert len(server.requests) == 2
    else:
        with pytest.raises((openai.APIError, anthropic.APIError)):
            list(stream)
        assert len(server.requests) == 1
    del stream
    gc.collect()
    assert_at_rest(single)


# Read in part: the connection is open, and so is the slot's request.


def read_of_requests(api, url):
    response = api.call(requests.get, url, stream=True)
    return response, lambda: next(response.iter_content(4)), lambda: b"".join(response.iter_content(4))


def lines_of_requests(api, url):
    response = api.call(requests.get, url, stream=True)
    return response, lambda: next(response.iter_lines(4)), lambda: response.content


def read_of_httpx(api, url):
    client = httpx_client()
    response = api.call(client.send, client.build_request("GET", url), stream=True)
    return response, lambda: next(response.iter_raw(4)), response.close


def read_of_raw_response(api, url):
    client = closed_later(openai.OpenAI(api_key="test-key", base_url=url))
    raw = api.call(client.chat.completions.with_raw_response.create, model="m", messages=[], stream=True)
    stream = raw.parse()
    return raw, lambda: next(stream), lambda: list(stream)


@pytest.mark.parametrize("read", [read_of_requests, lines_of_requests, read_of_httpx, read_of_raw_response])
def test_S1_a_response_that_was_read_in_part_keeps_its_slot(single, server, read):
    event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for _ in range(50))
    server.app = lambda request: Reply(200, body, {"Content-Type": "text/event-stream"})
    response, read_some, read_on = read(single, server.url)
    assert held(single)
    assert read_some()
    gc.collect()
    assert held(single)
    read_on()
    assert not held(single)
    del response
    assert_at_rest(single)


def test_S1_the_end_of_what_an_async_response_reads_from_gives_the_slot_back(single, server):
    async def go():
        async with httpx.AsyncClient() as client:
            response = await single.acall(client.send, client.build_request("GET", server.url), stream=True)
            assert held(single)
            assert b"".join([part async for part in response.stream]) == b'{"ok": true}'
            assert not held(single)
            await response.aclose()

    run(go())
    assert_at_rest(single)


def within(body):
    with body as entered:
        return entered.read()


def decoded(body):
    """Read what the server has compressed, as many save files."""
    body.decode_content = True
    return copied(body)


def decoded_by_read(body):
    """The same, as others do it."""
    body.read = functools.partial(body.read, decode_content=True)
    return copied(body)


def copied(body):
    shutil.copyfileobj(body, part := io.BytesIO())
    return part.getvalue()


WAYS = {
    "with": within,
    "decode_content": decoded,
    "read": decoded_by_read,
    "auto_close": lambda body: (setattr(body, "auto_close", False), io.TextIOWrapper(body).readlines())[1],
    "next": lambda body: list(iter(lambda: next(body, None), None)),
    "for": list,
    "BufferedReader": lambda body: io.BufferedReader(body).read(),
    "TextIOWrapper": lambda body: io.TextIOWrapper(body).read(),
    "GzipFile": lambda body: gzip.GzipFile(fileobj=body).read(),
    "dir": lambda body: (dir(body), body.close())[0],
}


@pytest.mark.parametrize("opened", ["requests", "urllib3"])
@pytest.mark.parametrize("way", WAYS)
def test_S1_what_a_response_reads_from_is_read_in_any_way_as_before(single, server, way, opened):
    text = b"one\ntwo\n"
    compressed = way in ("GzipFile", "decode_content", "read")
    headers = {"Content-Encoding": "gzip"} if compressed and way != "GzipFile" else {}
    server.app = lambda request: Reply(200, gzip.compress(text, mtime=0) if compressed else text, headers)

    def read(call):
        if opened == "requests":
            body = call(requests.get, server.url, stream=True).raw
        else:
            body = call(urllib3.PoolManager().request, "GET", server.url, preload_content=False)
        return WAYS[way](body)

    assert read(single.call) == read(lambda function, *args, **kwargs: function(*args, **kwargs))
    assert_at_rest(single)


@pytest.mark.parametrize("method", ["readinto", "read1"])
@pytest.mark.parametrize("opened", ["requests", "urlopen"])
def test_S1_the_end_is_noticed_in_whatever_way_it_is_read(single, server, opened, method):
    server.app = lambda request: Reply(200, b"x" * 1000)
    if opened == "urlopen":
        raw = single.call(urllib.request.urlopen, server.url, timeout=5)
    else:
        raw = single.call(requests.get, server.url, stream=True).raw
    read = 0
    for _ in range(1001):
        assert held(single) or read == 1000
        buffer = bytearray(300)
        count = raw.readinto(buffer) if method == "readinto" else len(raw.read1(300))
        read += count
        if not count:
            break
    assert read == 1000
    assert not held(single)
    assert_at_rest(single)


def test_S1_the_body_of_an_object_of_s3(single, server):
    server.app = lambda request: Reply(200, b"x" * 100_000, {"Content-Type": "application/octet-stream"})
    client = closed_later(
        boto3.client(
            "s3", endpoint_url=server.url, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )
    )  # fmt: skip
    for end in ("read", "closed", "dropped"):
        body = single.call(client.get_object, Bucket="bucket", Key="key")["Body"]
        assert body.read(10) == b"x" * 10
        assert held(single)
        if end == "read":
            assert len(body.read()) == 99_990
        elif end == "closed":
            body.close()
        else:
            del body
            gc.collect()
        assert not held(single)
    assert single.call(client.head_object, Bucket="bucket", Key="key")["ContentLength"]
    assert_at_rest(single)


# Mocks, as users' own tests have them.


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [unittest.mock.Mock, unittest.mock.MagicMock])
def test_B3_a_mock_of_a_response_is_no_stream(single, kind, stream):
    answer = kind(status_code=200)
    with unittest.mock.patch("requests.post", return_value=answer):
        for _ in range(3):
            arguments = {"stream": True} if stream else {}
            assert single.call(requests.post, "http://127.0.0.1:9", **arguments) is answer
            assert not held(single)
    assert isinstance(answer.fp, kind)
    assert_at_rest(single)


def test_B3_a_mock_without_a_status_is_no_stream(single):
    answer = unittest.mock.MagicMock()
    assert single.call(unittest.mock.Mock(return_value=answer)) is answer
    assert not held(single)


def test_S1_a_manager_that_decorates_makes_its_request_around_each_call(server):
    """As `contextlib` lets it: `@client.stream("GET", url)`. No slot is held between the calls."""
    answers = [Reply(503, headers={"Retry-After": "0"})]
    server.app = lambda request: answers.pop() if answers else Reply(200)
    api = Api()
    with httpx.Client() as client:

        @api._queued(client.stream)("GET", server.url)
        def count(more=0):
            return api.current_requests + more

        assert api.current_requests == 0
        assert [count(), count(1)] == [1, 2]
    assert count.__name__ == "count"
    assert len(server.requests) == 3
    assert_at_rest(api)


def test_S1_an_async_manager_that_decorates_makes_its_request_around_each_call(server):
    api = Api()

    async def go():
        async with httpx.AsyncClient() as client:

            @api._queued(client.stream)("GET", server.url)
            async def count(more=0):
                return api.current_requests + more

            assert [await count(), await count(1)] == [1, 2]
            return count.__name__

    assert caller(asyncio.run, go()).result(20) == "count"
    assert len(server.requests) == 2
    assert_at_rest(api)
