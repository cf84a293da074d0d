"""Q14: the instance says why its requests wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from test.runtime.conftest import Answer, Api, Flaky, Gated, until


class Shop(Api):
    def order(self, function, *args):
        return self._queued(function)(*args)

    async def aorder(self, function, *args):
        return await self._queued(function)(*args)


@pytest.fixture
def shop():
    with_slots = Shop(max_concurrent_requests=1, retry_jitter=0)
    yield with_slots
    with_slots.close()


def in_thread(function, *args):
    def call():
        with contextlib.suppress(RuntimeError):  # closed
            function(*args)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_Q14_an_item_that_waits_for_a_slot(shop):
    gated = Gated()
    threads = [in_thread(shop.order, gated, n) for n in range(2)]
    until(lambda: len(shop.request_queue) == 1)
    future = shop.submit(gated, 2)
    first, second = shop.request_queue
    gated.end(3)
    for thread in threads:
        thread.join(10)
    future.result(10)
    assert (first["method"], first["state"], first["attempt"]) == ("order", "waiting for a slot", 1)
    assert second["state"] == "waiting for a slot"
    assert first["seconds"] >= 0


def test_Q14_an_item_that_backs_off(shop):
    shop.initial_retry_delay = 50
    in_thread(shop.order, Flaky(Answer(503)))
    until(lambda: len(shop.request_queue) == 1)
    (item,) = shop.request_queue
    assert (item["method"], item["state"], item["attempt"]) == ("order", "backing off", 2)
    assert 0 < item["seconds"] <= 50
    stats = shop.queue_stats()
    assert (stats["backing_off"], stats["hold_seconds"], stats["held_by"]) == (1, 0, "")


def test_Q14_a_hold_says_how_long_it_lasts_and_who_asked(shop):
    in_thread(shop.order, Flaky(Answer(429, {"Retry-After": "90"})))
    until(lambda: shop.queue_stats()["hold_seconds"])
    stats = shop.queue_stats()
    assert 0 < stats["hold_seconds"] <= 90
    assert stats["held_by"] == "order: Retry-After"


def test_Q14_of_a_task(shop):
    shop.initial_retry_delay = 50
    calls = []

    async def fails():
        calls.append(1)
        return Answer(503)

    async def main():
        task = asyncio.ensure_future(shop.aorder(fails))
        while not shop.request_queue:
            await asyncio.sleep(0)
        (item,) = shop.request_queue
        task.cancel()
        return item

    item = asyncio.run(asyncio.wait_for(main(), 20))
    assert (item["method"], item["state"], item["attempt"]) == ("aorder", "backing off", 2)
