"""Q9, Q11, Q12: whatever a call is given or gives, it is made once, its result comes back, and its slot too."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gc
import inspect
import warnings
import weakref

import pytest

from backend_retrofit_runtime import RequestEngine
from test.runtime.conftest import Api, assert_at_rest


class Lazy:
    """An unbound proxy, as of werkzeug or Django: whatever is asked of it raises."""

    @property
    def __class__(self):
        raise RuntimeError("working outside of request context")

    def __bool__(self):
        raise ValueError("ambiguous")

    def __getattr__(self, name):
        raise RuntimeError(name)


class Array(list):
    """As numpy's arrays and pandas's frames."""

    def __bool__(self):
        raise ValueError("The truth value of an array with more than one element is ambiguous")


def both_ways(api, function, *args, **kwargs):
    """What a function gives as a sync and as an async request, and submitted."""

    async def afunction(*args, **kwargs):
        return function(*args, **kwargs)

    yield api.call(function, *args, **kwargs)
    yield asyncio.run(api.acall(afunction, *args, **kwargs))
    yield api.submit(function, *args, **kwargs).result(5)


def test_Q9_a_result_of_which_everything_raises(api):
    lazy = Lazy()
    for result in both_ways(api, lambda: lazy):
        assert result is lazy
    assert_at_rest(api)


@pytest.mark.parametrize("make", [Lazy, Array])
@pytest.mark.parametrize("name", ["stream", "data", "files", "body"])
def test_Q9_an_argument_without_a_truth_value(api, name, make):
    for result in both_ways(api, lambda **given: "done", **{name: make()}):
        assert result == "done"
    assert_at_rest(api)


@pytest.mark.parametrize("make", [Lazy, Array])
def test_Q9_such_an_argument_by_place(api, make):
    for result in both_ways(api, lambda given: "done", make()):
        assert result == "done"
    assert_at_rest(api)


def test_Q9_a_numpy_array_in_and_out(api):
    numpy = pytest.importorskip("numpy")
    for result in both_ways(api, lambda stream: stream * 2, stream=numpy.arange(3)):
        assert result.tolist() == [0, 2, 4]
    assert_at_rest(api)


# Async generators that are handed on.


class Numbers(Api):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.opened, self.closed, self.sent = 0, 0, []

    def stream(self, count):
        return self._queued(self.numbers)(count)

    async def numbers(self, count):
        self.opened += 1
        try:
            for number in range(count):
                self.sent.append((yield number))
        finally:
            self.closed += 1


@pytest.fixture
def numbers():
    return Numbers(max_concurrent_requests=1)


def test_S1_all_that_can_be_done_with_an_async_generator(numbers):
    async def go():
        assert [n async for n in numbers.stream(3)] == [0, 1, 2]
        stream = numbers.stream(3)
        assert numbers.opened == 1, "it is not begun before its first item is asked for"
        assert await stream.__anext__() == 0
        assert numbers.current_requests == 1
        assert await stream.asend("hello") == 1
        assert numbers.sent[-1] == "hello"
        await stream.aclose()
        assert numbers.current_requests == 0
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        async with contextlib.aclosing(numbers.stream(3)) as stream:
            async for _ in stream:
                break
        stream = numbers.stream(3)
        await stream.__anext__()
        with pytest.raises(KeyError):
            await stream.athrow(KeyError("x"))
        await numbers.stream(3).aclose()

    asyncio.run(go())
    assert numbers.opened == numbers.closed == 4
    assert_at_rest(numbers)


def test_S1_it_passes_for_an_async_generator(numbers):
    stream = numbers.stream(1)
    assert inspect.isasyncgen(stream)
    assert not inspect.isawaitable(stream)
    assert not stream.ag_running


def test_S1_one_that_is_dropped_gives_its_slot_back(numbers):
    async def go():
        stream = numbers.stream(3)
        await stream.__anext__()
        del stream
        gc.collect()
        await asyncio.sleep(0)
        return [n async for n in numbers.stream(2)]

    assert asyncio.run(asyncio.wait_for(go(), 10)) == [0, 1]
    assert_at_rest(numbers)


def test_S1_a_generator_that_is_sent_values_to_its_end_gives_its_slot_back(api):
    def echo():
        got = yield "ready"
        yield got

    stream = api.call(echo)
    assert next(stream) == "ready"
    assert stream.send("x") == "x"
    with pytest.raises(StopIteration):
        stream.send(None)
    assert api.current_requests == 0


# Looking at a task makes no call.


def test_Q11_looking_at_a_call_makes_it_not(api):
    aiohttp = pytest.importorskip("aiohttp")

    api.max_retries = 0

    async def go():
        async with aiohttp.ClientSession() as session:
            call = api._queued(session.get)("http://127.0.0.1:9/")
            task = asyncio.ensure_future(call)
            assert "cr_code" not in repr(task)
            await asyncio.sleep(0)
            repr(task)
            with pytest.raises(aiohttp.ClientConnectorError):
                await task

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(go())
        gc.collect()
    assert_at_rest(api)


# Owners of which nobody can tell when they are gone.


class Flags(enum.IntFlag):
    ONE = 1

    def ask(self):
        return queued(self)(len, "abc")


class Url(str):
    __slots__ = ()


def queued(owner):
    return lambda function, *args: RequestEngine.of(owner).wrap(function)(*args)


@pytest.mark.parametrize("make", [lambda: Flags.ONE, lambda: Url("x"), lambda: type("Number", (int,), {})(7)])
def test_Q12_an_owner_that_cannot_be_referred_to_weakly_shares_the_queue_of_its_class(make):
    owner = make()
    with pytest.raises(TypeError):
        weakref.ref(owner)
    assert queued(owner)(len, "abc") == 3
    assert RequestEngine.of(owner) is RequestEngine.of(type(owner))


# Nothing grows.


def test_Q12_classes_that_are_made_for_each_call_are_let_go(api):
    made = []
    for _ in range(30):
        client = type("Client", (), {"get": lambda self: 7})()
        made.append(weakref.ref(type(client)))
        assert api.call(client.get) == 7
        del client
    gc.collect()
    assert sum(reference() is not None for reference in made) <= 1


def test_Q12_arguments_results_and_errors_are_let_go(api):
    class Thing:
        pass

    def fails(thing):
        raise KeyError(thing)

    references = []
    for call in (api.call, lambda *args: api.submit(*args).result(5)):
        for function in (lambda thing: thing, fails):
            thing = Thing()
            references.append(weakref.ref(thing))
            with contextlib.suppress(KeyError):
                call(function, thing)
            del thing
    gc.collect()
    # A worker may still be on its way from its last job.
    assert sum(reference() is not None for reference in references) <= 1
