"""One logical request: the call, its attempts, and the outcome of the last one.

It makes an attempt and has it judged, under a slot that whoever calls it has taken and gives back.
"""

import contextlib
import math
from typing import TYPE_CHECKING, Any

from .clocks import monotonic
from .errors import CircuitOpen
from .failures import (
    CUT,
    HOLDING_STATUSES,
    Failure,
    failure_by_status,
    failure_in_exception,
    failure_in_result,
    sdk_would_retry,
)
from .pacing import heed
from .probing import attribute, status_in
from .repeating import Rewinder, may_hold_a_body, without_partial
from .retry_policy import delay_after, may_try_afresh
from .slots import Slot, current_slot, take_in_hand

if TYPE_CHECKING:
    from .engine import RequestEngine


class Request:
    """One logical request: its call, how many attempts were made, and the outcome of the last one."""

    __slots__ = (
        "args", "call", "deadline", "engine", "error", "holds", "is_method", "kwargs", "name", "result",
        "retries", "retry", "rewinder", "tokens", "tried_afresh",
    )  # fmt: skip

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, args: Any, kwargs: Any) -> None:
        self.engine = engine
        self.call, self.args, self.kwargs = call, args, kwargs
        self.retry = retry
        self.retries = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self.tried_afresh = False  # its kept connection had ended, and it was sent at once on another
        self.holds = False  # the server asked all requests to wait until the next attempt
        self.is_method = False  # a submitted method of the backend: what it requests is judged by itself
        self.name = ""
        total = engine.settings["total_timeout"]
        self.deadline = math.inf if total is None else monotonic() + total
        cost = engine.settings["token_cost"]
        self.tokens: float | None = None if cost is None else _cost_of(cost, args, kwargs)
        self.rewinder: Rewinder | None = None
        if retry:
            call, args, kwargs = without_partial(call, args, kwargs)
            if may_hold_a_body(args, kwargs):
                with contextlib.suppress(Exception):  # as in `judge`
                    self.rewinder = Rewinder(args, kwargs, call)

    def attempt(self, slot: Slot) -> "float | None":
        """Make one attempt under `slot`; return the delay before the next one, or None if the outcome stands."""
        slot.over = slot.judged = slot.makes_requests = False
        outer = current_slot.get()
        try:
            take_in_hand(slot)
            begin_attempt(self.engine, slot, self.is_method)
            self.result, self.error = self.call(*self.args, **self.kwargs), None
        except BaseException as error:
            self.result, self.error = None, error
        finally:
            current_slot.set(outer)
        return self.judge(slot)

    def judge(self, slot: Slot, body: Any = None) -> "float | None":
        """Return the delay before the next attempt, or None if the outcome of the last one stands.

        Args:
            body: the decoded body of an error response, where the response does not give it at once.
        """
        parent = slot.parent
        if self.is_method or slot.judged:
            if parent is not None and not parent.is_stream:
                parent.judged = slot.judged
            return None
        error = self.error
        try:
            failure = failure_in_result(self.result) if error is None else failure_in_exception(error)
            if (
                error is not None
                and failure is not None
                and not failure.retry
                and sdk_would_retry(self.call, error, failure)
            ):
                failure = failure._replace(retry=True)
        except Exception:  # somebody else's object, which may raise whatever is asked of it
            failure = None
        if failure is None and error is None and slot.is_cut:
            failure = CUT
        if failure is not None and body is not None:
            failure = failure_by_status(failure.status or 0, failure.headers, body)
        retry_if = self.engine.settings["retry_if"]
        if retry_if is not None and (error is None or isinstance(error, Exception)):
            failure = _as_told(retry_if(self.result, error), failure, self.result)
        if failure is not None and may_try_afresh(self.engine, failure, self):
            self.tried_afresh = True
            slot.over = True
            return 0.0
        if self.engine.health is not None:
            self.engine.health.note(failure)
        delay = None if failure is None else delay_after(self.engine, failure, self, slot)
        if parent is not None and not parent.is_stream:
            parent.judged = failure is not None and delay is None
        if slot.gate.pace is not None or (failure is not None and failure.status in HOLDING_STATUSES):
            heed(self.engine, self, slot, failure, delay or 0.0)
        if failure is None:
            return None
        slot.gate.count("failed" if delay is None else "retried")
        return delay

    def outcome(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        error, self.error = self.error, None
        result, self.result = self.result, None  # a stream knows its request: no cycle of references
        if error is None:
            return result
        context = error.__context__
        try:
            raise error
        except BaseException:
            if context is not None:  # Python has put what the caller is handling just now in its place
                error.__context__ = context
            raise
        finally:
            del error, context


def _as_told(word: Any, failure: "Failure | None", result: Any) -> "Failure | None":
    """Return what the owner's `retry_if` makes of an attempt: it failed or not, and after how many seconds to retry."""
    if word is None:
        return failure
    if word is False:
        return None if failure is None else failure._replace(retry=False)
    failure = failure or Failure("retry_if says so", True, status_in(result), attribute(result, "headers"))
    if word is True:
        return failure._replace(retry=True, by_owner=True)
    if isinstance(word, int | float) and 0 <= word < math.inf:
        return failure._replace(retry=True, by_owner=True, delay=float(word))
    raise ValueError(f"retry_if must return True, False, seconds (0 or more) or None, not {word!r}")


def begin_attempt(engine: "RequestEngine", slot: Slot, is_method: bool = False) -> None:
    """Note that an attempt is made now: what it has paid is spent.

    Raises:
        CircuitOpen: while the circuit breaker is open; the attempt is not counted as sent.
    """
    try:
        if engine.health is not None and not is_method:
            engine.health.check()
    except CircuitOpen:
        engine.gate.count("unsent")
        raise
    if slot.fee is not None:
        slot.paid, slot.fee = slot.fee, None


def _cost_of(cost: Any, args: Any, kwargs: Any) -> float:
    """Return what `token_cost` says that a request costs."""
    tokens = cost(*args, **kwargs) if callable(cost) else cost
    if not isinstance(tokens, int | float) or isinstance(tokens, bool) or not 0 <= tokens < math.inf:
        raise ValueError(f"token_cost must return a number, 0 or more, not {tokens!r}")
    return float(tokens)
