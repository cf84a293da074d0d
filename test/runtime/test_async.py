"""A1: async calls wait in the same line, never block the loop, and give their slot back wherever they are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import threading
import time

import aiohttp
import httpx
import pytest
import requests

from backend_retrofit_runtime import QueueClosed, RequestEngine, RequestQueueFull
from test.loopback import Reply, Reset
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, until


def run(coroutine, seconds=20):
    """Run a coroutine in a new loop, in a thread of its own."""
    return caller(asyncio.run, coroutine).result(seconds)


class AsyncGated:
    """`Gated` for coroutines, for one loop."""

    def __init__(self):
        self.ran, self.now, self.most, self.open = [], 0, 0, asyncio.Event()

    async def __call__(self, number=None):
        self.ran.append(number)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
        finally:
            self.now -= 1
        return number


async def until_async(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the condition did not come true")


# The guarantees of the queue


def test_A1_limit_and_order(api):
    async def go():
        api.max_concurrent_requests, gated = 2, AsyncGated()
        tasks = []
        for number in range(10):
            tasks.append(asyncio.ensure_future(api.acall(gated, number)))
            await asyncio.sleep(0)
        await until_async(lambda: len(api.request_queue) == 8)
        assert api.current_requests == 2
        gated.open.set()
        assert await asyncio.gather(*tasks) == list(range(10))
        assert gated.most == 2
        return gated.ran

    assert run(go()) == list(range(10))
    assert_at_rest(api)


def test_A1_full_queue_is_refused(api):
    async def go():
        api.max_concurrent_requests = api.queue_size = 1
        gated = AsyncGated()
        tasks = [asyncio.ensure_future(api.acall(gated, n)) for n in range(2)]
        await until_async(lambda: len(api.request_queue) == 1)
        with pytest.raises(RequestQueueFull):
            await api.acall(gated, 2)
        gated.open.set()
        await asyncio.gather(*tasks)

    run(go())
    assert_at_rest(api)


def test_A1_runs_in_the_callers_task(api):
    async def go():
        async def call():
            return asyncio.current_task(), threading.get_ident()

        api.max_concurrent_requests = 1
        gated = AsyncGated()
        first = asyncio.ensure_future(api.acall(gated))
        second = asyncio.ensure_future(api.acall(call))
        await until_async(lambda: len(api.request_queue) == 1)
        gated.open.set()
        assert await second == (second, threading.get_ident())
        await first

    run(go())


def test_A1_sync_and_async_callers_share_one_line(api):
    async def go():
        api.max_concurrent_requests = 1
        gate, order, tasks = Gated(), [], []
        first = caller(api.call, gate)
        await until_async(lambda: gate.now == 1)

        async def call(number):
            order.append(number)

        for number in range(6):
            if number % 2:
                tasks.append(asyncio.wrap_future(caller(api.call, order.append, number)))
            else:
                tasks.append(asyncio.ensure_future(api.acall(call, number)))
            await until_async(lambda: len(api.request_queue) == len(tasks))
        gate.end()
        await asyncio.gather(*tasks)
        first.result(5)
        return order

    assert run(go()) == list(range(6))
    assert_at_rest(api)


def test_A1_backoff_releases_the_slot_and_keeps_the_place(api):
    async def go():
        api.max_concurrent_requests, api.initial_retry_delay = 1, 1
        flaky, order = Flaky(Answer(503)), []

        async def failing():
            order.append("failing")
            return flaky()

        async def fine(number):
            order.append(number)

        first = asyncio.ensure_future(api.acall(failing))
        await until_async(lambda: len(api.request_queue) == 1)
        assert api.current_requests == 0
        await api.acall(fine, 1)
        assert await first == "done"
        return order

    assert run(go()) == ["failing", 1, "failing"]


def test_A1_retry_after_holds_back_async_ones_too(api):
    async def go():
        flaky = Flaky(Answer(429, {"Retry-After": "0.2"}))

        async def failing():
            return flaky()

        async def fine():
            return time.monotonic()

        start = time.monotonic()
        first = asyncio.ensure_future(api.acall(failing))
        await until_async(lambda: len(api.request_queue) == 1)
        assert await api.acall(fine) - start >= 0.2
        assert await first == "done"

    run(go())


def test_A1_close_fails_those_that_wait(api):
    async def go():
        api.max_concurrent_requests, gated = 1, AsyncGated()
        first = asyncio.ensure_future(api.acall(gated, 1))
        second = asyncio.ensure_future(api.acall(gated, 2))
        await until_async(lambda: len(api.request_queue) == 1)
        RequestEngine.of(api).gate.close(join=False)
        with pytest.raises(QueueClosed):
            await second
        gated.open.set()
        assert await first == 1

    run(go())


def test_A1_errors_come_as_raised(api):
    error = KeyError("x")

    async def fail():
        raise error

    async def go():
        with pytest.raises(KeyError) as caught:
            await api.acall(fail)
        assert caught.value is error

    run(go())
    assert_at_rest(api)


# The loop is never blocked


def test_A1_loop_is_not_blocked_while_many_wait_and_back_off(api):
    """The loop's own clock ticks on: its longest pause is far below the waits."""

    async def go():
        api.max_concurrent_requests, api.initial_retry_delay = 1, 0.15
        gated, flaky = Gated(), Flaky(*[Answer(503)] * 3)
        blocker = caller(api.call, gated)
        await until_async(lambda: gated.now == 1)

        async def call():
            return flaky()

        ticks, stop = 0, False

        async def tick():
            nonlocal ticks
            while not stop:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.ensure_future(tick())
        tasks = [asyncio.ensure_future(api.acall(call)) for _ in range(5)]
        await until_async(lambda: len(api.request_queue) == 5)
        before = ticks
        await until_async(lambda: ticks > before + 100)  # while all wait
        gated.end()
        await until_async(lambda: flaky.calls >= 1 and api.current_requests == 0)
        before = ticks
        await until_async(lambda: ticks > before + 100)  # while they back off
        assert await asyncio.gather(*tasks) == ["done"] * 5
        stop = True
        await ticking
        blocker.result(5)

    run(go())


def test_A1_core_lock_held_for_long_by_nobody(api):
    """A slow call in a worker thread holds no lock that an async caller needs."""

    async def go():
        gated = Gated()
        slow = [api.submit(gated) for _ in range(4)]
        await until_async(lambda: gated.now == 4)

        async def quick():
            return 1

        assert await asyncio.wait_for(api.acall(quick), 5) == 1
        gated.end(4)
        for future in slow:
            assert future.result(5) is None

    run(go())


# Cancellation


def collect_what_is_left(api):
    """Run the collector, which takes long, only where something is held still."""
    if api.current_requests:
        gc.collect()


class Suspend:
    """Awaiting it suspends the coroutine once, with no loop needed."""

    def __await__(self):
        yield self


def drive(coroutine, cancel_at):
    """Run a coroutine by hand and throw CancelledError at its n-th suspension; return how many it had."""
    count = 0
    try:
        while count < 1000:
            coroutine.send(None)
            count += 1
            if count == cancel_at:
                coroutine.throw(asyncio.CancelledError())
                count += 1
    except StopIteration:
        return count
    except asyncio.CancelledError:
        return -1
    raise AssertionError("it never ends")


class AsyncBody:
    status_code, headers = 503, {}

    async def json(self):
        await Suspend()
        return {}

    async def aclose(self):
        await Suspend()


def scenarios():
    async def plain(api):
        async def call():
            await Suspend()
            await Suspend()
            return 1

        await api.acall(call)

    async def fails_first(api):
        answers = [AsyncBody()]

        async def call():
            await Suspend()
            return answers.pop() if answers else 1

        await api.acall(call)

    async def in_line(api):
        gated = AsyncGated()
        other = asyncio.ensure_future(api.acall(gated))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.01, gated.open.set)
        try:
            await api.acall(gated)
        finally:
            gated.open.set()
            await other

    async def entered(api):
        class Manager:
            async def __aenter__(self):
                await Suspend()
                return self

            async def __aexit__(self, *exc):
                await Suspend()

        class AsyncClient:
            def stream(self):
                return Manager()

        async with api._queued(AsyncClient().stream)():
            await Suspend()

    async def iterated(api):
        async def numbers():
            for number in range(3):
                await Suspend()
                yield number
                await Suspend()

        stream = api._queued(numbers)()
        async for _ in stream:
            await Suspend()

    return {scenario.__name__: scenario for scenario in (plain, fails_first, in_line, entered, iterated)}


@pytest.mark.parametrize("name", ["plain", "entered", "iterated"])
def test_A1_cancelled_at_every_await(name):
    """Driven by hand, step by step: exactly the suspension points that there are."""
    scenario = scenarios()[name]
    points = drive(scenario(Api()), None)
    assert points >= 2
    for point in range(1, points + 1):
        api = Api(max_concurrent_requests=1)
        coroutine = scenario(api)
        assert drive(coroutine, point) == -1
        del coroutine
        collect_what_is_left(api)
        assert_at_rest(api)


@pytest.mark.parametrize("name", ["plain", "fails_first", "in_line", "entered", "iterated"])
def test_A1_cancelled_after_every_step_of_the_loop(name):
    """In a real loop: cancelled after the n-th step, wherever it is then, the line and the backoff included."""

    async def attempt(steps):
        api = Api(max_concurrent_requests=1, initial_retry_delay=0.005)
        task = asyncio.ensure_future(step_by_step(scenarios()[name](api)))
        for _ in range(steps):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return api, done

    async def step_by_step(coroutine):
        # `Suspend` yields itself, which a loop would refuse: turn it into a step.
        class Steps:
            def __await__(self):
                inner, value = coroutine, None
                while True:
                    try:
                        got = inner.send(value)
                    except StopIteration:
                        return
                    try:
                        value = yield (None if isinstance(got, Suspend) else got)
                    except BaseException as error:
                        try:
                            got = inner.throw(error)
                        except StopIteration:
                            return
                        value = yield (None if isinstance(got, Suspend) else got)

        await Steps()

    def go():
        for steps in range(1, 25):
            api, done = asyncio.run(attempt(steps))
            collect_what_is_left(api)
            assert_at_rest(api)
            if done:
                break

    caller(go).result(30)


def test_A1_cancelled_while_waiting_another_takes_the_turn(api):
    async def go():
        api.max_concurrent_requests, gated = 1, AsyncGated()
        tasks = [asyncio.ensure_future(api.acall(gated, n)) for n in range(4)]
        await until_async(lambda: len(api.request_queue) == 3)
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert len(api.request_queue) == 2
        gated.open.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return gated.ran

    assert run(go()) == [0, 2, 3]
    assert_at_rest(api)


def test_A1_cancelled_between_grant_and_resumption_passes_the_slot_on(api):
    async def go():
        api.max_concurrent_requests = 1
        gated = Gated()
        blocker = caller(api.call, gated)
        await until_async(lambda: gated.now == 1)
        ran = []

        async def call(number):
            ran.append(number)

        tasks = [asyncio.ensure_future(api.acall(call, n)) for n in range(2)]
        await until_async(lambda: len(api.request_queue) == 2)
        gated.end()
        end = time.monotonic() + 5
        while len(api.request_queue) == 2 and time.monotonic() < end:
            time.sleep(0.001)  # the loop stands still: the grant has been made, the task has not resumed
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        blocker.result(5)
        return ran

    assert run(go()) == [1]
    assert_at_rest(api)


def test_A1_cancellation_is_not_retried(api):
    calls = []

    async def call():
        calls.append(1)
        await asyncio.sleep(60)

    async def go():
        task = asyncio.ensure_future(api.acall(call))
        await until_async(lambda: calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(go())
    assert calls == [1]
    assert_at_rest(api)


# Several loops


def test_A1_several_loops_share_one_instance(api):
    async def many():
        async def call():
            await asyncio.sleep(0.001)
            return 1

        return sum(await asyncio.gather(*[api.acall(call) for _ in range(20)]))

    api.max_concurrent_requests = 2
    futures = [caller(asyncio.run, many()) for _ in range(4)]
    assert [future.result(10) for future in futures] == [20] * 4
    assert_at_rest(api)


def test_A1_a_loop_that_is_closed_while_its_task_waits_harms_nobody(api):
    api.max_concurrent_requests, gated, ran = 1, Gated(), []
    blocker = caller(api.call, gated)
    until(lambda: gated.now == 1)

    async def call():
        ran.append("never")

    loop = asyncio.new_event_loop()
    task = loop.create_task(api.acall(call))
    loop.run_until_complete(asyncio.sleep(0.01))
    assert len(api.request_queue) == 1
    loop.close()
    later = api.submit(ran.append, "later")
    gated.end()
    later.result(5)
    blocker.result(5)
    assert ran == ["later"]
    task._log_destroy_pending = False
    assert_at_rest(api)


def test_A1_a_loop_that_is_closed_after_the_grant_and_before_the_resumption(api):
    api.max_concurrent_requests, gated = 1, Gated()
    blocker = caller(api.call, gated)
    until(lambda: gated.now == 1)

    async def call():
        raise AssertionError("it never runs")

    loop = asyncio.new_event_loop()
    task = loop.create_task(api.acall(call))
    loop.run_until_complete(asyncio.sleep(0.01))
    gated.end()
    blocker.result(5)
    until(lambda: len(api.request_queue) == 0)
    loop.close()
    task._log_destroy_pending = False
    del task, loop
    gc.collect()
    assert_at_rest(api)


def test_A1_a_task_that_is_collected_with_its_loop_is_passed_over(api):
    """Nothing but the line refers to it: it is collected as it is taken out, while the lock is held."""
    api.max_concurrent_requests, gated, ran = 1, Gated(), []
    blocker = caller(api.call, gated)
    until(lambda: gated.now == 1)

    async def call():
        ran.append("never")

    def forget():
        loop = asyncio.new_event_loop()
        task = loop.create_task(api.acall(call))
        loop.run_until_complete(asyncio.sleep(0.01))
        task._log_destroy_pending = False
        loop.close()

    forget()
    gc.collect()
    later = api.submit(ran.append, "later")
    gated.end()
    later.result(5)
    blocker.result(5)
    assert ran == ["later"]
    assert_at_rest(api)


def test_A1_a_coroutine_that_is_closed_while_it_waits_leaves_the_line(api):
    api.max_concurrent_requests = 0

    async def go():
        coroutine = api.acall(asyncio.sleep, 60)
        coroutine.send(None)
        assert len(api.request_queue) == 1
        coroutine.close()

    run(go())
    until(lambda: len(api.request_queue) == 0)
    api.max_concurrent_requests = 1
    assert_at_rest(api)


@pytest.mark.parametrize("total_timeout", [None, 60])
def test_A1_a_task_that_is_collected_while_it_runs_gives_its_slot_back(api, total_timeout):
    api.max_concurrent_requests, api.total_timeout = 1, total_timeout

    def forget():
        loop = asyncio.new_event_loop()
        task = loop.create_task(api.acall(asyncio.sleep, 60))
        loop.run_until_complete(asyncio.sleep(0.01))
        assert api.current_requests == 1
        task._log_destroy_pending = False
        loop.close()
        with RequestEngine.of(api).gate.lock:
            del task, loop
            gc.collect()

    caller(forget).result(5)
    assert_at_rest(api)


# Real clients


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
@pytest.mark.parametrize(
    "trouble", [[Reply(503)] * 3, [Reset()] * 2, [Reply(200, b"x" * 100, cut_after=10)] * 2, [Reply(429)]]
)
def test_A1_real_clients_are_retried(api, server, library, trouble):
    server.script(*trouble)

    async def with_httpx():
        async with httpx.AsyncClient() as client:
            return (await api.acall(client.get, server.url)).json()

    async def with_aiohttp():
        async with aiohttp.ClientSession() as session:
            async with api._queued(session.get)(server.url) as response:
                return await response.json()

    if library == "aiohttp" and isinstance(trouble[0], Reply) and trouble[0].cut_after:
        pytest.skip("aiohttp gives the response before it reads the body")
    assert run(with_httpx() if library == "httpx" else with_aiohttp()) == {"ok": True}
    assert len(server.requests) == len(trouble) + 1
    assert_at_rest(api)


@pytest.mark.parametrize("library", ["httpx", "aiohttp", "aiohttp awaited"])
def test_A1_real_clients_keep_the_limit(api, server, library):
    server.app = lambda request: Reply(200, {"ok": True}, delay=0.01)
    api.max_concurrent_requests = 3

    async def one(client):
        if library == "httpx":
            return (await api.acall(client.get, server.url)).json()
        if library == "aiohttp":
            async with api._queued(client.get)(server.url) as response:
                return await response.json()
        response = await api._queued(client.get)(server.url)
        return await response.json()

    async def go():
        kind = httpx.AsyncClient if library == "httpx" else aiohttp.ClientSession
        async with kind() as client:
            return await asyncio.gather(*[one(client) for _ in range(20)])

    assert run(go()) == [{"ok": True}] * 20
    assert 1 < server.most_in_flight <= 3
    assert_at_rest(api)


def test_A1_the_response_of_a_failed_attempt_is_closed_so_that_its_connection_is_free_for_the_next(
    api, server
):
    server.script(Reply(503, iter([b"over", b"loaded"])))
    api.max_retries = 1

    async def go():
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(10, pool=1)) as client:
            response = await api.acall(client.send, client.build_request("GET", server.url), stream=True)
            await response.aclose()
            return response.status_code

    assert run(go()) == 200
    assert_at_rest(api)


def test_A1_sync_and_async_clients_on_one_server_keep_the_limit_together(api, server):
    server.app = lambda request: Reply(200, {"ok": True}, delay=0.005)
    api.max_concurrent_requests = 2

    async def go():
        async with httpx.AsyncClient() as client:
            return await asyncio.gather(*[api.acall(client.get, server.url) for _ in range(10)])

    futures = [caller(api.call, requests.get, server.url) for _ in range(10)]
    assert len(run(go())) == 10
    assert all(future.result(10).ok for future in futures)
    assert server.most_in_flight <= 2
    assert_at_rest(api)


def test_A1_real_client_cancelled_in_flight_gives_the_slot_back(api, server):
    server.app = lambda request: Reply(200, delay=5)
    api.max_concurrent_requests = 1

    async def go():
        async with httpx.AsyncClient() as client:
            task = asyncio.ensure_future(api.acall(client.get, server.url))
            await until_async(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(go())
    assert_at_rest(api)


def test_A1_no_money_is_read_from_an_async_body(api, server):
    server.script(Reply(429, {"error": {"code": "insufficient_quota"}}))

    async def go():
        async with aiohttp.ClientSession() as session:
            async with api._queued(session.get)(server.url) as response:
                return response.status

    assert run(go()) == 429
    assert len(server.requests) == 1


def test_A1_the_result_of_a_queued_call_is_a_coroutine_to_asyncio(api):
    """create_task, gather and wait_for take it, as they took the call's own."""

    async def call():
        return 1

    async def go():
        task = asyncio.create_task(api._queued(call)())
        return await asyncio.gather(task, api._queued(call)(), asyncio.wait_for(api._queued(call)(), 5))

    assert run(go()) == [1, 1, 1]


def test_A1_never_awaited_takes_nothing(api):
    async def call():
        raise AssertionError("it never runs")

    coroutine = api._queued(call)()
    coroutine.close()
    del coroutine
    assert_at_rest(api)


def test_a_coroutine_that_a_library_wraps_is_awaited_once(server):
    api = Api()

    async def go():
        async with httpx.AsyncClient() as client:

            @functools.wraps(client.get)
            def get(*args, **kwargs):
                return client.get(*args, **kwargs)

            call = api._queued(get)(server.url)
            assert inspect.iscoroutine(call)  # as code asks that takes sync and async clients
            task = asyncio.create_task(call)
            assert task.get_coro().__name__ == "get"
            assert (await task).status_code == 200
            call = api._queued(get)(server.url)
            assert (await call).status_code == 200
            with pytest.raises(RuntimeError, match="already awaited"):
                await call

    asyncio.run(go())
    assert len(server.requests) == 2
    assert_at_rest(api)
