"""Sync calls: run at once, in line, under another request's slot; and `submit`.

The usual call is made in `run_call`, without anything that it does not need; what is not usual is made as a `Request`.
"""

import contextlib
import contextvars
import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .probing import attribute, is_settled, safe_log
from .repeating import may_hold_a_body
from .request import Request
from .retry_policy import caller_name
from .slots import (
    GONE,
    WAITING,
    Slot,
    Ticket,
    current_slot,
    note_open_stream,
    slot_in_hand,
    slot_of_open_stream,
)
from .streams import finish
from .waiting import timed_out, timeout_until, wait_for_slot
from .workers import Worker

if TYPE_CHECKING:
    from .engine import RequestEngine


def run_call(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a request in this thread if a slot is free, else through the queue."""
    gate, thread = engine.gate, get_ident()
    if (
        engine.careful
        or thread in gate.threads
        or current_slot.get() is not None
        or may_hold_a_body(args, kwargs)
    ):
        return _run_request(engine, Request(engine, call, retry, args, kwargs))
    # The usual case, without a Request and a context variable where all goes well: every call pays for it.
    slot = Slot()
    slot.gate = gate
    try:
        if not gate.enter(slot):
            return _run_later(engine, Request(engine, call, retry, args, kwargs))
        gate.threads[thread] = slot
        try:
            result = call(*args, **kwargs)
            if is_settled(result):
                gate.leave(slot)
                return result
            request = Request(engine, call, retry, args, kwargs)
            request.result = result
        except Exception as error:
            request = Request(engine, call, retry, args, kwargs)
            request.error = error
        finally:
            del gate.threads[thread]
        return _run_on(engine, request, slot, request.judge(slot))
    except BaseException:
        slot.release()
        raise


def run_partial(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make the request of a partial, which may hold a body of its own, to be sent again from where it stood."""
    return _run_request(engine, Request(engine, call, retry, args, kwargs))


def _run_request(engine: "RequestEngine", request: Request) -> Any:
    outer = slot_in_hand(engine.gate)
    if outer is not None:
        return _run_under(engine, outer, request)
    slot = engine.gate.new_slot()
    try:
        if not engine.gate.enter(slot):
            return _run_later(engine, request)
        return _run_on(engine, request, slot, request.attempt(slot))
    except BaseException:
        slot.release()
        raise


def _run_on(engine: "RequestEngine", request: Request, slot: Slot, delay: "float | None") -> Any:
    """Having made an attempt under `slot`, make more of them while there is to be one after `delay`."""
    while delay is not None:
        wait_for_slot(engine, slot, delay, request)
        delay = request.attempt(slot)
    finish(request, slot)
    return request.outcome()


def _run_later(engine: "RequestEngine", request: Request) -> Any:
    """Make a request for which no slot is free now."""
    outer = slot_of_open_stream(engine.gate)
    if outer is not None:
        return _run_under(engine, outer, request)
    return _run_in_line(engine, request, engine.gate.new_slot())  # a slot that the worker gives back


def _run_under(engine: "RequestEngine", slot: Slot, request: Request) -> Any:
    """Make a request from within another one, under the slot of that one."""
    engine.gate.count_nested(slot)
    request.is_nested = True
    # The server asked all to wait; or it was given back by a request beside this one, which backs off.
    delay = 0.0 if engine.gate.hold_until or not slot.held else None
    try:
        while True:
            if delay is not None:
                wait_for_slot(engine, slot, delay, request)
            if (delay := request.attempt(slot)) is None:
                return request.outcome()
    finally:
        if slot.over:  # taken again after its request had ended
            slot.release()


def _run_in_line(engine: "RequestEngine", request: Request, slot: Slot) -> Any:
    """Let a worker thread make the request when its turn has come, and wait for the outcome."""
    request.name = caller_name(engine, above=2)
    _warn_of_a_blocked_loop(engine, request)
    job = Job(slot, request)
    queue_timeout = engine.settings["queue_timeout"]
    queue_deadline = math.inf if queue_timeout is None else time.monotonic() + queue_timeout
    try:
        engine.gate.join(job)
        while not job.done.acquire(
            timeout=timeout_until(min(queue_deadline, request.deadline, engine.gate.own_wake_up()))
        ):
            engine.gate.pump()
            now = time.monotonic()
            if now >= request.deadline:
                raise timed_out(engine, "total_timeout")
            if now >= queue_deadline:
                if engine.gate.withdraw_unstarted(job):
                    raise timed_out(engine, "queue_timeout")
                queue_deadline = math.inf
        if request.error is None and not slot.over:  # a stream keeps it
            note_open_stream(slot)
    except BaseException:
        if engine.gate.withdraw(job):
            raise
        request.retry = False  # an attempt is under way; it is the last one
        request.result = None  # see Job.deliver
        raise
    return request.outcome()


def _warn_of_a_blocked_loop(engine: "RequestEngine", request: Request) -> None:
    """Say once that a sync request waits in an event loop's thread: what it waits for may be a task of that loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None and "loop" not in engine.warned:
        engine.warned.add("loop")
        safe_log(
            engine.logger, logging.WARNING, "%s.%s: a synchronous request waits in an event loop's thread, which stands still "
            "meanwhile; if tasks of this loop hold the slots, for ever. Use asyncio.to_thread.", engine.label, request.name,
        )  # fmt: skip


def submit_call(
    engine: "RequestEngine", call: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> "Future[Any]":
    """Queue `call(*args, **kwargs)` and return its future at once.

    A method of the backend retries its own requests; any other function is retried as a whole.
    A request that submits others may go on to wait for them, so its slot is given back at once; what it requests
    itself from then on takes slots of its own.

    Raises:
        RequestQueueFull: if `queue_size` requests wait already.
    """
    owner = engine.reference()
    retry = owner is None or attribute(call, "__self__") is not owner
    future: Future[Any] = Future()
    request = Request(engine, call, retry, args, kwargs)
    request.name = str(attribute(call, "__name__") or "")
    job = Job(engine.gate.new_slot(), request, future)
    request.is_method = job.slot.of_method = not retry

    def withdraw(done: "Future[Any]") -> None:
        if done.cancelled() and engine.gate.withdraw(job):
            done.set_running_or_notify_cancel()  # tells concurrent.futures.wait() and its like

    future.add_done_callback(withdraw)
    try:
        engine.gate.join(job)
        if (outer := slot_in_hand(engine.gate)) is not None:
            outer.release()
    except BaseException:  # Ctrl-C; nobody would ever know of the future
        engine.gate.withdraw(job)
        raise
    return future


class Job(Ticket):
    """The place of a request that a worker thread runs, and its outcome."""

    __slots__ = ("context", "done", "future", "request")

    def __init__(self, slot: Slot, request: Request, future: "Future[Any] | None" = None) -> None:
        super().__init__(slot)
        self.request = request
        self.future = future
        self.context = contextvars.copy_context()
        self.done = threading.Lock()
        self.done.acquire()

    def hand_over(self) -> bool:
        gate = self.slot.gate
        # Counted before it is put: Ctrl-C in between costs a worker too many, the other way round one too few.
        if gate.idle:
            gate.idle -= 1
        else:
            gate.unstaffed += 1
        gate.jobs.put(self)
        return True

    def fail(self, error: Exception) -> None:
        self.request.result, self.request.error = None, error
        self.deliver()

    def deliver(self) -> None:
        """Give the outcome to whoever waits for it."""
        if self.future is None:
            if self.state == GONE:  # nobody waits; a stream's slot is not to wait for the collector
                self.request.result = None
            with contextlib.suppress(RuntimeError):
                self.done.release()
            return
        error, result = self.request.error, self.request.result
        self.request.error = self.request.result = None
        with contextlib.suppress(InvalidStateError):  # cancelled in the meantime
            self.future.set_exception(error) if error is not None else self.future.set_result(result)
        del error, result

    def run(self, worker: "Worker | None" = None) -> None:
        """Make one attempt, having been handed a slot; then deliver, or go back in line to wait out the backoff.

        Args:
            worker: the thread that runs it, where it is one of the queue's.
        """
        gate, request = self.slot.gate, self.request
        if not gate.start(self):
            return
        future = self.future
        if not (future is None or future.running() or future.set_running_or_notify_cancel()):
            self.slot.release()
            return
        try:
            delay = self.context.run(request.attempt, self.slot)
            if delay is not None:
                gate.rejoin(self, delay, request.holds)
                # Without the alarm (Python 3.12 starts no thread once the main one has ended) only we know of it.
                while self.state == WAITING and (due := gate.own_wake_up()) < math.inf:
                    time.sleep(max(due - time.monotonic(), 0))
                    gate.pump()
                return
            if worker is not None and future is None:
                worker.become_idle()  # very soon: so that the slot's next job is its own, and wakes no other thread
            finish(request, self.slot)
        except BaseException as error:  # an error of our own must reach the caller, never end the worker
            request.result, request.error = None, error
            self.slot.release()
        self.deliver()
