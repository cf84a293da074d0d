"""Properties of the line itself, whatever happens in whatever order (Q1, Q2, Q5, Q7, Q9): Hypothesis, step by step."""

from __future__ import annotations

import sys
import threading

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from backend_retrofit_runtime import QueueClosed, RequestQueueFull
from backend_retrofit_runtime.gate import Gate
from backend_retrofit_runtime.slots import Slot, Ticket
from test.runtime.conftest import caller

WAITING, GRANTED, RUNNING, GONE = range(4)


class Recorded(Ticket):
    """A ticket that records what it was told."""

    __slots__ = ("failed", "number", "told")

    def __init__(self, slot):
        super().__init__(slot)
        self.told = 0
        self.failed = None

    def hand_over(self):
        self.told += 1
        return True

    def fail(self, error):
        self.failed = error


class Deaf(Recorded):
    """A ticket whose owner is gone (a loop that was closed)."""

    __slots__ = ()

    def hand_over(self):
        self.told += 1
        return False


class Line(RuleBasedStateMachine):
    """A model of the gate: who is in flight, who waits, in which order."""

    slots = Bundle("slots")
    tickets = Bundle("tickets")

    @initialize(limit=st.integers(0, 3), size=st.integers(0, 6))
    def start(self, limit, size):
        self.gate = Gate()
        self.gate.resize(limit, size)
        self.limit, self.size = limit, size
        self.flying: list[Slot] = []
        self.backing_off: set[Recorded] = set()
        self.line: list[Recorded] = []
        self.all: list[Recorded] = []
        self.ended: set[Recorded] = set()
        self.closed = False

    # What the model says.

    def admit(self):
        """Hand free slots to the oldest that wait."""
        while self.line and len(self.flying) < self.limit:
            ticket = self.line.pop(0)
            if isinstance(ticket, Deaf):
                self.ended.add(ticket)
            else:
                self.flying.append(ticket.slot)

    def waiting(self):
        return self.line + list(self.backing_off)

    # What can happen.

    @rule(target=slots)
    def enter(self):
        slot = self.gate.new_slot()
        try:
            entered = self.gate.enter(slot)
        except QueueClosed:
            assert self.closed
            return multiple()
        assert not self.closed
        assert entered == (not self.line and len(self.flying) < self.limit)
        if not entered:
            return multiple()
        self.flying.append(slot)
        return slot

    @rule(target=tickets, kind=st.sampled_from([Recorded, Recorded, Recorded, Deaf]))
    def join(self, kind):
        ticket = kind(self.gate.new_slot())
        full = len(self.waiting()) >= self.size and (self.line or len(self.flying) >= self.limit)
        try:
            self.gate.join(ticket)
        except QueueClosed:
            assert self.closed
            return multiple()
        except RequestQueueFull:
            assert full
            assert not self.closed
            return multiple()
        assert not full
        assert not self.closed
        self.line.append(ticket)
        self.all.append(ticket)
        self.admit()
        return ticket

    @rule(slot=slots, way=st.sampled_from(["release", "abandon"]))
    def give_back(self, slot, way):
        """Also twice, and long after."""
        getattr(slot, way)()
        if way == "abandon":
            self.gate.pump()
        if slot in self.flying:
            self.flying.remove(slot)
        self.admit()

    @rule(ticket=tickets)
    def end(self, ticket):
        if ticket.slot in self.flying:
            if ticket.state == GRANTED:
                assert self.gate.start(ticket)
            ticket.slot.release()
            self.flying.remove(ticket.slot)
            self.ended.add(ticket)
            self.admit()

    @rule(ticket=tickets, delay=st.sampled_from([0, 3600]))
    def fail_and_back_off(self, ticket, delay):
        if ticket.slot not in self.flying:
            return
        if ticket.state == GRANTED:
            assert self.gate.start(ticket)
        self.gate.rejoin(ticket, delay)
        self.flying.remove(ticket.slot)
        if self.closed:
            assert isinstance(ticket.failed, QueueClosed)
            self.ended.add(ticket)
        elif delay:
            self.backing_off.add(ticket)
        else:
            self.line.append(ticket)
            self.line.sort(key=lambda other: other.slot.number)
        self.admit()

    @rule(ticket=tickets)
    def backoff_is_over(self, ticket):
        """Its hour has passed."""
        if ticket in self.backing_off:
            with self.gate.lock:
                self.gate.delayed[:] = sorted(
                    (0.0 if other is ticket else due, *rest, other) for due, *rest, other in self.gate.delayed
                )
            self.gate.pump()
            self.backing_off.remove(ticket)
            self.line.append(ticket)
            self.line.sort(key=lambda other: other.slot.number)
            self.admit()

    @rule(ticket=tickets, late=st.booleans())
    def withdraw(self, ticket, late):
        """Ctrl-C, a timeout, a cancelled future or task; by a finalizer if `late`."""
        running = ticket.state == RUNNING
        if late and running:
            return
        if late:
            self.gate.abandon(ticket)
            self.gate.pump()
        else:
            assert self.gate.withdraw(ticket) is not running
        if running:
            return  # it is left to end
        if ticket.slot in self.flying:
            self.flying.remove(ticket.slot)
        if ticket in self.line:
            self.line.remove(ticket)
        self.backing_off.discard(ticket)
        self.ended.add(ticket)
        self.admit()

    @rule(limit=st.integers(0, 4), size=st.integers(0, 6))
    def resize(self, limit, size):
        self.gate.resize(limit, size)
        self.limit, self.size = limit, size
        self.admit()

    @rule(ticket=consumes(tickets))
    def forget(self, ticket):
        """Nothing more is done to it."""

    @rule()
    def close(self):
        if len(self.all) < 8:
            return  # not too early
        self.gate.close()
        for ticket in self.waiting():
            assert isinstance(ticket.failed, QueueClosed)
            self.ended.add(ticket)
        self.line.clear()
        self.backing_off.clear()
        self.closed = True

    # What must hold at every moment.

    @invariant()
    def counts_agree(self):
        assert self.gate.active == len(self.flying)
        assert self.gate.waiting == len(self.waiting())
        assert {id(ticket) for ticket in self.gate.line()} == {id(ticket) for ticket in self.waiting()}

    @invariant()
    def line_is_in_order(self):
        numbers = [ticket.slot.number for ticket in self.gate.line()]
        assert numbers == sorted(numbers)

    @invariant()
    def nothing_waits_while_a_slot_is_free(self):
        assert not self.line or len(self.flying) >= self.limit

    @invariant()
    def slots_are_held_by_those_in_flight_alone(self):
        for ticket in self.all:
            assert bool(ticket.slot.held) == any(ticket.slot is slot for slot in self.flying)

    @invariant()
    def who_has_ended_is_never_told_again(self):
        for ticket in self.ended:
            assert ticket.state in (GONE, RUNNING)
            assert not any(ticket is other for other in self.gate.line())

    def teardown(self):
        """At rest, all counts are zero."""
        for slot in list(self.flying):
            slot.release()
        self.flying.clear()
        self.limit = 100
        self.gate.resize(100, 100)
        self.admit()
        for slot in list(self.flying):
            slot.release()
        for ticket in self.backing_off:
            self.gate.withdraw(ticket)
        assert self.gate.active == self.gate.waiting == self.gate.unstaffed == 0
        assert not self.gate.ready
        assert not self.gate.deferred
        assert self.gate.line() == []
        self.gate.close()


TestLine = Line.TestCase
TestLine.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


def test_Q1_Q2_random_threads_at_tiny_switch_intervals():
    """Many threads do all of it at once; afterwards all is at rest, and at no moment were there too many."""
    gate, lock, now, most, told = Gate(), threading.Lock(), 0, 0, []
    gate.resize(3, 10_000)

    class Counted(Recorded):
        __slots__ = ()

        def hand_over(self):
            told.append(self.slot.number)  # under the gate's lock: the order of the grants
            work.release()
            queue.append(self)
            return True

    queue, work = [], threading.Semaphore(0)

    def counted_run(slot):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        slot.release()
        slot.release()

    def newcomers():
        for _ in range(60):
            slot = gate.new_slot()
            if gate.enter(slot):
                counted_run(slot)
            else:
                gate.join(Counted(slot))

    def worker():
        while work.acquire(timeout=1):
            ticket = queue.pop()
            if gate.start(ticket):
                counted_run(ticket.slot)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [caller(newcomers) for _ in range(6)] + [caller(worker) for _ in range(3)]
        for thread in threads:
            thread.result(30)
    finally:
        sys.setswitchinterval(interval)
    assert most <= 3
    assert told == sorted(told), "handed over in the order of the tickets"
    assert gate.active == gate.waiting == 0
