"""How a line ends: the backend is closed, or a thread leaves its own `with`.

The base of `gate`, which says how requests get in line.
"""

import threading
from typing import Any

from .errors import InstanceLeft, QueueClosed
from .held_slots import INTERRUPTED, HeldSlots
from .slots import GONE, WAITING, Source, Ticket


class Closable(HeldSlots):
    """A line that can be closed, and opened again."""

    delayed: list[tuple[float, int, Ticket]]  # backing off, the first to be ready on top
    jobs: Any
    workers: set[threading.Thread]
    leaving = 0  # how many threads are at leaving the instance's own `with`

    def reset(self) -> None:
        """Start open."""
        super().reset()
        self.leaving = 0

    def line(self) -> list[Ticket]:
        """Return the tickets that wait, oldest first."""
        line = self.exclusively(self._line)
        return self._line() if line is INTERRUPTED else line

    def _line(self) -> list[Ticket]:
        line = {ticket for _, ticket in self.ready} | {ticket for _, _, ticket in self.delayed}
        return sorted((ticket for ticket in line if ticket.state == WAITING), key=lambda ticket: ticket.place)

    def _reopen(self, source: Source | None, leaving: bool) -> None:
        with self.lock:
            self.alarm_at = 0.0  # the alarm may have forgotten when it was to wake us
            if leaving:
                self.leaving -= 1
            else:
                self.closed = False
            if source is not None and self.source is source:
                self.source = source.again()
        self.pump()

    def _close(self, leaving: bool) -> "tuple[list[Ticket], list[threading.Thread], Source | None]":
        line, workers = self._line(), list(self.workers)
        if leaving:
            self.leaving += 1
            self.calm = False
            waiting = [ticket for ticket in line if ticket.ready_at or ticket.slot.is_submitted]
        else:
            self.refuse_newcomers()
            waiting = line
        self.closed_at = self.number
        for ticket in waiting:
            ticket.state = GONE
        self.waiting -= len(waiting)
        self.delayed.clear()
        for _ in workers:
            self.jobs.put(None)
        # Where others go on they need their slots of those that processes share.
        source = None if leaving and (self.active or self.waiting) else self.source
        return waiting, workers, source

    def _fail(self, tickets: list[Ticket]) -> None:
        """Tell the owners that the backend is closed: each of them, also where a future's callback raises, or on Ctrl-C."""
        while tickets:
            try:
                why = "The backend was closed while the request waited."
                leaves = self.leaving and not self.closed and not tickets[0].slot.is_submitted
                tickets[0].fail(InstanceLeft(why) if leaves else QueueClosed(why))
                del tickets[0]
            except BaseException:
                self._fail(tickets)
                raise
