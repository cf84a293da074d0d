"""Q4, Q5: more callers than the queue has room for; `map` over many items."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading

import pytest

from backend_retrofit_runtime import RequestEngine
from test.loopback import Reply
from test.runtime.conftest import Api, Flaky, assert_at_rest, caller, until

# Q4: a full queue.


@pytest.mark.parametrize("wide", [{"queue_full": "wait"}, {"queue_size": None}])
def test_Q4_two_hundred_threads_are_all_answered(server, wide):
    import requests

    server.app = lambda request: Reply(200, b"{}")
    api = Api(**wide)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=10))
    callers = [caller(api.call, session.get, server.url) for _ in range(200)]
    assert {one.result(60).status_code for one in callers} == {200}
    assert server.most_in_flight <= 5
    assert_at_rest(api)
    session.close()


@pytest.mark.parametrize("wide", [{"queue_full": "wait"}, {"queue_size": None}])
def test_Q4_a_gather_of_a_thousand_is_answered_and_the_loop_goes_on(wide):
    api = Api(**wide)
    now = most = 0

    async def one(number):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return number

    async def go():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.ensure_future(tick())
        got = await asyncio.gather(*(api.acall(one, n) for n in range(1000)))
        ticking.cancel()
        return got, ticks

    got, ticks = asyncio.run(go())
    assert got == list(range(1000))
    assert most == 5
    assert ticks > 100
    assert_at_rest(api)


def test_Q4_they_wait_in_order_and_none_is_refused(api, gated):
    api.max_concurrent_requests, api.queue_size, api.queue_full = 1, 2, "wait"
    callers = [caller(api.call, gated, 0)]
    until(lambda: gated.now == 1)
    for number in range(1, 10):
        callers.append(caller(api.call, gated, number))
        until(lambda: len(api.request_queue) == len(callers) - 1)
    gated.end(10)
    assert [one.result(5) for one in callers] == list(range(10))
    assert gated.ran == list(range(10))
    assert api.queue_stats()["refused"] == 0


def test_Q4_the_error_names_the_setting(api, gated):
    api.max_concurrent_requests, api.queue_size = 1, 0
    caller(api.call, gated)
    until(lambda: gated.now == 1)
    with pytest.raises(RequestEngine.RequestQueueFull, match='queue_full = "wait"'):
        api.call(len, "abc")


def test_Q4_back_to_raise_on_a_live_instance(api, gated):
    api.max_concurrent_requests, api.queue_size, api.queue_full = 1, 1, "wait"
    callers = [caller(api.call, gated) for _ in range(4)]
    until(lambda: len(api.request_queue) == 3)
    api.queue_full = "raise"
    with pytest.raises(RequestEngine.RequestQueueFull):
        api.call(len, "abc")
    gated.end(4)
    for one in callers:
        one.result(5)


@pytest.mark.parametrize("value", ["block", None, True, 1])
def test_Q4_other_words_are_refused_by_name(api, value):
    with pytest.raises(ValueError, match='queue_full must be "raise" or "wait"'):
        api.queue_full = value


# Q5: map.


def test_Q5_map_yields_the_results_in_the_order_of_the_items(api):
    first_may_end = threading.Event()

    def one(number):
        if number == 0:
            assert first_may_end.wait(10)
        elif number == 3:
            first_may_end.set()
        return number * 2

    assert list(api.map(one, range(50))) == [number * 2 for number in range(50)]
    assert_at_rest(api)


def test_Q5_map_keeps_the_limit_and_reaches_it(api, gated):
    results = caller(lambda: list(api.map(gated, range(20))))
    until(lambda: gated.now == 5)
    gated.end(20)
    assert results.result(10) == list(range(20))
    assert gated.most == 5


def test_Q5_map_takes_items_without_end_as_it_needs_them(api):
    taken = itertools.count()
    results = api.map(abs, taken)
    assert list(itertools.islice(results, 100)) == list(range(100))
    assert next(taken) < 100 + 3 * api.max_concurrent_requests
    results.close()
    assert_at_rest(api)


def test_Q5_map_leaves_room_in_the_queue_for_others(api, gated):
    results = caller(lambda: list(api.map(gated, range(500))))
    until(lambda: gated.now == 5)
    assert len(api.request_queue) <= 10
    gated.end(500)
    assert results.result(30) == list(range(500))


@pytest.mark.parametrize("size", [0, 1, 3])
def test_Q5_map_fits_any_queue(api, size):
    api.max_concurrent_requests, api.queue_size = 2, size
    assert list(api.map(abs, range(40))) == list(range(40))
    assert_at_rest(api)


def test_Q5_map_waits_where_others_have_filled_the_queue(api, gated):
    api.max_concurrent_requests, api.queue_size = 1, 2
    others = [caller(api.call, gated, "other") for _ in range(3)]
    until(lambda: len(api.request_queue) == 2)
    results = caller(lambda: list(api.map(abs, range(5))))
    until(lambda: len(api.request_queue) == 3)
    gated.end(3)
    assert results.result(10) == list(range(5))
    for other in others:
        other.result(5)
    assert_at_rest(api)


def test_Q5_map_stops_what_is_left_at_the_first_error(api):
    api.max_concurrent_requests = 1
    ran = []

    def one(number):
        ran.append(number)
        if number == 3:
            raise KeyError("three")
        return number

    results = api.map(one, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    assert_at_rest(api)
    assert len(ran) < 10


def test_Q5_map_stops_what_is_left_when_it_is_dropped(api, gated):
    api.max_concurrent_requests = 2
    results = api.map(gated, range(1000))
    gated.end(1)
    assert next(results) == 0
    until(lambda: gated.now == 2)
    del results
    gc.collect()
    gated.end(10)
    assert_at_rest(api)
    assert len(gated.ran) <= 4


def test_Q5_map_tells_its_progress_in_the_thread_that_iterates(api):
    told = []
    assert len(list(api.map(abs, range(9), progress=lambda n: told.append((n, threading.get_ident()))))) == 9
    assert told == [(1, threading.get_ident())] * 9


def test_Q5_the_bars_of_tqdm_and_rich_fit(api):
    tqdm = pytest.importorskip("tqdm")
    rich_progress = pytest.importorskip("rich.progress")
    with tqdm.tqdm(total=7, disable=False, file=open("/dev/null", "w")) as bar:
        list(api.map(abs, range(7), progress=bar.update))
        assert bar.n == 7
    with rich_progress.Progress(disable=True) as progress:
        task = progress.add_task("", total=7)
        list(api.map(abs, range(7), progress=lambda n: progress.update(task, advance=n)))
        assert progress.tasks[0].completed == 7


def test_Q5_what_progress_raises_comes_out_and_stops_what_is_left(api):
    def full(_):
        raise OSError("disk full")

    results = api.map(abs, range(1000), progress=full)
    with pytest.raises(OSError, match="disk full"):
        next(results)
    assert_at_rest(api)


def test_Q5_map_retries_each_request(api):
    from test.runtime.conftest import Answer

    api.initial_retry_delay = 0.001
    flaky = {n: Flaky(Answer(503), n) for n in range(6)}
    assert list(api.map(lambda n: flaky[n](), range(6))) == list(range(6))


def test_Q5_map_over_a_method_that_maps(api):
    class Nested(Api):
        def one(self, number):
            return self.call(abs, number)

        def many(self, count):
            return sum(self.map(self.one, range(count)))

    nested = Nested(max_concurrent_requests=2)
    assert caller(lambda: list(nested.map(nested.many, [5] * 8))).result(20) == [10] * 8
    assert_at_rest(nested)
