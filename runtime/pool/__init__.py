"""Several backends as one: several keys of a vendor, or several vendors. Only in the installed runtime.

A pool has no line of its own: each call waits in that of the member which can start it first. It moves to another one
when that member is held back, cannot be reached, or refuses its key. What a member retries, and whether a request may
be sent twice, is for the member to decide, as without a pool.

    from backend_retrofit_runtime.pool import RequestPool
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from ..clocks import monotonic
from ..errors import RequestQueueFull
from ..jobs import results_in_order
from ..slots import WAITING
from .calls import PATIENCE, Member, Moved, PoolCall
from .methods import Method, PoolFuture

__all__ = ["RequestPool"]

_T = TypeVar("_T")


class RequestPool(Generic[_T]):
    """Makes each call with the backend that may start it first.

    The methods of the backends are its own: `pool.chat(…)`, `await pool.achat(…)`, `for part in pool.stream(…)`.

    Args:
        members: instances of retrofitted classes, of one class or of several that have the same methods.
        order: "turn": the member that can start first (limit, `Retry-After`); equals take turns. "fallback": the first in the
            list, and the next only while those before it cannot: held back for more than a second, not reached, full,
            or refused.

    A member whose key is refused (401, 403, no money left) gets no more calls, and an ERROR names its place, until it
    is put back, or all are out.

    Raises:
        TypeError: if a member has no request queue.
        ValueError: if there is no member, or no such order.
    """

    def __init__(self, members: Sequence[_T], order: Literal["turn", "fallback"] = "turn") -> None:
        if order not in ("turn", "fallback"):
            raise ValueError(f'order must be "turn" or "fallback", not {order!r}')
        self._members = [Member(api, place) for place, api in enumerate(members, 1)]
        if not self._members:
            raise ValueError("a pool needs at least one member")
        self._order = order
        self._lock = threading.Lock()
        self._turns = itertools.count(1)

    def __repr__(self) -> str:
        out = sum(member.is_out for member in self._members)
        return f"<RequestPool of {len(self._members)}, {out} of them out>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        for member in self._members:
            if not callable(getattr(member.api, name, None)):
                raise AttributeError(
                    f"member {member.place} of the pool, {type(member.api).__name__}, has no method {name!r}"
                )
        return Method(self, name)

    @property
    def members(self) -> list[_T]:
        """The backends, in the order in which they were given."""
        return [member.api for member in self._members]

    def put_back(self, member: _T) -> None:
        """Give calls again to a backend that was put out: it has another key, or money."""
        for one in self._members:
            if one.api is member:
                one.worked()
                one.rest_until = 0.0

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call of a method of the pool, `pool.submit(pool.chat, …)`, and return its future at once.

        Raises:
            TypeError: if it is none of the pool's methods.
            RequestQueueFull: if all members' queues are full.
        """
        method, first, named = self._own(call, "submit")
        args, kwargs = (*first, *args), {**named, **kwargs}
        return PoolFuture(PoolCall(self, args, kwargs), method.name, args, kwargs)

    def map(
        self, call: Callable[..., Any], items: Iterable[Any], progress: Callable[[int], Any] | None = None
    ) -> Iterator[Any]:
        """Yield the result of a method of the pool for each item, in their order: `pool.map(pool.embed, texts)`.

        With more arguments, `pool.map(functools.partial(pool.chat, model), questions)`.

        A few more are under way than the members may run at once, so the items may be without end. The first error is
        raised in its place. Then, and when the iterator is dropped, what has not begun never runs.

        Args:
            progress: called with 1 for each result, in the thread that iterates: a bar's `update` of tqdm, say.

        Raises:
            TypeError: if it is none of the pool's methods.
        """
        method, first, kwargs = self._own(call, "map")

        def submit(item: Any, always: bool) -> Future[Any] | None:
            args = (*first, item)
            try:
                return PoolFuture(PoolCall(self, args, kwargs), method.name, args, kwargs)
            except RequestQueueFull:
                return method.in_line(args, kwargs) if always else None

        return results_in_order(iter(items), self._limit, submit, progress)

    def _own(self, call: Callable[..., Any], taker: str) -> tuple[Method, tuple[Any, ...], dict[str, Any]]:
        """Return a method of the pool, and the arguments that it has already."""
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        if isinstance(call, partial):
            args, kwargs = call.args, call.keywords
            call = call.func
        if not isinstance(call, Method) or call.pool is not self:
            raise TypeError(f"{taker} takes a method of the pool, such as pool.chat, or a partial of one")
        return call, args, kwargs

    def _limit(self) -> float:
        """Return how many calls the members may make at once."""
        return sum(min(float(m.engine.gate.limit), 500.0) for m in self._members if not m.is_out)

    def queue_stats(self) -> list[dict[str, Any]]:
        """Return `queue_stats()` of each member, and whether it is `out`."""
        return [{**member.engine.stats(), "out": member.is_out} for member in self._members]

    def close(self) -> None:
        """Close all members: see their `close`."""
        for member in self._members:
            member.engine.close()

    def choose_member(self, avoid: set[Member]) -> Member:
        with self._lock:
            now = monotonic()
            known = [m for m in self._members if not m.is_out] or self._members
            here = [m for m in known if m not in avoid] or known
            if self._order == "fallback":
                able = [m for m in here if m.ready_in(now) <= PATIENCE]
                chosen = able[0] if able else min(here, key=lambda m: m.ready_in(now))
            else:
                chosen = min(here, key=lambda m: (m.ready_in(now), m.rounds(), m.turn))
            chosen.turn = next(self._turns)
            return chosen

    def _move_those_who_wait(self, member: Member) -> None:
        """Let calls of this pool leave the line of a member that cannot start them soon."""
        gate, rest = member.engine.gate, member.ready_in(monotonic())
        if rest <= PATIENCE:
            return
        for ticket in gate.line():
            call = getattr(ticket, "mover", None)
            if not isinstance(call, PoolCall) or call.pool is not self or not call.could_move(rest):
                continue
            if gate.exclusively(_withdraw, gate, ticket) is True:
                call.moves += 1
                ticket.fail(Moved())


def _withdraw(gate: Any, ticket: Any) -> bool:
    if ticket.state != WAITING:
        return False
    gate._withdraw(ticket)
    return True
