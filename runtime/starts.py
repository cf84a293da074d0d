"""What it takes to start an attempt: room, a rate that allows it, and a slot of those that other processes share.

The base of `held_slots`, under whose lock all of it runs.
"""

import math

from .errors import QueueClosed
from .rates import TOKENS, Pace
from .slots import Slot, Source


class Starts:
    """Says whether an attempt may start, and takes what that costs."""

    # What every request looks at, faster than in a dict.
    __slots__ = ("__dict__", "__weakref__", "active", "busy", "calm", "generation", "limit", "lock", "number")
    generation: int  # of the slots that are held

    def __init__(self) -> None:
        self.limit: float = math.inf
        self.closed_at = -1  # number of the newest request when it was closed last
        self.source: Source | None = None  # of the limit that other processes share
        self.pace: Pace | None = None  # where a rate is set, or was learnt from refusals

    def reset(self) -> None:
        """Start with nothing in flight."""
        self.active = 0
        self.closed = False
        self.window: float = math.inf  # how many may be in flight by what the server's answers say
        self.hold_until = 0.0
        self.source_due = math.inf  # when to ask the source again, unless it tells us before

    def new_slot(self) -> Slot:
        """Return a slot that is not held yet."""
        slot = Slot()
        slot.gate = self  # type: ignore[assignment]  # it is always a Gate
        return slot

    def refuse_newcomers(self) -> None:
        """Take no more requests. It takes no lock, for the sake of finalizers."""
        self.closed = True
        self.calm = False

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise QueueClosed("This backend is closed: it takes no more requests.")

    def _may_begin(self, slot: Slot) -> bool:
        """Take what it takes to begin now, beside a free slot of ours; or return False."""
        if self.hold_until or self.active >= min(self.limit, self.window):
            return False
        if not self._is_due(slot) or not self._take(slot):
            return False
        self._pay(slot)
        return True

    def _pay(self, slot: Slot) -> None:
        """Pay for a start, where there is a rate."""
        if self.pace is None:
            return
        self.pace.begin(slot, self.active + (slot.held != self.generation))
        if self.source is not None and slot.tokens is not None and slot.lease is not None:
            self.source.correct(slot.lease, dict.fromkeys(TOKENS, slot.tokens))

    def _is_due(self, slot: Slot) -> bool:
        """Return True if the rate allows it to start now; else see to it that we look again when it does."""
        due = 0.0 if self.pace is None else self.pace.due(slot)
        if due <= 0:
            return True
        self.source_due = min(self.source_due, due)
        return False

    def _take(self, slot: Slot) -> bool:
        """Take a slot from those that other processes share, if they do."""
        if self.source is None:
            return True
        slot.lease = self.new_slot()  # first, so that Ctrl-C loses none
        if self.source.take(slot.lease):
            return True
        slot.lease = None
        return False

    def _return_lease(self, slot: Slot, unused: bool = False) -> None:
        lease, slot.lease = slot.lease, None
        if lease is not None and lease.lender is not None:
            lease.lender.give(lease, unused)

    def pay_back(self, slot: Slot) -> None:
        """Give back what was paid for a start that was not made, if anything was."""
        if slot.fee is not None and self.pace is not None:
            self.pace.pay_back(slot)
