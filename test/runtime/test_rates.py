"""R1, R5: rates that are set. A request starts when its turn has come, in the same line; what is not started is not paid."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_retrofit_runtime import RequestEngine, RequestTimeout
from backend_retrofit_runtime import gate as gate_module
from backend_retrofit_runtime import rates as rates_module
from backend_retrofit_runtime.gate import Gate
from backend_retrofit_runtime.rates import DailyRate, MeteredRate, Pace
from backend_retrofit_runtime.slots import Ticket
from test.runtime.conftest import Answer, Api, Flaky, Gated, caller, queue_up, until

FAST = 60_000  # a minute: one each millisecond
SLOW = 60  # one each second
NEVER = 0.001


@pytest.fixture
def starts(monkeypatch):
    """Record when starts are paid for: just before, and just after."""
    recorded = []
    begin = Pace.begin

    def record(pace, slot, in_flight):
        paid, before = slot.fee is None, rates_module.monotonic()
        begin(pace, slot, in_flight)
        if paid:
            recorded.append((before, rates_module.monotonic()))

    monkeypatch.setattr(Pace, "begin", record)
    return recorded


def assert_within(starts, interval, burst):
    """Check that in no window of time more was started than the rate and the burst allow."""
    for first, last in itertools.combinations(range(len(starts)), 2):
        allowed = (starts[last][1] - starts[first][0]) / interval + burst
        assert last - first + 1 <= allowed + 0.01


def paid(api):
    """Return how many starts are paid for, beyond what the time since has paid back."""
    pace = RequestEngine.of(api).gate.pace
    return round((pace.levels[0] - rates_module.monotonic()) / pace.rates[0].interval, 2)


def made(count, call):
    return [call(len, "abc") for _ in range(count)]


def test_R1_nothing_wakes_up_before_the_rate_allows_a_start(gated):
    """Not even to see whether what was submitted, and holds a slot, can spare it."""
    api = Api(requests_per_minute=NEVER, rate_burst=1)
    api.submit(gated)
    until(lambda: gated.now == 1)
    held_back = api.submit(gated)
    gate = RequestEngine.of(api).gate
    until(lambda: gate.look_at < rates_module.monotonic())
    assert gate.exclusively(gate._pump) > rates_module.monotonic()
    assert held_back.cancel()


def test_R1_requests_of_threads_start_at_the_rate(starts):
    api = Api(requests_per_minute=FAST, rate_burst=3)
    callers = [caller(made, 10, api.call) for _ in range(5)]
    assert [c.result(20) for c in callers] == [[3] * 10] * 5
    assert len(starts) == 50
    assert_within(starts, 0.001, 3)


def test_R1_requests_of_tasks_start_at_the_rate(starts):
    async def three():
        return 3

    async def main():
        return await asyncio.gather(*(api.acall(three) for _ in range(50)))

    api = Api(requests_per_minute=FAST)
    assert asyncio.run(main()) == [3] * 50
    assert len(starts) == 50
    assert_within(starts, 0.001, 3)


def test_R1_what_is_submitted_and_what_streams_start_at_the_rate(starts):
    def numbers():
        yield from range(3)

    api = Api(requests_per_minute=FAST)
    futures = [api.submit(len, "abc") for _ in range(20)]
    assert [list(api.call(numbers)) for _ in range(10)] == [[0, 1, 2]] * 10
    assert [future.result(10) for future in futures] == [3] * 20
    assert len(starts) == 30
    assert_within(starts, 0.001, 3)


def test_R1_the_line_stays_first_in_first_out():
    api, gated = Api(requests_per_minute=600, rate_burst=1), Gated()
    callers = queue_up_behind_one(api, gated, 5)
    gated.end(6)
    assert [c.result(20) for c in callers] == [0, 1, 2, 3, 4]
    assert gated.ran == ["first", 0, 1, 2, 3, 4]


def test_R1_priority_goes_first_at_the_rate_too():
    api, gated = Api(requests_per_minute=600, rate_burst=1), Gated()
    callers = queue_up_behind_one(api, gated, 2)

    def high():
        with api.priority("high"):
            return api.call(gated, "high")

    callers.append(caller(high))
    until(lambda: len(api.request_queue) == 3 or "high" in gated.ran)
    gated.end(4)
    for each in callers:
        each.result(20)
    assert gated.ran.index("high") <= 2
    assert gated.ran[-1] == 1


def queue_up_behind_one(api, gated, count):
    """Start one request, and let others queue behind it: all at a limit of one, so that the rate is not met at once."""
    api.max_concurrent_requests = 1
    first = caller(api.call, gated, "first")
    until(lambda: gated.now == 1)
    callers = queue_up(api, gated, count)
    gated.end()
    first.result(10)
    api.max_concurrent_requests = 5
    return callers


def test_R1_concurrency_and_rate_must_both_allow(starts):
    api, gated = Api(requests_per_minute=FAST, max_concurrent_requests=2), Gated()
    callers = [caller(api.call, gated, n) for n in range(6)]
    until(lambda: gated.now == 2)
    gated.end(6)
    for each in callers:
        each.result(10)
    assert gated.most == 2
    assert_within(starts, 0.001, 3)


def test_R1_a_wait_beyond_queue_timeout_is_refused_at_once():
    api = Api(requests_per_minute=NEVER, rate_burst=1, queue_timeout=30)
    api.call(len, "abc")
    with pytest.raises(RequestTimeout, match=r"could start in [0-9]+ s"):
        api.call(len, "abc")
    assert len(api.request_queue) == 0
    assert paid(api) == 1


def test_R1_so_it_is_for_tasks():
    async def three():
        return 3

    async def main():
        await api.acall(three)
        with pytest.raises(RequestTimeout, match=r"could start in [0-9]+ s"):
            await api.acall(three)

    api = Api(requests_per_minute=NEVER, rate_burst=1, queue_timeout=30)
    asyncio.run(main())
    assert len(api.request_queue) == 0


def test_R1_a_day_has_so_many_requests():
    api = Api(requests_per_day=3, queue_timeout=5)
    assert made(3, api.call) == [3, 3, 3]
    with pytest.raises(RequestTimeout, match=r"could start in 86[0-9]+ s"):
        api.call(len, "abc")


def test_R1_a_rate_can_be_set_changed_and_taken_away_while_requests_wait():
    api = Api(requests_per_minute=NEVER, rate_burst=1)
    api.call(len, "abc")
    waiting = caller(api.call, len, "abc")
    until(lambda: len(api.request_queue) == 1)
    api.requests_per_minute = FAST * 1000
    late = caller(api.call, len, "abc")
    api.requests_per_minute = None
    assert waiting.result(10) == late.result(10) == 3
    assert RequestEngine.of(api).gate.calm or made(1, api.call)
    assert RequestEngine.of(api).gate.calm


@pytest.mark.parametrize(
    "name", ["requests_per_minute", "tokens_per_minute", "requests_per_day", "rate_burst"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "fast", True, object()])
def test_a_senseless_rate_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        setattr(Api(), name, value)


def test_Q13_testing_mode_waits_for_no_rate():
    api = Api(requests_per_minute=NEVER, rate_burst=1)
    with RequestEngine.testing():
        assert made(20, api.call) == [3] * 20


def test_without_a_queue_there_is_no_rate():
    api = Api(requests_per_minute=NEVER, rate_burst=1, queue_enabled=False)
    assert made(20, api.call) == [3] * 20


def test_R5_a_retry_pays_again(starts):
    api = Api(requests_per_minute=FAST, initial_retry_delay=0.001)
    assert api.call(Flaky(Answer(500), Answer(500))) == "done"
    assert len(starts) == 3


def test_R5_nested_calls_pay_nothing(starts):
    api = Api(requests_per_minute=FAST)
    assert api.call(lambda: made(3, api.call)) == [3, 3, 3]
    assert len(starts) == 1


def test_R5_who_leaves_the_line_has_paid_nothing():
    api, gated = Api(requests_per_minute=SLOW, rate_burst=100, max_concurrent_requests=1), Gated()
    running = caller(api.call, gated)
    until(lambda: gated.now == 1)
    futures = [api.submit(len, "abc") for _ in range(10)]
    assert all(future.cancel() for future in futures)
    gated.end()
    running.result(10)
    assert 0 < paid(api) <= 1


def test_R5_a_start_that_is_not_made_is_paid_back():
    gate = Gate()
    gate.pace = Pace()
    gate.pace.configure(rated(requests_per_minute=SLOW, rate_burst=5))
    gate.resize(1, 10)
    before, ticket = gate.pace.levels, Told(gate.new_slot())
    gate.join(ticket)
    assert ticket.told
    assert gate.pace.levels != before
    gate.withdraw(ticket)
    assert gate.pace.levels[0] <= rates_module.monotonic()
    assert gate.active == 0


def test_R5_so_is_one_that_Ctrl_C_ends_before_it_is_made():
    api = Api(requests_per_minute=SLOW, rate_burst=5)
    api.call(len, "abc")
    with mock.patch("backend_retrofit_runtime.request.begin_attempt", side_effect=KeyboardInterrupt):
        for _ in range(3):
            with contextlib.suppress(KeyboardInterrupt):
                api.call(len, "abc")
    assert 0 <= paid(api) <= 1
    assert api.current_requests == 0


def test_R5_queue_stats_show_rate_and_next_start():
    api = Api(requests_per_minute=SLOW, rate_burst=1)
    assert api.queue_stats()["requests_per_minute"] == SLOW
    assert api.queue_stats()["next_start_seconds"] == 0
    api.call(len, "abc")
    assert 0 < api.queue_stats()["next_start_seconds"] <= 1


class Told(Ticket):
    """A ticket that notes that it was told."""

    __slots__ = ("paid_at", "told")

    def __init__(self, slot):
        super().__init__(slot)
        self.told = False

    def hand_over(self):
        self.told = True
        return True

    def fail(self, error):
        raise AssertionError


def rated(**values):
    names = (
        "requests_per_minute",
        "tokens_per_minute",
        "input_tokens_per_minute",
        "output_tokens_per_minute",
    )
    return {**dict.fromkeys((*names, "requests_per_day"), None), "rate_burst": 3, **values}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    per_minute=st.sampled_from([30, 60, 600]),
    burst=st.sampled_from([1, 2, 3, 10]),
    per_day=st.sampled_from([None, 5, 1000]),
    limit=st.integers(1, 4),
    actions=st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(-1, 1)),
            st.tuples(st.just("time"), st.floats(0.01, 5)),
            st.tuples(st.sampled_from(["withdraw", "end", "retry"]), st.integers(0, 10)),
        ),
        max_size=60,
    ),
)
def test_R1_no_window_has_more_nobody_starves_nothing_is_lost(per_minute, burst, per_day, limit, actions):
    """The gate with a clock of our own: whatever happens in whatever order."""
    now = 1000.0

    def clock():
        return now

    with (
        mock.patch.object(rates_module, "monotonic", clock),
        mock.patch.object(gate_module, "monotonic", clock),
        mock.patch.object(gate_module.alarm, "set"),
    ):
        gate = Gate()
        gate.pace = Pace()
        gate.pace.configure(rated(requests_per_minute=per_minute, rate_burst=burst, requests_per_day=per_day))
        gate.resize(limit, 1000)
        waiting, running, started = [], [], []

        def look():
            for ticket in list(waiting):
                if ticket.told:
                    waiting.remove(ticket)
                    running.append(ticket)
                    ticket.paid_at = now

        def begin(ticket):
            """Make the attempt that it was told of, as `begin_attempt` does."""
            ticket.slot.fee = None
            started.append(ticket.paid_at)

        for what, how in actions:
            if what == "join":
                ticket = Told(gate.new_slot())
                ticket.slot.rank = how
                waiting.append(ticket)
                gate.join(ticket)
            elif what == "time":
                now += how
                gate.pump()
            elif what == "withdraw" and waiting + running:
                ticket = (waiting + running)[how % len(waiting + running)]
                if ticket in waiting:
                    waiting.remove(ticket)
                    gate.withdraw(ticket)
                else:  # granted, and its attempt was not made
                    running.remove(ticket)
                    gate.withdraw(ticket)
            elif running:
                ticket = running.pop(how % len(running))
                assert gate.start(ticket)
                begin(ticket)
                if what == "retry":
                    ticket.told = False
                    waiting.append(ticket)
                    gate.rejoin(ticket, 0.5)
                else:
                    ticket.slot.release()
            look()
        for _ in range(100):  # nobody starves: all have their turn in time
            if not waiting + running:
                break
            for ticket in list(running):
                running.remove(ticket)
                assert gate.start(ticket)
                begin(ticket)
                ticket.slot.release()
            look()
            now += max(gate._due() - now, 0) if gate._due() < float("inf") else 0
            gate.pump()
            look()
        assert not waiting + running
        assert gate.active == gate.waiting == 0
        started.sort()
        assert_within([(at, at) for at in started], 60 / per_minute, burst)
        begun = len(started)
        assert gate.begun() == begun
        if per_day is not None:
            for first in range(begun - per_day):
                assert started[first + per_day] - started[first] >= 86400 - 864 - 5 * 60


@given(
    costs=st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 5)), max_size=40),
    burst=st.floats(1, 10),
    interval=st.floats(0.01, 10),
)
def test_R1_gcra_never_starts_more_than_rate_and_burst_allow(costs, burst, interval):
    rate = MeteredRate("tokens", interval, burst)
    level, now, begun = rate.start, 1000.0, []
    for pause, cost in costs:
        now += pause
        now = max(now, rate.due(level, cost, 1.0))
        level = rate.charge(level, cost, now)
        begun.append((now, cost))
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            units = sum(cost for _, cost in begun[first : last + 1])
            largest = max(cost for _, cost in begun[first : last + 1])
            seconds = begun[last][0] - begun[first][0]
            assert units <= seconds / interval + max(burst, largest) + largest + 1e-6


def test_R1_what_is_taken_back_leaves_no_trace():
    for rate in (MeteredRate("requests", 1.0, 3), DailyRate("requests a day", 10)):
        level = rate.charge(rate.start, 1.0, 1000.0)
        again = rate.charge(rate.charge(level, 1.0, 1000.5), -1.0, 1000.6)
        assert rate.due(again, 1.0, 1.0) == rate.due(level, 1.0, 1.0)
