"""Makes a request in a task of asyncio, and waits there for its slots. For threads: `calls`, `waiting`."""

import contextlib
import math
import time
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .failures import HOLDING_STATUSES
from .probing import attribute, has_method, is_coroutine_function, is_settled, status_in
from .request import Request, check_health
from .retry_policy import caller_name
from .slots import RUNNING, Slot, Ticket, reset_current_slot, slot_in_hand, slot_of_open_stream, take_in_hand
from .waiting import timed_out
from .workers import alarm

if TYPE_CHECKING:
    from .engine import RequestEngine


class TaskTicket(Ticket):
    """The place of an asyncio task."""

    __slots__ = ("future", "loop", "thread")

    def __init__(self, slot: Slot, loop: Any) -> None:
        super().__init__(slot)
        self.loop = loop
        self.thread = get_ident()
        self.future: Any = loop.create_future()

    def hand_over(self) -> bool:
        return self._resolve(None)

    def fail(self, error: Exception) -> None:
        self._resolve(error)

    def _resolve(self, error: "Exception | None") -> bool:
        def resolve() -> None:
            if not self.future.done():
                self.future.set_exception(error) if error else self.future.set_result(None)

        try:
            if self.thread == get_ident():  # another task of the loop: no need to wake it
                resolve()
            else:
                self.loop.call_soon_threadsafe(resolve)
        except RuntimeError:  # the loop was closed while its task waited
            return False
        return True


async def make_async(
    engine: "RequestEngine",
    request: Request,
    slot: "Slot | None" = None,
    attempt: "Callable[[], Any] | None" = None,
) -> "Slot | None":
    """Make a request in this task; return its slot, still held, or None if it ran under another's.

    Args:
        slot: where the first attempt was made already, the one under which it was made.
        attempt: makes one attempt, if there is more to it than to await the call.
    """
    outer = slot_in_hand(engine.gate) if slot is None else None
    held = outer or slot or engine.gate.new_slot()
    try:
        if outer is not None:
            engine.gate.count_nested(outer)
        if slot is not None:
            delay = request.judge(held, await _async_body(request.result))
            if delay is None:
                return held
            await _close_and_wait(engine, held, delay, request)
        elif outer is None and not engine.gate.enter(held):
            outer = slot_of_open_stream(engine.gate)
            if outer is None:
                await _wait_in_task(engine, held, None, request)
            else:
                held = outer
                engine.gate.count_nested(outer)
        request.is_nested = outer is not None
        # The server asked all to wait; or it was given back by a request beside this one, which backs off.
        if outer is not None and (engine.gate.hold_until or not outer.held):
            await _wait_in_task(engine, outer, 0.0, request)
        while (delay := await _attempt_in_task(engine, request, held, attempt)) is not None:
            await _close_and_wait(engine, held, delay, request)
        return held if outer is None else None
    except GeneratorExit:  # from the collector, perhaps
        if outer is None:
            held.abandon()
        raise
    except BaseException:
        if outer is None:
            held.release()
        raise
    finally:
        if outer is not None and outer.over and outer.held:  # taken again after its request had ended
            engine.gate.abandon(outer)


async def _attempt_in_task(
    engine: "RequestEngine", request: Request, slot: Slot, attempt: "Callable[[], Any] | None"
) -> "float | None":
    """Make one attempt under `slot`; return the delay before the next one, or None if the outcome stands."""
    if not request.is_nested:
        slot.over = slot.judged = False
    token = take_in_hand(slot)
    try:
        check_health(engine)
        result = request.call(*request.args, **request.kwargs) if attempt is None else attempt()
        request.result, request.error = await result, None
    except Exception as error:
        request.result, request.error = None, error
    finally:
        reset_current_slot(token)
    if request.error is None and not engine.careful and is_settled(request.result):
        return None
    return request.judge(slot, await _async_body(request.result))


async def _close_and_wait(engine: "RequestEngine", slot: Slot, delay: float, request: Request) -> None:
    """Close the response of a failed attempt, so that its connection is free, and wait out the backoff."""
    if request.error is None and has_method(request.result, "aclose"):
        with contextlib.suppress(Exception):
            await request.result.aclose()
    await _wait_in_task(engine, slot, delay, request)


async def _wait_in_task(engine: "RequestEngine", slot: Slot, delay: "float | None", request: Request) -> None:
    """Wait for a slot: at the end of the line, or where we stood, after the backoff of `delay` seconds."""
    import asyncio

    ticket = TaskTicket(slot, asyncio.get_running_loop())
    limits = {"total_timeout": request.deadline}
    try:
        if delay is None:
            request.name = caller_name(engine)
            engine.gate.join(ticket)
            if engine.settings["queue_timeout"] is not None:
                limits["queue_timeout"] = time.monotonic() + engine.settings["queue_timeout"]
        else:
            engine.gate.rejoin(ticket, delay, request.holds)
        due = max(ticket.ready_at, engine.gate.own_wake_up() if delay is None else 0)
        if alarm.thread is None and 0 < due < math.inf:
            ticket.loop.call_later(max(due - time.monotonic(), 0), engine.gate.pump)
        name = min(limits, key=limits.__getitem__)
        if limits[name] == math.inf:
            await ticket.future
        else:
            await asyncio.wait([ticket.future], timeout=limits[name] - time.monotonic())
            if not ticket.future.done():
                raise timed_out(engine, name)
            ticket.future.result()
        ticket.state = RUNNING
    except GeneratorExit:  # the collector closes a task whose loop is gone
        engine.gate.abandon(ticket)
        raise
    except BaseException:
        engine.gate.withdraw(ticket)
        raise


async def _async_body(response: Any) -> Any:
    """Return the decoded body of a 429 or 503 of a client whose `json()` is a coroutine, or None."""
    decode = attribute(response, "json")
    if status_in(response) not in HOLDING_STATUSES or not is_coroutine_function(decode):
        return None
    try:
        body = await decode()
    except Exception:
        return None
    return body if isinstance(body, dict | list) else None
