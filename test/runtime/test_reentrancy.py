"""Q8: a request that calls the same backend again never waits for itself."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from concurrent.futures import Future

import pytest
import requests

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.slots import slot_in_hand
from test.loopback import Reply
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, until


@pytest.fixture
def single(api):
    api.max_concurrent_requests = 1
    return api


def nest(api, depth):
    """Call the backend from within a request, so many levels deep; return how many were in flight at the bottom."""
    if depth == 0:
        return api.current_requests
    return api.call(nest, api, depth - 1)


@pytest.mark.parametrize("depth", [1, 2, 3, 10])
def test_Q8_nested_calls_run_under_one_slot_at_limit_1(single, depth):
    assert caller(nest, single, depth).result(5) == 1
    assert_at_rest(single)


def test_Q8_in_a_queued_request_too(single):
    gated = Gated()
    running = caller(single.call, gated)
    until(lambda: gated.now == 1)
    queued = caller(single.call, nest, single, 3)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    running.result(5)
    assert queued.result(5) == 1


def test_Q8_in_a_submitted_method(single):
    assert single.submit(nest, single, 3).result(5) == 1
    assert_at_rest(single)


def test_Q8_nested_call_is_retried_while_others_wait(single):
    flaky = Flaky(Answer(503), Answer(503))
    outer = single.submit(single.call, flaky)
    others = [single.submit(len, "abc") for _ in range(3)]
    assert outer.result(5) == "done"
    assert [other.result(5) for other in others] == [3, 3, 3]
    assert_at_rest(single)


def test_Q8_nested_call_that_fails_leaves_the_outer_one_its_slot(single):
    def outer():
        with pytest.raises(KeyError):
            single.call(Flaky(KeyError("x")))
        return single.current_requests

    assert single.call(outer) == 1
    assert_at_rest(single)


def test_Q8_outer_is_not_retried_for_what_the_nested_one_retried(api, delays):
    """One layer: six attempts, not thirty-six, where a submitted method makes the request."""
    flaky = Flaky(*[Answer(503)] * 40)
    assert api.submit(api.call, flaky).result(5).status_code == 503
    assert flaky.calls == 6


def test_A1_a_sync_request_that_waits_in_the_event_loops_thread_is_warned_of_once(single, caplog):
    gated = Gated()
    running = caller(single.call, gated)
    until(lambda: gated.now == 1)
    single.queue_timeout = 0.01

    async def main():
        for _ in range(2):
            with pytest.raises(RuntimeError):
                single.call(len, "abc")

    asyncio.run(main())
    assert len([r for r in caplog.records if "asyncio.to_thread" in r.getMessage()]) == 1
    gated.end()
    running.result(5)


def test_Q8_another_instance_takes_a_slot_of_its_own(single):
    other = Api(max_concurrent_requests=1)
    assert single.call(other.call, lambda: (single.current_requests, other.current_requests)) == (1, 1)


def test_Q8_a_thread_that_inherits_the_context_of_an_ended_request_takes_a_slot_of_its_own(single):
    contexts = []
    single.call(lambda: contexts.append(contextvars.copy_context()))
    assert caller(contexts[0].run, nest, single, 1).result(5) == 1
    assert_at_rest(single)


def test_Q8_reader_of_a_stream_may_call_at_limit_1(single, server):
    server.script(Reply(200, iter([b"a", b"b", b"c"])))

    def read():
        lengths = []
        with single.call(requests.get, server.url, stream=True) as stream:
            for part in stream.iter_content(1):
                assert single.call(requests.get, server.url).status_code == 200
                lengths.append(len(part))
        return sum(lengths)

    assert caller(read).result(10) == 3
    assert_at_rest(single)


def test_Q8_reader_of_an_iterator_may_call_at_limit_1(single):
    def numbers():
        for number in range(3):
            yield single.call(abs, -number)

    def read():
        return [single.call(abs, number) for number in single.call(numbers)]

    assert caller(read).result(5) == [0, 1, 2]
    assert_at_rest(single)


def test_Q8_reader_of_an_async_generator_may_call_at_limit_1(single):
    async def number(value):
        return value

    async def numbers():
        for value in range(3):
            yield await single.acall(number, value)

    async def read():
        return [await single.acall(number, item) async for item in single._queued(numbers)()]

    assert caller(asyncio.run, asyncio.wait_for(read(), 5)).result(10) == [0, 1, 2]
    assert_at_rest(single)


def test_Q8_async_nested_calls_at_limit_1(single):
    async def nested(depth):
        if depth == 0:
            return single.current_requests
        return await single.acall(nested, depth - 1)

    assert caller(asyncio.run, single.acall(nested, 3)).result(5) == 1
    assert_at_rest(single)


def test_Q8_gather_within_a_request_at_limit_1(single):
    async def one(number):
        await asyncio.sleep(0)
        return number

    async def handler():
        return await asyncio.gather(*[single.acall(one, n) for n in range(5)])

    assert caller(asyncio.run, single.acall(handler)).result(5) == [0, 1, 2, 3, 4]
    assert_at_rest(single)


def test_Q8_to_thread_within_a_request_at_limit_1(single):
    async def handler():
        return await asyncio.to_thread(single.call, len, "abc")

    assert caller(asyncio.run, single.acall(handler)).result(5) == 3
    assert_at_rest(single)


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("failures", [(1, 1), (1, 2, 1), (3, 0, 2)])
def test_Q8_requests_beside_one_another_within_one_may_all_back_off(api, limit, failures):
    api.max_concurrent_requests = limit

    async def one(flaky):
        return flaky()

    async def handler():
        return await asyncio.gather(*[api.acall(one, Flaky(*[Answer(503)] * n)) for n in failures])

    async def in_threads():
        flaky = [Flaky(*[Answer(503)] * n) for n in failures]
        return await asyncio.gather(*[asyncio.to_thread(api.call, one) for one in flaky])

    for method in (handler, in_threads):
        assert caller(asyncio.run, api.acall(method)).result(15) == ["done"] * len(failures)
        assert_at_rest(api)


def test_Q8_one_that_begins_while_another_of_its_request_backs_off(single):
    ran = []
    single.initial_retry_delay = 0.3  # for a busy machine to see that it backs off

    async def one(flaky):
        return flaky()

    async def handler():
        slow = asyncio.create_task(single.acall(one, Flaky(Answer(503))))
        while single.current_requests and not slow.done():
            await asyncio.sleep(0)
        others = [single.submit(ran.append, n) for n in range(3)]
        assert await single.acall(one, Flaky(Answer(503))) == await slow == "done"
        return others

    for other in caller(asyncio.run, single.acall(handler)).result(15):
        other.result(5)
    assert ran == [0, 1, 2]
    assert_at_rest(single)


def test_Q8_a_task_that_backs_off_beyond_the_end_of_its_request_gives_the_slot_back(single):
    single.initial_retry_delay = 0.3

    async def one(flaky):
        return flaky()

    async def handler():
        task = asyncio.create_task(single.acall(one, Flaky(Answer(503), Answer(503))))
        while single.current_requests and not task.done():
            await asyncio.sleep(0)
        return task

    async def main():
        return await (await single.acall(handler))

    assert caller(asyncio.run, main()).result(15) == "done"
    assert_at_rest(single)


def test_Q8_a_thread_that_backs_off_beyond_the_end_of_its_request_gives_the_slot_back(single):
    started = []

    def handler():
        context = contextvars.copy_context()
        started.append(caller(context.run, single.call, Flaky(Answer(503), Answer(503))))
        until(lambda: len(single.request_queue) == 1)

    single.submit(handler).result(5)
    assert started[0].result(5) == "done"
    assert_at_rest(single)


def test_Q8_what_an_attempt_left_running_holds_no_slot_while_its_request_backs_off(single):
    contexts = []

    def handler():
        contexts.append(contextvars.copy_context())
        return Answer(503)

    single.initial_retry_delay = 30
    single.submit(handler)
    until(lambda: len(single.request_queue) == 1)
    assert caller(contexts[0].run, single.call, len, "abc").result(5) == 3
    assert single.current_requests == 0


def test_Q8_a_request_may_wait_for_what_it_submits(single):
    def outer():
        futures = [single.submit(abs, -number) for number in range(3)]
        return (
            [future.result(5) for future in futures],
            single.call(len, "abc"),
            single.submit(abs, -3).result(5),
        )

    assert single.call(outer) == ([0, 1, 2], 3, 3)
    assert single.submit(outer).result(5) == ([0, 1, 2], 3, 3)
    assert_at_rest(single)


def test_Q8_a_request_that_submits_others_is_retried_under_a_slot_again(single):
    outcomes = [Answer(503), "done"]

    def outer():
        nested = single.call(len, "abc"), single.current_requests
        assert single.submit(abs, -2).result(5) == 2
        return outcomes.pop(0) if nested == (3, 1) else nested

    assert caller(single.call, outer).result(15) == "done"
    assert_at_rest(single)


def test_Q8_methods_that_submit_one_another_leave_no_chain_of_slots_behind(single):
    slots, left = [], Future()

    class Poller(Api):
        def poll(self, more):
            slots.append(weakref.ref(self.call(slot_in_hand, RequestEngine.of(self).gate)))
            if more:
                self.submit(self.poll, more - 1)
            else:  # those before may still be on their way out; a chain would stay for as long as this one runs
                until(lambda: gc.collect() >= 0 and sum(slot() is not None for slot in slots) < 10, 10)
                left.set_result(True)

    poller = Poller(max_concurrent_requests=1)
    poller.submit(poller.poll, 50)
    assert left.result(15)


def test_Q8_requests_that_all_wait_for_what_they_submit(api):
    def outer(number):
        return api.submit(abs, -number).result(5)

    assert [future.result(5) for future in [api.submit(outer, n) for n in range(20)]] == list(range(20))
    assert_at_rest(api)


def test_Q8_nested_call_while_others_wait_overtakes_them_as_part_of_its_request(single):
    ran, inside = [], threading.Event()

    def outer():
        inside.set()
        until(lambda: len(single.request_queue) == 2)
        single.call(ran.append, "nested")
        ran.append("outer")

    first = caller(single.call, outer)
    assert inside.wait(5)
    others = [single.submit(ran.append, n) for n in range(2)]
    first.result(5)
    for other in others:
        other.result(5)
    assert ran == ["nested", "outer", 0, 1]


def test_Q8_two_backends_that_call_each_other_at_limit_one(api):
    other = Api(max_concurrent_requests=1)
    api.max_concurrent_requests = 1
    assert api.call(lambda: other.call(lambda: api.call(len, "abc"))) == 3

    async def innermost():
        return 3

    async def inner():
        return await api.acall(innermost)

    async def outer():
        return await other.acall(inner)

    assert asyncio.run(asyncio.wait_for(api.acall(outer), 5)) == 3
    assert api.call(lambda: asyncio.run(asyncio.wait_for(other.acall(inner), 5))) == 3
    assert (api.current_requests, other.current_requests) == (0, 0)


def test_Q8_the_reader_of_a_queued_stream_may_call_the_backend(single):
    gated = Gated()
    running = caller(single.call, gated)
    until(lambda: gated.now == 1)

    def read():
        return [single.call(len, "abc") for _ in single.call(lambda: (number for number in range(2)))]

    reading = caller(read)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    running.result(5)
    assert reading.result(5) == [3, 3]
    assert_at_rest(single)
