"""Q10: close, collection, exit, fork, copies, and threads that cannot be started."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import textwrap
import threading
import time
import weakref
from concurrent.futures import wait

import pytest
import requests

from backend_retrofit_runtime import QueueClosed, RequestEngine, workers
from backend_retrofit_runtime import gate as gate_module
from backend_retrofit_runtime import request as request_module
from backend_retrofit_runtime.engine import engines
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, queue_up, until
from test.runtime.processes import run_python


def queue_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("request-queue")]


@pytest.fixture
def short_lived_workers(monkeypatch):
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 0.05)


# close


def test_Q10_close_fails_the_waiting_lets_the_running_end_and_joins(api):
    api.max_concurrent_requests = 2
    gated = Gated()
    running = [caller(api.call, gated, "caller's"), api.submit(gated, "worker's")]
    until(lambda: gated.now == 2)
    waiting = [*queue_up(api, gated, 2), api.submit(gated)]
    closing = caller(api.close)
    for future in waiting:
        assert isinstance(future.exception(5), QueueClosed)
    assert not closing.done(), "it waits for what runs"
    gated.end(2)
    closing.result(5)
    assert [future.result(5) for future in running] == ["caller's", "worker's"]
    assert not RequestEngine.of(api).gate.workers
    assert sorted(gated.ran) == ["caller's", "worker's"]


def test_Q10_close_ends_a_backoff_at_once(api):
    api.initial_retry_delay = 60
    flaky = [Flaky(Answer(503)) for _ in range(3)]
    futures = [caller(api.call, flaky[0]), api.submit(flaky[1]), api.submit(api.call, flaky[2])]
    until(lambda: len(api.request_queue) == 3 and all(one.calls for one in flaky))
    caller(api.close).result(5)
    for future in futures:
        assert isinstance(future.exception(5), QueueClosed)
    assert [one.calls for one in flaky] == [1, 1, 1]


def test_Q10_close_tells_all_the_waiting_also_where_the_callback_of_one_raises(api):
    def leave(future):
        raise KeyboardInterrupt

    api.max_concurrent_requests = 0
    first, second = api.submit(len, "abc"), api.submit(len, "abc")
    third = caller(api.call, len, "abc")
    until(lambda: len(api.request_queue) == 3)
    first.add_done_callback(leave)
    with pytest.raises(KeyboardInterrupt):
        api.close()
    for future in (first, second, third):
        assert isinstance(future.exception(5), QueueClosed)


def test_Q10_close_keeps_nothing_of_those_that_waited_though_one_runs_on(api):
    class Argument:
        pass

    api.max_concurrent_requests = 1
    gated, argument = Gated(), Argument()
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    waiting = api.submit(id, argument)
    reference = weakref.ref(argument)
    del argument
    RequestEngine.of(api).gate.close(join=False)
    assert isinstance(waiting.exception(5), QueueClosed)
    del waiting
    until(lambda: gc.collect() is not None and reference() is None)
    gated.end()
    running.result(5)


def test_Q10_close_does_not_wait_for_idle_threads_to_end_by_themselves(api, monkeypatch):
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 60)
    assert [api.submit(len, "abc").result(5) for _ in range(2)] == [3, 3]
    gate = RequestEngine.of(api).gate
    until(lambda: gate.idle)
    caller(api.close).result(15)
    assert not gate.workers


def test_Q10_the_alarm_ends_when_the_last_backend_that_backs_off_is_closed(api, monkeypatch):
    alarm = workers.Alarm()
    monkeypatch.setattr(gate_module, "alarm", alarm)
    api.initial_retry_delay = 60
    future = api.submit(Flaky(Answer(503)))
    until(lambda: len(api.request_queue) == 1 and alarm.thread)
    thread = alarm.thread
    api.close()
    assert isinstance(future.exception(5), QueueClosed)
    thread.join(15)
    assert not thread.is_alive()


def test_Q10_an_earlier_time_is_not_missed_by_an_alarm_that_waits_for_a_later_one(api, monkeypatch):
    alarm = workers.Alarm()
    monkeypatch.setattr(gate_module, "alarm", alarm)
    api.initial_retry_delay = 60
    later = api.submit(Flaky(Answer(503)))
    until(lambda: alarm.thread is not None and len(api.request_queue) == 1)
    api.initial_retry_delay = 0.01
    assert api.submit(Flaky(Answer(503))).result(15) == "done"
    assert not later.done()


def test_Q10_closed_takes_no_more(api):
    api.close()
    for attempt in (api.call, api.submit):
        with pytest.raises(QueueClosed, match="closed"):
            attempt(len, "abc")


def test_Q10_a_request_that_runs_when_closed_is_not_retried(api):
    def call():
        RequestEngine.of(api).gate.close(join=False)
        return Answer(503)

    assert api.call(call).status_code == 503


def test_Q10_close_is_idempotent_and_may_come_from_many_threads(api):
    api.submit(len, "abc").result(5)
    closings = [caller(api.close) for _ in range(8)]
    for closing in closings:
        closing.result(5)
    api.close()


def test_Q10_close_from_within_a_request_does_not_wait_for_itself(api):
    assert api.submit(api.close).result(5) is None
    with pytest.raises(QueueClosed):
        api.call(len, "abc")


def test_Q10_close_before_the_first_request():
    Api().close()


class Connection:
    """A class with a life cycle of its own, retrofitted as the codemod does it."""

    max_concurrent_requests = RequestEngine.setting(1)
    queue_enabled = RequestEngine.setting(True)
    queue_size = RequestEngine.setting(100)
    max_retries = RequestEngine.setting(5)
    initial_retry_delay = RequestEngine.setting(0.01)
    _queued = RequestEngine.entry_point()

    def __init__(self):
        self.log = []

    @RequestEngine.closing
    def close(self, reason="done"):
        """Close it."""
        self.log.append(("close", reason, self._queued(len)("abc")))
        return "closed"

    def __enter__(self):
        self.log.append("enter")
        return self

    @RequestEngine.closing
    def __exit__(self, *exc):
        self.log.append(("exit", exc[0], self._queued(len)("abc")))
        return True


def test_Q10_own_close_is_composed():
    connection = Connection()
    connection._queued(len)("abc")
    assert connection.close(reason="bye") == "closed"
    assert connection.log == [("close", "bye", 3)]
    assert Connection.close.__name__ == "close"
    assert Connection.close.__doc__ == "Close it."


def test_Q10_what_waits_has_failed_when_own_close_makes_its_request():
    """It logs out, say. What runs meanwhile gets its own answer, and is not retried: the session may be gone."""
    connection, gated = Connection(), Gated()
    running = caller(connection._queued(gated), 1)
    until(lambda: gated.ran)
    waiting = caller(connection._queued(gated), 2)
    until(lambda: RequestEngine.of(connection).gate.waiting)
    closing = caller(connection.close)
    assert isinstance(waiting.exception(15), QueueClosed)
    gated.end()
    assert running.result(15) == 1
    assert closing.result(15) == "closed"
    assert connection.log == [("close", "done", 3)]


def test_Q10_what_ran_when_own_close_was_called_is_not_retried():
    connection, calls = Connection(), []

    def call():
        calls.append(connection.close())
        return Answer(503)

    assert connection._queued(call)().status_code == 503
    assert calls == ["closed"]


def test_Q10_an_instance_that_works_after_own_close_still_does():
    """A session of requests, say, opens new connections then."""
    connection = Connection()
    for _ in range(3):
        connection.close()
        assert connection._queued(len)("abc") == 3
        flaky = Flaky(Answer(503))
        assert connection._queued(flaky)() == "done"
    assert not RequestEngine.of(connection).gate.workers


def test_Q10_an_alarm_that_forgot_an_instance_wakes_it_after_own_close(monkeypatch):
    monkeypatch.setattr(gate_module, "alarm", alarm := workers.Alarm())
    connection = Connection()
    connection.initial_retry_delay = 60
    backing_off = caller(connection._queued(Flaky(Answer(503))))
    until(lambda: alarm.thread is not None and RequestEngine.of(connection).gate.delayed)
    connection.close()
    assert isinstance(backing_off.exception(15), QueueClosed)
    connection.initial_retry_delay = 0.01
    assert connection._queued(Flaky(Answer(503)))() == "done"


def test_Q10_own_exit_is_composed_and_still_swallows():
    with Connection() as connection:
        connection._queued(len)("abc")
        raise KeyError("swallowed by its own __exit__")
    assert connection.log == ["enter", ("exit", KeyError, 3)]


class Shared(Connection):
    """Its own `with` calls its own `close`, as most do."""

    def __exit__(self, *exc):
        self.close()


class Left(Connection):
    """Its own `__exit__` is all that it has."""

    @RequestEngine.closing
    def __exit__(self, *exc):
        self.log.append("left")


class LeftByBase(requests.Session):
    """What leaves its `with` is inherited from a library, and calls `close`."""

    max_concurrent_requests = RequestEngine.setting(1)
    initial_retry_delay = RequestEngine.setting(60)
    _queued = RequestEngine.entry_point()
    close = RequestEngine.closing()


@pytest.mark.parametrize("cls", [Shared, Left, LeftByBase])
@pytest.mark.parametrize("execution", ["caller", "background"])
def test_Q10_one_thread_that_leaves_own_with_leaves_the_calls_of_other_threads_alone(cls, execution):
    """As without the queue, where they would be under way, and the instance can be used on."""
    shared, gated = cls(), Gated()
    if execution == "background":
        shared.queue_execution = "background"
    RequestEngine.of(shared)
    running = caller(shared._queued(gated), 1)
    until(lambda: gated.ran)
    waiting = [caller(shared._queued(gated), number) for number in (2, 3)]
    until(lambda: len(RequestEngine.of(shared).waiting) == 2)
    submitted = RequestEngine.of(shared).submit(gated, 4)

    def leave():
        with shared:
            pass

    left = caller(leave)
    assert isinstance(submitted.exception(15), QueueClosed)
    gated.end(3)
    assert [future.result(15) for future in (running, *waiting)] == [1, 2, 3]
    left.result(15)
    assert shared._queued(len)("abc") == 3
    assert RequestEngine.of(shared).submit(len, "abc").result(15) == 3


@pytest.mark.parametrize("cls", [Shared, Left, LeftByBase])
@pytest.mark.parametrize("failure", [Answer(503), ConnectionRefusedError("refused")])
def test_Q10_what_backs_off_when_own_with_is_left_has_the_outcome_of_its_last_attempt(cls, failure):
    shared = cls()
    shared.initial_retry_delay = 60
    flaky = Flaky(failure)
    backing_off = caller(shared._queued(flaky))
    until(lambda: RequestEngine.of(shared).gate.delayed)
    with shared:
        pass
    error = backing_off.exception(15)
    assert (backing_off.result(15) if error is None else error) is failure
    assert flaky.calls == 1


def test_Q10_a_task_that_leaves_own_async_with_leaves_the_calls_of_other_tasks_alone():
    class Async(Connection):
        @RequestEngine.closing
        async def aclose(self):
            self.log.append("closed")

        async def __aenter__(self):
            return self

        async def __aexit__(self, *exc):
            await self.aclose()

    async def go():
        shared, may_end = Async(), asyncio.Event()
        shared.initial_retry_delay = 60

        async def call(number):
            await asyncio.wait_for(may_end.wait(), 15)
            return number

        async def fail():
            return Answer(503)

        backing_off = asyncio.create_task(shared._queued(fail)())
        while not RequestEngine.of(shared).gate.delayed:
            await asyncio.sleep(0)
        calls = [asyncio.create_task(shared._queued(call)(number)) for number in range(3)]
        while len(RequestEngine.of(shared).waiting) < 3:
            await asyncio.sleep(0)
        async with shared:
            pass
        may_end.set()
        assert (await backing_off).status_code == 503
        return await asyncio.gather(*calls)

    assert asyncio.run(asyncio.wait_for(go(), 30)) == [0, 1, 2]


def test_Q10_own_close_of_an_instance_that_made_no_request():
    connection = Connection()
    connection.close()
    assert connection.log[0][:2] == ("close", "done")


def test_Q10_own_aclose_is_composed():
    import asyncio

    class Async(Connection):
        @RequestEngine.closing
        async def aclose(self):
            return self._queued(len)("abc")

    connection = Async()
    connection._queued(len)("abc")
    assert asyncio.run(connection.aclose()) == 3


def test_Q10_own_del_is_composed_and_takes_no_lock():
    log = []

    class Deleted(Connection):
        @RequestEngine.closing
        def __del__(self):
            log.append(RequestEngine.of(self).gate.closed)

    connection = Deleted()
    connection._queued(len)("abc")
    gate = RequestEngine.of(connection).gate
    with gate.lock:
        del connection
        gc.collect()
    assert log == [False]
    assert gate.closed


# Collection


def test_Q10_closed_while_one_backs_off_leaves_no_thread_behind(api, short_lived_workers, monkeypatch):
    alarm = workers.Alarm()
    monkeypatch.setattr(gate_module, "alarm", alarm)
    api.initial_retry_delay = 60
    futures = [api.submit(Flaky(Answer(503))), caller(api.call, Flaky(Answer(503)))]
    until(lambda: len(api.request_queue) == 2)
    api.close()
    wait(futures, 5)
    until(lambda: alarm.thread is None)
    assert not RequestEngine.of(api).gate.workers


def test_Q10_an_abandoned_instance_is_collected_at_once():
    api = Api()
    api.submit(api.call, len, "abc").result(5)
    reference, gate, key = weakref.ref(api), RequestEngine.of(api).gate, id(api)
    until(lambda: gate.active == 0)
    del api
    until(lambda: gc.collect() is not None and reference() is None)
    assert key not in engines


def test_Q10_engines_of_collected_instances_are_forgotten():
    before = len(engines)
    for _ in range(200):
        Api().call(len, "abc")
    gc.collect()
    assert len(engines) <= before + 1


def test_Q10_a_worker_that_ends_lets_the_other_idle_ones_end(api, monkeypatch):
    """One of them may wait for ever, by a fault of CPython's: see `Worker.run`."""
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 60)
    gate, gated = RequestEngine.of(api).gate, Gated()
    futures = [api.submit(gated, n) for n in range(3)]
    until(lambda: gated.now == 3)
    gated.end(3)
    assert [future.result(10) for future in futures] == [0, 1, 2]
    until(lambda: gate.idle == len(gate.workers) == 3)
    gate.jobs.put(None)  # to one of them, as if its time was over
    until(lambda: not gate.workers)
    assert api.submit(len, "abc").result(10) == 3


def test_Q10_threads_and_instances_return_to_the_baseline(short_lived_workers):
    others = set(queue_threads())
    instances = weakref.WeakSet()
    futures = []
    for _ in range(10):
        api = Api(max_concurrent_requests=2, initial_retry_delay=0.01)
        instances.add(api)
        futures += [api.submit(api.call, Flaky(Answer(503))) for _ in range(6)]
        del api
    assert [future.result(10) for future in futures] == ["done"] * 60
    del futures
    until(lambda: gc.collect() is not None and not instances, 10)
    until(lambda: not {thread for thread in queue_threads() if "alarm" not in thread.name} - others, 10)


def test_Q10_queued_work_of_an_abandoned_instance_is_finished(short_lived_workers):
    api, gated = Api(max_concurrent_requests=1), Gated()
    futures = [api.submit(gated, n) for n in range(4)]
    del api
    gc.collect()
    gated.end(4)
    assert [future.result(5) for future in futures] == [0, 1, 2, 3]


def test_Q10_idle_threads_end_and_new_ones_come(api, short_lived_workers):
    for _ in range(3):
        assert api.submit(len, "abc").result(5) == 3
        until(lambda: not RequestEngine.of(api).gate.workers)
    assert_at_rest(api)


def test_Q10_threads_are_used_again(api):
    api.max_concurrent_requests, api.queue_size = 3, 1000
    futures = [api.submit(len, "abc") for _ in range(300)]
    wait(futures, 10)
    assert len(RequestEngine.of(api).gate.workers) < 30


def test_Q10_a_finalizer_may_run_while_the_lock_is_held(api):
    """The collector can run inside any allocation: what it finalizes must not wait for our lock."""

    def numbers():
        yield 1

    api.max_concurrent_requests = 1
    stream = api.call(numbers)
    gate = RequestEngine.of(api).gate
    waiting = api.submit(len, "abc")

    def drop():
        nonlocal stream
        with gate.lock:
            stream = None

    caller(drop).result(5)
    assert waiting.result(5) == 3
    assert_at_rest(api)


# Exit


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "import sys; sys.exit(0)"])
def test_Q10_exit_with_many_waiting_and_one_asleep_is_prompt(end):
    script = textwrap.dedent("""
        from test.runtime.api import *
        api = Api(max_concurrent_requests=1, initial_retry_delay=16)
        asleep = api.submit(Flaky(Answer(503)))
        until(lambda: len(api.request_queue) == 1)
        running = api.submit(threading.Event().wait)
        until(lambda: api.current_requests == 1)
        waiting = [api.submit(len, "abc") for _ in range(50)]
        print(len(api.request_queue))
    """)
    start = time.monotonic()
    assert run_python(script + end) == "51\n"
    assert time.monotonic() - start < 12


def test_Q10_callers_that_wait_at_exit_are_served_first():
    script = textwrap.dedent("""
        import sys
        from test.runtime.api import *
        api, gated = Api(max_concurrent_requests=1), Gated()
        def call(n):
            sys.stdout.write(f"{api.call(gated, n)}\\n")
        threads = [threading.Thread(target=call, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(api.request_queue) == 2)
        gated.end(3)
    """)
    assert sorted(run_python(script).split()) == ["0", "1", "2"]


def test_Q10_calls_from_atexit_work():
    script = textwrap.dedent("""
        import atexit
        from test.runtime.api import *
        api = Api(max_concurrent_requests=1, initial_retry_delay=0.01)
        def last():
            print(api.call(Flaky(Answer(503))))
            print(api.submit(len, "abc").result(5))
        atexit.register(last)
    """)
    assert run_python(script) == "done\n3\n"


# Fork


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
FORKS = textwrap.dedent("""
    import os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    from test.runtime.api import *
    def in_child(function):
        # Returns what function() gives in a forked child: True if all is well.
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if function() is True else 2
            finally:
                os._exit(status)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.005)
        os.kill(child, 9)
        return "the child hangs"
""")


@needs_fork
def test_Q10_child_of_a_busy_process_calls_at_once_and_the_parent_is_unaffected():
    script = FORKS + textwrap.dedent("""
        api, gated = Api(max_concurrent_requests=2, initial_retry_delay=0.01), Gated()
        held = Api()
        running = [caller(api.call, gated, n) for n in range(2)]
        until(lambda: gated.now == 2)
        waiting = queue_up(api, gated, 3)
        asleep = caller(held.call, Flaky(Answer(429, {"Retry-After": "1"})))
        until(lambda: len(held.request_queue) == 1)
        def child():
            return (
                len(api.request_queue) == api.current_requests == 0
                and api.call(len, "abc") == 3
                and api.submit(len, "abc").result(5) == 3
                and api.call(Flaky(Answer(503))) == "done"
                and held.call(len, "abc") == 3
                and api.max_concurrent_requests == 2
            )
        print(in_child(child))
        print(api.current_requests, len(api.request_queue))
        gated.end(5)
        print(sorted(future.result(5) for future in running + waiting), asleep.result(5))
        assert_at_rest(api)
    """)
    assert run_python(script) == "0\n2 3\n[0, 0, 1, 1, 2] done\n"


@needs_fork
def test_Q10_child_of_a_process_that_backs_off_has_an_alarm_of_its_own():
    script = FORKS + textwrap.dedent("""
        api, other = Api(initial_retry_delay=60), Api(initial_retry_delay=0.01)
        api.submit(Flaky(Answer(503)))
        until(lambda: len(api.request_queue) == 1)
        print(in_child(lambda: other.submit(Flaky(Answer(503))).result(10) == "done"))
    """)
    assert run_python(script) == "0\n"


@needs_fork
def test_Q10_child_forked_from_within_a_request_works():
    script = FORKS + textwrap.dedent("""
        api = Api(max_concurrent_requests=1, initial_retry_delay=0.01)
        def call():
            return in_child(lambda: api.call(len, "abc") == 3 and api.call(Flaky(Answer(503))) == "done")
        print(api.call(call))
        assert_at_rest(api)
        def call_and_end():
            child = os.fork()
            if not child:
                return "child"
            return os.waitpid(child, 0)[1]
        got = api.call(call_and_end)
        assert_at_rest(api)
        if got == "child":
            os._exit(0)
        print(got)
    """)
    assert run_python(script) == "0\n0\n"


@needs_fork
def test_Q10_fork_while_locks_are_held_by_other_threads():
    script = FORKS + textwrap.dedent("""
        api = Api(max_concurrent_requests=3)
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                api.call(len, "abc")
                api.max_concurrent_requests = 3
        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        print({in_child(lambda: api.call(len, "abc") == 3 and api.submit(len, "abc").result(5) == 3) for _ in range(20)})
        stop.set()
        for thread in threads:
            thread.join(5)
        assert_at_rest(api)
    """)
    assert run_python(script) == "{0}\n"


# Copies


def pickled(api):
    return pickle.loads(pickle.dumps(api))


copies = pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickled])


def end_backoff(api):
    """Let the time be over that requests of the backend have to wait."""
    gate = RequestEngine.of(api).gate
    with gate.lock:
        gate.hold_until = 0.0
        gate.delayed[:] = [(0.0, number, ticket) for _, number, ticket in gate.delayed]
    gate.pump()


@copies
def test_Q10_a_copy_has_the_settings_and_a_queue_of_its_own(make):
    api, gated = Api(max_concurrent_requests=1, max_retries=2, metadata={"a": 1}), Gated()
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    waiting = api.submit(gated)
    twin = make(api)
    assert twin.max_concurrent_requests == 1
    assert twin.max_retries == 2
    assert twin.metadata == {"a": 1}
    assert twin.current_requests == len(twin.request_queue) == 0
    assert twin.call(len, "abc") == 3
    twin.max_concurrent_requests = 7
    assert api.max_concurrent_requests == 1
    assert RequestEngine.of(api) is not RequestEngine.of(twin)
    gated.end(2)
    wait([running, waiting], 5)


@copies
def test_Q10_a_copy_of_one_that_backs_off_waits_for_nothing_and_leaves_the_line_of_the_original_as_it_is(
    make,
):
    api, gated = Api(max_concurrent_requests=1, initial_retry_delay=60), Gated()
    backing_off = api.submit(Flaky(Answer(503)))
    until(lambda: len(api.request_queue) == 1)
    held_back = api.submit(Flaky(Answer(429, {"Retry-After": "60"})))
    until(lambda: len(api.request_queue) == 2 and not api.current_requests)
    waiting = [api.submit(gated, number) for number in range(2)]
    twin = make(api)
    assert vars(twin) == vars(api)
    assert twin.current_requests == len(twin.request_queue) == 0
    assert caller(twin.call, len, "abc").result(5) == 3, "the server asked the original to wait"
    assert twin.queue_stats()["requests"] == 1
    twin.close()
    assert len(api.request_queue) == 4, "what happens to the copy is nothing to the original"
    end_backoff(api)
    gated.end(2)
    assert [future.result(5) for future in (backing_off, held_back, *waiting)] == ["done", "done", 0, 1]
    assert gated.ran == [0, 1]
    assert_at_rest(api)


@copies
def test_Q10_a_copy_made_within_a_request_takes_slots_of_its_own(make):
    api = Api(max_concurrent_requests=1)

    def call():
        twin = make(api)
        return twin.call(lambda: (api.current_requests, twin.current_requests))

    assert api.call(call) == (1, 1)
    assert_at_rest(api)


def test_Q10_nothing_of_ours_is_in_the_instances_dict():
    api = Api()
    before = dict(vars(api))
    api.submit(api.call, len, "abc").result(5)
    assert vars(api) == before


# Odd classes


def test_Q10_subclass_without_super_init_works():
    class Own(Api):
        def __init__(self):
            self.max_concurrent_requests = 2

    own = Own()
    assert own.call(len, "abc") == 3
    assert RequestEngine.of(own).gate.limit == 2


def test_Q10_instances_that_are_equal_or_unhashable_have_their_own_queues():
    class Equal(Api):
        __hash__ = None

        def __eq__(self, other):
            return True

    one, two = Equal(max_concurrent_requests=1), Equal(max_concurrent_requests=2)
    assert RequestEngine.of(one) is not RequestEngine.of(two)
    assert one.call(len, "abc") == two.call(len, "abc") == 3


def test_Q10_class_with_a_hostile_getattr():
    class Hostile(Api):
        def __getattr__(self, name):
            raise RuntimeError(name)

        def __bool__(self):
            raise RuntimeError("bool")

    assert Hostile(initial_retry_delay=0.001).call(Flaky(Answer(503))) == "done"


# No more threads


@pytest.fixture
def no_more_threads(monkeypatch):
    def start(thread):
        if thread.name.startswith("request-queue"):
            raise RuntimeError("can't start new thread")
        return original(thread)

    original = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start)


def test_Q10_without_threads_queued_requests_are_made_all_the_same(api, no_more_threads):
    api.max_concurrent_requests = 1
    gated = Gated()
    running = caller(api.call, gated, "first")
    until(lambda: gated.now == 1)
    waiting = queue_up(api, gated, 3)
    submitted = api.submit(gated, "submitted")
    gated.end(5)
    wait([running, *waiting, submitted], 5)
    assert gated.ran == ["first", 0, 1, 2, "submitted"]
    assert gated.most == 1
    assert_at_rest(api)


def test_Q10_without_threads_a_free_slot_serves_submitted_ones(api, no_more_threads):
    assert api.submit(len, "abc").result(5) == 3
    assert_at_rest(api)
    assert not RequestEngine.of(api).gate.workers, "those that could not be started are forgotten"


def test_Q10_without_threads_backoff_still_ends(api, no_more_threads, monkeypatch):
    monkeypatch.setattr(workers.alarm, "thread", None)
    assert api.call(Flaky(Answer(503), Answer(429, {"Retry-After": "0.05"}))) == "done"


def test_Q10_without_threads_a_request_that_the_server_asked_to_wait_still_starts(
    api, no_more_threads, monkeypatch
):
    monkeypatch.setattr(workers.alarm, "thread", None)
    RequestEngine.of(api).gate.hold(0.05)
    assert caller(api.call, len, "abc").result(5) == 3
    assert_at_rest(api)


@pytest.mark.parametrize("submitted", [False, True])
def test_Q10_without_threads_the_backoff_of_a_queued_request_still_ends(
    api, no_more_threads, monkeypatch, submitted
):
    monkeypatch.setattr(workers.alarm, "thread", None)
    api.max_concurrent_requests = 1
    gated, flaky = Gated(), Flaky(Answer(503))
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    queued = api.submit(flaky) if submitted else caller(api.call, flaky)
    until(lambda: len(api.request_queue) == 1)
    gated.end()
    assert queued.result(5) == "done"
    running.result(5)
    assert_at_rest(api)


def test_Q10_callers_that_back_off_when_the_main_thread_has_ended_are_served():
    """From Python 3.12 on, no thread can be started any more then."""
    script = textwrap.dedent("""
        from test.runtime.api import *
        api = Api(max_concurrent_requests=1, initial_retry_delay=0.05)
        def call(flaky):
            print(api.call(flaky), flush=True)
        for _ in range(5):
            threading.Thread(target=call, args=(Flaky(Answer(503)),)).start()
    """)
    assert run_python(script).count("done") == 5


def test_Q10_without_threads_those_held_back_are_served(api, no_more_threads, monkeypatch):
    """Nobody backs off any more, the server asked all to wait, and no thread can tell when it is over."""
    monkeypatch.setattr(workers.alarm, "thread", None)
    api.max_retries = 1
    api.call(Flaky(Answer(503), Answer(503, {"Retry-After": "0.2"})))
    assert caller(api.call, len, "abc").result(5) == 3


def test_Q10_without_threads_async_backoff_and_those_held_back_are_served(api, no_more_threads, monkeypatch):
    import asyncio

    monkeypatch.setattr(workers.alarm, "thread", None)
    flaky = Flaky(Answer(503), Answer(503, {"Retry-After": "0.2"}))

    async def call():
        return flaky()

    async def both():
        api.max_retries = 1
        assert (await api.acall(call)).status_code == 503
        api.max_retries = 5
        return await asyncio.wait_for(api.acall(call), 5)

    assert caller(asyncio.run, both()).result(10) == "done"


def test_Q10_a_real_limit_on_threads():
    script = textwrap.dedent("""
        import resource
        from test.runtime.api import *
        api, gated = Api(max_concurrent_requests=1), Gated()
        running = [caller(api.call, gated)]
        until(lambda: gated.now == 1)
        running += queue_up(api, gated, 4)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)) # a thread's stack no longer fits
        stacks = threading.stack_size(256 << 20)
        gated.end(5)
        for future in running:
            future.result(5)
        assert_at_rest(api)
        print("served", len(gated.ran))
    """)
    assert run_python(script) == "served 5\n"


def test_Q10_weird_pid_reuse_of_ids_gets_no_stale_engine():
    """Instances made at the address of a dead one start with a queue of their own."""
    seen = set()
    for _ in range(50):
        api = Api(max_concurrent_requests=len(seen) + 1)
        engine = RequestEngine.of(api)
        assert engine.gate.limit == len(seen) + 1
        seen.add(engine)
        del api


def test_Q10_a_request_that_goes_back_in_line_just_when_the_backend_is_closed_hears_of_it(api, monkeypatch):
    decide = request_module.delay_after

    def decide_and_close(engine, *args):
        delay = decide(engine, *args)
        engine.gate.close(join=False)
        return delay

    monkeypatch.setattr(request_module, "delay_after", decide_and_close)
    with pytest.raises(QueueClosed):
        caller(api.call, Flaky(Answer(503))).result(5)
    assert (api.current_requests, len(api.request_queue)) == (0, 0)
