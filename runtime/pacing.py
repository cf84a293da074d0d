"""What an engine's pace hears: its settings, and of each answer whether it is a refusal, what it says of rates and of use.

Between the requests, which it reads, and `rates` and `adaptive`, which know nothing of requests.
"""

import contextlib
import logging
import math
from typing import TYPE_CHECKING, Any

from .adaptive import AdaptiveWindow, Window
from .clocks import monotonic
from .failures import HOLDING_STATUSES, Failure
from .held_slots import INTERRUPTED
from .learnt_rates import readings_in
from .probing import attribute, safe_log
from .rates import COUNTED_BY, TOKENS, Pace
from .slots import Slot
from .testing_mode import TestingMode
from .usage import tokens_used

if TYPE_CHECKING:
    from .engine import RequestEngine
    from .gate import Gate
    from .request import Request

# This many 503 in a row, with nothing else between them, are not strays: a gateway says with them that there are too many.
_IN_A_ROW = 3
# And after this many, the next one of the same request has nothing to do with how many there are.
_BEFORE = 2


def regulate(engine: "RequestEngine", is_shared: bool = False) -> float:
    """Put the settings of rates and of the limit that adapts to use; return how many may be in flight at most.

    Args:
        is_shared: all processes of the account have the rates by the minute together, which is seen to elsewhere.
    """
    settings, gate = engine.settings, engine.gate
    if is_shared and settings["requests_per_minute"] != "auto":
        settings = {**settings, "requests_per_minute": None}  # of which an answer says nothing
    most = settings["max_concurrent_requests"] if settings["queue_enabled"] else math.inf
    adapts = settings["adaptive_concurrency"] and 0 < most < math.inf
    first, most = most, (settings["adaptive_concurrency_max"] if adapts else most)
    paced = most < math.inf and any(settings[name] is not None for name in (*COUNTED_BY, "requests_per_day"))
    engine.cautious = engine.cautious or paced or adapts
    if paced or adapts or gate.pace is not None:
        gate.exclusively(
            _regulate, gate, settings if paced else None, is_shared, (first, most) if adapts else None
        )
    return most


def _regulate(
    gate: "Gate",
    rates: "dict[str, Any] | None",
    is_shared: bool,
    adapting: "tuple[float, float] | None",
) -> None:
    pace = gate.pace or Pace()
    pace.configure(rates, is_shared)
    window = pace.window
    if adapting is None:
        if isinstance(window, AdaptiveWindow):
            pace.window = None
    elif not isinstance(window, AdaptiveWindow) or window.between != adapting:
        pace.window = AdaptiveWindow(*adapting)
    _put_in_force(gate, pace)


def _put_in_force(gate: "Gate", pace: Pace) -> None:
    gate.window, gate.calm = pace.room(), False
    gate.pace = pace if pace.rates or pace.window is not None else None


def heed(
    engine: "RequestEngine", request: "Request", slot: Slot, failure: "Failure | None", delay: float
) -> None:
    """Let the gate's pace hear of an answer, if it is of any interest.

    Args:
        delay: until the next attempt, in seconds.
    """
    gate = slot.gate
    is_refusal = failure is not None and failure.retry and failure.status in HOLDING_STATUSES
    if (gate.pace is None and not is_refusal) or gate.limit == math.inf or not TestingMode.waits:
        return
    pace, readings, used = gate.pace, [], {}
    is_answer = failure is None or failure.status is not None
    if pace is not None and pace.rates and slot.paid is not None and is_answer:
        thing = request.result if request.error is None else request.error
        with contextlib.suppress(
            Exception
        ):  # somebody else's object, which may raise whatever is asked of it
            if pace.learns:
                headers = failure.headers if failure is not None else headers_of(thing)
                readings = list(readings_in(slot.headers if headers is None else headers))
            if failure is None:
                used = tokens_used(thing)
            elif failure.status == 429:
                used = dict.fromkeys(TOKENS, 0.0)
    is_first = (
        pace is not None and pace.learns and not pace.has_answer and slot.paid is not None and is_answer
    )
    slot.headers = None
    done = gate.exclusively(
        _heed, engine, slot, failure, is_refusal, delay * request.holds, readings if is_answer else None, used
    )
    if done is not INTERRUPTED:
        if is_first:
            _tell_what_is_learnt(engine)
        gate.pump()


def _heed(
    engine: "RequestEngine",
    slot: Slot,
    failure: "Failure | None",
    is_refusal: bool,
    hold: float,
    readings: "list[Any] | None",
    used: "dict[str, float]",
) -> None:
    gate = slot.gate
    pace = gate.pace or Pace()
    fee, slot.paid = slot.paid, None
    if fee is not None:
        slot.spent = fee if pace.counts_tokens and failure is None else None
        if used:
            pace.settle(fee, used)
            if failure is None:
                pace.note_costs(used)
        if pace.learns and readings is not None:
            pace.learn(fee, readings, engine.settings["max_retry_after"])
        if gate.source is not None:
            if used and slot.lease is not None:
                gate.source.correct(slot.lease, used)
            gate.source.learn(pace)
    # Fewer at once would not help a request that fails by itself, and would keep the others waiting.
    if is_refusal and not _is_its_own(gate, slot, failure, hold > 0):
        is_doubtful = _may_be_stray(gate, failure, hold > 0)
        # Who is alone only has to wait.
        if pace.window is None and not is_doubtful and gate.active + gate.waiting > 1:
            pace.window = Window(gate.limit)
            engine.careful = True
        if pace.window is not None:
            if gate.hold_until:
                hold = max(hold, gate.hold_until - monotonic())
            pace.window.refuse(slot, gate.active, hold, is_doubtful)
    elif pace.window is not None and failure is None:
        pace.window.succeed(slot, gate.active)
    if pace.window is not None and pace.window.is_over(gate.limit):
        pace.window = None
        engine.careful = engine.cautious
    _put_in_force(gate, pace)


def _may_be_stray(gate: "Gate", failure: "Failure | None", holds: bool) -> bool:
    """Return True for a 503 that may well mean nothing: any server has one now and then, with whatever load."""
    if holds or failure is None or failure.status != 503:
        return False
    gate.strays = (*gate.strays, gate.begun() - gate.active)[-_IN_A_ROW:]
    return len(gate.strays) < _IN_A_ROW or gate.strays[-1] - gate.strays[0] >= _IN_A_ROW


def _is_its_own(gate: "Gate", slot: Slot, failure: "Failure | None", holds: bool) -> bool:
    """Return True for a 503 of a request that got as many before, while others were answered: a model that is not there, say."""
    if holds or failure is None or failure.status != 503:
        return False
    counts = gate.counts
    answered = gate.begun() - gate.active - counts["retried"] - counts["failed"]
    slot.refusals += 1
    if slot.refusals == 1:
        slot.answered = answered
    return slot.refusals > _BEFORE and answered > slot.answered


def _tell_what_is_learnt(engine: "RequestEngine") -> None:
    """Say once what the server lets pass, or that it does not say."""
    stats = engine.stats()
    learnt = ", ".join(
        f"{number:.0f} {what[7:].replace('_', ' ')}"
        for what, number in stats.items()
        if what.startswith("learnt_")
    )
    word = (
        f"the server allows {learnt}" if learnt else "the server's answers say no rate, so that there is none"
    )
    safe_log(engine.logger, logging.INFO, "%s: %s", engine.label, word)


def headers_of(result: Any) -> Any:
    """Return the headers of a result, or of the response that came with it; None if there are none."""
    headers = attribute(result, "headers")
    for name in ("http_response", "response"):
        if headers is None:
            headers = attribute(attribute(result, name), "headers")
    if headers is None and type(result) is dict and type(metadata := result.get("ResponseMetadata")) is dict:
        headers = metadata.get("HTTPHeaders")
    return headers
