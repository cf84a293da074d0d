"""Slots and tickets, and under which slot the code runs that makes a request.

A slot is the right to have an attempt in flight; a ticket is a place in line for one. Who gets a slot when, the gate
decides; how a thread, a task or a worker is told of it is in `waiting`, `async_waiting` and `calls`.
"""

import contextvars
import math
import weakref
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .gate import Gate
    from .rates import Fee, Pace

WAITING, GRANTED, RUNNING, GONE = range(4)
RANKS = {"high": -1, "normal": 0, "low": 1}
# Gate -> rank of the requests that this context makes; lower numbers go first.
ranks: "contextvars.ContextVar[Mapping[Gate, int]]" = contextvars.ContextVar(
    "ranks", default=MappingProxyType({})
)


# What may take the requests that this context makes to another backend: a `RequestPool`'s call.
movers: "contextvars.ContextVar[Any]" = contextvars.ContextVar("movers", default=None)


class Slot:
    """One request's right to have an attempt in flight, while it is held. Giving it back twice does no harm.

    A request that is made from within another one (its `parent`) takes over what that one holds, and gives it back when
    it ends: so nothing waits for itself, and as many attempts are in flight as slots are held. Of requests beside one
    another (tasks that are gathered, say) one has it at a time; the others take free slots, or wait.
    """

    held = 0  # the generation of the gate when it was taken; 0 while it is not held
    over = False  # no attempt of its request is under way: it has ended, or backs off
    ended = False  # its request has ended; what that has left running makes requests like anybody
    number = 0  # its place in line, given once
    rank: "int | None" = None  # given with its first ticket
    outer: "Slot | None" = None  # the one under which the code runs that makes this request, if there is one
    parent: "Slot | None" = None  # the outer one, if it is of the same gate
    taken_from: "Slot | None" = None  # the one that held before what this one holds, and is to have it back
    borrowers: "Sequence[Ticket]" = ()  # of requests made from within this one that wait
    judged = False  # a request made under it has failed, and was retried as often as it may be
    is_submitted = False  # it was taken for what `submit` was given
    makes_requests = (
        False  # that makes its requests itself, and holds no slot of its own from its first one on
    )
    of_method = False  # it was counted for a submitted method of the backend, which has made no request yet
    is_stream = False  # a stream holds it
    is_special = False  # there is more to giving it back than to count it
    used_at = 0.0  # when the submitted function began, or the stream was read last; infinity while it is read
    thread = 0  # the one that runs what was submitted
    watch: "Watch | None" = None  # of the stream that holds it
    lease: "Slot | None" = None  # what was taken from the gate's source for it, where processes share a limit
    lender: "Source | None" = None  # of a lease: of whom it was taken
    fee: "Fee | None" = None  # what it has paid for a start that was not made yet, where there is a rate
    paid: "Fee | None" = None  # for the latest one that was made
    spent: "Fee | None" = (
        None  # for the one whose answer has come, to be corrected while a stream of it is read
    )
    headers: Any = None  # of the answer, where the result does not show them
    is_cut = False  # the answer ended within its headers, where the result does not show that
    tokens: "float | None" = None  # what it costs, where `token_cost` says that
    cuts = 0  # how often the window was cut before it was sent, and when it was sent: see `adaptive`
    sent_at = 0.0
    in_flight = 0  # with it, when it was sent
    refusals = (
        0  # how many 503 it got, and how many requests were answered when it got the first: see `pacing`
    )
    answered = 0
    gate: "Gate"

    def release(self) -> None:
        """Give the slot back, also when a signal handler raises in the middle of it."""
        try:
            self.gate.leave(self)
        except BaseException:
            self.gate.leave(self)
            raise

    def abandon(self) -> None:
        """Give the slot back from a finalizer, which may run inside any function, one that holds locks included."""
        if not self.ended:
            try:
                self.gate.abandon(self)
            except BaseException:  # as above
                self.gate.abandon(self)
                raise


class Source(Protocol):
    """What lends slots to a gate, where other processes share its limit. All but `stats` is called with its lock held."""

    @property
    def hold_until(self) -> float:
        """Until when nobody starts anything (`time.monotonic()`), as the server of the API asked one of the processes."""

    def take(self, slot: Slot) -> bool:
        """Lend a slot, at once or not."""

    def give(self, slot: Slot, unused: bool = False) -> None:
        """Take a slot back; nothing was sent under it if `unused`."""

    def want(self, waiting: int) -> float:
        """Get slots for those who wait; return when to try again if nothing happens before, or infinity."""

    def withdrawn(self) -> None:
        """Hear that one who waited has given up."""

    def hold(self, until: float) -> None:
        """Let nobody start anything before `until`."""

    def correct(self, slot: Slot, used: Mapping[str, float]) -> None:
        """Hear what a start costs: counted -> how much."""

    def learn(self, pace: "Pace") -> None:
        """Hear what requests have cost lately, and what the server says of its rates."""

    def stats(self) -> dict[str, Any]:
        """Return what `queue_stats()` says of it."""

    def close(self) -> None:
        """Lend no more."""

    def again(self) -> "Source":
        """Return another one, which lends what this one did before it was closed."""


class Watch(weakref.ref[Any]):
    """Gives a slot back when the stream that holds it is collected. Its callback is a C function, which no signal interrupts."""

    __slots__ = ("slot",)
    slot: Slot


class Ticket:
    """A place in line. The subclasses say who is notified when it gets a slot."""

    __slots__ = ("is_abandoned", "mover", "ready_at", "request", "since", "slot", "state")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.request: Any = None  # what waits, to tell of it
        self.mover = movers.get()
        if slot.rank is None:
            slot.rank = ranks.get().get(slot.gate, 0)
        self.since = 0.0  # when it began to wait for a slot
        self.ready_at = 0.0
        self.state = RUNNING  # its owner holds it
        self.is_abandoned = False  # it is to be withdrawn as soon as nobody else is at it

    @property
    def place(self) -> "tuple[float, int, int]":
        """Its place in line: first in, first out within each rank; before all where it needs no slot of the gate's.

        A request that is made from within another one stands just before that.
        """
        slot = self.slot
        depth, parent = 0, slot.parent
        while parent is not None and depth < 100:
            depth, parent = depth - 1, parent.parent
        takes_over = slot.parent is not None and slot.parent.held == slot.gate.generation
        return -math.inf if takes_over else slot.rank or 0, slot.number, depth

    def __lt__(self, other: "Ticket") -> bool:  # only among tickets of the same place: of one slot
        return id(self) < id(other)

    def hand_over(self) -> bool:
        """Tell the owner that it has a slot now; return False if the owner is gone. A second call does nothing."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Tell the owner that its turn will not come."""
        raise NotImplementedError


current_slot: "contextvars.ContextVar[Slot | None]" = contextvars.ContextVar("current_slot", default=None)
# The slots of the streams that this context has opened, so that a reader does not wait for itself.
_open_streams: "contextvars.ContextVar[tuple[weakref.ref[Slot], ...]]" = contextvars.ContextVar(
    "open_streams", default=()
)


def reset_current_slot(token: "contextvars.Token[Slot | None]") -> None:
    """End what `current_slot.set()` began, except where the collector closes a coroutine, in another context."""
    try:  # noqa: SIM105, it is faster
        current_slot.reset(token)
    except ValueError:
        pass


def _under_way(slot: "Slot | None") -> "Slot | None":
    """Return the first slot whose request has not ended, from this one outwards: methods that submit one another make long chains."""
    while slot is not None and slot.ended:
        slot = slot.outer
    return slot


def take_in_hand(slot: Slot) -> "contextvars.Token[Slot | None]":
    """Let the code that runs from here on run under `slot`; return what undoes that."""
    outer = _under_way(current_slot.get())
    if outer is not slot:
        slot.outer = outer
        if outer is not None:
            outer.outer = _under_way(outer.outer)
    return current_slot.set(slot)


def slot_in_hand(gate: "Gate") -> "Slot | None":
    """Return the slot under which this code runs, if it is one of this gate."""
    slot = current_slot.get()
    while slot is not None and (slot.ended or slot.gate is not gate):
        slot = slot.outer
    return slot


def note_open_stream(slot: Slot) -> None:
    """Remember in this context that it has the stream of this slot, and forget those that have ended."""
    still_open = (ref for ref in _open_streams.get() if (other := ref()) is not None and not other.over)
    _open_streams.set((*still_open, weakref.ref(slot)))
    slot.gate.keep_for_stream(slot)


def slot_of_open_stream(gate: "Gate") -> "Slot | None":
    """Return the slot of a stream that this context reads, so that it does not wait for itself; one that holds it yet, if any."""
    slots = (reference() for reference in _open_streams.get())
    found = [slot for slot in slots if slot is not None and not slot.over and slot.gate is gate]
    return next((slot for slot in found if slot.held == gate.generation), found[0] if found else None)
