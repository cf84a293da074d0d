"""What a queue shows of itself: numbers for `queue_stats()`, and the requests that wait."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .clocks import monotonic
from .gate import Gate
from .slots import Ticket

if TYPE_CHECKING:
    from .engine import RequestEngine


def stats_of(engine: "RequestEngine") -> dict[str, Any]:
    """Return counts since the first request, and how things stand now.

    `requests`: accepted; `sent`: attempts made; `retried`: attempts that were made again; `failed`: requests whose
    last attempt failed; `refused`: found the queue full; `waiting` and `in_flight`: now; `waited_seconds`: for a
    slot, and `backoff_seconds`: between attempts, of all requests together. `backing_off`: how many of those that
    wait do so between attempts; `hold_seconds`: how long the server has asked all to wait from now on, and `held_by`:
    which method's answer, and where in it.

    Where there is a rate, or was a refusal: `requests_per_minute`, `requests_per_day`, `tokens_per_minute`: what is set;
    `learnt_requests_per_minute` and so on: what the server says; `next_start_seconds`: when the rate allows the
    next request; `window`: how many may be in flight now.
    Where the limit is shared, `shared`: the server is there; `processes`: how many share it; `alone_seconds`: how long
    this one had to go on alone.
    """
    gate = engine.gate
    if gate.deferred:
        gate.pump()
    now, until = monotonic(), max(gate.hold_until, gate.source.hold_until if gate.source is not None else 0.0)
    return {
        **gate.stats(),
        "backing_off": sum(ticket.ready_at > now for ticket in gate.line()),
        "hold_seconds": max(until - now, 0.0) if until else 0.0,
        "held_by": engine.held_by if until > now else "",
    }


class WaitingRequests(Sequence[Any]):
    """A live view of the requests that wait, oldest first; each is shown as a dict."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __len__(self) -> int:
        return self._gate.waiting

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def __getitem__(self, index: Any) -> Any:
        now = monotonic()
        return [_shown(ticket, now) for ticket in self._gate.line()][index]

    def __repr__(self) -> str:
        return f"<{len(self)} waiting requests>"


def _shown(ticket: Ticket, now: float) -> dict[str, Any]:
    """Return a request that waits, as `request_queue` shows it.

    Its `id`, the `method` that makes it, its `state`, the `attempt` that it waits for, and the `seconds` that it has
    waited for a slot or, while it is "backing off", has to wait still.
    """
    request, rest = ticket.request, ticket.ready_at - now
    return {
        "id": f"req_{ticket.slot.number}",
        "method": "" if request is None else request.name,
        "state": "backing off" if rest > 0 else "waiting for a slot",
        "attempt": 1 if request is None else request.retries + 1,
        "seconds": rest if rest > 0 else now - ticket.since,
    }
