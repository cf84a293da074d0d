"""Waits for a slot in a thread, between two attempts of a request. For tasks: `async_waiting`."""

import contextlib
import math
import threading
import time
from typing import TYPE_CHECKING

from .errors import RequestTimeout
from .request import Request
from .slots import RUNNING, Slot, Ticket

if TYPE_CHECKING:
    from .engine import RequestEngine


class ThreadTicket(Ticket):
    """The place of a thread that waits for its next attempt."""

    __slots__ = ("error", "signal")

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot)
        self.error: Exception | None = None
        self.signal = threading.Lock()
        self.signal.acquire()

    def hand_over(self) -> bool:
        with contextlib.suppress(RuntimeError):  # released already
            self.signal.release()
        return True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.hand_over()


def wait_for_slot(engine: "RequestEngine", slot: Slot, delay: float, request: Request) -> None:
    """Give `slot` back, wait out the backoff, and take it again when its turn has come."""
    ticket = ThreadTicket(slot)
    try:
        engine.gate.rejoin(ticket, delay, request.holds)
        while not ticket.signal.acquire(timeout=timeout_until(ticket.ready_at)):
            engine.gate.pump()  # also where the alarm's thread could not be started
            if ticket.signal.acquire(timeout=timeout_until(request.deadline)):
                break
            raise timed_out(engine, "total_timeout")
        if ticket.error is not None:
            raise ticket.error
        ticket.state = RUNNING
    except BaseException:
        engine.gate.withdraw(ticket)
        raise


def timeout_until(deadline: float) -> float:
    """Return the timeout for `Lock.acquire` that ends at `deadline`; -1 waits for ever."""
    if deadline == math.inf:
        return -1
    return min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)


def timed_out(engine: "RequestEngine", setting: str) -> RequestTimeout:
    did = "waited" if setting == "queue_timeout" else "took"
    return RequestTimeout(f"The request {did} longer than {setting} ({engine.settings[setting]} s).")
