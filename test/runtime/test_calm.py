"""B16: after a refusal fewer go out; a stray one changes nothing."""

from __future__ import annotations

import random
import threading

import pytest

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.adaptive import Window
from test.runtime.conftest import Answer, Api, Flaky, Gated, assert_at_rest, caller, until


def busy(api, others=4):
    """Keep so many requests in flight; return what ends them."""
    gated = Gated()
    callers = [caller(api.call, gated, n) for n in range(others)]
    until(lambda: gated.now == others)
    return gated, callers


def refused(api, *answers, retries=0):
    """Let requests be refused, one after the other, without another attempt."""
    before, api.max_retries = api.max_retries, retries
    for answer in answers:
        assert api.call(Flaky(answer)).status_code == answer.status_code
    api.max_retries = before


@pytest.fixture
def api():
    api = Api(initial_retry_delay=0.001, max_retries=1, queue_full="wait")
    yield api
    RequestEngine.of(api).gate.close(join=False)


def window(api):
    return RequestEngine.of(api).gate.window


def test_B16_a_429_lets_one_out_then_more_as_answers_succeed(api):
    gated, callers = busy(api)
    refused(api, Answer(429))
    assert window(api) == 1
    late = [caller(api.call, gated, "late") for _ in range(5)]
    until(lambda: len(api.request_queue) == 5)
    gated.end(9)
    for each in callers + late:
        each.result(10)
    assert window(api) > 1
    while RequestEngine.of(api).gate.pace is not None:
        api.call(len, "abc")
    assert RequestEngine.of(api).gate.calm
    assert_at_rest(api)


def test_B16_the_next_refusal_halves_what_was_reached():
    window = Window(16)
    window.refuse(Sent(window), 16, hold=0.0, is_doubtful=False)
    reached = window.size
    window.refuse(Sent(window), 16, hold=0.0, is_doubtful=False)
    assert window.size == reached / 2


def test_B16_refusals_of_what_was_sent_before_count_once():
    window = Window(16)
    sent = [Sent(window) for _ in range(5)]
    for each in sent:
        window.refuse(each, 16, hold=0.0, is_doubtful=False)
    assert window.cuts == 1


def test_B16_a_single_503_changes_nothing(api):
    gated, callers = busy(api)
    refused(api, Answer(503))
    assert window(api) == float("inf")
    gated.end(4)
    for each in callers:
        each.result(10)
    assert RequestEngine.of(api).gate.calm


def test_B16_three_503_in_a_row_are_a_refusal(api):
    gated, callers = busy(api)
    refused(api, Answer(503), Answer(503), Answer(503))
    assert window(api) == 1
    gated.end(4)
    for each in callers:
        each.result(10)


def test_B16_a_request_that_fails_by_itself_keeps_nobody_waiting(api):
    gated, callers = busy(api)
    attempts = []

    def broken():
        attempts.append(1)
        if len(attempts) == 2:
            gated.end(1)
            until(lambda: any(each.done() for each in callers))
        return Answer(503)

    api.max_retries = 5
    assert api.call(broken).status_code == 503
    assert (len(attempts), window(api)) == (6, float("inf"))
    gated.end(3)
    for each in callers:
        each.result(10)


def test_B16_strays_among_good_answers_change_nothing(api):
    gated, callers = busy(api)
    for _ in range(10):
        refused(api, Answer(503), Answer(503))
        api.call(len, "abc")
    assert window(api) == float("inf")
    gated.end(4)
    for each in callers:
        each.result(10)


def test_B16_a_lone_request_only_backs_off(api):
    assert api.call(Flaky(Answer(429))) == "done"
    assert RequestEngine.of(api).gate.pace is None


def test_B16_a_window_that_does_not_help_is_given_up():
    """One in ten answers is a 503, however many are sent: fewer at once would not change that."""
    window = Window(5)
    window.refuse(Sent(window), 5, hold=0.0, is_doubtful=False)
    for _ in range(3):
        for _ in range(5):
            window.succeed(Sent(window), 2)
        window.refuse(Sent(window), 2, hold=0.0, is_doubtful=True)
    assert window.is_over(5)


def test_B16_after_a_hold_it_opens_one_by_one(api):
    gated, callers = busy(api)
    held = caller(api.call, Flaky(Answer(429, {"retry-after-ms": "50"})))
    late = [caller(api.call, gated, n) for n in range(3)]
    until(lambda: api.queue_stats().get("window") == 1)
    gated.end(7)
    assert held.result(10) == "done"
    for each in callers + late:
        each.result(10)
    assert window(api) > 1


def test_B16_what_was_sent_before_a_hold_opens_nothing_after_it():
    window = Window(16)
    sent = [Sent(window) for _ in range(10)]
    window.refuse(Sent(window), 16, hold=1.0, is_doubtful=False)
    for each in sent:
        window.succeed(each, 5)
    assert window.room == 1


class Bucket:
    """A server that refuses by token bucket, and callers before it who never run out of requests; the clock is ours."""

    LIMIT, SECONDS = 16, 0.05  # of the callers; that an answer takes

    def __init__(self, monkeypatch, rate, size, hold):
        self.now, self.rate, self.size, self.hold = 100.0, rate, size, hold
        self.left, self.held_until, self.served, self.refused = float(size), 0.0, 0, 0
        self.window = None
        self.flying = []  # (when it is answered, what was sent)
        monkeypatch.setattr("backend_retrofit_runtime.adaptive.monotonic", lambda: self.now)

    def run(self, seconds):
        """Let so much time pass; return how many were served and how many refused meanwhile."""
        before, end = (self.served, self.refused), self.now + seconds
        while self.now < end:
            self._answer()
            self._start()
            due = [self.held_until] if self.held_until > self.now else []
            due += [at for at, _ in self.flying[:1]]
            if self.window is not None and self.window.due() > self.now:
                due.append(self.window.due())
            self._pass(min(due, default=self.now + 0.001))
        return self.served - before[0], self.refused - before[1]

    def _pass(self, until):
        until = max(until, self.now + 1e-6)
        self.left = min(self.size, self.left + (until - self.now) * self.rate)
        self.now = until

    def _answer(self):
        while self.flying and self.flying[0][0] <= self.now:
            _, sent = self.flying.pop(0)
            self.served += 1
            if self.window is not None:
                self.window.succeed(sent, len(self.flying) + 1)

    def _start(self):
        while self.held_until <= self.now and len(self.flying) < min(self.LIMIT, self._room()):
            sent = Sent(self.window or Window(self.LIMIT), 0)
            if self.window is not None:
                self.window.begin(sent, self.now, len(self.flying) + 1)
            if self._takes():
                self.flying.append((self.now + self.SECONDS, sent))
                continue
            self.refused += 1
            self.window = self.window or Window(self.LIMIT)
            self.window.refuse(sent, len(self.flying) + 1, hold=self.hold, is_doubtful=False)
            self._pass(self.now + 0.001)  # until it says so
            self.held_until = self.now + self.hold

    def _takes(self):
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def _room(self):
        if self.window is None:
            return self.LIMIT
        return self.window.room if self.window.due() <= self.now else 0


@pytest.mark.parametrize("hold", [0.0, 1.0], ids=["silent", "Retry-After"])
@pytest.mark.parametrize(("rate", "size"), [(20, 5), (90, 10), (150, 40)])
def test_B16_the_rate_of_a_bucket_is_found_out_and_kept_to(monkeypatch, rate, size, hold):
    server = Bucket(monkeypatch, rate, size, hold)
    server.run(30)
    served, refused = server.run(60)
    assert served > 0.8 * rate * 60
    assert refused < 0.02 * served


class Moody(Bucket):
    """A server that refuses one in fifty at random, as one does whose other callers fill it now and then."""

    def __init__(self, *args):
        super().__init__(*args)
        self.chance = random.Random(1)

    def _takes(self):
        return self.chance.random() >= 0.02


@pytest.mark.parametrize("hold", [0.0, 0.05], ids=["silent", "Retry-After"])
def test_B16_what_is_refused_at_random_is_taken_for_no_rate(monkeypatch, hold):
    """Spacing the starts does not make the time between two refusals longer, so it is given up."""
    server = Moody(monkeypatch, 1000, 1000, hold)
    server.run(70)
    assert not server.window.paced
    server.run(10)
    assert not server.window.paced


def test_B16_a_rate_that_rises_is_followed(monkeypatch):
    server = Bucket(monkeypatch, 50, 10, 0.0)
    server.run(30)
    server.rate = 150
    server.run(30)
    served, _ = server.run(30)
    assert served > 0.8 * 150 * 30


def test_B16_a_window_after_a_hold_is_not_over_before_several_of_them_have_passed(monkeypatch):
    """Each hold stops everybody for a while, so that the next one is to come late."""
    now = [1000.0]
    monkeypatch.setattr("backend_retrofit_runtime.adaptive.monotonic", lambda: now[0])
    window = Window(5)
    window.refuse(Sent(window), 5, hold=10.0, is_doubtful=False)
    for _ in range(500):
        window.succeed(Sent(window), 1)
    assert not window.is_over(5)
    now[0] += 100
    assert window.is_over(5)


@pytest.mark.parametrize("capacity", [1, 3, 7])
def test_B16_the_window_settles_where_the_server_refuses_no_more(capacity):
    """A server that takes so many at once, seen by the window alone: rarely refused, mostly full."""
    window, flying, refused, used, turns = Window(16), [], 0, 0, 3000
    window.refuse(Sent(window), 16, hold=0.0, is_doubtful=False)
    for _ in range(turns):
        while len(flying) < window.room:
            sent = Sent(window, len(flying) + 1)
            if len(flying) >= capacity:
                refused += 1
                window.refuse(sent, len(flying) + 1, hold=0.0, is_doubtful=False)
            else:
                flying.append(sent)
        used += len(flying)
        window.succeed(flying.pop(0), len(flying) + 1)
    assert not window.paced
    assert refused < turns / 20
    assert used / turns > 0.85 * capacity


def test_B16_the_window_comes_back_soon_after_an_outage():
    window = Window(5)
    for _ in range(200):
        window.refuse(Sent(window), 1, hold=0.0, is_doubtful=False)
    answers = 0
    while not window.is_over(5):
        window.succeed(Sent(window), 1)
        answers += 1
        assert answers < 100


def test_B16_no_request_fails_while_younger_ones_are_served():
    """A server that takes two at once, and says only 503.

    On a busy machine so few are in flight that it refuses one now and then only, by chance. Twelve retries are more than
    chance uses up, and fewer than a request needs that others overtake.
    """
    api = Api(initial_retry_delay=0.005, max_retry_delay=0.01, max_retries=12, queue_size=None)
    lock, now, served = threading.Lock(), [0], []

    def serve(number):
        with lock:
            now[0] += 1
            full = now[0] > 2
        try:
            if full:
                return Answer(503)
            threading.Event().wait(0.002)
            served.append(number)
            return number
        finally:
            with lock:
                now[0] -= 1

    callers = [caller(lambda n=n: [api.call(serve, (n, i)) for i in range(10)]) for n in range(16)]
    for n, each in enumerate(callers):
        assert each.result(60) == [(n, i) for i in range(10)]
    assert len(served) == 160


class Sent:
    """What the window is told of, in place of a slot."""

    sent_at = 0.0

    def __init__(self, window, in_flight=1):
        self.cuts, self.in_flight = window.cuts, in_flight
