"""Q9: whoever gives up while waiting is taken out of the line, never run later, and no slot is lost."""

from __future__ import annotations

import asyncio
import gc
import signal
import textwrap
import threading
import weakref
from concurrent.futures import wait
from queue import SimpleQueue

import pytest

from backend_retrofit_runtime import RequestEngine, RequestTimeout, calls, workers
from backend_retrofit_runtime import request as request_module
from backend_retrofit_runtime.gate import Gate
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, until
from test.runtime.processes import run_python


def test_Q9_timeouts_are_off_by_default():
    assert Api.queue_timeout is Api.total_timeout is None


@pytest.mark.parametrize("setting", ["queue_timeout", "total_timeout"])
def test_Q9_timeout_takes_it_out_of_the_line(busy, gated, setting):
    setattr(busy, setting, 0.05)
    with pytest.raises(TimeoutError, match=rf"longer than {setting} \(0.05 s\)") as caught:
        busy.call(gated, "late")
    assert isinstance(caught.value, RequestTimeout)
    assert isinstance(caught.value, RuntimeError)
    assert len(busy.request_queue) == 0
    setattr(busy, setting, None)
    gated.end()
    until(lambda: busy.current_requests == 0)
    assert gated.ran == ["first"]
    assert_at_rest(busy)


@pytest.mark.parametrize("setting", ["queue_timeout", "total_timeout"])
def test_Q9_timeout_in_async_takes_it_out_of_the_line(busy, gated, setting):
    setattr(busy, setting, 0.05)
    ran = []

    async def call():
        ran.append(1)

    with pytest.raises(RequestTimeout, match=setting):
        asyncio.run(busy.acall(call))
    setattr(busy, setting, None)
    gated.end()
    until(lambda: busy.current_requests == 0)
    assert not ran
    assert_at_rest(busy)


def test_Q9_queue_timeout_of_zero_does_not_wait(busy, gated):
    busy.queue_timeout = 0
    with pytest.raises(RequestTimeout):
        busy.call(gated)
    gated.end()
    until(lambda: busy.current_requests == 0)
    assert busy.call(len, "abc") == 3


def test_Q9_a_turn_that_comes_just_as_queue_timeout_ends_is_not_taken(busy, gated, monkeypatch):
    timed_out = calls.timed_out

    def end_the_first_then_say_so(engine, setting):
        gated.end()
        until(lambda: busy.current_requests == 0 or len(gated.ran) == 2)
        return timed_out(engine, setting)

    monkeypatch.setattr(calls, "timed_out", end_the_first_then_say_so)
    busy.queue_timeout = 0.05
    with pytest.raises(RequestTimeout):
        busy.call(gated, "late")
    assert gated.ran == ["first"]
    assert_at_rest(busy)


def test_Q9_what_was_withdrawn_is_let_go_also_behind_one_that_waits_on(busy, gated):
    waits_on = busy.submit(gated, "waits on")
    busy.queue_timeout = 0
    withdrawn = []
    for _ in range(50):
        call = Flaky()
        withdrawn.append(weakref.ref(call))
        with pytest.raises(RequestTimeout):
            busy.call(call)
    del call
    gc.collect()
    assert sum(call() is not None for call in withdrawn) < 25
    gated.end(2)
    assert waits_on.result(5) == "waits on"


def test_Q9_queue_timeout_does_not_end_a_request_that_runs(api, gated):
    api.max_concurrent_requests = 1
    running = caller(api.call, gated, "first")
    until(lambda: gated.now == 1)
    api.queue_timeout = 0.2
    queued = caller(api.call, gated, "second")
    until(lambda: len(api.request_queue) == 1)
    gated.end()
    running.result(5)
    until(lambda: gated.ran == ["first", "second"])
    threading.Event().wait(0.3)
    gated.end()
    assert queued.result(5) == "second"


def test_Q9_total_timeout_of_a_request_that_runs_in_the_background_discards_its_result(busy, gated):
    busy.queue_execution, busy.total_timeout = "background", 0.3
    queued = caller(busy.call, gated, "second")
    until(lambda: len(busy.request_queue) == 1)
    gated.end()
    until(lambda: gated.ran == ["first", "second"])
    assert isinstance(queued.exception(5), RequestTimeout)
    assert busy.current_requests == 1, "it runs still, and holds its slot"
    busy.total_timeout = None
    gated.end()
    assert_at_rest(busy)


def test_Q9_and_it_is_not_retried_afterwards(busy, gated):
    flaky = Flaky(Answer(503))

    def call():
        gated("second")
        return flaky()

    busy.queue_execution, busy.total_timeout = "background", 0.3
    queued = caller(busy.call, call)
    until(lambda: len(busy.request_queue) == 1)
    gated.end()
    until(lambda: gated.ran == ["first", "second"])
    assert isinstance(queued.exception(5), RequestTimeout)
    gated.end()
    busy.total_timeout = None
    assert_at_rest(busy)
    assert flaky.calls == 1


def test_Q9_total_timeout_while_backing_off_gives_the_place_up(api):
    """The delay fits into total_timeout, but a slot is not free in time."""
    api.max_concurrent_requests, api.initial_retry_delay, api.total_timeout = 1, 0.05, 0.4
    flaky = Flaky(Answer(503))
    returning = caller(api.call, flaky)
    until(lambda: len(api.request_queue) == 1)
    api.total_timeout = None
    gated = Gated()
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    assert isinstance(returning.exception(5), RequestTimeout)
    gated.end()
    running.result(5)
    assert_at_rest(api)
    assert flaky.calls == 1


def test_Q9_the_others_keep_their_order_when_one_leaves(busy, gated):
    futures = [busy.submit(gated, n) for n in range(5)]
    assert futures[0].cancel()
    assert futures[3].cancel()
    assert len(busy.request_queue) == 3
    gated.end(4)
    wait(futures, 5)
    assert gated.ran == ["first", 1, 2, 4]
    assert_at_rest(busy)


def test_Q9_all_leave(busy, gated):
    futures = [busy.submit(gated, n) for n in range(20)]
    assert all(future.cancel() for future in futures)
    gated.end()
    assert_at_rest(busy)
    assert gated.ran == ["first"]


def test_Q9_cancelled_after_the_grant_and_before_the_start(busy, gated):
    """The slot was handed over, the worker has not come yet: the slot goes on to the next."""
    gate = RequestEngine.of(busy).gate
    taken = []

    class Held:
        """Keeps what is put, as if no worker had come to take it."""

        def put(self, job):
            taken.append(job)

        def __getattr__(self, name):
            return getattr(jobs, name)

    first, second = busy.submit(gated, 1), busy.submit(gated, 2)
    jobs, gate.jobs = gate.jobs, Held()
    gated.end()
    until(lambda: len(taken) == 1)
    assert busy.current_requests == 1
    gate.jobs = jobs
    assert first.cancel()
    assert second in {job.future for job in gate.line()} or gated.ran == ["first", 2] or not second.done()
    jobs.put(taken[0])
    gated.end()
    assert second.result(5) == 2
    assert gated.ran == ["first", 2]
    assert_at_rest(busy)


def test_Q9_async_cancelled_while_waiting(busy, gated):
    async def go():
        ran = []

        async def call():
            ran.append(1)

        task = asyncio.ensure_future(busy.acall(call))
        while not len(busy.request_queue):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(busy.request_queue) == 0
        gated.end()
        return ran

    assert caller(asyncio.run, go()).result(5) == []
    assert_at_rest(busy)


def test_Q9_async_wait_for_takes_it_out(busy, gated):
    async def call():
        raise AssertionError("it never runs")

    async def go():
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(busy.acall(call), 0.05)

    asyncio.run(go())
    gated.end()
    assert_at_rest(busy)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
@pytest.mark.parametrize("state", ["waiting", "backing off", "running"])
def test_Q9_ctrl_c_ends_the_wait_at_once(state):
    """In a process of its own: a real SIGINT, while the main thread waits without a timeout."""
    script = textwrap.dedent(f"""
        import os, signal, threading, time
        from test.runtime.api import *
        def once(*_):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, once)
        api, gated, ran = Api(max_concurrent_requests=1, initial_retry_delay=60), Gated(), []
        state = {state!r}
        if state == "waiting":
            caller(api.call, gated)
            until(lambda: gated.now == 1)
        def late():
            ran.append(1)
            if state == "running":
                time.sleep(60)
            return Answer(503)
        def interrupt():
            until(lambda: len(api.request_queue) == 1 if state != "running" else ran)
            while True:  # Python does not notice one that comes on the very way into the wait
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)
        threading.Thread(target=interrupt, daemon=True).start()
        start = time.monotonic()
        try:
            api.call(late)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - start < 20)
        gated.end(9)
        assert_at_rest(api)
        print("ran", len(ran))
    """)
    assert run_python(script) == f"interrupted True\nran {0 if state == 'waiting' else 1}\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_Q9_ctrl_c_at_random_moments_loses_no_slot():
    script = textwrap.dedent("""
        import logging, random, signal, time
        from test.runtime.api import *
        logging.disable()  # logging's own locks do not survive Ctrl-C at every moment
        api = Api(max_concurrent_requests=2, initial_retry_delay=0.0005, max_retries=2)
        stop = threading.Event()
        def others():
            while not stop.is_set():
                api.call(len, "abc")
        threads = [threading.Thread(target=others, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        came = 0
        def interrupt(*_):
            global came
            came += 1
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        def call_until_it_comes(so_far):  # a function, as the jump back of a loop in `try` is not in it for Python itself
            while came == so_far:  # Python ignores one that comes in a finalizer
                api.call(Flaky(Answer(503)))
        interrupted, end = 0, time.monotonic() + 2
        while interrupted < 300 and time.monotonic() < end:
            try:
                so_far = came
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.003))
                call_until_it_comes(so_far)
            except KeyboardInterrupt:
                interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert_at_rest(api)
        print("interrupted", interrupted > 20)
    """)
    assert run_python(script) == "interrupted True\n"


def test_Q9_withdrawing_twice_or_late_does_nothing(busy, gated):
    gate = RequestEngine.of(busy).gate
    future = busy.submit(gated, 1)
    (job,) = gate.line()
    assert future.cancel()
    for _ in range(2):
        gate.withdraw(job)
    assert gate.waiting == 0
    assert gate.active == 1
    gated.end()
    assert_at_rest(busy)


def test_Q9_releasing_twice_does_nothing(busy, gated):
    gate = RequestEngine.of(busy).gate
    gated.end()
    until(lambda: gate.active == 0)
    slot, other = gate.new_slot(), gate.new_slot()
    assert gate.enter(slot)
    slot.release()
    assert gate.enter(other)
    slot.release()
    slot.abandon()
    assert busy.current_requests == 1
    other.release()
    assert_at_rest(busy)


def test_waiting_is_bounded_by_the_platform_only():
    """A timeout of years does not overflow."""
    api, gated = Api(max_concurrent_requests=1, queue_timeout=1e9, total_timeout=1e12), Gated()
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    queued = caller(api.call, gated)
    until(lambda: len(api.request_queue) == 1)
    gated.end(2)
    wait([running, queued], 5)
    assert queued.exception(0) is None


def test_Q9_a_slot_is_given_back_though_ctrl_c_comes_while_it_is_given_back(api):
    gate = RequestEngine.of(api).gate
    slot = gate.new_slot()
    assert gate.enter(slot)
    lock = gate.lock

    class Interrupted:
        """A lock at which a signal handler raises, once, before it is taken."""

        def __enter__(self):
            gate.lock = lock
            raise KeyboardInterrupt

        def __exit__(self, *exc):
            raise AssertionError("it was never taken")

    gate.lock = Interrupted()
    gate.calm = False  # there may be something to see to, which takes the lock
    with pytest.raises(KeyboardInterrupt):
        slot.release()
    assert_at_rest(api)


def test_Q9_ctrl_c_while_a_thread_is_started_leaves_none_behind_that_never_ran(api, monkeypatch):
    start = threading.Thread.start
    interrupts = [KeyboardInterrupt()]

    def interrupted(thread):
        if thread.name == "request-queue" and interrupts:
            raise interrupts.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.submit(len, "abc")
    assert api.submit(len, "abc").result(5) == 3
    assert_at_rest(api)
    assert all(worker.ident for worker in RequestEngine.of(api).gate.workers)


def test_Q9_a_future_that_is_cancelled_just_when_its_turn_comes_gives_its_slot_back(busy, gated, monkeypatch):
    gate = RequestEngine.of(busy).gate
    claim = gate.start

    def claim_and_cancel(job):
        claimed = claim(job)
        assert future.cancel()
        return claimed

    future = busy.submit(gated, "never")
    monkeypatch.setattr(gate, "start", claim_and_cancel)
    gated.end()
    until(future.cancelled)
    assert_at_rest(busy)
    assert gated.ran == ["first"]


def test_Q9_an_error_of_our_own_reaches_the_caller_and_gives_the_slot_back(busy, gated, monkeypatch):
    def broken(*args):
        raise MemoryError("while it looked at the answer")

    queued = caller(busy.call, Flaky(Answer(503)))
    until(lambda: len(busy.request_queue) == 1)
    monkeypatch.setattr(request_module, "delay_after", broken)
    gated.end()
    assert isinstance(queued.exception(5), MemoryError)
    assert_at_rest(busy)


def test_Q9_ctrl_c_while_a_job_is_handed_over_leaves_no_worker_that_is_not_there(busy, gated, monkeypatch):
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 0.05)
    gate, raising = RequestEngine.of(busy).gate, [True]

    class Jobs(SimpleQueue):
        def put(self, job):
            super().put(job)
            if raising:
                raising.pop()
                raise KeyboardInterrupt

    gate.jobs = Jobs()
    first = caller(busy.call, gated, "second")
    until(lambda: len(busy.request_queue) == 1)
    gated.end(2)
    assert first.result(5) == "second"
    until(lambda: not gate.workers)
    caller(busy.call, gated, "third")
    until(lambda: gated.now == 1)
    queued = caller(busy.call, gated, "fourth")
    until(lambda: len(busy.request_queue) == 1)
    gated.end(2)
    assert queued.result(5) == "fourth"


def test_Q9_a_queued_stream_that_nobody_waits_for_any_more_gives_its_slot_back_without_the_collector(
    busy, gated
):
    def stream():
        gated("second")
        return (number for number in range(3))

    busy.queue_execution, busy.total_timeout = "background", 0.3
    queued = caller(busy.call, stream)
    until(lambda: len(busy.request_queue) == 1)
    gated.end()
    until(lambda: gated.ran == ["first", "second"])
    assert isinstance(queued.exception(5), RequestTimeout)
    busy.total_timeout = None
    gc.disable()
    try:
        gated.end()
        until(lambda: busy.current_requests == 0, 5)
    finally:
        gc.enable()
    assert_at_rest(busy)


def test_Q9_ctrl_c_in_a_finalizer_does_not_lose_the_slot(busy, gated, monkeypatch):
    abandon, raising = Gate.abandon, [True]

    def interrupted(gate, thing):
        if raising:
            raising.pop()
            raise KeyboardInterrupt
        abandon(gate, thing)

    monkeypatch.setattr(Gate, "abandon", interrupted)
    gated.end()
    until(lambda: busy.current_requests == 0)
    slot = RequestEngine.of(busy).gate.new_slot()
    assert slot.gate.enter(slot)
    with pytest.raises(KeyboardInterrupt):
        slot.abandon()
    assert_at_rest(busy)
