"""Q11: any place to call from: frozen clocks, gevent patched in any way, trio, curio, isolated sub-interpreters."""

from __future__ import annotations

import sys
import textwrap

import pytest

from backend_retrofit_runtime import clocks
from test.runtime.conftest import Answer, Api, Flaky, assert_at_rest
from test.runtime.processes import run_python

# Frozen clocks.


def test_Q11_a_backoff_ends_where_the_clock_is_frozen(api):
    freezegun = pytest.importorskip("freezegun")
    api.initial_retry_delay = 0.05
    with freezegun.freeze_time("2024-01-01"):
        assert api.call(Flaky(Answer(503))) == "done"
        assert api.submit(Flaky(Answer(503))).result(10) == "done"
    assert_at_rest(api)


def test_Q11_a_hold_does_not_outlive_a_frozen_clock(api):
    freezegun = pytest.importorskip("freezegun")
    api.max_retries = 0
    with freezegun.freeze_time("2099-01-01"):
        api.call(Flaky(Answer(429, {"Retry-After": "0.1"})))
    assert api.submit(len, "abc").result(10) == 3


def test_Q11_queue_timeout_is_measured_in_real_time_where_the_clock_is_frozen(api):
    freezegun = pytest.importorskip("freezegun")
    api.max_concurrent_requests, api.queue_timeout = 0, 0.05
    with freezegun.freeze_time("2024-01-01"):
        with pytest.raises(RuntimeError, match="queue_timeout"):
            api.call(len, "abc")


def test_Q11_imported_while_the_clock_is_frozen():
    pytest.importorskip("freezegun")
    script = """
        from freezegun import freeze_time
        with freeze_time("2024-01-01"):
            from test.runtime.api import *
            api = Api(initial_retry_delay=0.05)
            print(api.call(Flaky(Answer(503))))
        print(api.call(Flaky(Answer(503))))
    """
    assert run_python(textwrap.dedent(script)) == "done\ndone\n"


def test_Q11_time_machine_moves_neither_clock():
    time_machine = pytest.importorskip("time_machine")
    before, wall = clocks.monotonic(), clocks.wall_clock()
    with time_machine.travel("1999-01-01", tick=False):
        assert 0 <= clocks.monotonic() - before < 60
        assert 0 <= clocks.wall_clock() - wall < 60
        api = Api(initial_retry_delay=0.02)
        assert api.call(Flaky(Answer(503))) == "done"


# gevent.

GREENLETS = textwrap.dedent("""
    import sys
    way = sys.argv[1]
    if way == "early":
        from gevent import monkey
        monkey.patch_all()
    import logging
    logging.disable()
    from test.runtime.api import *
    api = Api(max_concurrent_requests=2, initial_retry_delay=0.02)
    if way in ("late", "after a call"):
        if way == "after a call":
            api.call(len, "abc")
            api.submit(len, "abc").result(10)
        from gevent import monkey
        monkey.patch_all()
    elif way == "thread=False":
        from gevent import monkey
        monkey.patch_all(thread=False)
    import gevent
    now = most = 0
    def one(number):
        global now, most
        now += 1
        most = max(most, now)
        gevent.sleep(0.005)
        now -= 1
        return number
    ticks = []
    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.001)
    class Noting(Flaky):
        ticks = ()
        def __call__(self):
            self.ticks += (len(ticks),)
            return super().__call__()
    with gevent.Timeout(20):
        ticking = gevent.spawn(tick)
        jobs = [gevent.spawn(api.call, one, n) for n in range(12)]
        assert [job.get() for job in jobs] == list(range(12))
        flaky = [gevent.spawn(api.call, Flaky(Answer(503))) for _ in range(4)]
        assert [job.get() for job in flaky] == ["done"] * 4
        held = Noting(Answer(429, {"Retry-After": "0.1"}))
        holding = gevent.spawn(api.call, held)
        gevent.sleep(0.01)
        others = [gevent.spawn(api.call, len, "abc") for _ in range(3)]
        assert [job.get() for job in others] == [3, 3, 3] and holding.get() == "done"
        first, second = held.ticks
        assert second > first, "the other greenlets stood still"
        futures = [api.submit(len, "abc") for _ in range(5)]
        while not all(future.done() for future in futures):
            gevent.sleep(0.001)
        ticking.kill()
    print("most at once", most)
""")


@pytest.mark.parametrize("way", ["early", "late", "after a call", "thread=False", "not at all"])
def test_Q11_greenlets_keep_the_limit_and_stop_nobody(way):
    pytest.importorskip("gevent")
    assert run_python(GREENLETS, way) == "most at once 2\n"


def test_Q11_a_thread_from_before_the_patch_ends_after_the_greenlets_that_it_has_started():
    pytest.importorskip("gevent")
    assert (
        run_python("""
import _thread
from test.runtime.api import *
from backend_retrofit_runtime import workers
workers._IDLE_SECONDS = 0.05
api = Api(max_concurrent_requests=1)
may_end = _thread.allocate_lock()
may_end.acquire()
first = api.submit(may_end.acquire)
while not first.running():
    pass
from gevent import monkey
monkey.patch_all()
import gevent
second = api.submit(gevent.sleep, 0.5)  # the first one's thread starts a worker for it
may_end.release()
with gevent.Timeout(20):
    while not (first.done() and second.done()):
        gevent.sleep(0.01)
print(first.result(), second.result())
""")
        == "True None\n"
    )


# A class of a script is sent to other processes as its code: by joblib, Dask, Spark, Ray.

SENDS = """
import pathlib, sys
import cloudpickle
from backend_retrofit_runtime import RequestEngine
class Client:
    max_concurrent_requests = RequestEngine.setting(3)
    queue_full = queue_timeout = RequestEngine.setting()
    request_queue, current_requests = RequestEngine.views()
    submit, map, priority, queue_stats = RequestEngine.methods()
    __enter__, __exit__, close = RequestEngine.context()
    _queued = RequestEngine.entry_point()
    max_retries = RequestEngine.setting(2)
    initial_retry_delay = RequestEngine.setting(0)
    api_key = RequestEngine.api_key("SENT_KEY", missing="")
    def __init__(self):
        self.api_key = None
    def get(self, call):
        return self._queued(call)()
client = Client()
client.queue_timeout = 7
pathlib.Path(sys.argv[1]).write_bytes(cloudpickle.dumps(client))
"""
RECEIVES = """
import pathlib, pickle, sys
from test.runtime.api import *
client = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
flaky = Flaky(*[Answer(503)] * 5)
print(client.get(flaky).status_code, flaky.calls, client.max_concurrent_requests, client.queue_timeout, client.queue_full)
with client as entered:
    print(entered is client, client.submit(len, "abc").result(10), client.current_requests, client.queue_stats()["retried"])
try:
    client.get(flaky)
except RequestEngine.QueueClosed:
    print("closed")
try:
    client.max_retries = -1
except ValueError as error:
    print(error)
"""


def test_Q10_a_class_that_is_sent_as_its_code_is_the_same_elsewhere(tmp_path):
    pytest.importorskip("cloudpickle")
    file = str(tmp_path / "client.pickle")
    run_python(SENDS, file)
    assert run_python(RECEIVES, file).splitlines() == [
        "503 3 3 7 raise",
        "True 3 0 2",
        "closed",
        "max_retries must be a whole number, 0 or more, not -1",
    ]


# trio and curio.


def test_Q11_trio_waits_and_backs_off_by_its_own_means(api):
    trio = pytest.importorskip("trio")
    api.max_concurrent_requests, api.initial_retry_delay = 2, 0.01
    now = most = 0
    got = []

    async def one(number):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await trio.sleep(0.002)
        now -= 1
        return number

    async def flaking(flaky):
        return flaky()

    async def keep(call, argument):
        got.append(await api.acall(call, argument))

    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(keep, one, number)
                for _ in range(3):
                    nursery.start_soon(keep, flaking, Flaky(Answer(503)))

    trio.run(main)
    assert sorted(map(str, got)) == sorted([*map(str, range(12)), *["done"] * 3])
    assert most <= 2
    assert_at_rest(api)


def test_Q11_trio_cancels_a_wait_and_heeds_queue_timeout(api):
    trio = pytest.importorskip("trio")
    api.max_concurrent_requests = 1

    async def never():
        raise AssertionError("it never runs")

    async def holds(started):
        started.set()
        await trio.sleep_forever()

    async def main():
        async with trio.open_nursery() as nursery:
            started = trio.Event()
            nursery.start_soon(api.acall, holds, started)
            await started.wait()
            with trio.move_on_after(0.02):
                await api.acall(never)
            assert len(api.request_queue) == 0
            api.queue_timeout = 0.02
            with pytest.raises(RuntimeError, match="queue_timeout"):
                await api.acall(never)
            nursery.cancel_scope.cancel()

    trio.run(main)
    api.queue_timeout = None
    assert_at_rest(api)


def test_Q11_threads_asyncio_and_trio_share_one_line(api):
    trio = pytest.importorskip("trio")
    api.max_concurrent_requests = 1

    async def main():
        async def call():
            await trio.sleep(0)
            return await trio.to_thread.run_sync(api.call, len, "abc")

        return [await api.acall(call) for _ in range(3)]

    assert trio.run(main) == [3, 3, 3]
    assert_at_rest(api)


def test_Q11_curio_works_below_the_limit_and_is_told_where_it_cannot_wait(api):
    curio = pytest.importorskip("curio")
    api.max_concurrent_requests = 1

    async def number():
        await curio.sleep(0)
        return 7

    async def main():
        assert await api.acall(number) == 7
        api.max_concurrent_requests = 0
        with pytest.raises(RuntimeError, match=r"asyncio or trio only.*curio"):
            await api.acall(number)

    curio.run(main)
    api.max_concurrent_requests = 1
    assert_at_rest(api)


@pytest.mark.skipif(
    sys.version_info < (3, 13), reason="Python 3.12 itself ends with an error where SimpleQueue waits in one"
)
def test_Q11_an_isolated_sub_interpreter():
    inside = textwrap.dedent("""
        import sys
        sys.path[:0] = PATH
        from backend_retrofit_runtime import RequestEngine
        class Api:
            max_concurrent_requests = RequestEngine.setting(1)
            max_retries = RequestEngine.setting(5)
            initial_retry_delay = RequestEngine.setting(0.01)
            _queued = RequestEngine.entry_point()
        class Answer:
            status_code = 503
        answers = [Answer(), "done"]
        api = Api()
        assert api._queued(lambda: answers.pop(0))() == "done"
        assert RequestEngine.of(api).submit(len, "abc").result(10) == 3
        RequestEngine.of(api).close()
    """)
    script = textwrap.dedent("""
        import sys
        import _interpreters as interpreters
        interpreter = interpreters.create()
        script = sys.argv[1].replace("PATH", repr(sys.path))
        print(interpreters.run_string(interpreter, script))
        interpreters.destroy(interpreter)
    """)
    assert run_python(script, inside) == "None\n"
