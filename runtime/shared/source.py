"""What a gate asks for slots."""

from __future__ import annotations

import heapq
import math
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..clocks import monotonic
from ..gate import Gate
from ..slots import WAITING, Slot, Ticket

if TYPE_CHECKING:
    from ..rates import Pace
    from .client import Client


def _place(ticket: Ticket) -> tuple[float, int, int]:
    return ticket.place


class SharedLimit:
    """What one gate asks for slots: all attempts that it admits hold one of these.

    Args:
        find: returns the client of the account.
        gate: whose attempts they are.
        where: what the account was found by.

    `take`, `give`, `want`, `withdrawn` and `hold` are called with the gate's lock held; they never wait for the server.
    """

    def __init__(self, find: Callable[[], Client], gate: Gate, where: object = None) -> None:
        self.find = find
        self.where = where
        self.gate = weakref.ref(gate, lambda _: self._lose())
        self.slots: set[Slot] = set()
        self.reported = 0  # length of the gate's line in the latest report, less what was taken since
        self.credit = 0  # how many of the spare slots are for this gate, where there are several
        self.found: Client | None = None

    @property
    def client(self) -> Client:
        """The client of the account. It is looked for at the first request: only then the instance is complete."""
        if self.found is None:
            self.found = self.find()
            self.found.add(self)
        return self.found

    def _lose(self) -> None:
        if self.found is not None:
            self.found.lose_gate(self)

    @property
    def hold_until(self) -> float:
        """Until when no process of the account starts anything (`time.monotonic()`)."""
        return 0.0 if self.found is None else self.found.holdings.hold_until

    def was_held(self) -> None:
        """Another process was told to wait: let calls of a pool that wait here go elsewhere."""
        gate = self.gate()
        movers = [] if gate is None else [ticket.mover for ticket in gate.line()]
        for pool in {id(mover.pool): mover for mover in movers if mover is not None}.values():
            pool.was_held()

    def take(self, slot: Slot) -> bool:
        """Take a slot of the account, if this process has one to start with."""
        slot.lender = self  # first, so that Ctrl-C loses none
        self.slots.add(slot)
        if self.client.take(self, slot):
            self.reported -= 1
            return True
        self.slots.discard(slot)
        slot.lender = None
        return False

    def give(self, slot: Slot, unused: bool = False) -> None:
        """Give a slot back."""
        slot.lender = None
        self.slots.discard(slot)
        self.client.give(slot, unused)

    def want(self, waiting: int) -> float:
        """Ask for slots for those who wait; return when to try again if nothing happens before, or infinity."""
        return self.client.want(news=waiting > self.reported)

    def wanted(self, limit: float) -> dict[int, int]:
        """Return rank -> how many tickets of the gate could start now if they had slots.

        Args:
            limit: of the account. Where that of the gate is lower, it says how many could start.
        """
        counts: dict[int, int] = {}
        gate = self.gate()
        if gate is None:
            return counts
        with gate.lock:
            self.reported = len(gate.ready)
            if gate.hold_until > monotonic():
                return counts
            for _, ticket in gate.ready:
                if ticket.state == WAITING and ticket.slot.held != gate.generation:
                    rank = ticket.slot.rank or 0
                    counts[rank] = counts.get(rank, 0) + 1
            room = math.inf if gate.limit >= limit else gate.limit - gate.active
        for rank in sorted(counts):
            counts[rank] = int(max(0, min(counts[rank], room)))
            room -= counts[rank]
        return counts

    def heads(self, count: int) -> list[tuple[int, float, SharedLimit]]:
        """Return rank, and since when it waits, of the first tickets of the gate."""
        gate = self.gate()
        if gate is None:
            return []
        with gate.lock:
            first = heapq.nsmallest(
                count, (ticket for _, ticket in gate.ready if ticket.state == WAITING), _place
            )
            return [(ticket.slot.rank or 0, ticket.since, self) for ticket in first]

    def withdrawn(self) -> None:
        """One who waited has given up."""
        if self.found is not None:
            self.found.wake()

    def hold(self, until: float) -> None:
        """Start nothing before `until` (`time.monotonic()`), in all processes of the account."""
        self.client.hold(until)

    def correct(self, slot: Slot, used: Mapping[str, float]) -> None:
        """Charge what a start really costs."""
        self.client.correct(slot, used)

    def learn(self, pace: Pace) -> None:
        """Take over what requests have cost lately, and what the server says of its rates."""
        self.client.learn(pace)

    def stats(self) -> dict[str, Any]:
        """Return whether the limit is shared now, with how many processes, and how long it was not."""
        return (
            {"shared": False, "processes": 1, "alone_seconds": 0.0}
            if self.found is None
            else self.found.stats()
        )

    def close(self) -> None:
        """Ask for no more slots; those in flight are given back as they end."""
        if self.found is not None:
            self.found.remove(self)

    def again(self) -> SharedLimit:
        """Return one for the same gate and account, which is not closed."""
        gate = self.gate()
        return self if gate is None else SharedLimit(self.find, gate, self.where)
