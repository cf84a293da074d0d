"""The line: admits requests, first in, first out, up to the limit.

It knows slots and tickets, and nothing of requests, failures or settings. Its invariants are in the docstring of `Gate`.
"""

import _thread
import contextlib
import heapq
import math
import threading
from typing import TYPE_CHECKING, Any

from .clocks import monotonic, new_queue
from .closing import Closable
from .errors import QueueClosed, RequestQueueFull
from .held_slots import INTERRUPTED
from .slots import GONE, GRANTED, RUNNING, WAITING, Source, Ticket, Watch
from .spare_slots import PREPARING, find_spare
from .workers import alarm, needs_worker, start_worker

if TYPE_CHECKING:
    from .jobs import Job


class Gate(Closable):
    """Admits requests, first in, first out, at most `limit` at once.

    Invariants, whenever `lock` is free: `active` is the number of slots that are held, `waiting` the number of
    tickets that wait. A newcomer takes a free slot only where no ticket is ready, so it overtakes nobody; and what
    frees a slot, adds a ticket or changes a limit calls `pump()` next, so that nothing waits while a slot is free.
    `calm` is True only where there is nothing to see to but `active` and `limit`: no ticket, no hold, nothing
    abandoned, not closed, no `source`. Where other processes share the limit, each slot that is held was taken from
    `source` as well.

    How the lock is used, and what a signal handler may find, is told in `HeldSlots`.
    """

    def reset(self) -> None:
        """Start empty, with fresh locks: at first, and in the child of a fork, where no other thread lives on."""
        super().reset()
        self.delayed: list[tuple[float, int, Ticket]] = []
        self.jobs: Any = new_queue()
        self.workers: set[threading.Thread] = set()
        self.idle = 0  # workers that wait for a job which was not put yet
        self.unstaffed = 0  # jobs that were put without an idle worker; each gets a new one
        self.starting: dict[threading.Thread, int] = {}  # workers that do not run yet -> who starts them
        self.running_here = threading.Lock()  # by who runs jobs itself, as no thread could be started

    def join(self, ticket: Ticket, always: bool = False) -> bool:
        """Put a ticket at the end of the line, or, made from within a request, just before that one.

        Args:
            always: also if there is no room.

        Returns:
            False if it interrupted the gate's own work, so that its thread must not wait.

        Raises:
            RequestQueueFull: if there is no room.
        """
        if self.exclusively(self._join_line, ticket, always) is INTERRUPTED:
            return False
        self.pump()
        return True

    def _join_line(self, ticket: Ticket, always: bool) -> None:
        self._refuse_if_closed()
        if self.leaving and ticket.slot.is_submitted:
            raise QueueClosed("This backend is being closed: it takes no submitted requests meanwhile.")
        if self.active < self.limit or self.deferred:
            self._pump()  # there may be room now
        if (
            self.waiting >= self.size
            and not (always or ticket.slot.parent)
            and (self.ready or self.hold_until or self.active >= min(self.limit, self.window))
        ):
            self.counts["refused"] += 1
            raise RequestQueueFull(
                f"Request queue is full ({self.size:.0f} items). Try again later, raise `queue_size`, set "
                '`queue_full = "wait"` to wait for room, '
                "or raise `max_concurrent_requests` if the API allows more requests at once."
            )
        self._join(ticket)

    def join_later(self, ticket: Ticket) -> None:
        """Put a ticket in line as soon as what was interrupted is done."""
        self.deferred.append(ticket)
        self.calm = False
        self._pump_soon()

    def _join(self, ticket: Ticket) -> None:
        slot = ticket.slot
        if slot.parent is None:
            self.number += 1
            slot.number = self.number
        else:
            slot.parent.borrowers = [*slot.parent.borrowers, ticket]
        ticket.since = monotonic()
        entry = ticket.place, ticket
        self.calm = False
        ticket.state = WAITING
        self.waiting += 1
        self.counts["joined"] += 1
        heapq.heappush(self.ready, entry)

    def rejoin(self, ticket: Ticket, delay: float, hold: bool = False) -> bool:
        """Give the ticket's slot back and put the ticket where it stood, to be ready again after `delay` seconds.

        Args:
            hold: admit nothing at all until then, because the server asked for it.

        Returns:
            False if it interrupted the gate's own work, so that its thread must not wait.
        """
        gone = self.exclusively(self._rejoin, ticket, delay, hold)
        if gone is INTERRUPTED:
            return False
        self.pump()
        if gone:
            self._fail([ticket])
        return True

    def _rejoin(self, ticket: Ticket, delay: float, hold: bool) -> bool:
        """Put a ticket back in line; return True if it cannot be, as the backend was closed."""
        slot = ticket.slot
        owner = slot.taken_from  # which is to have one again when this request has ended
        self.give_back(slot, to_all=True)
        slot.taken_from = owner
        self.calm = False
        if self.closed:
            ticket.state = GONE
        if ticket.state != GONE:
            ticket.ready_at = monotonic() + delay
            if hold:
                self.hold_until = ticket.ready_at = max(self.hold_until, ticket.ready_at)
                if self.source is not None:
                    self.source.hold(self.hold_until)
            ticket.since = ticket.ready_at
            ticket.state = WAITING
            self.waiting += 1
            self.backed_off += delay
            heapq.heappush(self.delayed, (ticket.ready_at, slot.number, ticket))
            return False
        return True

    def start(self, job: "Job") -> bool:
        """Claim a job for the calling thread; False if it was withdrawn, or claimed already."""
        with self.lock:
            if job.state != GRANTED:
                return False
            job.state = RUNNING
            return True

    def withdraw(self, ticket: Ticket) -> bool:
        """See to it that a ticket has no further attempt; False if one is running, which is left to end."""
        was_running = self.exclusively(self._withdraw, ticket)
        if was_running is INTERRUPTED:
            self.abandon(ticket)
            return True
        self.pump()
        return not was_running

    def withdraw_unstarted(self, ticket: Ticket) -> bool:
        """Withdraw a ticket whose first attempt was not begun; False if it was, or if the ticket is withdrawn already."""
        withdrawn = self.exclusively(self._withdraw_unstarted, ticket) is True
        self.pump()
        return withdrawn

    def _withdraw_unstarted(self, ticket: Ticket) -> bool:
        if ticket.state not in (WAITING, GRANTED) or ticket.ready_at:
            return False
        self._withdraw(ticket)
        return True

    def _withdraw(self, ticket: Ticket) -> bool:
        """Withdraw a ticket; return True if an attempt is running."""
        was_running = ticket.state == RUNNING
        if ticket.state == WAITING:
            self.waiting -= 1
            self.pay_back(ticket.slot)  # where Ctrl-C came when it was about to start
            if self.source is not None:
                self.source.withdrawn()
        elif ticket.state == GRANTED:
            self.give_back(ticket.slot, unused=True)
            self.counts["unsent"] += 1
        ticket.state = GONE
        if len(self.ready) > 2 * self.waiting + 10:  # let go of what was withdrawn behind one that waits on
            ready = [entry for entry in self.ready if entry[1].state != GONE]
            heapq.heapify(ready)
            self.ready = ready
        return was_running

    def hold(self, seconds: float) -> None:
        """Admit nothing for so long: the server asked for it."""
        self.exclusively(self._hold, monotonic() + seconds)

    def _hold(self, until: float) -> None:
        self.calm = False
        self.hold_until = max(self.hold_until, until)
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
        """Return when who waits has to pump, as the alarm's thread was not started or is that one; else infinity."""
        return math.inf if alarm.is_awake() else self._due()

    def could_start(self, ticket: Ticket) -> float:
        """Return when a ticket that waits could start at the earliest, by the rates; 0: now."""
        return 0.0 if (due := self.exclusively(self._could_start, ticket)) is INTERRUPTED else due

    def _could_start(self, ticket: Ticket) -> float:
        place, pace = ticket.place, self.pace if ticket.state == WAITING else None
        return 0.0 if pace is None else pace.due(ticket.slot, sum(other < place for other, _ in self.ready))

    def is_backing_off(self) -> bool:
        """Return True if a request waits out its backoff now."""
        return any(ticket.state == WAITING for _, _, ticket in list(self.delayed))

    def close(self, join: bool = True, reopen: bool = False, leaving: bool = False) -> None:
        """Refuse newcomers, fail those who wait, let the running end, join the worker threads; or take newcomers again then.

        Args:
            leaving: a thread leaves the instance's own `with`, and others may be using the instance: they go on as they
                would without a queue. What waits for its first attempt has it; what waits out a backoff has the outcome of
                its last one. Only what was submitted fails, as nobody waits for it.
        """
        ended = self.exclusively(self._close, leaving)
        if ended is INTERRUPTED:
            if not reopen:
                self.refuse_newcomers()
            with contextlib.suppress(RuntimeError):  # as in _pump_soon
                _thread.start_new_thread(self.close, (False, reopen, leaving))
            return
        waiting, workers, source = ended
        try:
            try:
                self.pump()
                alarm.forget(self)
                if source is not None:
                    source.close()
            finally:
                self._fail(waiting)
            if join and threading.current_thread() not in workers:
                for worker in workers:
                    with contextlib.suppress(RuntimeError):  # not started yet
                        worker.join()
        finally:
            if reopen:
                self._reopen(source, leaving)

    def pump(self) -> None:
        """Admit what can be admitted now; see to it that it has threads, and that the next due time is not missed."""
        due = self.exclusively(self._pump)
        if due is INTERRUPTED:
            self._pump_soon()
            return
        if due < math.inf:
            alarm.set(self, due)
        while needs_worker(self):
            start_worker(self)

    def _due(self) -> float:
        """Return when there is something to be done though nobody comes or goes."""
        try:
            due = self.delayed[0][0]
        except IndexError:
            due = math.inf
        if self.ready:
            wait = self.source_due
            if wait == math.inf and self.active >= min(self.limit, self.window):
                wait = self.look_at  # a spare slot is looked for only where the slots alone are in the way
            due = min(due, self.hold_until or wait)
        return due

    def _pump(self) -> float:
        """With the lock held: make due tickets ready, then hand free slots to the oldest ready ones; return what is due next."""
        self._catch_up()
        self._admit()
        return self._due()

    def _catch_up(self) -> None:
        """Do what was deferred; make due tickets ready."""
        while self.deferred:
            thing = self.deferred[0]
            if isinstance(thing, Ticket):
                if thing.is_abandoned:
                    self._withdraw(thing)
                elif self.closed:
                    self._fail([thing])
                elif thing.state == RUNNING:
                    self._join(thing)
            else:
                slot = thing.slot if isinstance(thing, Watch) else thing
                self.give_back(slot)
                slot.over = slot.ended = True
                self._forget(slot)
            self.deferred.popleft()
        if self.delayed or self.hold_until:
            now = monotonic()
            if now >= self.hold_until:
                self.hold_until = 0.0
            while self.delayed and (self.delayed[0][0] <= now or self.delayed[0][2].state != WAITING):
                ticket = self.delayed[0][2]
                if ticket.state == WAITING:
                    heapq.heappush(self.ready, (ticket.place, ticket))
                heapq.heappop(self.delayed)

    def _admit(self) -> None:
        """Hand free slots to the oldest that are ready."""
        self.source_due = math.inf
        while self.ready:
            ticket = self.ready[0][1]
            slot = ticket.slot
            if ticket.state == WAITING:
                parent = slot.parent
                has_one = slot.held == self.generation  # given back to it, by what interrupted its wait
                if parent is not None and not has_one and parent.held == self.generation:
                    if self.hold_until:
                        break
                    self.take_over(slot, parent)
                    has_one = True
                elif self.hold_until:
                    break
                elif not has_one:
                    if not self._is_due(slot) or (
                        self.active >= min(self.limit, self.window) and not find_spare(self, slot)
                    ):
                        break
                    if slot.held != self.generation and not self._take(slot):
                        if self.source is not None:
                            self.source_due = self.source.want(len(self.ready))
                        break
                    self._pay(slot)
                ticket.state = GRANTED
                if slot.held != self.generation:
                    slot.held = self.generation
                    self.active += 1
                self.waiting -= 1
                self.counts["granted"] += 1
                if slot.is_submitted:
                    slot.used_at = monotonic()
                    self.keepers[slot] = None
                    self.look_at = min(self.look_at, slot.used_at + PREPARING)
                self.waited += max(0.0, monotonic() - ticket.since)
            if ticket.state == GRANTED and not ticket.hand_over():
                self.give_back(slot, unused=True)
                self.counts["unsent"] += 1
                ticket.state = GONE
            if self.ready[0][1] is ticket:  # and none that has what this one's spare was taken from
                heapq.heappop(self.ready)
        self.calm = (
            self.source is None
            and self.pace is None
            and not (
                self.ready
                or self.delayed
                or self.hold_until
                or self.unstaffed
                or self.closed
                or self.deferred
            )
        )
