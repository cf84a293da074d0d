"""Makes a request in a task of asyncio, and waits there for its slots. For threads: `calls`, `waiting`."""

import contextlib
import math
import sys
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .clocks import monotonic
from .errors import InstanceLeft
from .failures import HOLDING_STATUSES
from .probing import attribute, has_method, is_coroutine_function, is_settled, status_in
from .request import Request, begin_attempt
from .retry_policy import caller_name
from .slots import RUNNING, Slot, Ticket, reset_current_slot, slot_in_hand, take_in_hand
from .waiting import refuse_what_is_too_late, take_slot, timed_out
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

        return self.run_in_loop(resolve)

    def run_in_loop(self, function: Callable[[], Any]) -> bool:
        """Call a function in the task's event loop; return False if that has ended."""
        try:
            if self.thread == get_ident():  # another task of the loop: no need to wake it
                function()
            else:
                self.loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop was closed while its task waited
            return False
        return True

    async def wait(self, seconds: float) -> bool:
        """Wait until it is handed a slot; return False if that takes longer."""
        if seconds == math.inf:
            await self.future
            return True
        await sys.modules["asyncio"].wait([self.future], timeout=seconds)
        if self.future.done():
            self.future.result()
        return bool(self.future.done())

    def call_later(self, seconds: float, function: Callable[[], Any]) -> None:
        """Call a function in the task's event loop."""
        self.loop.call_later(seconds, function)


class TrioTicket(Ticket):
    """The place of a task of trio."""

    __slots__ = ("error", "event", "thread", "token", "trio")

    def __init__(self, slot: Slot, trio: Any) -> None:
        super().__init__(slot)
        self.trio = trio
        self.token = trio.lowlevel.current_trio_token()
        self.thread = get_ident()
        self.event = trio.Event()
        self.error: Exception | None = None

    def hand_over(self) -> bool:
        try:
            self.event.set() if self.thread == get_ident() else self.token.run_sync_soon(self.event.set)
        except RuntimeError:  # trio has ended while its task waited
            return False
        return True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.hand_over()

    async def wait(self, seconds: float) -> bool:
        """Wait until it is handed a slot; return False if that takes longer."""
        with self.trio.move_on_after(seconds):
            await self.event.wait()
        if self.error is not None:
            raise self.error
        return bool(self.event.is_set())

    def call_later(self, seconds: float, function: Callable[[], Any]) -> None:
        """Call a function in the trio run, in a task of the system's."""

        async def later() -> None:
            await self.trio.sleep(seconds)
            function()

        self.trio.lowlevel.spawn_system_task(later)


def _task_ticket(slot: Slot) -> "TaskTicket | TrioTicket":
    """Return a ticket for the task that runs now, of asyncio or trio."""
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
            return TrioTicket(slot, trio)
        except RuntimeError:
            pass
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    if loop is None:
        raise RuntimeError(
            "This request has to wait for its turn or for a retry, which it can do in a task of asyncio or trio only; "
            "what runs here is neither (curio?)."
        )
    return TaskTicket(slot, loop)


async def make_async(
    engine: "RequestEngine",
    request: Request,
    slot: "Slot | None" = None,
    attempt: "Callable[[], Any] | None" = None,
) -> Slot:
    """Make a request in this task; return its slot, still held.

    Args:
        slot: where the first attempt was made already, the one under which it was made.
        attempt: makes one attempt, if there is more to it than to await the call.
    """
    parent = slot_in_hand(engine.gate)
    held = slot or engine.gate.new_slot()
    held.tokens = request.tokens
    outermost = take_in_hand(held)
    try:
        if slot is not None:
            delay = request.judge(held, await _async_body(request.result))
            if delay is None:
                return held
            await _close_and_wait(engine, held, delay, request)
        elif not take_slot(engine.gate, held, parent):
            await _wait_in_task(engine, held, None, request)
        while (delay := await _attempt_in_task(engine, request, held, attempt)) is not None:
            await _close_and_wait(engine, held, delay, request)
        return held
    except InstanceLeft:
        return held
    except GeneratorExit:  # from the collector, perhaps
        held.abandon()
        raise
    except BaseException:
        held.release()
        raise
    finally:
        reset_current_slot(outermost)


async def _attempt_in_task(
    engine: "RequestEngine", request: Request, slot: Slot, attempt: "Callable[[], Any] | None"
) -> "float | None":
    """Make one attempt under `slot`; return the delay before the next one, or None if the outcome stands."""
    slot.over = slot.judged = False
    try:
        begin_attempt(engine, slot)
        result = request.call(*request.args, **request.kwargs) if attempt is None else attempt()
        request.result, request.error = await result, None
    except Exception as error:
        request.result, request.error = None, error
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
    ticket = _task_ticket(slot)
    ticket.request = request
    limits = {"total_timeout": request.deadline}
    try:
        if delay is None:
            request.name = caller_name(engine)
            engine.gate.join(ticket)
            if engine.settings["queue_timeout"] is not None:
                limits["queue_timeout"] = monotonic() + engine.settings["queue_timeout"]
                refuse_what_is_too_late(engine, ticket, limits["queue_timeout"])
        else:
            engine.gate.rejoin(ticket, delay, request.holds)
        due = max(ticket.ready_at, engine.gate.own_wake_up() if delay is None else 0)
        if not alarm.is_awake() and 0 < due < math.inf:
            ticket.call_later(max(due - monotonic(), 0), engine.gate.pump)
        name = min(limits, key=limits.__getitem__)
        if not await ticket.wait(limits[name] - monotonic()):
            raise timed_out(engine, name)
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
