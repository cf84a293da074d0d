"""Q1 to Q7: slots, the line, who runs a request, and what its caller gets."""

from __future__ import annotations

import contextvars
import copy
import functools
import gc
import inspect
import multiprocessing
import pickle
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from types import SimpleNamespace

import pytest
import requests

from backend_retrofit_runtime import RequestEngine, RequestQueueFull, workers
from backend_retrofit_runtime import gate as gate_module
from backend_retrofit_runtime.gate import Gate
from test.loopback import Reply
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, queue_up, until


@pytest.fixture
def single(api):
    """A backend that makes one request at a time."""
    api.max_concurrent_requests = 1
    return api


def run_one(api, gated):
    """Let one request be in flight."""
    running = caller(api.call, gated, "first")
    until(lambda: gated.now == 1)
    return running


# Q1


@pytest.mark.parametrize("limit", [1, 2, 5, 8])
def test_Q1_never_more_in_flight_than_the_limit(limit, server):
    api = Api(max_concurrent_requests=limit)
    server.app = lambda request: Reply(200, {"ok": True}, delay=0.01)
    callers = [caller(api.call, requests.get, server.url) for _ in range(4 * limit + 3)]
    assert all(future.result(10).status_code == 200 for future in callers)
    assert server.most_in_flight <= limit
    assert_at_rest(api)


def test_Q1_the_limit_is_reached_not_only_kept(api, gated):
    callers = [caller(api.call, gated, n) for n in range(9)]
    until(lambda: gated.now == 5 and len(api.request_queue) == 4)
    assert api.current_requests == 5
    gated.end(9)
    assert sorted(future.result(5) for future in callers) == list(range(9))
    assert gated.most == 5


def test_Q1_instances_have_limits_of_their_own(gated):
    one, two = Api(max_concurrent_requests=1), Api(max_concurrent_requests=1)
    callers = [caller(api.call, gated) for api in (one, two)]
    until(lambda: gated.now == 2)
    gated.end(2)
    wait(callers, 5)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_Q1_slot_is_given_back_whatever_is_raised(single, error):
    def fail():
        raise error

    for _ in range(3):
        with pytest.raises(type(error)):
            single.call(fail)
    assert_at_rest(single)


def test_Q1_holds_under_stress_and_tiny_switch_intervals():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert_no_more_than_three(threads=12, calls=50)
    finally:
        sys.setswitchinterval(interval)


# A free slot is taken, and given back, without a lock, as no other thread can come between. A debugger lets them.
QUICK = {Gate.enter.__code__, Gate.leave.__code__}


def test_Q1_holds_where_a_debugger_lets_others_run_at_each_line():
    def at_each_line(frame, event, _):
        time.sleep(0.0002)
        return at_each_line

    def trace():
        sys.settrace(lambda frame, event, _: at_each_line if frame.f_code in QUICK else None)

    assert_no_more_than_three(threads=5, calls=40, first=trace)


def test_Q1_a_slot_wakes_who_came_while_a_debugger_stood_at_its_release(single, gated):
    def make_one():
        sys.settrace(lambda frame, event, _: at_each_line if frame.f_code is Gate.leave.__code__ else None)
        return single.call(gated, "first")

    def at_each_line(frame, event, _):
        if not waiting and event == "line" and frame.f_lineno > Gate.leave.__code__.co_firstlineno + 2:
            waiting.append(caller(single.call, gated, "second"))
            until(lambda: len(single.request_queue) == 1)
        return at_each_line

    waiting: list[Future[object]] = []
    gated.end(2)
    assert caller(make_one).result(10) == "first"
    assert waiting[0].result(10) == "second"
    assert_at_rest(single)


def test_Q1_no_slot_is_taken_in_the_middle_of_what_the_gate_does(single):
    gate, begun, end = RequestEngine.of(single).gate, threading.Event(), threading.Event()
    working = caller(gate.exclusively, lambda: begun.set() or end.wait(10))
    assert begun.wait(10)
    slot = gate.new_slot()
    entering = caller(gate.enter, slot)
    threading.Event().wait(0.1)
    assert not entering.done()
    end.set()
    assert entering.result(10)
    assert working.result(10)
    ending = caller(gate.exclusively, lambda: slot.release() or gate.active)
    assert ending.result(10) == 1, "it is given back when that is over"
    gate.pump()
    assert_at_rest(single)


def assert_no_more_than_three(threads: int, calls: int, first: Callable[[], object] = lambda: None) -> None:
    """Let threads make calls that end soon, with a limit of three.

    Args:
        calls: of each of them.
        first: what each of them does before.
    """
    api, lock, now, most = Api(max_concurrent_requests=3), threading.Lock(), 0, 0

    def call():
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.0002)
        with lock:
            now -= 1

    def make_many():
        first()
        for _ in range(calls):
            api.call(call)

    callers = [caller(make_many) for _ in range(threads)]
    for future in callers:
        future.result(30)
    assert most <= 3
    assert_at_rest(api)


# Q2


def test_Q2_first_in_first_out(single, gated):
    running = run_one(single, gated)
    waiting = queue_up(single, gated, 20)
    gated.end(21)
    wait([running, *waiting], 10)
    assert gated.ran == ["first", *range(20)]


def test_Q2_newcomer_does_not_overtake_who_waits(single, gated):
    run_one(single, gated)
    queue_up(single, gated, 3)
    gate = RequestEngine.of(single).gate
    # The slot is free for an instant, and somebody waits: the newcomer comes right then.
    seen = []
    hand_over = gate.jobs.put

    class Jobs:
        def put(self, job):
            seen.append(gate.active)
            hand_over(job)

        def __getattr__(self, name):
            return getattr(jobs, name)

    jobs, gate.jobs = gate.jobs, Jobs()
    gated.end()
    until(lambda: gated.ran == ["first", 0])
    newcomer = caller(single.call, gated, "newcomer")
    until(lambda: len(single.request_queue) == 3)
    gated.end(4)
    assert newcomer.result(5) == "newcomer"
    assert gated.ran == ["first", 0, 1, 2, "newcomer"]
    assert seen == [1] * len(seen), "the slot went from hand to hand"


def test_Q2_a_freed_slot_wakes_one_waiter_only(single, gated):
    run_one(single, gated)
    queue_up(single, gated, 10)
    gated.end()
    until(lambda: gated.ran == ["first", 0])
    assert len(single.request_queue) == 9
    assert gated.now == single.current_requests == 1
    gated.end(10)


def test_Q2_waiting_takes_no_processor_time(single, gated):
    run_one(single, gated)
    queue_up(single, gated, 30)
    before = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - before < 0.25  # thirty polling threads take all of it
    gated.end(31)


def test_Q2_a_newcomer_waits_behind_one_that_backs_off_and_is_due(single):
    """See also B6."""
    ran = []

    def call(name, failures):
        ran.append(name)
        return Answer(503) if ran.count(name) <= failures else name

    single.initial_retry_delay = 0.05
    assert single.call(call, "a", 1) == "a"
    assert ran == ["a", "a"]


# Q3


def test_Q3_below_the_limit_in_the_callers_thread(api):
    assert api.call(threading.get_ident) == threading.get_ident()
    assert not RequestEngine.of(api).gate.workers


def test_Q3_in_a_background_daemon_thread_where_the_owner_wants_it(single, gated):
    single.queue_execution = "background"
    run_one(single, gated)
    queued = caller(single.call, threading.current_thread)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    thread = queued.result(5)
    assert thread.daemon
    assert thread is not threading.main_thread()
    assert thread.name == "request-queue"


def test_Q3_queued_result_is_the_same_object(single, gated):
    run_one(single, gated)
    thing = object()
    queued = caller(single.call, lambda: thing)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    assert queued.result(5) is thing


def test_Q3_arguments_are_passed_on_as_they_are(single, gated):
    def call(*args, **kwargs):
        return args, kwargs

    running = run_one(single, gated)
    queued = caller(single.call, call, 1, [2], call="c", retry="r", self=3, function=None)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    running.result(5)
    expected = ((1, [2]), {"call": "c", "retry": "r", "self": 3, "function": None})
    assert queued.result(5) == expected
    assert single._queued(call)(1, [2], call="c", retry="r", self=3, function=None) == expected


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_Q3_queued_exception_is_the_same_object_with_its_traceback(single, gated, kind):
    error, cause = kind("x"), OSError("cause")

    def fail_deep_inside():
        raise error from cause

    run_one(single, gated)
    queued = caller(single.call, fail_deep_inside)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    assert queued.exception(5) is error
    assert error.__cause__ is cause
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames[-1] == "fail_deep_inside"
    assert frames.index("call") < frames.index("fail_deep_inside"), "the caller's frames come first"


def test_Q3_a_worker_outlives_whatever_its_request_raises(single, gated):
    def leave():
        raise SystemExit(1)

    running = run_one(single, gated)
    queued = [caller(single.call, leave)]
    until(lambda: len(single.request_queue) == 1)
    queued += queue_up(single, gated, 2)
    gated.end(3)
    assert isinstance(queued[0].exception(5), SystemExit)
    wait([running, *queued], 5)
    assert_at_rest(single)


def test_Q3_contextvars_of_the_caller_are_visible(single, gated):
    variable = contextvars.ContextVar("variable", default="unset")

    def call_in_context():
        variable.set("mine")
        return single.call(variable.get)

    run_one(single, gated)
    queued = caller(call_in_context)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    assert queued.result(5) == "mine"


def test_Q3_no_reference_to_result_or_arguments_is_kept(single, gated):
    class Thing:
        pass

    def call(argument):
        return Thing()

    argument = Thing()
    run_one(single, gated)
    queued = caller(single.call, call, argument)
    until(lambda: len(single.request_queue) == 1)
    gated.end()
    result = queued.result(5)
    references = [weakref.ref(result), weakref.ref(argument)]
    del result, argument, queued
    until(lambda: gc.collect() is not None and not any(reference() for reference in references))


# Q4


def test_Q4_the_next_one_is_refused_with_advice(single, gated):
    single.queue_size = 2
    run_one(single, gated)
    waiting = queue_up(single, gated, 2)
    with pytest.raises(RuntimeError, match=r"^Request queue is full \(2 items\).+queue_size") as caught:
        single.call(gated, "refused")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RequestQueueFull)
    gated.end(3)
    wait(waiting, 5)
    assert "refused" not in gated.ran
    assert_at_rest(single)


def test_Q4_exactly_a_hundred_wait_by_default(single, gated):
    run_one(single, gated)
    futures = [single.submit(gated, n) for n in range(100)]
    with pytest.raises(RequestQueueFull, match=r"\(100 items\)"):
        single.submit(gated, 100)
    with pytest.raises(RequestQueueFull, match=r"\(100 items\)"):
        single.call(gated, 101)
    assert len(single.request_queue) == 100
    gated.end(101)
    assert [future.result(5) for future in futures] == list(range(100))


def test_Q4_room_comes_back(single, gated):
    single.queue_size = 1
    run_one(single, gated)
    first = single.submit(gated, 0)
    with pytest.raises(RequestQueueFull):
        single.submit(gated, 1)
    first.cancel()
    second = single.submit(gated, 2)
    gated.end(2)
    assert second.result(5) == 2


def test_Q4_room_that_the_collector_made_is_seen_though_no_thread_could_tell(single, gated, monkeypatch):
    """Between the end of an abandoned request and the moment when a thread has admitted the next, the line is not full."""

    def no_thread(*args):
        raise RuntimeError("can't start new thread")

    single.queue_size = 1
    gate = RequestEngine.of(single).gate
    slot = gate.new_slot()
    assert gate.enter(slot)
    first = single.submit(gated, 0)
    monkeypatch.setattr(gate_module, "_thread", SimpleNamespace(start_new_thread=no_thread))
    slot.abandon()
    second = single.submit(gated, 1)
    gated.end(2)
    assert [first.result(5), second.result(5)] == [0, 1]


def test_Q4_no_queue_at_all(single, gated):
    single.queue_size = 0
    run_one(single, gated)
    with pytest.raises(RequestQueueFull, match=r"\(0 items\)"):
        single.call(gated)
    gated.end()
    until(lambda: single.current_requests == 0)
    assert single.submit(len, "abc").result(5) == 3, "a free slot needs no place in line"


def test_Q4_running_requests_do_not_count(api, gated):
    api.queue_size = 1
    callers = [caller(api.call, gated, n) for n in range(5)]
    until(lambda: gated.now == 5)
    callers += queue_up(api, gated, 1)
    with pytest.raises(RequestQueueFull):
        api.call(gated)
    gated.end(6)
    wait(callers, 5)


def test_Q4_shrinking_evicts_nobody(single, gated):
    run_one(single, gated)
    waiting = queue_up(single, gated, 3)
    single.queue_size = 1
    assert len(single.request_queue) == 3
    with pytest.raises(RequestQueueFull):
        single.call(gated)
    gated.end(4)
    assert sorted(future.result(5) for future in waiting) == [0, 1, 2]


def test_Q4_one_that_backs_off_counts_and_is_never_refused_itself(single):
    single.queue_size = 1
    single.initial_retry_delay = 1
    flaky = Flaky(Answer(503))
    backing_off = caller(single.call, flaky)
    until(lambda: len(single.request_queue) == 1)
    gated = Gated()
    running = run_one(single, gated)
    with pytest.raises(RequestQueueFull):
        single.call(len, "abc")
    gated.end()
    assert running.result(5) == "first"
    assert backing_off.result(5) == "done"


# Q5


def test_Q5_submit_never_blocks_and_gives_a_future(single, gated):
    future = single.submit(gated, "x")
    assert isinstance(future, Future)
    until(lambda: gated.now == 1)
    waiting = single.submit(gated, "y")
    assert not future.done()
    assert not waiting.running()
    gated.end(2)
    assert (future.result(5), waiting.result(5)) == ("x", "y")


def test_Q5_exception_comes_through_the_future(single):
    error = KeyError("x")
    assert single.submit(Flaky(error)).exception(5) is error


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_Q5_base_exception_comes_through_the_future(single, kind):
    assert isinstance(single.submit(Flaky(kind())).exception(5), kind)
    assert_at_rest(single)


def test_Q5_cancelled_while_waiting_never_runs(single, gated):
    running = run_one(single, gated)
    cancelled, kept = single.submit(gated, "cancelled"), single.submit(gated, "kept")
    assert cancelled.cancel()
    assert len(single.request_queue) == 1
    assert wait([cancelled], 5).done == {cancelled}
    gated.end(2)
    assert kept.result(5) == "kept"
    running.result(5)
    with pytest.raises(CancelledError):
        cancelled.result(0)
    assert gated.ran == ["first", "kept"]
    assert_at_rest(single)


def test_Q5_a_running_one_cannot_be_cancelled(single, gated):
    future = single.submit(gated, "x")
    until(lambda: gated.now == 1)
    assert not future.cancel()
    gated.end()
    assert future.result(5) == "x"


def test_Q5_a_method_retries_its_own_requests_only(api):
    """A submitted method is not retried as a whole: its own requests are."""
    flaky = Flaky(Answer(503), Answer(503))
    assert api.submit(api.call, flaky).result(5) == "done"
    assert flaky.calls == 3


def test_Q5_any_other_function_is_retried_as_a_whole(api):
    flaky = Flaky(Answer(503), Answer(429))
    assert api.submit(flaky).result(5) == "done"
    assert flaky.calls == 3


def test_Q5_submitted_and_called_ones_share_one_line(single, gated):
    run_one(single, gated)
    futures = [single.submit(gated, "a")]
    futures += queue_up(single, gated, 1)
    futures += [single.submit(gated, "b")]
    gated.end(4)
    wait(futures, 5)
    assert gated.ran == ["first", "a", 0, "b"]


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_Q5_a_callback_that_raises_harms_nobody(single, gated, kind):
    def raise_it(future):
        raise kind("from the callback")

    run_one(single, gated)
    first = single.submit(gated, 1)
    first.add_done_callback(raise_it)
    second = single.submit(gated, 2)
    gated.end(3)
    assert (first.result(5), second.result(5)) == (1, 2)
    assert single.submit(len, "abc").result(5) == 3
    assert_at_rest(single)


def test_Q5_a_callback_may_submit_again(single):
    done = Future()
    single.submit(len, "a").add_done_callback(
        lambda first: single.submit(len, "bc").add_done_callback(
            lambda second: done.set_result(second.result())
        )
    )
    assert done.result(5) == 2


# Q6


def test_Q6_the_view_counts_iterates_and_indexes(single, gated):
    queue = single.request_queue
    assert len(queue) == 0
    assert not queue
    run_one(single, gated)
    queue_up(single, gated, 3)
    assert len(queue) == 3
    ids = [item["id"] for item in queue]
    assert queue[0]["id"] == ids[0]
    assert queue[-1]["id"] == ids[2]
    assert [item["id"] for item in queue[1:]] == ids[1:]
    assert ids == sorted(set(ids), key=ids.index)
    with pytest.raises(IndexError):
        queue[3]
    gated.end()
    until(lambda: len(queue) == 2)
    assert [item["id"] for item in queue] == ids[1:], "oldest first, and the others keep their ids"
    gated.end(3)


def test_Q6_iterating_takes_one_look_at_the_line(single, gated, monkeypatch):
    """However long the line is, and however it changes meanwhile."""
    futures = [single.submit(gated, number) for number in range(4)]
    looks = []
    line = Gate.line
    monkeypatch.setattr(Gate, "line", lambda gate: looks.append(gate) or line(gate))
    seen = []
    for request in single.request_queue:
        futures[2].cancel()
        seen.append(request["id"])
    assert len(looks) == 1
    assert seen == ["req_2", "req_3", "req_4"]
    gated.end(4)


def test_Q6_current_requests_is_the_number_in_flight(api, gated):
    assert api.current_requests == 0
    callers = [caller(api.call, gated) for _ in range(3)]
    until(lambda: gated.now == 3)
    assert api.current_requests == 3
    gated.end(3)
    wait(callers, 5)
    assert api.current_requests == 0


def test_Q6_one_that_backs_off_waits_and_is_not_in_flight(api):
    api.initial_retry_delay = 30
    future = api.submit(Flaky(Answer(503)))
    until(lambda: len(api.request_queue) == 1)
    assert api.current_requests == 0
    api.close()
    assert future.exception(5) is not None


# Q7


def test_Q7_raising_admits_at_once(single, gated):
    run_one(single, gated)
    callers = queue_up(single, gated, 6)
    single.max_concurrent_requests = 4
    until(lambda: gated.now == 4)
    assert len(single.request_queue) == 3
    gated.end(7)
    wait(callers, 5)
    assert gated.ran[0] == "first"
    assert sorted(gated.ran[1:4]) == [0, 1, 2]


def test_Q7_lowering_interrupts_nothing_and_never_blocks(api, gated):
    callers = [caller(api.call, gated) for _ in range(5)]
    until(lambda: gated.now == 5)
    callers += queue_up(api, gated, 5)
    api.max_concurrent_requests = 1
    assert gated.now == api.current_requests == 5
    gated.end(4)
    until(lambda: api.current_requests == 1)
    assert len(api.request_queue) == 5
    gated.end(1)
    until(lambda: len(api.request_queue) == 4)
    assert api.current_requests == 1
    gated.end(5)
    wait(callers, 5)


def test_Q7_zero_pauses_and_raising_resumes(api, gated):
    api.max_concurrent_requests = 0
    future = api.submit(gated, "x")
    assert len(api.request_queue) == 1
    assert not gated.ran
    api.max_concurrent_requests = 1
    gated.end()
    assert future.result(5) == "x"


def test_Q7_resized_at_random_under_load_all_are_made_once(api):
    lock, now, seen = threading.Lock(), 0, []

    def call(number):
        nonlocal now
        with lock:
            now += 1
            seen.append(number)
        time.sleep(0.0005)
        with lock:
            now -= 1
        return number

    api.queue_size = 1000
    futures = [api.submit(call, number) for number in range(150)]
    for limit in [1, 8, 0, 3, 5, 1, 20, 2] * 3:
        api.max_concurrent_requests = limit
        time.sleep(0.002)
    api.max_concurrent_requests = 5
    assert [future.result(20) for future in futures] == list(range(150))
    assert sorted(seen) == list(range(150))
    assert_at_rest(api)


def test_Q7_queue_disabled_on_a_live_instance_lets_all_go(single, gated):
    run_one(single, gated)
    callers = queue_up(single, gated, 4)
    single.queue_enabled = False
    until(lambda: gated.now == 5)
    gated.end(5)
    wait(callers, 5)
    assert_at_rest(single)


def test_Q3_a_call_runs_in_its_own_thread_where_the_last_slot_was_abandoned_to_the_collector(api):
    api.max_concurrent_requests = 1
    gate = RequestEngine.of(api).gate
    slot = gate.new_slot()
    assert gate.enter(slot)
    slot.abandon()
    assert api.call(threading.get_ident) == threading.get_ident()
    assert_at_rest(api)


def test_Q3_two_threads_start_one_worker_for_one_job(api):
    """One too many would wait without being counted, and end in place of one that counts, which then stays for ever."""
    gate = RequestEngine.of(api).gate
    gate.unstaffed = 1  # a job was put
    first, second = workers.Worker(gate), workers.Worker(gate)
    assert caller(gate.exclusively, workers._add_worker, gate, first).result(10) is True
    assert gate.exclusively(workers._add_worker, gate, second) is False
    gate.starting.clear()
    gate.workers.clear()
    gate.unstaffed = 0


# What is handed on


def test_a_queued_function_is_to_others_what_it_was(api):
    def post(url):
        return url

    post.retries = 3
    queued = api._queued(post)
    assert (queued.__name__, queued.__qualname__, queued.retries) == ("post", post.__qualname__, 3)
    assert queued == post
    assert {post: "POST"}[queued] == "POST"
    assert queued != len
    assert queued("/x") == "/x"
    assert inspect.signature(queued) == inspect.signature(post)
    with pytest.raises(AttributeError):
        queued.nothing_of_that_name  # noqa: B018


def test_a_queued_method_of_a_session_has_its_name_and_its_session(api):
    import requests

    with requests.Session() as session:
        queued = api._queued(session.delete)
        assert (queued.__name__, queued.__self__) == ("delete", session)
        assert queued == session.delete


@pytest.mark.parametrize("function", [requests.get, requests.Session().get], ids=["function", "method"])
def test_a_queued_function_is_the_function_itself_in_another_process(api, server, function):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(api._queued(function), server.url).result(60).json() == {"ok": True}
    assert type(pickle.loads(pickle.dumps(api._queued(function)))) is type(function)


def test_a_partial_of_a_queued_function_is_one_of_the_function(api, server):
    get = functools.partial(api._queued(requests.get), timeout=5)
    assert (get.func, get.args, get.keywords) == (requests.get, (), {"timeout": 5})
    assert str(inspect.signature(get)) == str(inspect.signature(functools.partial(requests.get, timeout=5)))
    assert get(server.url).ok
    assert api.queue_stats()["requests"] == 1
    assert pickle.loads(pickle.dumps(get))(server.url).ok
    assert api.queue_stats()["requests"] == 1


def test_a_copy_of_a_queued_function_is_queued(api, server):
    session = requests.Session()
    session.headers["X-Of"] = "the first"
    queued = api._queued(session.get)
    copies = [copy.copy(queued), copy.deepcopy(queued), copy.deepcopy({"get": queued})["get"]]
    session.headers["X-Of"] = "the first, changed"
    for each in copies:
        assert each(server.url).ok
    assert [request.headers["x-of"] for request in server.requests] == [
        "the first, changed",
        "the first",
        "the first",
    ]
    assert api.queue_stats()["requests"] == 3


def test_a_queued_coroutine_function_is_one_and_has_its_name(api):
    async def fetch():
        return 1

    queued = api._queued(fetch)
    assert inspect.iscoroutinefunction(queued)
    assert queued.__name__ == "fetch"
