"""R6: a limit that adapts."""

from __future__ import annotations

import contextlib

import pytest

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.adaptive import AdaptiveWindow
from test.runtime.conftest import Answer, Api, Flaky, Gated, caller, until


@pytest.fixture
def adapting():
    api = Api(
        adaptive_concurrency=True, max_concurrent_requests=4, adaptive_concurrency_max=6, queue_size=None, max_retries=0
    )  # fmt: skip
    yield api
    RequestEngine.of(api).gate.close(join=False)


def window(api):
    return api.queue_stats()["window"]


def fill(api, count):
    gated = Gated()
    return gated, [caller(api.call, gated, n) for n in range(count)]


def test_R6_the_limit_is_where_it_begins(adapting):
    gated, callers = fill(adapting, 10)
    until(lambda: gated.now == 4 and len(adapting.request_queue) == 6)
    gated.end(10)
    for each in callers:
        each.result(10)
    assert gated.most <= 6


def test_R6_one_more_for_each_window_full_of_answers_up_to_the_most(adapting):
    gated, callers = fill(adapting, 40)
    for _ in range(34):
        until(lambda: gated.now == window(adapting))
        gated.end()
    until(lambda: gated.now == 6)
    gated.end(6)
    for each in callers:
        each.result(10)
    assert gated.most == 6
    assert window(adapting) == 6


def test_R6_not_while_less_than_half_is_in_use(adapting):
    for _ in range(50):
        adapting.call(len, "abc")
    assert window(adapting) == 4


@pytest.mark.parametrize("status", [429, 503, 529])
def test_R6_less_after_a_refusal(adapting, status):
    adapting.call(Flaky(Answer(status)))
    assert window(adapting) == 2  # 0.7 of 4


@pytest.mark.parametrize("outcome", [TimeoutError(), Answer(404), Answer(500), Answer(408)])
def test_R6_other_failures_are_no_evidence(adapting, outcome):
    with contextlib.suppress(TimeoutError):
        adapting.call(Flaky(outcome))
    assert window(adapting) == 4


def test_R6_one_decrease_for_all_refusals_of_what_was_sent_before_it():
    window = AdaptiveWindow(20, 64)

    class Sent:
        cuts = 0

    for _ in range(10):
        window.refuse(Sent(), 20, hold=0.0, is_doubtful=False)
    assert window.size == 14


def test_R6_never_below_one():
    window = AdaptiveWindow(2, 64)

    class Sent:
        cuts = 10**9

    for _ in range(100):
        window.refuse(Sent(), 1, hold=0.0, is_doubtful=False)
    assert window.room == 1


def test_R6_it_can_be_set_and_taken_back(adapting):
    adapting.call(Flaky(Answer(429)))
    adapting.adaptive_concurrency = False
    gated, callers = fill(adapting, 5)
    until(lambda: gated.now == 4)
    gated.end(5)
    for each in callers:
        each.result(10)
    adapting.max_concurrent_requests = 1
    adapting.adaptive_concurrency = True
    assert window(adapting) == 1


def test_R6_a_capacity_that_changes_is_followed():
    """5, then 20, then 8 at once, as the window alone sees it."""
    window, flying, served, asked = AdaptiveWindow(5, 64), [], 0, 0
    for turn in range(9000):
        capacity = (5, 20, 8)[turn // 3000]
        while len(flying) < window.room:
            sent = type("Sent", (), {"cuts": window.cuts, "sent_at": 0.0})()
            if len(flying) >= capacity:
                asked += 1
                window.refuse(sent, len(flying), hold=0.0, is_doubtful=False)
                break
            flying.append(sent)
        if flying:
            window.succeed(flying.pop(0), len(flying) + 1)
            served += 1
    assert served > 8500
    assert asked < 0.06 * served
