"""Q9: Ctrl-C, wherever it comes, is raised, loses no slot, and leaves the thread as it was."""

from __future__ import annotations

import textwrap

import pytest

from test.runtime.processes import run_python

# Raises KeyboardInterrupt at the n-th point where CPython handles signals: when a function of the runtime begins, or one
# of `threading` by which it starts a thread, and when a call into C that they made returns. For each n until there are
# no more points.
CTRL_C_EVERYWHERE = textwrap.dedent("""
    import faulthandler, logging, os, sys, threading
    from backend_retrofit_runtime import RequestEngine, gate
    from backend_retrofit_runtime.clocks import monotonic
    from backend_retrofit_runtime.slots import current_slot
    from backend_retrofit_runtime.workers import start_thread
    from test.runtime.api import *

    FOLDER = os.path.dirname(gate.__file__)
    faulthandler.dump_traceback_later(100, exit=True)
    logging.disable()
    sys.unraisablehook = lambda error: unraisable.append(error.exc_value)

    def is_ours(frame):
        if frame.f_code.co_filename == threading.__file__:
            while frame is not None and frame.f_code is not start_thread.__code__:
                frame = frame.f_back
            return frame is not None
        return frame.f_code.co_filename.startswith(FOLDER) and frame.f_code.co_name != "<genexpr>"

    class Interrupter:
        def __init__(self, n):
            self.left = n
        def __call__(self, frame, event, arg):
            if event in ("call", "c_return") and is_ours(frame):
                self.left -= 1
                if self.left == 0:
                    sys.setprofile(None)
                    self.where = (frame.f_code.co_name, frame.f_lineno, event, getattr(arg, "__name__", None))
                    raise KeyboardInterrupt

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
        try:
            assert interrupted(api.call, len, "abc") == 3  # behind two others, which wait for a third
        finally:
            for other in others:
                other.result(10)

    def releases(api):
        others = []
        def call():
            sys.setprofile(None)
            others.extend(queue_up(api, len_of_abc, 2))
            sys.setprofile(interrupter)
        try:
            interrupted(api.call, call)
        finally:
            for other in others:
                assert other.result(10) == 3

    def submits(api):
        futures = []
        try:
            interrupted(lambda: [futures.append(api.submit(len, "abc")) for _ in range(2)])
        finally:
            for future in futures:
                assert future.result(10) == 3

    def nests(api):
        assert interrupted(api.call, lambda: api.call(len, "abc")) == 3

    def streams(api):
        assert interrupted(lambda: list(api.call(three, stream=True))) == [0, 1, 2]

    def three(stream):
        yield from range(3)

    def len_of_abc(n):
        return 3

    def counted(text):
        calls.append(text)
        return len(text)

    def paced(api):  # one a minute after a burst: what is paid for is not paid back by time
        assert interrupted(api.call, counted, "abc") == 3

    def paced_and_submitted(api):
        future = None
        try:
            future = interrupted(api.submit, counted, "abc")
        finally:
            assert future is None or future.result(10) == 3

    calls, scenario, settings = [], globals()[sys.argv[1]], {}
    if "paced" in sys.argv[1]:
        settings = {"requests_per_minute": 1, "rate_burst": 1000}
    for n in range(1, 3000):
        api = Api(max_concurrent_requests=1, initial_retry_delay=0.001, **settings)
        RequestEngine.of(api)
        calls.clear()
        interrupter, unraisable = Interrupter(n), []
        try:
            scenario(api)
        except KeyboardInterrupt:
            unraisable.append("raised")
        if interrupter.left > 0:
            break
        try:
            assert unraisable, "it was lost"
            assert current_slot.get() is None
            assert_at_rest(api)
            assert api.call(len, "abc") == 3
            if settings:  # those three, and what was made before
                paid = (RequestEngine.of(api).gate.pace.levels[0] - monotonic()) / 60
                assert abs(paid - len(calls) - 3) < 0.5, (paid, len(calls))
            api.close()
        except BaseException as error:
            sys.exit(f"after Ctrl-C at {interrupter.where}: {error!r}")
    else:
        sys.exit("not through")
    print("through", n > 20)
""")


@pytest.mark.parametrize(
    "way", ["uncontended", "fails", "contended", "releases", "submits", "nests", "streams"]
)
def test_Q9_ctrl_c_at_every_point_loses_no_slot_and_no_waiter(way):
    assert run_python(CTRL_C_EVERYWHERE, way, seconds=110) == "through True\n"


@pytest.mark.parametrize("way", ["paced", "paced_and_submitted"])
def test_R5_ctrl_c_at_every_point_loses_no_rate(way):
    assert run_python(CTRL_C_EVERYWHERE, way, seconds=110) == "through True\n"


def test_Q9_ctrl_c_while_the_alarm_is_started_is_raised(api):
    """`Thread.start` raises RuntimeError in its place, if it comes while a lock is to be taken again."""
    script = textwrap.dedent("""
        import sys, threading
        from test.runtime.api import *

        def interrupt(frame, event, arg):
            if event == "call" and frame.f_code.co_name == "_acquire_restore":
                sys.setprofile(None)
                raise KeyboardInterrupt

        class SlowToBegin(threading.Thread):
            def run(self):
                super().run()
            def _bootstrap(self):
                begin.wait(10)
                super()._bootstrap()

        begin = threading.Event()
        threading.Timer(0.05, begin.set).start()
        api = Api(initial_retry_delay=0.001)
        real, threading.Thread = threading.Thread, SlowToBegin
        sys.setprofile(interrupt)
        try:
            print(api.call(Flaky(Answer(503))))
        except KeyboardInterrupt:
            print("raised")
    """)
    assert run_python(script).splitlines()[-1] == "raised"
