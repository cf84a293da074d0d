"""Sync calls: run at once, in their turn, or from within another request.

The usual call is made in `run_call`, without anything that it does not need; what is not usual is made as a `Request`.
"""

import math
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from .clocks import monotonic
from .errors import InstanceLeft
from .jobs import Job
from .probing import is_settled
from .repeating import may_hold_a_body
from .request import Request
from .retry_policy import caller_name
from .slots import (
    Slot,
    current_slot,
    note_open_stream,
    slot_in_hand,
    take_in_hand,
)
from .streams import HELD_STREAMS, HeldStream, finish
from .waiting import (
    borrow_from_stream,
    refuse_what_is_too_late,
    take_slot,
    timed_out,
    timeout_until,
    wait_for_slot,
    warn_of_a_blocked_loop,
)

if TYPE_CHECKING:
    from .engine import RequestEngine


def run_call(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a request in this thread, at once if a slot is free, else in its turn."""
    # The usual case, often with a URL alone, is made without a Request where all goes well: every call pays for it.
    is_plain = not kwargs and len(args) == 1 and type(args[0]) is str
    if engine.careful or current_slot.get() is not None or (not is_plain and may_hold_a_body(args, kwargs)):
        return _run_request(engine, Request(engine, call, retry, args, kwargs))
    gate = engine.gate
    slot = Slot()
    slot.gate = gate
    token = None
    try:
        # Before it is taken, and until it was given back: a signal handler that calls us is then made from within this one.
        token = current_slot.set(slot)
        if not gate.enter(slot) and not borrow_from_stream(gate, slot):
            return _run_in_turn(engine, Request(engine, call, retry, args, kwargs), slot)
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
        return _run_on(engine, request, slot, request.judge(slot))
    except BaseException:
        slot.release()
        raise
    finally:
        if token is not None:
            current_slot.reset(token)
        else:  # Ctrl-C
            current_slot.set(None)


def run_partial(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make the request of a partial, which may hold a body of its own, to be sent again from where it stood."""
    return _run_request(engine, Request(engine, call, retry, args, kwargs))


def _run_request(engine: "RequestEngine", request: Request) -> Any:
    gate, outer = engine.gate, current_slot.get()
    slot, parent = gate.new_slot(), slot_in_hand(gate)
    slot.tokens = request.tokens
    try:
        take_in_hand(slot)
        if not take_slot(gate, slot, parent):
            return _run_in_turn(engine, request, slot)
        return _run_on(engine, request, slot, request.attempt(slot))
    except BaseException:
        slot.release()
        raise
    finally:
        current_slot.set(outer)


def _run_on(engine: "RequestEngine", request: Request, slot: Slot, delay: "float | None") -> Any:
    """Having made an attempt under `slot`, make more of them while there is to be one after `delay`."""
    while delay is not None:
        try:
            wait_for_slot(engine, slot, delay, request)
        except InstanceLeft:
            break
        delay = request.attempt(slot)
    finish(request, slot)
    return request.outcome()


def _run_in_turn(engine: "RequestEngine", request: Request, slot: Slot) -> Any:
    """Make a request for which no slot is free now: in this thread, or in a worker's where the owner wants it so."""
    if slot.parent is None and engine.settings["queue_execution"] == "background":
        return _run_in_background(engine, request)
    wait_for_slot(engine, slot, None, request)
    return _run_on(engine, request, slot, request.attempt(slot))


def _run_in_background(engine: "RequestEngine", request: Request) -> Any:
    """Let a worker thread make the request when its turn has come, and wait for the outcome."""
    request.name = caller_name(engine, above=2)
    warn_of_a_blocked_loop(engine, request)
    job = Job(engine.gate.new_slot(), request)  # a slot that the worker gives back
    queue_timeout = engine.settings["queue_timeout"]
    queue_deadline = math.inf if queue_timeout is None else monotonic() + queue_timeout
    try:
        engine.gate.join(job)
        refuse_what_is_too_late(engine, job, queue_deadline)
        while not job.done.acquire(
            timeout=timeout_until(min(queue_deadline, request.deadline, engine.gate.own_wake_up()))
        ):
            engine.gate.pump()
            now = monotonic()
            if now >= request.deadline:
                raise timed_out(engine, "total_timeout")
            if now >= queue_deadline:
                if engine.gate.withdraw_unstarted(job):
                    raise timed_out(engine, "queue_timeout")
                queue_deadline = math.inf
        if request.error is None and not job.slot.ended:  # a stream keeps it
            note_open_stream(job.slot)
    except BaseException:
        if engine.gate.withdraw(job):
            raise
        request.retry = False  # an attempt is under way; it is the last one
        request.result = None  # see Job.deliver
        raise
    return request.outcome()


class HeldManager(HeldStream):
    """A context manager that an API's stream comes as; what `contextlib` makes of a generator can decorate, too."""

    def __call__(self, function: Callable[..., Any]) -> Any:
        """Return a function that makes the request anew, in its turn, around each of its calls."""
        request = self._request
        if request is None or not callable(self._stream):
            return self._stream(function)
        self._slot.release()
        enter = partial(
            run_call, request.engine, request.call, request.retry, *request.args, **request.kwargs
        )

        @wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with enter():
                return function(*args, **kwargs)

        return within


HELD_STREAMS[False, False] = HeldManager
