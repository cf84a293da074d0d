"""Q11: signal handlers and finalizers that call the backend never deadlock it, whatever they interrupt."""

from __future__ import annotations

import gc
import signal
import textwrap

import pytest

from test.runtime.conftest import Gated, assert_at_rest, caller, until
from test.runtime.processes import run_python

# Calls a "handler" at the n-th point where CPython handles signals, or runs finalizers: when a function of the runtime
# begins, and when a call into C that it made returns. For each n until there are no more points.
HANDLED_EVERYWHERE = textwrap.dedent("""
    import faulthandler, os, sys, threading
    from backend_retrofit_runtime import RequestEngine, gate
    from test.runtime.api import *

    FOLDER = os.path.dirname(gate.__file__)
    way, does = sys.argv[1:3]
    SETTINGS = {"requests_per_minute": 600_000, "rate_burst": 2} if "paced" in sys.argv else {}
    faulthandler.dump_traceback_later(100, exit=True)

    class Interrupter:
        def __init__(self, n, handler):
            self.left, self.handler = n, handler
        def __call__(self, frame, event, arg):
            if frame.f_code.co_filename.startswith(FOLDER) and event in ("call", "c_return"):
                self.left -= 1
                if self.left == 0:
                    sys.setprofile(None)
                    self.where = (frame.f_code.co_name, frame.f_lineno, event, getattr(arg, "__name__", None))
                    self.handler()

    def interrupted(function, *args):
        sys.setprofile(interrupter)
        try:
            return function(*args)
        finally:
            sys.setprofile(None)

    def uncontended(api):
        assert interrupted(api.call, len, "abc") == 3

    def fails(api):
        assert interrupted(api.call, Flaky(Answer(503))) == "done"

    def contended(api):
        gated = Gated()
        others = [caller(api.call, gated)]
        until(lambda: gated.now == 1)
        others += queue_up(api, gated, 2)
        threading.Timer(0.002, gated.end, (9,)).start()
        assert interrupted(api.call, gated, 9) == 9
        for other in others:
            other.result(10)

    def releases(api):
        others = []
        def call():
            sys.setprofile(None)
            others.extend(caller(api.call, len_of_abc, n) for n in range(2))
            until(lambda: len(api.request_queue) == 2 or left)
            sys.setprofile(interrupter)
        interrupted(api.call, call)
        for other in others:
            assert other.result(10) == 3

    def submits(api):
        futures = interrupted(lambda: [api.submit(len, "abc") for _ in range(2)])
        assert [future.result(10) for future in futures] == [3, 3]

    def nests(api):
        assert interrupted(api.call, lambda: api.call(len, "abc")) == 3

    def streams(api):
        assert interrupted(lambda: list(api.call(three, stream=True))) == [0, 1, 2]

    def three(stream):
        yield from range(3)

    def len_of_abc(n):
        return 3

    left = []
    handlers = {
        "calls": lambda: left.append(api.call(len, "abcd")),
        "submits": lambda: left.append(api.submit(len, "abcd")),
        "asks": lambda: left.append(api.queue_stats() and len(api.request_queue) + api.current_requests),
        "sets": lambda: left.append(setattr(api, "max_concurrent_requests", 1)),
        "retries": lambda: left.append(api.call(Flaky(Answer(503)))),
    }
    scenario = {f.__name__: f for f in (uncontended, fails, contended, releases, submits, nests, streams)}[way]
    for n in range(1, 3000):
        api = Api(max_concurrent_requests=1, initial_retry_delay=0.001, **SETTINGS)
        RequestEngine.of(api)
        interrupter = Interrupter(n, handlers[does])
        left.clear()
        scenario(api)
        for got in left:
            assert not hasattr(got, "result") or got.result(10) == 4, interrupter.where
        try:
            assert_at_rest(api)
            api.close()
        except BaseException as error:
            sys.exit(f"after a handler at {interrupter.where}: {error!r}")
        if interrupter.left > 0:
            break
    else:
        sys.exit("not through")
    print("handled", n > 5)
""")


WAYS = ("uncontended", "fails", "contended", "releases", "submits", "nests", "streams")


@pytest.mark.parametrize(
    ("way", "does"),
    [
        *((way, "calls") for way in WAYS),
        *(("contended", does) for does in ("submits", "asks", "sets", "retries")),
        *((way, "submits") for way in ("fails", "releases", "submits")),
    ],
)
def test_Q11_a_handler_may_do_so_at_every_point(way, does):
    assert run_python(HANDLED_EVERYWHERE, way, does, seconds=110) == "handled True\n"


@pytest.mark.parametrize(
    ("way", "does"),
    [("uncontended", "calls"), ("contended", "calls"), ("submits", "submits"), ("contended", "sets")],
)
def test_R5_at_a_rate_too(way, does):
    assert run_python(HANDLED_EVERYWHERE, way, does, "paced", seconds=110) == "handled True\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
@pytest.mark.parametrize(
    ("call", "often"),
    [("Flaky(Answer(503))", 300), ("len, 'abc'", 3000)],
    ids=["that fails", "that has a slot at once"],
)
def test_Q11_real_signals_at_random_moments(call, often):
    script = """
        import faulthandler, logging, random, signal, time
        from test.runtime.api import *
        faulthandler.dump_traceback_later(50, exit=True)
        logging.disable()
        api = Api(max_concurrent_requests=2, initial_retry_delay=0.0005, max_retries=2, queue_full="wait")
        stop, futures, handled = threading.Event(), [], 0
        def others():
            while not stop.is_set():
                api.call(len, "abc")
        threads = [threading.Thread(target=others, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        def handler(*_):
            global handled
            handled += 1
            random.choice([
                lambda: api.call(len, "abc"), lambda: api.call(Flaky(Answer(503))),
                lambda: futures.append(api.submit(len, "abc")), api.queue_stats,
            ])()
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.001))
        signal.signal(signal.SIGALRM, handler)
        end = time.monotonic() + 20
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while handled < OFTEN and time.monotonic() < end:
            api.call(CALL)
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert [future.result(10) for future in futures] == [3] * len(futures)
        assert_at_rest(api)
        print("handled", handled >= 300)
    """
    script = textwrap.dedent(script).replace("CALL", call).replace("OFTEN", str(often))
    assert run_python(script, seconds=60) == "handled True\n"


def test_Q11_a_finalizer_that_calls_runs_under_the_request_that_it_interrupts(api):
    api.max_concurrent_requests = 1
    got = []

    class Remote:
        def __del__(self):
            got.append(api.call(len, "abc"))

    def call():
        remote = Remote()
        remote.itself = remote
        del remote
        gc.collect()
        return "done"

    assert api.call(call) == "done"
    assert got == [3]
    assert_at_rest(api)


def test_Q11_a_finalizer_in_a_thread_that_waits_in_line(api):
    """It is handed the turn of the request that it interrupts, which cannot use it meanwhile."""
    from backend_retrofit_runtime import waiting

    api.max_concurrent_requests = 1
    gated, got = Gated(), []
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    timeout_until, calls = waiting.timeout_until, [True]

    def with_a_handler(deadline):
        if calls:
            calls.pop()
            got.append(api.call(len, "abc"))
        return timeout_until(deadline)

    waiting.timeout_until = with_a_handler
    try:
        queued = caller(api.call, len, "ab")
        until(lambda: len(api.request_queue) == 2)
        gated.end()
        assert queued.result(10) == 2
    finally:
        waiting.timeout_until = timeout_until
    assert got == [3]
    running.result(5)
    assert_at_rest(api)
