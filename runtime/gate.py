"""The line: admits requests, first in, first out, at most so many at once.

It knows slots and tickets, and nothing of requests, failures or settings. Its invariants are in the docstring of `Gate`.
"""

import _thread
import contextlib
import heapq
import math
import threading
import time
from collections import deque
from queue import SimpleQueue
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .errors import QueueClosed, RequestQueueFull
from .slots import GONE, GRANTED, RUNNING, WAITING, Slot, Source, Ticket, Watch
from .workers import alarm, start_worker

if TYPE_CHECKING:
    from .calls import Job


class Gate:
    """Admits requests, first in, first out, at most `limit` at once.

    Invariants, whenever `lock` is free: `active` is the number of slots that are held, `waiting` the number of
    tickets that wait. A newcomer takes a free slot only where no ticket is ready, so it overtakes nobody; and whoever
    frees a slot, adds a ticket or changes a limit calls `pump()` next, so that nothing waits while a slot is free.
    `calm` is True only where there is nothing to see to but `active` and `limit`: no ticket, no hold, nothing
    abandoned, not closed, no `source`. Where other processes share the limit, each slot that is held was taken from
    `source` as well.

    A signal handler may raise between any two calls. So states and counts change together, by adjacent assignments,
    and a ticket is told before it is taken out of the heap: who finds a granted ticket on top tells it again.
    """

    def __init__(self) -> None:
        self.limit: float = math.inf
        self.size: float = math.inf
        self.number = 0  # of the newest request
        self.generation = 0
        self.threads: dict[int, Slot] = {}  # thread -> the slot under which it makes a sync call now
        self.source: Source | None = None  # of the limit that other processes share
        self.reset()

    def reset(self) -> None:
        """Start empty, with fresh locks: at first, and in the child of a fork, where no other thread lives on."""
        self.generation += 1
        self.lock = threading.Lock()  # for a few lines each time: no code of a user's runs under it
        self.active = 0
        self.waiting = 0
        self.calm = True
        self.closed = False
        self.hold_until = 0.0
        self.source_due = math.inf  # when to ask the source again, unless it tells us before
        self.ready: list[tuple[tuple[float, int], Ticket]] = []
        self.delayed: list[tuple[float, int, Ticket]] = []
        self.counts = dict.fromkeys(
            ("joined", "granted", "unsent", "nested", "refused", "retried", "failed"), 0
        )
        self.waited = 0.0  # seconds that requests have waited for a slot, in all
        self.backed_off = 0.0  # seconds of backoff, in all
        self.abandoned: deque[Slot | Ticket | Watch] = deque()
        self.watches: set[Watch] = set()  # a weak reference calls back only if it lives on itself
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.workers: set[threading.Thread] = set()
        self.idle = 0  # workers that wait for a job which was not put yet
        self.unstaffed = 0  # jobs that were put without an idle worker; each gets a new one
        # Held by the thread that runs jobs itself, as no other could be started.
        self.running_here = threading.Lock()
        here = get_ident()
        self.threads = {thread: slot for thread, slot in self.threads.items() if thread == here}

    def new_slot(self) -> Slot:
        """Return a slot that is not held yet."""
        slot = Slot()
        slot.gate = self
        return slot

    def enter(self, slot: Slot) -> bool:
        """Take a free slot, unless somebody waits for one."""
        with self.lock:
            if not self.calm or self.active >= self.limit:
                self._pump()
                if self.closed:
                    raise QueueClosed("This backend is closed: it takes no more requests.")
                if self.ready or self.hold_until or self.active >= self.limit or not self._take(slot):
                    return False
            self.number += 1
            slot.number = self.number
            slot.held = self.generation
            self.active += 1
            return True

    def leave(self, slot: Slot) -> None:
        """Give a slot back; the oldest ready ticket has it at once."""
        with self.lock:
            if slot.held == self.generation:
                self.active -= 1
            slot.held = 0
            slot.over = True
            if slot.watch is not None:
                self._unwatch(slot)
            if self.calm:
                return
            if slot.lender is not None:
                slot.lender.give(slot)
        self.pump()

    def _give_back(self, slot: Slot, unused: bool = False) -> None:
        if slot.held == self.generation:
            self.active -= 1
        slot.held = 0
        if slot.lender is not None:
            slot.lender.give(slot, unused)

    def _take(self, slot: Slot) -> bool:
        return self.source is None or self.source.take(slot)

    def join(self, ticket: Ticket) -> None:
        """Put a ticket at the end of the line; raise RequestQueueFull if there is no room."""
        with self.lock:
            if self.closed:
                raise QueueClosed("This backend is closed: it takes no more requests.")
            if self.active < self.limit or self.abandoned:
                self._pump()  # there may be room now
            if self.waiting >= self.size and (self.ready or self.hold_until or self.active >= self.limit):
                self.counts["refused"] += 1
                raise RequestQueueFull(
                    f"Request queue is full ({self.size:.0f} items). Try again later, raise `queue_size`, "
                    "or raise `max_concurrent_requests` if the API allows more requests at once."
                )
            self.number += 1
            ticket.slot.number = self.number
            ticket.since = time.monotonic()
            self.calm = False
            ticket.state = WAITING
            self.waiting += 1
            self.counts["joined"] += 1
            heapq.heappush(self.ready, (ticket.place, ticket))
        self.pump()

    def rejoin(self, ticket: Ticket, delay: float, hold: bool = False) -> None:
        """Give the ticket's slot back and put the ticket where it stood, to be ready again after `delay` seconds.

        Args:
            hold: admit nothing at all until then, because the server asked for it.
        """
        with self.lock:
            self._give_back(ticket.slot)
            self.calm = False
            if self.closed:
                ticket.state = GONE
            if ticket.state != GONE:
                ticket.ready_at = time.monotonic() + delay
                if hold:
                    self.hold_until = ticket.ready_at = max(self.hold_until, ticket.ready_at)
                    if self.source is not None:
                        self.source.hold(self.hold_until)
                ticket.since = ticket.ready_at
                ticket.state = WAITING
                self.waiting += 1
                self.backed_off += delay
                heapq.heappush(self.delayed, (ticket.ready_at, ticket.slot.number, ticket))
        self.pump()
        if ticket.state == GONE:
            self._fail([ticket])

    def start(self, job: "Job") -> bool:
        """Claim a job for the calling thread; False if it was withdrawn, or claimed already."""
        with self.lock:
            if job.state != GRANTED:
                return False
            job.state = RUNNING
            return True

    def withdraw(self, ticket: Ticket) -> bool:
        """See to it that a ticket has no further attempt; False if one is running, which is left to end."""
        with self.lock:
            was_running = ticket.state == RUNNING
            self._withdraw(ticket)
        self.pump()
        return not was_running

    def withdraw_unstarted(self, ticket: Ticket) -> bool:
        """Withdraw a ticket whose first attempt was not begun; False if it was, or if the ticket is withdrawn already."""
        with self.lock:
            if ticket.state not in (WAITING, GRANTED) or ticket.ready_at:
                return False
            self._withdraw(ticket)
        self.pump()
        return True

    def _withdraw(self, ticket: Ticket) -> None:
        if ticket.state == WAITING:
            self.waiting -= 1
            if self.source is not None:
                self.source.withdrawn()
        elif ticket.state == GRANTED:
            self._give_back(ticket.slot, unused=True)
            self.counts["unsent"] += 1
        ticket.state = GONE
        if len(self.ready) > 2 * self.waiting + 10:  # let go of what was withdrawn behind one that waits on
            ready = [entry for entry in self.ready if entry[1].state != GONE]
            heapq.heapify(ready)
            self.ready = ready

    def abandon(self, thing: "Slot | Ticket") -> None:
        """Give a slot back, or withdraw a ticket, without a lock: a finalizer may run inside any function of ours."""
        self.abandoned.append(thing)
        self.calm = False
        if self.waiting:
            with contextlib.suppress(RuntimeError):  # the interpreter is on its way out
                _thread.start_new_thread(self.pump, ())

    def watch(self, stream: Any, slot: Slot) -> None:
        """Give the slot back when the stream is collected, even if a signal handler raises in its finalizer."""
        slot.watch = watch = Watch(stream, self.abandoned.append)
        watch.slot = slot
        with self.lock:
            self.watches.add(watch)

    def _unwatch(self, slot: Slot) -> None:
        if slot.watch is not None:
            self.watches.discard(slot.watch)
            slot.watch = None

    def hold(self, seconds: float) -> None:
        """Admit nothing for so long: the server asked for it."""
        with self.lock:
            self.calm = False
            self.hold_until = max(self.hold_until, time.monotonic() + seconds)
            if self.source is not None:
                self.source.hold(self.hold_until)

    def resize(self, limit: float, size: float) -> None:
        """Change how many may be in flight and how many may wait; nothing is interrupted."""
        with self.lock:
            self.limit, self.size = limit, size
        self.pump()

    def share(self, source: Source | None) -> None:
        """Share the limit with other processes, or no longer. What is in flight is not interrupted."""
        with self.lock:
            before, self.source, self.calm = self.source, source, False
        if before is not None:
            before.close()
        self.pump()

    def own_wake_up(self) -> float:
        """Return when who waits has to pump by itself, as the alarm's thread could not be started; else infinity."""
        if alarm.thread is not None:
            return math.inf
        with self.lock:
            delayed = self.delayed[0][0] if self.delayed else math.inf
            return min(self.hold_until or math.inf, self.source_due, delayed)

    def is_backing_off(self) -> bool:
        """Return True if a request waits out its backoff now."""
        with self.lock:
            return any(ticket.state == WAITING for _, _, ticket in self.delayed)

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self.lock:
            self.counts[what] += 1

    def count_nested(self, slot: Slot) -> None:
        """Count a request that is made under another's slot; the first one of a submitted method was counted with it."""
        with self.lock:
            if slot.of_method:
                slot.of_method = False
            else:
                self.counts["nested"] += 1

    def stats(self) -> dict[str, Any]:
        """Return what happened so far, and how things stand now."""
        with self.lock:
            counts = self.counts
            started = self.number - counts["joined"] + counts["granted"] - counts["unsent"]
            return {
                "requests": self.number + counts["nested"],
                "sent": started + counts["nested"],
                "retried": counts["retried"],
                "failed": counts["failed"],
                "refused": counts["refused"],
                "waiting": self.waiting,
                "in_flight": self.active,
                "waited_seconds": self.waited,
                "backoff_seconds": self.backed_off,
                **(self.source.stats() if self.source is not None else {}),
            }

    def line(self) -> list[Ticket]:
        """Return the tickets that wait, oldest first."""
        with self.lock:
            return self._line()

    def _line(self) -> list[Ticket]:
        line = {ticket for _, ticket in self.ready} | {ticket for _, _, ticket in self.delayed}
        return sorted((ticket for ticket in line if ticket.state == WAITING), key=lambda ticket: ticket.place)

    def refuse_newcomers(self) -> None:
        """Take no more requests. It takes no lock, for the sake of finalizers."""
        self.closed = True
        self.calm = False

    def close(self, join: bool = True) -> None:
        """Refuse newcomers, fail those who wait, let the running end, and join the worker threads."""
        with self.lock:
            self.refuse_newcomers()
            waiting = self._line()
            for ticket in waiting:
                ticket.state = GONE
            self.waiting = 0
            self.delayed.clear()
            workers = list(self.workers)
            for _ in workers:
                self.jobs.put(None)
        try:
            self.pump()
            alarm.forget(self)
            if self.source is not None:
                self.source.close()
        finally:
            self._fail(waiting)
        if join and threading.current_thread() not in workers:
            for worker in workers:
                with contextlib.suppress(RuntimeError):  # not started yet
                    worker.join()

    def _fail(self, tickets: list[Ticket]) -> None:
        """Tell the owners that the backend is closed: each of them, also where a future's callback raises, or on Ctrl-C."""
        while tickets:
            try:
                tickets[0].fail(QueueClosed("The backend was closed while the request waited."))
                del tickets[0]
            except BaseException:
                self._fail(tickets)
                raise

    def pump(self) -> None:
        """Admit what can be admitted now; see to it that it has threads, and that the next due time is not missed."""
        with self.lock:
            self._pump()
            due = self.delayed[0][0] if self.delayed else math.inf
            if self.ready:
                due = min(due, self.hold_until or self.source_due)
        if due < math.inf:
            alarm.set(self, due)
        while self.unstaffed:
            start_worker(self)

    def _pump(self) -> None:
        """With the lock held: make due tickets ready, then hand free slots to the oldest ready ones."""
        while self.abandoned:
            thing = self.abandoned[0]
            if isinstance(thing, Ticket):
                self._withdraw(thing)
            else:
                slot = thing.slot if isinstance(thing, Watch) else thing
                self._give_back(slot)
                slot.over = True
                self._unwatch(slot)
            self.abandoned.popleft()
        if self.delayed or self.hold_until:
            now = time.monotonic()
            if now >= self.hold_until:
                self.hold_until = 0.0
            while self.delayed and (self.delayed[0][0] <= now or self.delayed[0][2].state != WAITING):
                ticket = self.delayed[0][2]
                if ticket.state == WAITING:
                    heapq.heappush(self.ready, (ticket.place, ticket))
                heapq.heappop(self.delayed)
        self.source_due = math.inf
        while self.ready:
            ticket = self.ready[0][1]
            if ticket.state == WAITING:
                taken = ticket.slot.held == self.generation  # by another request under the same slot
                if self.hold_until or (self.active >= self.limit and not taken):
                    break
                if not taken and self.source is not None and not self.source.take(ticket.slot):
                    self.source_due = self.source.want(len(self.ready))
                    break
                ticket.state = GRANTED
                ticket.slot.held = self.generation
                self.waiting -= 1
                self.active += not taken
                self.counts["granted"] += 1
                self.waited += max(0.0, time.monotonic() - ticket.since)
            if ticket.state == GRANTED and not ticket.hand_over():
                self._give_back(ticket.slot, unused=True)
                self.counts["unsent"] += 1
                ticket.state = GONE
            heapq.heappop(self.ready)
        self.calm = self.source is None and not (
            self.ready or self.delayed or self.hold_until or self.unstaffed or self.closed or self.abandoned
        )
