"""B1, B2, B5, B6, B8, B9: how often, after what delay, in what order, and what the caller gets and reads in the log."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import sys
import threading
import time
from concurrent.futures import wait

import pytest
import requests

from backend_retrofit_runtime import QueueClosed, RequestEngine, RequestTimeout
from test.loopback import Reply, Reset
from test.runtime.conftest import PATIENCE, Answer, Api, Flaky, Gated, assert_at_rest, caller, until

URL_OF_A_CHAT = "/v1/chat/completions"


@pytest.fixture
def stock(delays):
    """A backend with the default settings, whose backoff takes no time."""
    return Api()


# B1


def test_B1_six_attempts_after_1_2_4_8_16_seconds(stock, delays):
    flaky = Flaky(*[Answer(503)] * 9)
    assert stock.call(flaky).status_code == 503
    assert flaky.calls == 6
    assert delays == [1, 2, 4, 8, 16]


def test_B1_the_same_where_a_worker_thread_makes_the_request(stock, delays):
    flaky = Flaky(*[Answer(503)] * 9)
    assert stock.submit(flaky).result(5).status_code == 503
    assert flaky.calls == 6
    assert delays == [1, 2, 4, 8, 16]


def test_B1_the_same_async(stock, delays):
    flaky = Flaky(*[Answer(503)] * 9)

    async def call():
        return flaky()

    assert asyncio.run(stock.acall(call)).status_code == 503
    assert flaky.calls == 6
    assert delays == [1, 2, 4, 8, 16]


def test_B1_no_more_than_needed(stock, delays):
    assert stock.call(Flaky(Answer(503), Answer(429))) == "done"
    assert delays == [1, 2]


def test_B1_capped_by_max_retry_delay(stock, delays):
    stock.max_retries, stock.max_retry_delay = 8, 10
    stock.call(Flaky(*[Answer(503)] * 9))
    assert delays == [1, 2, 4, 8, 10, 10, 10, 10]


def test_B1_other_initial_delay_and_factor(stock, delays):
    stock.initial_retry_delay, stock.backoff_factor, stock.max_retry_delay = 2, 3, 120
    stock.call(Flaky(*[Answer(503)] * 6))
    assert delays == [2, 6, 18, 54, 120]


def test_B1_thousands_of_retries_do_not_overflow(stock, delays):
    stock.max_retries, stock.backoff_factor = 3000, 7.5
    stock.call(Flaky(*[Answer(503)] * 3001))
    assert max(delays) == 60


def test_B1_no_retries_at_all(stock, delays):
    stock.max_retries = 0
    flaky = Flaky(Answer(503))
    assert stock.call(flaky).status_code == 503
    assert not delays


def test_B1_a_change_applies_to_calls_already_under_way(stock, delays):
    def call():
        stock.max_retries = 2
        return Answer(503)

    stock.call(call)
    assert delays == [1, 2]


def test_B1_several_that_back_off_are_spread_upwards_by_up_to_a_tenth(monkeypatch):
    api = Api(max_retries=1, initial_retry_delay=10)
    recorded = []
    rejoin = RequestEngine.of(api).gate.rejoin
    monkeypatch.setattr(
        RequestEngine.of(api).gate, "rejoin",
        lambda ticket, delay, *args, **kwargs: (recorded.append(delay), rejoin(ticket, delay, *args, **kwargs)),
    )  # fmt: skip
    futures = [api.submit(Flaky(Answer(503))) for _ in range(30)]
    until(lambda: len(recorded) == 30)
    api.close()
    wait(futures, 5)
    assert min(recorded) == 10
    assert all(10 <= delay <= 11 for delay in recorded)
    assert len(set(recorded)) > 20


def test_B1_spread_never_falls_short_of_what_the_server_asked(monkeypatch):
    api = Api(initial_retry_delay=30)
    waiting = api.submit(Flaky(Answer(503)))
    until(lambda: len(api.request_queue) == 1)
    recorded = []
    gate = RequestEngine.of(api).gate
    rejoin = gate.rejoin
    monkeypatch.setattr(
        gate, "rejoin", lambda ticket, delay, *rest, **kw: (recorded.append(delay), rejoin(ticket, 0))
    )
    for _ in range(20):
        api.call(Flaky(Answer(500, {"Retry-After": "7"})))
    api.close()
    wait([waiting], 5)
    assert min(recorded) >= 7
    assert max(recorded) <= 7.7


def test_B1_jitter_can_be_turned_off(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    api = Api(initial_retry_delay=30, retry_jitter=0)
    futures = [api.submit(Flaky(Answer(503))) for _ in range(3)]
    until(lambda: len(api.request_queue) == 3)
    line = RequestEngine.of(api).gate.line()
    assert max(t.ready_at for t in line) - min(t.ready_at for t in line) < 2.9
    api.close()
    wait(futures, 5)


def test_B1_the_wait_is_real(api):
    api.initial_retry_delay = 0.1
    start = time.monotonic()
    assert api.call(Flaky(Answer(503), Answer(503))) == "done"
    assert time.monotonic() - start >= 0.3


# B2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 524, 529, 498])
def test_B2_status_is_retried_over_the_wire(api, server, status):
    server.script(Reply(status), Reply(status))
    assert api.call(requests.get, server.url).status_code == 200
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 501])
def test_B2_status_is_not_retried_over_the_wire(api, server, status):
    server.script(Reply(status))
    assert api.call(requests.get, server.url).status_code == status
    assert len(server.requests) == 1


def test_B2_raise_for_status_inside_the_call_is_judged_alike(api, server):
    def get(url):
        response = requests.get(url)
        response.raise_for_status()
        return response

    server.script(Reply(503), Reply(404))
    with pytest.raises(requests.HTTPError):
        api.call(get, server.url)
    assert len(server.requests) == 2


@pytest.mark.parametrize("reply", [Reset(), Reply(200, b"x" * 100, cut_after=50)])
def test_B2_reset_and_truncated_body_are_retried(api, server, reply):
    server.script(reply, reply)
    assert api.call(requests.get, server.url).json() == {"ok": True}
    assert len(server.requests) == 3


def test_B2_timeout_is_retried(api, server):
    server.script(Reply(200, delay=60))
    assert api.call(requests.get, server.url, timeout=PATIENCE).status_code == 200
    assert len(server.requests) == 2


def test_B2_no_connection_is_retried(stock, delays):
    with pytest.raises(requests.ConnectionError):
        stock.call(requests.post, "http://127.0.0.1:9/upload", data=b"x")
    assert delays == [1, 2, 4, 8, 16]


def test_B2_no_money_is_not_retried_over_the_wire(api, server):
    server.script(Reply(429, {"error": {"code": "insufficient_quota"}}, {"Retry-After": "1"}))
    assert api.call(requests.get, server.url).status_code == 429
    assert len(server.requests) == 1


@pytest.mark.parametrize(("word", "count"), [("true", 2), ("false", 1)])
def test_B2_x_should_retry_overrides_over_the_wire(api, server, word, count):
    server.script(Reply(400 if word == "true" else 503, headers={"x-should-retry": word}))
    api.call(requests.get, server.url)
    assert len(server.requests) == count


@pytest.mark.parametrize(
    "error", [TypeError("x"), ValueError("x"), KeyError("x"), AssertionError(), OSError(28, "x")]
)
def test_B2_programming_errors_are_not_retried(stock, error):
    flaky = Flaky(error)
    with pytest.raises(type(error)) as caught:
        stock.call(flaky)
    assert caught.value is error
    assert flaky.calls == 1


@pytest.mark.parametrize(
    "kind", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, MemoryError]
)
def test_B2_cancellation_and_its_like_are_not_retried(stock, kind):
    flaky = Flaky(kind())
    with pytest.raises(kind):
        stock.call(flaky)
    assert flaky.calls == 1
    assert_at_rest(stock)


def test_B2_a_pack_of_failures_for_one_model_leaves_the_others_alone(api, server):
    def app(request):
        return Reply(503) if request.path == "/broken" else Reply(200)

    server.app = app
    api.initial_retry_delay, api.max_concurrent_requests = 0.05, 2
    broken = [caller(api.call, requests.get, server.url + "/broken") for _ in range(4)]
    fine = [caller(api.call, requests.get, server.url + "/fine") for _ in range(8)]
    done, _ = wait(fine, 10)
    assert [future.result().status_code for future in done] == [200] * 8
    api.close()
    wait(broken, 10)


# B5


def arrivals(server):
    return [request.at - server.requests[0].at for request in server.requests]


@pytest.mark.parametrize("status", [429, 503, 529])
def test_B5_retry_after_holds_back_every_request_in_order(server, status):
    api = Api()
    server.script(Reply(status, headers={"retry-after-ms": "500"}))
    first = caller(api.call, requests.get, server.url + "/first")
    until(lambda: len(api.request_queue) == 1)
    others = []
    for number in range(3):
        others.append(caller(api.call, requests.get, f"{server.url}/{number}"))
        until(lambda: len(api.request_queue) == 1 + len(others))
    assert api.current_requests == 0
    wait([first, *others], 10)
    assert min(arrivals(server)[1:]) >= 0.5
    assert len(server.requests) == 5
    # Admitted in order; in which order five threads then reach the server is the kernel's choice.
    assert server.requests[0].path == "/first"


def test_B5_held_back_requests_start_in_the_order_of_the_line():
    api, ran = Api(max_concurrent_requests=1), []

    def call(number):
        ran.append(number)
        return Answer(429, {"Retry-After": "0.2"}) if len(ran) == 1 else number

    futures = [caller(api.call, call, 0)]
    until(lambda: len(api.request_queue) == 1)
    for number in range(1, 5):
        futures.append(api.submit(call, number))
    wait(futures, 5)
    assert ran == [0, 0, 1, 2, 3, 4]


def test_B5_other_instances_are_not_held_back(api):
    slow = caller(api.call, Flaky(Answer(429, {"Retry-After": "30"})))
    until(lambda: len(api.request_queue) == 1)
    assert Api().call(len, "abc") == 3
    api.close()
    wait([slow], 5)


@pytest.mark.parametrize("is_async", [False, True])
def test_B5_what_a_request_that_runs_requests_meanwhile_is_held_back_too(api, is_async):
    gate, inside = RequestEngine.of(api).gate, threading.Event()

    def wait_for_the_hold():
        inside.set()
        until(lambda: gate.hold_until)

    def outer():
        wait_for_the_hold()
        return api.call(time.monotonic)

    async def now():
        return time.monotonic()

    async def outer_async():
        await asyncio.to_thread(wait_for_the_hold)
        return await api.acall(now)

    running = caller(asyncio.run, api.acall(outer_async)) if is_async else caller(api.call, outer)
    assert inside.wait(10)
    before = time.monotonic()
    assert api.call(Flaky(Answer(429, {"Retry-After": "0.5"}))) == "done"
    assert running.result(10) >= before + 0.5
    assert_at_rest(api)


@pytest.mark.parametrize("status", [500, 502, 408])
def test_B5_on_another_status_it_is_one_request_s_own_delay(api, status):
    slow = caller(api.call, Flaky(Answer(status, {"Retry-After": "30"})))
    until(lambda: len(api.request_queue) == 1)
    assert api.call(len, "abc") == 3
    api.close()
    wait([slow], 5)


def test_B5_a_429_without_a_delay_holds_back_nobody(api):
    api.initial_retry_delay = 30
    slow = caller(api.call, Flaky(Answer(429)))
    until(lambda: len(api.request_queue) == 1)
    assert api.call(len, "abc") == 3
    api.close()
    wait([slow], 5)


def test_B5_also_when_the_request_itself_has_no_retries_left(api):
    api.max_retries = 1
    answers = Flaky(Answer(503), Answer(503, {"Retry-After": "0.3"}))
    assert api.call(answers).status_code == 503
    start = time.monotonic()
    assert api.call(len, "abc") == 3
    assert time.monotonic() - start >= 0.25


def test_B5_the_wall_clock_does_not_matter(api, monkeypatch):
    wall = time.time
    gated = Gated()

    def call():
        gated.ran.append(1)
        monkeypatch.setattr(time, "time", lambda: wall() + (86400 if len(gated.ran) == 1 else -86400))
        return Answer(429, {"Retry-After": "0.2"}) if len(gated.ran) == 1 else "done"

    start = time.monotonic()
    assert api.call(call) == "done"
    assert 0.2 <= time.monotonic() - start < 5


def test_B5_two_delays_the_longer_counts(api):
    gated = Gated()

    def call(seconds):
        gated(seconds)
        return Answer(429, {"Retry-After": str(seconds)}) if gated.ran.count(seconds) == 1 else seconds

    callers = [caller(api.call, call, 0.5), caller(api.call, call, 0.05)]
    until(lambda: gated.now == 2)
    start = time.monotonic()
    gated.end(10)
    wait(callers, 5)
    assert time.monotonic() - start >= 0.5


def test_B5_cancelled_while_held_back_never_runs(api):
    gated = Gated()
    slow = caller(api.call, Flaky(Answer(429, {"Retry-After": "0.2"})))
    until(lambda: len(api.request_queue) == 1)
    future = api.submit(gated, "x")
    assert future.cancel()
    assert slow.result(5) == "done"
    assert not gated.ran
    assert_at_rest(api)


# B6


def test_B6_backing_off_holds_no_slot():
    api = Api(max_concurrent_requests=1, initial_retry_delay=30)
    slow = caller(api.call, Flaky(Answer(503)))
    until(lambda: len(api.request_queue) == 1)
    assert api.current_requests == 0
    for _ in range(3):
        assert api.call(len, "abc") == 3
    api.close()
    assert isinstance(slow.exception(5), QueueClosed)


def test_B6_and_keeps_its_place_in_line():
    """Due again, it goes ahead of all that came after it."""
    api, gated = Api(max_concurrent_requests=1, initial_retry_delay=1), Gated()
    flaky = Flaky(Answer(503))

    def first():
        gated.ran.append("first")
        return flaky()

    returning = caller(api.call, first)
    until(lambda: len(api.request_queue) == 1)
    second = caller(api.call, gated, "second")
    until(lambda: gated.now == 1)
    others = [api.submit(gated, n) for n in range(3)]
    gate = RequestEngine.of(api).gate
    until(lambda: len(gate.ready) == 4)  # it is due, and waits for a slot like the others
    assert next(iter(gate.line())).slot.number == 1
    gated.end(4)
    wait([returning, second, *others], 5)
    assert gated.ran == ["first", "second", "first", 0, 1, 2]


def test_B6_its_id_is_the_same_in_the_view_and_in_the_log(api, caplog):
    api.initial_retry_delay = 0.5
    future = caller(api.call, Flaky(Answer(503), Answer(503)))
    until(lambda: len(api.request_queue) == 1)
    (shown,) = api.request_queue
    future.result(5)
    assert shown["id"] == "req_1"
    assert all("request 1 " in record.getMessage() for record in caplog.records)


# B8


def test_B8_last_response_as_returned(stock):
    answers = [Answer(503) for _ in range(6)]
    assert stock.call(Flaky(*answers)) is answers[5]


def test_B8_last_exception_as_raised(stock):
    errors = [requests.ConnectionError(str(n)) for n in range(6)]

    class Get:
        __name__ = "get"
        flaky = Flaky(*errors)

        def __call__(self):
            return self.flaky()

    with pytest.raises(requests.ConnectionError) as caught:
        stock.call(Get())
    assert caught.value is errors[5]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_B8_an_exception_keeps_its_cause_while_another_is_being_handled(api):
    def call():
        try:
            raise KeyError("the cause")
        except KeyError:
            raise RuntimeError("as it was") from None

    def cleaning_up():
        try:
            raise ValueError("handled just now")
        finally:
            api.call(call)

    with pytest.raises(RuntimeError) as caught:
        cleaning_up()
    assert isinstance(caught.value.__context__, KeyError)
    assert isinstance(caught.value.__context__.__context__, ValueError)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes came with Python 3.11")
def test_B8_an_exception_that_is_raised_again_and_again_says_once_why_it_was_given_up(api):
    error = requests.ConnectionError()
    api.max_retries, api.initial_retry_delay = 1, 0
    for _ in range(3):
        with pytest.raises(requests.ConnectionError):
            api.call(Flaky(error, error))
    assert len(error.__notes__) == 1


def test_B8_the_last_response_can_still_be_read(api, server):
    server.app = lambda request: Reply(503, {"error": {"message": "overloaded"}})
    response = api.call(requests.get, server.url, stream=True)
    assert response.json() == {"error": {"message": "overloaded"}}
    assert_at_rest(api)


def test_B8_discarded_responses_are_closed(api, server):
    session = requests.Session()
    server.script(Reply(503, b"x" * 100000), Reply(503, b"x" * 100000))
    closed = []

    def get():
        response = session.get(server.url, stream=True)
        close = response.close
        response.close = lambda: (closed.append(response.status_code), close())
        return response

    with api.call(get) as response:
        assert response.status_code == 200
        assert closed == [503, 503]


def test_B8_too_long_a_delay_is_not_waited_for_and_is_said(api, caplog):
    error = requests.HTTPError(response=Answer(429, {"Retry-After": "121"}))
    with pytest.raises(requests.HTTPError) as caught:
        api.call(Flaky(error))
    assert caught.value is error
    assert "Retry-After asks for 121 s, over max_retry_after" in caplog.records[-1].getMessage()
    if hasattr(error, "__notes__"):
        assert "Retry-After asks for 121 s, over max_retry_after" in error.__notes__[0]
    assert_at_rest(api)


def test_B8_max_retry_after_is_a_setting(stock, delays):
    stock.max_retry_after = 1000
    stock.call(Flaky(Answer(500, {"Retry-After": "999"})))
    assert delays == [999]


def test_B8_queue_errors_are_never_retried(stock, delays):
    with pytest.raises(RequestTimeout):
        stock.call(Flaky(RequestTimeout("inner")))
    assert not delays


# B9


def messages(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_B9_each_retry_one_warning_and_giving_up_an_error(caplog):
    class Backend(Api):
        def chat(self, call):
            return self._queued(call)()

    caplog.set_level(logging.DEBUG)
    api = Backend(max_retries=2, initial_retry_delay=0.01)
    api.chat(Flaky(Answer(503), Answer(500, {"Retry-After": "0.02"}), Answer(502)))
    assert messages(caplog) == [
        ("WARNING", "Backend.chat: request 1 failed: HTTP 503; retry 1/2 in 0.01 s (backoff)"),
        ("WARNING", "Backend.chat: request 1 failed: HTTP 500; retry 2/2 in 0.02 s (Retry-After)"),
        ("ERROR", "Backend.chat: request 1 failed: HTTP 502; giving up: 2 retries were made"),
    ]
    assert {record.name for record in caplog.records} == {__name__}


def test_B9_success_and_final_refusals_are_not_logged(api, caplog):
    caplog.set_level(logging.DEBUG)
    api.call(len, "abc")
    api.call(Flaky(Answer(404)))
    with pytest.raises(KeyError):
        api.call(Flaky(KeyError("x")))
    assert not caplog.records


def test_B9_exceptions_are_named_not_quoted(api, caplog):
    with pytest.raises(ConnectionError):
        api.call(Flaky(ConnectionError("https://host/?key=SECRET")))
    assert "ConnectionError" in caplog.text
    assert "SECRET" not in caplog.text


def test_B9_a_queued_request_is_named_by_its_method(caplog):
    class Backend(Api):
        def embed(self, call):
            return self._queued(call)()

    api = Backend(max_concurrent_requests=1, initial_retry_delay=0.01)
    gated = Gated()
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    queued = caller(api.embed, Flaky(Answer(503)))
    until(lambda: len(api.request_queue) == 1)
    gated.end()
    wait([running, queued], 5)
    assert "Backend.embed: request 2 failed" in caplog.text


class Raises(logging.Handler):
    def emit(self, record):
        raise RuntimeError("a broken handler")


@pytest.fixture
def handler_on_the_log():
    logger = logging.getLogger(Api.__module__)
    added = []

    def add(handler):
        added.append(handler)
        logger.addHandler(handler)

    yield add
    for handler in added:
        logger.removeHandler(handler)


def test_B9_a_log_handler_that_raises_harms_nobody(api, handler_on_the_log):
    handler_on_the_log(Raises())
    assert api.call(Flaky(Answer(503))) == "done"
    api.max_retries = 1
    assert api.call(Flaky(Answer(503), Answer(503))).status_code == 503
    assert_at_rest(api)


@pytest.mark.parametrize("way", ["in the caller's thread", "in a worker", "async"])
def test_B9_a_log_handler_may_call_the_backend(api, handler_on_the_log, way):
    """A handler that ships its records through the same backend, at limit 1."""
    shipped = []

    class Ships(logging.Handler):
        def emit(self, record):
            shipped.append(api.call(len, "abc"))

    api.max_concurrent_requests = 1
    handler_on_the_log(Ships())
    flaky = Flaky(Answer(503))
    if way == "async":

        async def call():
            return flaky()

        future = caller(asyncio.run, api.acall(call))
    else:
        future = caller(api.call, flaky) if way == "in the caller's thread" else api.submit(flaky)
    assert future.result(5) == "done"
    assert shipped == [3]
    assert_at_rest(api)


# Deadlines (see also Q9)


def test_total_timeout_is_not_slept_into(api, delays):
    api.total_timeout, api.initial_retry_delay = 0.5, 10
    error = ConnectionResetError()

    def get():
        raise error

    with pytest.raises(ConnectionResetError):
        api.call(get)
    assert not delays


def test_infinite_delays_are_refused_beforehand(api):
    with pytest.raises(ValueError, match="max_retry_delay"):
        api.max_retry_delay = math.inf


@pytest.mark.parametrize(("max_retries", "retry"), [(0, True), (5, False)])
def test_B5_a_failure_that_is_not_retried_here_holds_the_others_back_too(api, max_retries, retry):
    """The caller's own loop retries it, or nobody does; the server has asked all the same."""
    api.max_retries = max_retries
    flaky = Flaky(Answer(429, {"Retry-After": "0.2"}))
    start = time.monotonic()
    assert api._queued(flaky, retry=retry)().status_code == 429
    assert flaky.calls == 1
    assert api.call(time.monotonic) - start >= 0.2
