"""Slots: taken, lent to requests that are made from within others, given back, and found where they are held for nothing.

The base of `gate`, which has the line.
"""

import _thread
import contextlib
import heapq
import math
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from .clocks import monotonic
from .slots import WAITING, Slot, Ticket, Watch
from .starts import Starts

# Where nothing is called and no loop goes round, neither another thread nor a signal handler comes between: so it is in
# the CPythons that we have tried, if they have a GIL (in 3.10 a handler may come at a jump). A debugger may, at each line.
_ADMITS_NONE_BETWEEN = (
    sys.implementation.name == "cpython"
    and (3, 11) <= sys.version_info < (3, 14)
    and getattr(sys, "_is_gil_enabled", lambda: True)()
)
# What `Gate.exclusively` returns to who has interrupted the gate's own work.
INTERRUPTED = object()


class HeldSlots(Starts):
    """The slots of a gate.

    `active` of them are held. `keepers` are those that are held by what was submitted and by open streams.

    A signal handler may raise between any two calls. So states and counts change together, by adjacent assignments,
    and a ticket is told before it is taken out of the heap: who finds a granted ticket on top tells it again.

    A signal handler, or a finalizer, may also call us at any call, in the thread that holds the lock. So the lock can be
    taken again by its thread, and whatever makes calls while it is held runs by `exclusively`: who finds it busy has
    interrupted it, must not wait, as nobody else can get on meanwhile, and leaves to `deferred` what has to be done.

    A free slot is taken, and given back, without the lock where nobody is `busy` and there is nothing to see to (`calm`):
    no other thread can come between (`_ADMITS_NONE_BETWEEN`), and whatever else changes `active` is busy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size: float = math.inf
        self.number = 0  # of the newest request
        self.generation = 0
        self.reset()

    def reset(self) -> None:
        """Start with no slot held, and a fresh lock."""
        super().reset()
        self.generation += 1
        # For a few lines each time: no code of a user's runs under it, but signal handlers and finalizers.
        self.lock = _thread.RLock()
        self.busy = False
        self.waiting = 0
        self.calm = True
        self.waited = 0.0  # seconds that requests have waited for a slot, in all
        self.backed_off = 0.0  # seconds of backoff, in all
        self.alarm_at = 0.0  # when the alarm pumps us next, as far as we know
        self.ready: list[tuple[tuple[float, int, int], Ticket]] = []
        self.counts = dict.fromkeys(
            ("joined", "granted", "unsent", "nested", "refused", "retried", "failed"), 0
        )
        self.deferred: deque[Slot | Ticket | Watch] = deque()  # to be given back, withdrawn, or put in line
        # How many attempts had ended at each of the latest 503 that may be strays.
        self.strays: tuple[int, ...] = ()
        self.watches: set[Watch] = set()  # a weak reference calls back only if it lives on itself
        self.keepers: dict[Slot, None] = {}
        self.look_at = math.inf  # when to look next whether one of them can spare its slot

    def pump(self) -> None:
        """Admit what can be admitted now; to be called when a slot has become free."""
        raise NotImplementedError

    def _pump(self) -> float:
        """With the lock held: the same, but for what needs threads; return what is due next."""
        raise NotImplementedError

    def exclusively(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that makes calls itself, with the lock held, and return what it returns.

        If we have interrupted such a function, INTERRUPTED is returned.
        """
        with self.lock:
            interrupted, self.busy = self.busy, True
            try:
                return INTERRUPTED if interrupted else function(*args)
            finally:
                self.busy = interrupted

    def enter(self, slot: Slot) -> bool:
        """Take a free slot, unless somebody waits for one."""
        if _ADMITS_NONE_BETWEEN and self.calm and not self.busy and self.active < self.limit:
            self.active += 1
            if self.calm and self.active <= self.limit:
                self.number = slot.number = self.number + 1
                slot.held = self.generation
                return True
            self.active -= 1  # a debugger came between; below, who was kept waiting by that is seen to
        # What it interrupts stands still meanwhile, so it is made without being counted.
        return self.exclusively(self._enter, slot) is not False

    def _enter(self, slot: Slot) -> bool:
        self._pump()
        self._refuse_if_closed()
        if self.ready or not self._may_begin(slot):
            return False
        self.number += 1
        slot.number = self.number
        slot.held = self.generation
        self.active += 1
        return True

    def borrow(self, slot: Slot, parent: Slot) -> bool:
        """Take what the request holds from within which this one is made, or else a free slot."""
        return self.exclusively(self._borrow, slot, parent) is not False

    def _borrow(self, slot: Slot, parent: Slot) -> bool:
        if slot.parent is None:
            if parent.ended:  # meanwhile
                return self._enter(slot)
            self._count_nested(parent)
            slot.parent, slot.number, slot.rank, slot.is_special = parent, parent.number, parent.rank, True
        if parent.is_submitted:
            parent.makes_requests = True
        self._pump()
        self._refuse_if_closed()
        if self.hold_until:
            return False
        if (holder := self._holder(parent)) is not None:
            self.take_over(slot, holder)
            return True
        if self.ready or not self._may_begin(slot):
            return False
        slot.held = self.generation
        self.active += 1
        return True

    def _holder(self, slot: Slot) -> "Slot | None":
        """Return which request holds a slot: this one, or else the nearest of those from within which it is made.

        A handler may interrupt a nested request before that has taken over what the outer one holds.
        """
        holder: Slot | None = slot
        while holder is not None and (holder.gate is not self or holder.held != self.generation):
            holder = holder.outer
        return holder

    def take_over(self, slot: Slot, holder: Slot) -> None:
        slot.is_special = True
        slot.taken_from = holder
        slot.held, holder.held, slot.lease, holder.lease = holder.held, 0, holder.lease, None
        self.keepers.pop(holder, None)
        slot.paid, slot.cuts, slot.sent_at, holder.paid = holder.paid, holder.cuts, holder.sent_at, None

    def leave(self, slot: Slot) -> None:
        """Give a slot back, for good; the oldest ready ticket has it at once."""
        if _ADMITS_NONE_BETWEEN and self.calm and not self.busy and not slot.is_special:
            if slot.held == self.generation:
                self.active -= 1
            slot.held = 0
            slot.ended = True
            if not self.calm:  # a debugger came between
                self.pump()
            return
        if self.exclusively(self._leave, slot) is INTERRUPTED:
            self.abandon(slot)
        else:
            self.pump()

    def _leave(self, slot: Slot) -> None:
        self.give_back(slot)
        slot.over = slot.ended = True
        self._forget(slot)

    def let_go(self, slot: Slot) -> None:
        """Give back the slot of a request that goes on, and from now on makes requests like anybody."""
        slot.is_special = slot.makes_requests = True
        self.exclusively(self.give_back, slot)
        self.pump()

    def give_back(self, slot: Slot, to_all: bool = False, unused: bool = False) -> None:
        """Stop holding; what was taken from another goes back to that one, if it can use it.

        Args:
            to_all: it goes to whoever is first in line instead, unless it is a stream's.
            unused: nothing was sent under it.
        """
        if slot.held == self.generation:
            owner = slot.taken_from
            while owner is not None and (
                owner.over
                or owner.ended
                or owner.makes_requests
                or owner.held == self.generation
                or (to_all and not owner.is_stream)
            ):
                owner = owner.taken_from
            if owner is None:
                self.active -= 1
                slot.held = 0
            else:
                slot.held, owner.held, owner.lease, slot.lease = 0, self.generation, slot.lease, None
                if owner.is_stream:
                    self.keepers[owner] = None
                    self.look_at = 0.0  # there may be another that it can serve
                self._lend_on(owner)
        slot.held = 0
        slot.taken_from = None
        self._return_lease(slot, unused)
        self.pay_back(slot)
        self.keepers.pop(slot, None)

    def _lend_on(self, owner: Slot) -> None:
        """Let the first of the requests that were made from within this one have what it holds again."""
        while owner.borrowers:
            ticket = owner.borrowers[0]
            if ticket.state == WAITING:
                heapq.heappush(self.ready, (ticket.place, ticket))
                self.calm = False
                return
            owner.borrowers = owner.borrowers[1:]

    def _forget(self, slot: Slot) -> None:
        slot.parent = None
        if slot.watch is not None:
            self.watches.discard(slot.watch)
            slot.watch = None

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self.lock:
            self.counts[what] += 1

    def begun(self) -> int:
        """Return how many attempts were begun so far."""
        counts = self.counts
        return self.number - counts["joined"] + counts["granted"] - counts["unsent"] + counts["nested"]

    def stats(self) -> dict[str, Any]:
        """Return what happened so far, and how things stand now."""
        return self._stats() if (stats := self.exclusively(self._stats)) is INTERRUPTED else stats

    def _stats(self) -> dict[str, Any]:
        counts, pace = self.counts, self.pace
        return {
            "requests": self.number + counts["nested"],
            "sent": self.begun(),
            "retried": counts["retried"],
            "failed": counts["failed"],
            "refused": counts["refused"],
            "waiting": self.waiting,
            "in_flight": self.active,
            "waited_seconds": self.waited,
            "backoff_seconds": self.backed_off,
            **({"window": min(self.limit, self.window), **pace.stats()} if pace is not None else {}),
            **(self.source.stats() if self.source is not None else {}),
        }

    def _count_nested(self, slot: Slot) -> None:
        """Count a request that is made from within another; the first one of a submitted method was counted with it."""
        if slot.of_method:
            slot.of_method = False
        else:
            self.counts["nested"] += 1

    def abandon(self, thing: "Slot | Ticket") -> None:
        """Give a slot back, or withdraw a ticket, without a lock: a finalizer may run inside any function of ours."""
        if isinstance(thing, Ticket):
            thing.is_abandoned = True
        self.deferred.append(thing)
        self.calm = False
        if self.waiting:
            self._pump_soon()

    def _pump_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # the interpreter is on its way out
            _thread.start_new_thread(self.pump, ())

    def watch(self, stream: Any, slot: Slot) -> None:
        """Give the slot back when the stream is collected, even if a signal handler raises in its finalizer."""
        slot.is_special = True
        slot.watch = watch = Watch(stream, self.deferred.append)
        watch.slot = slot
        self.watches.add(watch)

    def keep_for_stream(self, slot: Slot) -> None:
        """Note that an open stream holds this slot from now on."""
        slot.is_special, slot.is_stream, slot.used_at = True, True, monotonic()
        with self.lock:
            if slot.held == self.generation:
                self.keepers[slot] = None
                self.look_at = 0.0
        if self.ready:  # they joined when nothing could be spared, and nothing would wake them when it can
            self.pump()
