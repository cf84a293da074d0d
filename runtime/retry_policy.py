"""Is there another attempt, and after what delay? Says so in the log, either way, and to the listeners.

It decides, and neither waits nor calls: that is done by `calls` and `async_calls`.
"""

import contextlib
import logging
import random
import sys
from typing import TYPE_CHECKING, Any

from .clocks import monotonic
from .failures import HOLDING_STATUSES, LOST_ANSWERS, Failure, is_unanswered
from .probing import attribute, header, is_coroutine_function
from .repeating import may_be_repeated, sent_request
from .server_delay import backoff_delay, requested_delay
from .slots import Slot, current_slot, movers
from .testing_mode import TestingMode
from .vendor import VENDORS

if TYPE_CHECKING:
    from .engine import RequestEngine
    from .request import Request


# What a log record carries of an event, as attributes.
_LOGGED = ("backend", "method", "request", "status", "attempt", "delay", "source")


def delay_after(engine: "RequestEngine", failure: Failure, request: "Request", slot: Slot) -> "float | None":
    """Return the delay before the next attempt, or None to give up; say so in the log, either way."""
    request.holds = False
    retries = engine.settings["max_retries"]
    if not failure.retry or retries is None or engine.gate.closed or slot.number <= engine.gate.closed_at:
        return None
    if TestingMode.retries is not None:
        retries = min(TestingMode.retries, retries)
    asked, too_long, holds = _word_of(engine, failure)
    if holds and asked is not None:
        engine.held_by = f"{request.name or caller_name(engine)}: {asked[1]}"
    if not (request.retry and retries) or _was_sent_again(request):
        if asked is not None and holds:
            engine.gate.hold(asked[0])
        return None
    request.name = request.name or caller_name(engine)
    delay, source = asked or (_backoff(engine, request.retries + 1), "backoff")
    if not holds and engine.settings["retry_jitter"] and engine.gate.is_backing_off():
        delay *= 1 + random.uniform(0, engine.settings["retry_jitter"])
    if too_long:
        reason = f"{source} asks for {delay:.0f} s, over max_retry_after"
    else:
        delay = delay if TestingMode.waits else 0.0
        reason = _why_no_retry(engine, failure, request, retries, delay)
    if reason:
        if holds:
            engine.gate.hold(delay)
        _tell(engine, failure, request, slot, None, "", f"giving up: {reason}")
        with contextlib.suppress(Exception):
            if request.error is not None and hasattr(request.error, "add_note"):
                note = f"{engine.label}.{request.name} gave up: {reason}"
                if note not in getattr(request.error, "__notes__", ()):  # it may be kept, and raised again
                    request.error.add_note(note)
        return None
    mover = movers.get()
    leaves = mover is not None and mover.leaves(failure, delay, holds)
    if request.error is None:
        _discard(request.result)
    if leaves:
        mover.leave()
    request.retries += 1
    request.holds = holds
    turn = f"{request.retries}/{retries}"
    _tell(engine, failure, request, slot, delay, source, f"retry {turn} in {delay:.3g} s ({source})")
    slot.over = True
    return delay


def _was_sent_again(request: "Request") -> bool:
    """Return True if a hook, or an auth flow, of its owner's has sent the request again already: that is the one layer of retries."""
    if request.error is not None:
        return False
    with contextlib.suppress(Exception):  # somebody else's object
        return any(vendor.sent_again is not None and vendor.sent_again(request.result) for vendor in VENDORS)
    return False


def _word_of(engine: "RequestEngine", failure: Failure) -> "tuple[tuple[float, str] | None, bool, bool]":
    """Return the delay that owner or server asks for and who asks, whether it is too long, and whether it holds all."""
    if failure.delay is not None:
        return (failure.delay, "retry_if"), False, False
    asked = requested_delay(failure.headers, failure.body)
    if asked is None:
        return None, False, False
    too_long = asked[0] > engine.settings["max_retry_after"]
    return asked, too_long, not too_long and failure.status in HOLDING_STATUSES and TestingMode.waits


def _backoff(engine: "RequestEngine", retry: int) -> float:
    settings = engine.settings
    return backoff_delay(
        retry, settings["initial_retry_delay"], settings["backoff_factor"], settings["max_retry_delay"]
    )


def _why_no_retry(
    engine: "RequestEngine", failure: Failure, request: "Request", retries: int, delay: float
) -> str:
    """Return why a request that may well succeed after `delay` seconds is not made again, or nothing."""
    if request.retries >= retries:
        return f"{request.retries} retries were made"
    if not failure.never_sent and not _may_send_again(engine, failure, request):
        return "sending it twice could do harm"
    if monotonic() + delay > request.deadline:
        return "total_timeout would be over before the next attempt"
    return engine.health.why_no_retry(delay) if engine.health is not None else ""


def _may_send_again(engine: "RequestEngine", failure: Failure, request: "Request") -> bool:
    if request.rewinder is not None and not request.rewinder.rewind():
        return False
    if failure.by_owner or (failure.status is not None and failure.status not in LOST_ANSWERS):
        return True
    if failure.status is None:
        return may_be_repeated(request.call, request.args, request.kwargs) is True
    if header(failure.headers, "x-should-retry") == "true":
        return True
    sent = sent_request(request.result if request.error is None else request.error)
    return may_be_repeated(request.call, request.args, request.kwargs, sent) is not False


def may_try_afresh(engine: "RequestEngine", failure: Failure, request: "Request") -> bool:
    """Return True if a kept connection ended before it gave an answer, and the request is to be sent at once on another.

    Servers close connections that they have promised to keep, often just as the next request is sent. So browsers do,
    once for each request (RFC 9112 section 9.3.1); it is not a failure of the server, and is not counted as one.
    """
    if failure.status is not None or not failure.retry or not request.retry or request.tried_afresh:
        return False
    if not engine.settings["max_retries"] or engine.gate.closed or request.error is None:
        return False
    return is_unanswered(request.error) and _may_send_again(engine, failure, request)


def _tell(
    engine: "RequestEngine",
    failure: Failure,
    request: "Request",
    slot: Slot,
    delay: "float | None",
    source: str,
    outcome: str,
) -> None:
    """Log what becomes of a request that failed, and tell the listeners. Neither may disturb the request.

    They hear of it under the slot, so that one that calls the backend does not wait for itself.
    """
    event = {
        "event": "gave up" if delay is None else "retry",
        "backend": engine.label,
        "method": request.name,
        "request": slot.number,
        "status": failure.status,
        "why": failure.why,
        "retries": request.retries,
        "attempt": request.retries + (delay is None),
        "delay": delay,
        "source": source,
    }
    fields = {name: event[name] for name in _LOGGED}
    level = logging.ERROR if delay is None else logging.WARNING
    text = f"{engine.label}.{request.name}: request {slot.number} failed: {failure.why}; {outcome}"
    outer = current_slot.get()
    try:
        current_slot.set(slot)
        for hear in (lambda _: engine.logger.log(level, "%s", text, extra=fields), *engine.listeners):
            with contextlib.suppress(Exception):
                hear(dict(event))
    finally:
        current_slot.set(outer)


def caller_name(engine: "RequestEngine", above: int = 0) -> str:
    """Return the name of the owner's method that makes the request now, a public one if possible, for the log.

    Args:
        above: how many frames above the caller's are the engine's own, which need no look.
    """
    owner = engine.reference()
    frame: Any = sys._getframe(1 + above)
    names: list[str] = []
    for _ in range(40):
        code = frame.f_code
        if code.co_varnames[:1] in (("self",), ("cls",)) or "self" in code.co_freevars:
            local = frame.f_locals
            if local.get("self") is owner or local.get("cls") is owner:
                names.append(code.co_name)
                if not code.co_name.startswith("_"):
                    break
        frame = frame.f_back
        if frame is None or owner is None:
            break
    return next((name for name in reversed(names) if not name.startswith("_")), (names or ["request"])[0])


def _discard(response: Any) -> None:
    """Close a response that nobody will see, so that its connection is free for the next attempt."""
    close = attribute(response, "close")
    if callable(close) and not is_coroutine_function(close):
        with contextlib.suppress(Exception):
            close()
