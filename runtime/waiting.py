"""Waits for a slot in a thread, between two attempts of a request. For tasks: `async_waiting`."""

import contextlib
import logging
import math
import sys
import threading
from typing import TYPE_CHECKING

from .clocks import monotonic, new_signal
from .errors import RequestTimeout
from .probing import safe_log
from .request import Request
from .retry_policy import caller_name
from .slots import RUNNING, Slot, Ticket, slot_of_open_stream

if TYPE_CHECKING:
    from .engine import RequestEngine
    from .gate import Gate


class ThreadTicket(Ticket):
    """The place of a thread, or greenlet, that waits for its next attempt."""

    __slots__ = ("error", "signal")

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot)
        self.error: Exception | None = None
        self.signal = new_signal()

    def hand_over(self) -> bool:
        with contextlib.suppress(RuntimeError):  # released already
            self.signal.release()
        return True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.hand_over()


def take_slot(gate: "Gate", slot: Slot, parent: "Slot | None") -> bool:
    """Take a slot at once, or return False: a free one, or the one of the request from within which this one is made.

    Args:
        parent: the slot of that one, if there is one.
    """
    taken = gate.enter(slot) if parent is None else gate.borrow(slot, parent)
    return taken or borrow_from_stream(gate, slot)


def borrow_from_stream(gate: "Gate", slot: Slot) -> bool:
    """Take the slot of a stream that this context reads, so that its reader does not wait for itself; or return False."""
    stream = slot_of_open_stream(gate)
    return stream is not None and gate.borrow(slot, stream)


def wait_for_slot(engine: "RequestEngine", slot: Slot, delay: "float | None", request: Request) -> None:
    """Wait for a slot in this thread: at the end of the line, or where `slot` stood, after the backoff of `delay` seconds.

    Raises:
        RequestTimeout: if that takes longer than `queue_timeout` or `total_timeout` allows.
    """
    gate = engine.gate
    ticket = ThreadTicket(slot)
    ticket.request = request
    limits = {"total_timeout": request.deadline}
    try:
        if delay is not None:
            if not gate.rejoin(ticket, delay, request.holds):
                ticket.signal.acquire(timeout=min(delay, threading.TIMEOUT_MAX))
                return
        else:
            request.name = caller_name(engine, above=2)
            warn_of_a_blocked_loop(engine, request)
            if engine.settings["queue_timeout"] is not None:
                limits["queue_timeout"] = monotonic() + engine.settings["queue_timeout"]
            if not gate.join(ticket):
                return
            refuse_what_is_too_late(engine, ticket, limits.get("queue_timeout", math.inf))
        name = min(limits, key=limits.__getitem__)
        own_wake_up = ticket.ready_at or gate.own_wake_up()
        while not ticket.signal.acquire(timeout=timeout_until(min(limits[name], own_wake_up))):
            gate.pump()  # also where the alarm's thread could not be started
            if monotonic() >= limits[name]:
                raise timed_out(engine, name)
            own_wake_up = gate.own_wake_up()
        if ticket.error is not None:
            raise ticket.error
        ticket.state = RUNNING
    except BaseException:
        gate.withdraw(ticket)
        raise


def refuse_what_is_too_late(engine: "RequestEngine", ticket: Ticket, deadline: float) -> None:
    """Raise RequestTimeout at once where the rate lets a request start after its `queue_timeout` only."""
    if deadline < math.inf and (due := engine.gate.could_start(ticket)) > deadline:
        raise RequestTimeout(
            f"By the rate that is set or learnt, the request could start in {due - monotonic():.0f} s at the earliest: "
            f"longer than queue_timeout ({engine.settings['queue_timeout']} s)."
        )


def warn_of_a_blocked_loop(engine: "RequestEngine", request: Request) -> None:
    """Say once that a sync request waits in an event loop's thread: what it waits for may be a task of that loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None and "loop" not in engine.warned:
        engine.warned.add("loop")
        safe_log(
            engine.logger, logging.WARNING, "%s.%s: a synchronous request waits in an event loop's thread, which stands still "
            "meanwhile; if tasks of this loop hold the slots, forever. Use asyncio.to_thread.", engine.label, request.name,
        )  # fmt: skip


def timeout_until(deadline: float) -> float:
    """Return the timeout for `Lock.acquire` that ends at `deadline`; -1 waits forever."""
    if deadline == math.inf:
        return -1
    return min(max(deadline - monotonic(), 0), threading.TIMEOUT_MAX)


def timed_out(engine: "RequestEngine", setting: str) -> RequestTimeout:
    did = "waited" if setting == "queue_timeout" else "took"
    return RequestTimeout(f"The request {did} longer than {setting} ({engine.settings[setting]} s).")
