"""The members of a pool, and one call, which goes from one to another."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..clocks import monotonic
from ..errors import QueueError, RequestQueueFull
from ..failures import HOLDING_STATUSES, Failure, failure_in_exception, failure_in_result, says_no_money
from ..repeating import Rewinder, may_hold_a_body
from ..server_delay import requested_delay

if TYPE_CHECKING:
    from . import RequestPool

PATIENCE = 1.0
"""A call moves where its member is held back for longer than this, in seconds."""
_FIRST_REST, _LONGEST_REST = 1.0, 60.0
"""How long a member that cannot be reached is left alone: doubled each time."""
logger = logging.getLogger(__name__)


class Moved(BaseException):
    """The call is to be made by another member. No `except Exception` of a backend is to see it."""


class Member:
    """A backend of a pool.

    Args:
        place: from 1; what it is called by in the log.
    """

    def __init__(self, api: Any, place: int) -> None:
        self.api, self.place = api, place
        kinds = (value for cls in type(api).__mro__ for value in vars(cls).values())
        entry = next((type(value) for value in kinds if type(value).__name__ == "EntryPoint"), None)
        if entry is None:
            raise TypeError(f"member {place}, {type(api).__name__}, has no request queue")
        self.engine = sys.modules[entry.__module__].engine_of(api)  # of the runtime that its file uses
        self.is_out = False
        self.rest_until = 0.0
        self.failures = 0  # in a row, of reaching it
        self.turn = 0

    def ready_in(self, now: float) -> float:
        """Return after how many seconds the member may start requests again."""
        if self.is_out:
            return math.inf
        gate = self.engine.gate
        pace, source = getattr(gate, "pace", None), getattr(gate, "source", None)
        due: float = max(
            gate.hold_until,
            self.rest_until,
            pace.due(gate.new_slot()) if pace is not None else 0.0,
            source.hold_until if source is not None else 0.0,  # another process was told to wait
        )
        return max(due - now, 0.0)

    def rounds(self) -> int:
        """Return how often the limit has to be used up before one more may start."""
        gate = self.engine.gate
        return int((gate.active + gate.waiting) // max(gate.limit, 1))

    def rest(self, seconds: float | None) -> None:
        """Give it no calls for some time; None: for longer each time."""
        if seconds is None:
            seconds = min(_FIRST_REST * 2**self.failures, _LONGEST_REST)
            self.failures = min(self.failures + 1, 10)
        self.rest_until = max(self.rest_until, monotonic() + seconds)

    def worked(self) -> None:
        self.failures, self.is_out = 0, False

    def put_out(self, failure: Failure) -> None:
        if not self.is_out:
            self.is_out = True
            logger.error(
                "member %d of the pool (%s) gets no more calls: its key was refused (%s)",
                self.place, type(self.api).__name__, failure.why,
            )  # fmt: skip


class PoolCall:
    """One call of a pool. The members' engines ask it whether it is to be made elsewhere, as `movers` says."""

    def __init__(self, pool: RequestPool[Any], args: Any = (), kwargs: Any = None) -> None:
        self.pool = pool
        self.member: Member | None = None
        self.tried: set[Member] = set()  # have failed
        self.moves = 0
        self.rewinder = Rewinder(args, kwargs or {}) if may_hold_a_body(args, kwargs or {}) else None

    def next_member(self) -> Member:
        """Choose who makes the call now."""
        self.member = self.pool.choose_member({*self.tried, *([self.member] if self.member else ())})
        return self.member

    def could_move(self, seconds: float) -> bool:
        """Return True if another member can start it within this many seconds."""
        now = monotonic()
        others = (m for m in self.pool._members if m is not self.member and m not in self.tried)
        return self.moves < 2 * len(self.pool._members) and any(m.ready_in(now) < seconds for m in others)

    def leaves(self, failure: Failure, delay: float, holds: bool) -> bool:
        """Return True if the attempt that failed is not to be repeated by the member that made it, after `delay` seconds."""
        member = self.member
        if member is None or not (delay > PATIENCE or failure.never_sent):
            return False
        if holds:
            member.engine.gate.hold(delay)
        else:
            member.rest(None if failure.never_sent else delay)
        leaves = self.could_move(delay) and (self.rewinder is None or bool(self.rewinder.rewind()))
        self.pool._move_those_who_wait(member)
        return leaves

    def was_held(self) -> None:
        """The member where it waits was told to wait, in another process."""
        if self.member is not None:
            self.pool._move_those_who_wait(self.member)

    def leave(self) -> None:
        """Go to another member, from within the request."""
        self.moves += 1
        raise Moved

    def goes_on(self, error: BaseException | None, result: Any = None) -> bool:
        """Return True if another member is to be tried, after what the member has returned or raised."""
        member = self.member
        assert member is not None
        if isinstance(error, Moved):
            return True
        if isinstance(error, RequestQueueFull):
            return self._has_another(member)
        if isinstance(error, QueueError) or (error is not None and not isinstance(error, Exception)):
            return False
        try:
            failure = failure_in_result(result) if error is None else failure_in_exception(error)
        except Exception:  # somebody else's object, which may raise whatever is asked of it
            failure = None
        if failure is None:
            member.worked()
            return False
        if not failure.retry and (failure.status in (401, 402, 403) or says_no_money(failure.body)):
            member.put_out(failure)
            self.pool._move_those_who_wait(member)
        elif failure.never_sent or (failure.retry and failure.status in HOLDING_STATUSES):
            asked = requested_delay(failure.headers, failure.body)
            member.rest(None if asked is None else min(asked[0], _LONGEST_REST))
        else:
            return False
        return self._has_another(member)

    def _has_another(self, member: Member) -> bool:
        self.tried.add(member)
        left = any(not other.is_out and other not in self.tried for other in self.pool._members)
        return left and (self.rewinder is None or bool(self.rewinder.rewind()))

    @contextlib.contextmanager
    def made_by(self, member: Member) -> Iterator[None]:
        """Let the requests made within be those of this call."""
        movers = getattr(member.engine, "movable", None)
        if movers is None:  # the runtime of its file is older than pools: it waits where it is
            yield
            return
        token = movers.set(self)
        try:
            yield
        finally:
            movers.reset(token)
