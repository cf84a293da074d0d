"""What is off or harmless by default: priorities, counts, the retry budget, the circuit breaker."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from backend_retrofit_runtime import CircuitOpen, RequestEngine
from backend_retrofit_runtime.failures import Failure
from backend_retrofit_runtime.health import Health
from test.runtime.conftest import Answer, Api, Flaky, Gated, until


def start(api, function, *args, level="normal"):
    """Make a request in a thread of its own, and return when it runs or waits."""

    def call():
        with api.priority(level):
            api.call(function, *args)

    before = api.current_requests + len(api.request_queue)
    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: api.current_requests + len(api.request_queue) > before)
    return thread


def test_priority_orders_the_line_and_is_fifo_within_each(api):
    api.max_concurrent_requests = 1
    gated = Gated()
    levels = {0: "normal", 1: "low", 2: "normal", 3: "high", 4: "low", 5: "high", 6: 7, 7: -9}
    threads = [start(api, gated, number, level=level) for number, level in levels.items()]
    gated.end(len(levels))
    for thread in threads:
        thread.join(5)
    assert gated.ran == [0, 7, 3, 5, 2, 1, 4, 6]


def test_priority_is_kept_while_a_request_backs_off(api):
    api.max_concurrent_requests = 1
    order = []
    flaky = Flaky(Answer(503))

    def first():
        order.append("high")
        return flaky()

    def call():
        with api.priority("high"):
            api.call(first)

    gated = Gated()
    holder = start(api, gated, 0)
    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: len(api.request_queue) == 1)
    others = [start(api, lambda n=n: order.append(n)) for n in range(3)]
    api.initial_retry_delay = 0
    gated.end()
    for waiting in (holder, thread, *others):
        waiting.join(5)
    assert order == ["high", "high", 0, 1, 2]


def test_priority_is_of_one_instance_and_of_one_block(api):
    api.max_concurrent_requests = 1
    gated, other = Gated(), Api()
    first = start(api, gated, 0)
    second = start(api, gated, 1)
    with api.priority("high"), other.priority("low"):
        third = api.submit(gated, 2)
    fourth = api.submit(gated, 3)
    gated.end(4)
    for thread in (first, second):
        thread.join(5)
    assert [third.result(5), fourth.result(5)] == [2, 3]
    assert gated.ran == [0, 2, 1, 3]


def test_priority_that_does_not_exist_is_refused_by_name(api):
    with pytest.raises(ValueError, match="high, normal, low"), api.priority("urgent"):
        pass


def test_priority_holds_for_tasks_too(api):
    api.max_concurrent_requests = 1
    order = []

    async def request(number):
        order.append(number)
        await asyncio.sleep(0)

    async def call(number, level):
        with api.priority(level):
            await api.acall(request, number)

    async def main():
        await asyncio.wait_for(
            asyncio.gather(*(call(n, level) for n, level in enumerate(["low", "low", "high"]))), 5
        )

    asyncio.run(main())
    assert order == [0, 2, 1]


def test_stats_do_not_count_a_slot_that_was_left_to_the_collector(api):
    slot = RequestEngine.of(api).gate.new_slot()
    assert slot.gate.enter(slot)
    assert api.queue_stats()["in_flight"] == 1
    slot.abandon()
    assert api.queue_stats()["in_flight"] == 0


def test_stats_count_what_happened(api):
    gated = Gated()
    api.max_concurrent_requests, api.queue_size, api.max_retries = 1, 1, 2
    running = start(api, gated)
    waiting = start(api, gated)
    with pytest.raises(RuntimeError, match="full"):
        api.call(gated)
    now = api.queue_stats()
    assert (now["requests"], now["sent"], now["waiting"], now["in_flight"], now["refused"]) == (2, 1, 1, 1, 1)
    gated.end(2)
    running.join(5)
    waiting.join(5)
    assert api.call(Flaky(Answer(503), "done")) == "done"
    assert api.call(Flaky(*[Answer(503)] * 9)).status_code == 503
    assert api.call(Flaky(Answer(404))).status_code == 404
    stats = api.queue_stats()
    assert stats["requests"] == 5
    assert stats["sent"] == 2 + 2 + 3 + 1
    assert stats["retried"] == 3
    assert stats["failed"] == 2
    assert (stats["waiting"], stats["in_flight"]) == (0, 0)
    assert stats["waited_seconds"] > 0
    assert stats["backoff_seconds"] >= 0.01 + 0.01 + 0.02


def test_stats_count_requests_inside_requests_and_their_retries(api):
    inner = Flaky(Answer(503), "inner")
    assert api.call(lambda: api.call(inner)) == "inner"

    async def outer():
        return await api.acall(request)

    async def request():
        return "inner"

    assert asyncio.run(api.acall(outer)) == "inner"
    stats = api.queue_stats()
    assert (stats["requests"], stats["sent"], stats["retried"], stats["failed"]) == (4, 5, 1, 0)


class Shop(Api):
    """A backend whose methods each make a request, or two."""

    def one(self, function):
        return self.call(function)

    def two(self, first, second):
        return self.call(first), self.call(second)


def raising(*names):
    """Return a function that raises ConnectionRefusedErrors, then returns."""
    errors = list(names)

    def function():
        if errors:
            raise ConnectionRefusedError(errors.pop())
        return "done"

    return function


def test_stats_count_a_submitted_method_by_the_requests_that_it_makes(delays):
    api = Shop(max_retries=1, max_concurrent_requests=1)
    futures = [api.submit(api.one, raising()), api.submit(api.two, raising(), raising("lost"))]
    assert [future.result(5) for future in futures] == ["done", ("done", "done")]
    with pytest.raises(ConnectionError):
        api.submit(api.one, raising("lost", "lost")).result(5)
    stats = api.queue_stats()
    assert (stats["requests"], stats["sent"], stats["retried"], stats["failed"]) == (4, 6, 2, 1)
    api.close()


def test_breaker_counts_a_submitted_method_by_its_requests_and_lets_one_through_after_its_pause():
    api = Shop(max_retries=0, circuit_breaker=2, max_retry_delay=0.05)
    with pytest.raises(ConnectionError):
        api.submit(api.one, raising("lost")).result(5)
    with pytest.raises(ConnectionError):
        api.submit(api.one, raising("lost")).result(5)
    with pytest.raises(CircuitOpen):
        api.submit(api.one, raising()).result(5)
    time.sleep(0.06)
    assert api.submit(api.one, raising()).result(5) == "done"
    api.close()


def test_stats_do_not_count_a_request_that_was_cancelled_while_it_waited(api):
    api.max_concurrent_requests = 1
    gated = Gated()
    running = start(api, gated)
    future = api.submit(gated)
    assert future.cancel()
    gated.end()
    running.join(5)
    stats = api.queue_stats()
    assert (stats["requests"], stats["sent"], stats["waiting"]) == (2, 1, 0)


def test_budget_ends_the_retries_when_nearly_everything_fails(api, caplog):
    api.retry_budget = 8
    api.initial_retry_delay = 0
    flaky = Flaky(*[Answer(503)] * 100)
    for _ in range(10):
        api.call(flaky)
    assert flaky.calls == 10 + 8
    assert "the retry budget is spent" in caplog.text


def test_budget_comes_back_with_successes(api):
    api.retry_budget = 1
    api.initial_retry_delay = 0
    assert api.call(Flaky(Answer(503), "done")) == "done"
    assert api.call(Flaky(Answer(503), "done")).status_code == 503
    for _ in range(10):
        api.call(len, "abc")
    assert api.call(Flaky(Answer(503), "done")) == "done"


def test_breaker_opens_after_failures_in_a_row_and_leaves_the_api_alone(api):
    api.circuit_breaker, api.max_retries, api.max_retry_delay = 3, 0, 60
    flaky = Flaky(*[Answer(503)] * 100)
    for _ in range(3):
        assert api.call(flaky).status_code == 503
    with pytest.raises(CircuitOpen, match="last 3 attempts failed"):
        api.call(flaky)
    assert flaky.calls == 3
    assert api.current_requests == 0


def test_breaker_lets_one_attempt_through_after_its_pause_and_closes_when_it_succeeds():
    health = Health()
    health.configure(None, 1, 0.02)
    health.note(Failure("HTTP 503", True))
    with pytest.raises(CircuitOpen):
        health.check()
    until(lambda: time.monotonic() >= health.open_until)
    health.check()
    with pytest.raises(CircuitOpen):
        health.check()
    health.note(None)
    health.check()


def test_breaker_stops_the_retries_of_a_request_that_opened_it(api, caplog):
    api.circuit_breaker = 2
    flaky = Flaky(*[Answer(503)] * 100)
    api.max_retry_delay = 60
    assert api.call(flaky).status_code == 503
    assert flaky.calls == 2
    assert "the circuit breaker is open" in caplog.text


def test_breaker_and_budget_ignore_what_is_the_requests_own_fault(api):
    api.circuit_breaker, api.retry_budget = 1, 1
    for _ in range(5):
        assert api.call(Flaky(Answer(404))).status_code == 404
    assert api.call(len, "abc") == 3


def test_breaker_holds_for_tasks_too(api):
    api.circuit_breaker, api.max_retries = 1, 0

    async def request():
        return Answer(503)

    async def main():
        assert (await api.acall(request)).status_code == 503
        with pytest.raises(CircuitOpen):
            await api.acall(request)

    asyncio.run(asyncio.wait_for(main(), 5))
    assert api.current_requests == 0


def test_budget_hears_of_the_successes_of_tasks(api):
    api.retry_budget, api.initial_retry_delay = 1, 0
    assert api.call(Flaky(Answer(503), "done")) == "done"

    async def request():
        return "done"

    async def main():
        for _ in range(10):
            assert await api.acall(request) == "done"

    asyncio.run(asyncio.wait_for(main(), 5))
    assert api.call(Flaky(Answer(503), "done")) == "done"


def test_listeners_hear_of_each_retry_and_of_giving_up_and_cannot_disturb(api):
    heard = []

    def broken(event):
        raise SystemError("a listener's own business")

    RequestEngine.listeners += [broken, heard.append]
    try:
        api.max_retries = 1
        api.call(Flaky(Answer(503), Answer(500)))
    finally:
        RequestEngine.listeners.clear()
    assert [(event["event"], event["status"], event["retries"], event["delay"]) for event in heard] == [
        ("retry", 503, 1, 0.01),
        ("gave up", 500, 1, None),
    ]
    assert {(event["backend"], event["method"], event["request"]) for event in heard} == {("Api", "call", 1)}


def test_stats_count_no_attempt_that_the_breaker_refused():
    api = Api(max_retries=0, circuit_breaker=2, max_retry_delay=60)
    call = Flaky(*[ConnectionRefusedError() for _ in range(5)])
    for _ in range(5):
        with pytest.raises((ConnectionRefusedError, CircuitOpen)):
            api.call(call)
    assert call.calls == api.queue_stats()["sent"] == 2
    assert api.queue_stats()["requests"] == 5
