"""The state of one owner: an instance, or a class where class methods make the requests.

An engine knows its settings as plain values, and its owner by a weak reference at most. How the owner holds settings and
keys, and how the engine is found, is in `settings` and `keys`.
"""

import contextlib
import math
import operator
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .clocks import monotonic
from .connections import Connections
from .errors import CircuitOpen, QueueClosed, QueueError, RequestQueueFull, RequestTimeout
from .gate import Gate
from .health import Health
from .jobs import map_calls, submit_call
from .options import queue_server
from .probing import logger_of
from .slots import RANKS, Ticket, movers, ranks
from .testing_mode import TestingMode
from .wrap import wrap_call

if TYPE_CHECKING:
    from .keys import ApiKey
    from .members import Closing, Context, Methods, Views
    from .module_queue import ModuleQueue
    from .settings import EntryPoint, MakeSetting

# id(owner) -> its engine. By id, because instances may be unhashable or compare equal; a weak reference's callback
# takes an entry out before the id can be used again. Entries are added and removed by single, atomic operations.
engines: "dict[int, RequestEngine]" = {}
OwnerT = TypeVar("OwnerT")
CallT = TypeVar("CallT", bound=Callable[..., Any])
# Names for the types of attributes that are called as the errors are.
_QueueError = type[QueueError]
_RequestQueueFull = type[RequestQueueFull]
_RequestTimeout = type[RequestTimeout]
_QueueClosed = type[QueueClosed]
_CircuitOpen = type[CircuitOpen]


class RequestEngine:
    """The queue, the backoff and the keys of one instance, or of one class where class methods make the requests.

    `RequestEngine.of(owner)` returns it, and makes it at first use. It keeps no reference to its owner.
    """

    # Of modules that come after this one, hence put here by the last.
    setting: "ClassVar[MakeSetting]"
    api_key: "ClassVar[type[ApiKey]]"
    entry_point: "ClassVar[type[EntryPoint]]"
    of: "ClassVar[Callable[[Any], RequestEngine]]"
    views: "ClassVar[Views]"
    methods: "ClassVar[Methods]"
    context: "ClassVar[Context]"
    closing: "ClassVar[Closing]"
    for_module: "ClassVar[Callable[..., ModuleQueue]]"
    # The queue's errors, which are attributes so that they can be caught where the runtime is inside a file.
    QueueError: "ClassVar[_QueueError]"
    RequestQueueFull: "ClassVar[_RequestQueueFull]"
    RequestTimeout: "ClassVar[_RequestTimeout]"
    QueueClosed: "ClassVar[_QueueClosed]"
    CircuitOpen: "ClassVar[_CircuitOpen]"
    QueueFull: "ClassVar[_RequestQueueFull]"
    testing = TestingMode
    movable = movers  # for `pool`, which has to reach the runtime of each member
    wrap = wrap_call
    submit = submit_call
    map = map_calls
    # What blocks of version 1 name.
    Waiting = Sequence[Any]
    Call = Callable[..., Any]
    Result = Future[Any]
    Items = Iterable[Any]
    Results = Iterator[Any]
    Progress = Callable[[int], Any] | None
    Block = contextlib.AbstractContextManager[None]
    # Called with a dict for each retry and for each request that is given up, of all backends that use this module.
    listeners: "list[Callable[[dict[str, Any]], Any]]" = []

    def __init__(self, owner: Any) -> None:
        self.owner_is_class = isinstance(owner, type)
        self.label = (owner if self.owner_is_class else type(owner)).__name__
        self.logger = logger_of(owner)
        self.values: dict[str, Any] = {}
        self.keys: dict[str, tuple[Any, str]] = {}  # attribute -> key, and where it was found
        self.dotenv: Mapping[str, str | None] | None = None
        self.warned: set[str] = set()
        self.kinds: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self.ordinary: set[Any] = set()
        self.without_retries: OrderedDict[Any, Any] = OrderedDict()
        self.gate = Gate()
        self.settings: dict[str, Any] = {}
        self.held_by = ""  # the method whose answer held all back last, and where that was said
        self.careful = False  # requests have deadlines, count for the health, or are judged by their owner
        self.health: Health | None = None  # where a setting asks for it
        self.connections: Connections | None = None  # where `reuse_connections` asks for it
        # Held while settings are read and put to use: of two that are assigned at once, the later one stays.
        self.configuring = threading.RLock()
        self.reference = weakref.ref(owner, partial(_forget, id(owner)))

    @staticmethod
    def entered(owner: OwnerT) -> OwnerT:
        """Be a class's `__enter__`: `with` gives the instance itself."""
        return owner

    def configure(self, read: Callable[[], dict[str, Any]]) -> None:
        """Take over the settings that `read` returns; admit what may run under them."""
        with self.configuring:
            settings = read()  # with the lock held, so that the last word is not overtaken by one before it
            if settings == self.settings:
                return
            self.settings = settings
            if settings["retry_budget"] is None and settings["circuit_breaker"] is None:
                self.health = None
            else:
                self.health = self.health or Health()
                self.health.configure(
                    settings["retry_budget"], settings["circuit_breaker"], settings["max_retry_delay"]
                )
            self.careful = self.health is not None or settings["total_timeout"] is not None
            self.careful = self.careful or settings["retry_if"] is not None
            if settings["reuse_connections"]:
                self.connections = self.connections or Connections()
            elif self.connections is not None:
                self._close_connections()
                self.connections = None
            enabled = settings["queue_enabled"]
            bounded = enabled and settings["queue_full"] == "raise" and settings["queue_size"] is not None
            self.gate.resize(
                settings["max_concurrent_requests"] if enabled else math.inf,
                settings["queue_size"] if bounded else math.inf,
            )
            server = queue_server(settings) if enabled else ""
            if server or self.gate.source is not None:
                _share_limit(self, server)

    def after_fork(self) -> None:
        """In the child of a fork: start with fresh locks and an empty queue."""
        self.configuring = threading.RLock()
        if self.connections is not None:
            self.connections = Connections()
        if self.health is not None:
            self.health.lock = threading.RLock()
        self.gate.reset()

    @property
    def waiting(self) -> Sequence[Any]:
        """The requests that wait, oldest first."""
        return _WaitingRequests(self.gate)

    @property
    def in_flight(self) -> int:
        """How many attempts are in flight."""
        if self.gate.deferred:
            self.gate.pump()
        return self.gate.active

    def stats(self) -> dict[str, Any]:
        """Return counts since the first request, and how things stand now.

        `requests`: accepted; `sent`: attempts made; `retried`: attempts that were made again; `failed`: requests whose
        last attempt failed; `refused`: found the queue full; `waiting` and `in_flight`: now; `waited_seconds`: for a
        slot, and `backoff_seconds`: between attempts, of all requests together. `backing_off`: how many of those that
        wait do so between attempts; `hold_seconds`: how long the server has asked all to wait from now on, and `held_by`:
        which method's answer, and where in it. Where the limit is shared, `shared`:
        the server is there; `processes`: how many share it; `alone_seconds`: how long this one had to go on alone.
        """
        if self.gate.deferred:
            self.gate.pump()
        now, until = monotonic(), self.gate.hold_until
        return {
            **self.gate.stats(),
            "backing_off": sum(ticket.ready_at > now for ticket in self.gate.line()),
            "hold_seconds": max(until - now, 0.0) if until else 0.0,
            "held_by": self.held_by if until > now else "",
        }

    @contextlib.contextmanager
    def priority(self, level: "str | int") -> Iterator[None]:
        """Let the requests made inside the `with` block wait in a line before or behind the others.

        Args:
            level: "high", "normal", "low", or a number; lower ones go first.
        """
        rank = RANKS.get(level) if isinstance(level, str) else operator.index(level)
        if rank is None:
            raise ValueError(f"priority must be one of {', '.join(RANKS)} or a whole number, not {level!r}")
        token = ranks.set({**ranks.get(), self.gate: rank})
        try:
            yield
        finally:
            ranks.reset(token)

    def close(self, join: bool = True) -> None:
        """Fail the waiting requests, let the running ones end, and join the queue's threads."""
        self.gate.close(join)
        self._close_connections()

    def _close_connections(self) -> None:
        """Close the connections that are kept, unless a request may be using one."""
        if self.connections is not None and not self.gate.active:
            self.connections.close()


def _share_limit(engine: RequestEngine, server: str) -> None:
    """Share the limit with other processes, or no longer; the part of the runtime that does is only installed."""
    try:
        accounts = import_module("backend_retrofit_runtime.shared.accounts")
    except ImportError:
        raise RuntimeError(
            "A shared queue needs the installed runtime: pip install backend-retrofit-runtime"
        ) from None
    accounts.share_limit(engine, server)


class _WaitingRequests(Sequence[Any]):
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


def _forget(key: int, reference: Any) -> None:
    engine = engines.get(key)
    if engine is not None and engine.reference is reference:
        del engines[key]
