"""Q3: a blocking call that had to wait is made in its caller's own thread."""

from __future__ import annotations

import contextvars
import signal
import subprocess
import threading
import traceback

import pytest

from backend_retrofit_runtime import RequestEngine
from test.runtime.conftest import Answer, Flaky, assert_at_rest, caller, queue_up, until


def in_line(api, function, /, *args):
    """Let a caller call a function that makes a request, and see that it waits."""
    before = len(api.request_queue)
    waiting = caller(function, *args)
    until(lambda: len(api.request_queue) == before + 1)
    return waiting


def test_Q3_a_call_that_waited_runs_in_its_callers_thread_and_starts_no_other(busy, gated):
    def visit():
        return threading.get_ident(), busy.call(threading.get_ident)

    visits = [in_line(busy, visit) for _ in range(3)]
    gated.end()
    for waiting in visits:
        mine, ran_in = waiting.result(5)
        assert ran_in == mine
    assert not RequestEngine.of(busy).gate.workers
    assert_at_rest(busy)


def test_Q3_thread_locals_are_those_of_the_caller(busy, gated):
    local = threading.local()

    def visit(tenant):
        local.tenant = tenant
        return busy.call(lambda: local.tenant)

    visits = {tenant: in_line(busy, visit, tenant) for tenant in "abcdef"}
    gated.end()
    assert {tenant: waiting.result(5) for tenant, waiting in visits.items()} == {t: t for t in visits}


def test_Q3_a_lock_that_the_caller_holds_can_be_taken_again(busy, gated):
    lock = threading.RLock()

    def visit():
        with lock:
            return busy.call(again)

    def again():
        with lock:
            return "taken again"

    waiting = in_line(busy, visit)
    gated.end()
    assert waiting.result(5) == "taken again"


def test_Q3_retries_run_there_too(busy, gated):
    busy.initial_retry_delay = 0.01
    threads = []

    def call():
        threads.append(threading.get_ident())
        return Answer(503) if len(threads) < 3 else threading.get_ident()

    waiting = in_line(busy, lambda: (threading.get_ident(), busy.call(call)))
    gated.end()
    mine, last = waiting.result(5)
    assert threads == [mine] * 3
    assert last == mine


def test_Q3_what_the_call_sets_in_its_context_stays_set(busy, gated):
    """As without the queue: it is the caller's own context, not a copy of it."""
    variable = contextvars.ContextVar("variable", default="unset")

    def visit():
        busy.call(variable.set, "set by the call")
        return variable.get()

    waiting = in_line(busy, visit)
    gated.end()
    assert waiting.result(5) == "set by the call"


def test_Q3_the_traceback_shows_who_called(busy, gated):
    def fails():
        raise KeyError("x")

    def visit_by_name():
        busy.call(fails)

    waiting = in_line(busy, visit_by_name)
    gated.end()
    names = [frame.name for frame in traceback.extract_tb(waiting.exception(5).__traceback__)]
    assert names.index("visit_by_name") < names.index("fails")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_Q3_an_alarm_breaks_off_a_call_that_had_to_wait():
    """As people bound a call in the main thread: what a handler raises comes out of the call itself."""
    from test.runtime.processes import run_python

    script = """
import signal, threading, time
from test.runtime.api import *
api, gated = Api(max_concurrent_requests=1), Gated()
caller(api.call, gated)
until(lambda: gated.now == 1)
def over(*_):
    raise TimeoutError("from the handler")
signal.signal(signal.SIGALRM, over)
began = threading.Event()
def long():
    began.set()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(60)
def end_first():
    until(lambda: len(api.request_queue) == 1)
    gated.end()
threading.Thread(target=end_first, daemon=True).start()
try:
    api.call(long)
except TimeoutError as error:
    print(error, began.is_set())
assert_at_rest(api)
"""
    assert run_python(script) == "from the handler True\n"


def test_Q3_the_owner_may_want_a_background_thread(busy, gated):
    busy.queue_execution = "background"
    waiting = in_line(busy, lambda: (threading.get_ident(), busy.call(threading.get_ident)))
    gated.end()
    mine, ran_in = waiting.result(5)
    assert ran_in != mine


@pytest.mark.parametrize("value", ["thread", "", None, 1, True, object()])
def test_Q3_other_places_are_refused_by_name(api, value):
    with pytest.raises(ValueError, match='queue_execution must be "caller" or "background"'):
        api.queue_execution = value


@pytest.mark.parametrize("execution", ["caller", "background"])
def test_Q2_the_line_is_kept_wherever_they_run(busy, gated, execution):
    busy.queue_execution = execution
    waiting = queue_up(busy, gated, 6)
    gated.end(7)
    assert [one.result(5) for one in waiting] == list(range(6))
    assert gated.ran == ["first", *range(6)]
    assert gated.most == 1


def test_Q3_submitted_ones_run_in_the_background(api):
    assert api.submit(threading.get_ident).result(5) != threading.get_ident()


def test_Q3_a_library_that_minds_its_thread_works(busy, gated, tmp_path):
    """sqlite3 refuses a connection that was made in another thread."""
    import sqlite3

    def visit():
        with sqlite3.connect(tmp_path / "db") as connection:
            return busy.call(connection.execute, "select 7").fetchone()

    waiting = in_line(busy, visit)
    gated.end()
    assert waiting.result(5) == (7,)


def test_Q3_decimal_contexts_are_the_callers(busy, gated):
    import decimal

    def visit():
        with decimal.localcontext() as context:
            context.prec = 5
            return busy.call(lambda: str(decimal.Decimal(1) / 3))

    waiting = in_line(busy, visit)
    gated.end()
    assert waiting.result(5) == "0.33333"


def test_Q3_a_process_may_be_started_from_a_call_that_waited(busy, gated):
    waiting = in_line(busy, lambda: busy.call(subprocess.run, ["true"], check=True))
    gated.end()
    assert waiting.result(5).returncode == 0


def test_Q9_a_failed_wait_leaves_nothing_behind(busy, gated):
    busy.queue_timeout = 0.01
    assert isinstance(caller(busy.call, Flaky()).exception(5), RequestEngine.RequestTimeout)
    busy.queue_timeout = None
    gated.end()
    assert_at_rest(busy)
