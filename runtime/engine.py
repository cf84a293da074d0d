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

from .connections import Connections
from .errors import CircuitOpen, QueueClosed, QueueError, RequestQueueFull, RequestTimeout
from .gate import Gate
from .health import Health
from .jobs import map_calls, submit_call, submit_to_line
from .options import queue_server
from .pacing import regulate
from .probing import logger_of
from .showing import WaitingRequests, stats_of
from .slots import RANKS, movers, ranks
from .testing_mode import TestingMode
from .wrap import wrap_call

if TYPE_CHECKING:
    from .closers import Closing
    from .keys import ApiKey
    from .members import Context, Methods, Views
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

    # Of modules that come after this one, so the last one puts them here.
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
    submit_always = submit_to_line  # for `pool`
    stats = stats_of
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
        self.cautious = (
            False  # requests have deadlines or a rate, count for the health, or are judged by their owner
        )
        self.careful = False  # or they count for the window after a refusal
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
            self.cautious = self.health is not None or settings["total_timeout"] is not None
            self.cautious = self.cautious or settings["retry_if"] is not None
            if settings["reuse_connections"]:
                self.connections = self.connections or Connections()
            elif self.connections is not None:
                self._close_connections()
                self.connections = None
            enabled = settings["queue_enabled"]
            bounded = enabled and settings["queue_full"] == "raise" and settings["queue_size"] is not None
            server = queue_server(settings) if enabled else ""
            most = regulate(self, bool(server))
            self.careful = self.cautious or self.gate.pace is not None
            self.gate.resize(most, settings["queue_size"] if bounded else math.inf)
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
        regulate(self, self.gate.source is not None)

    @property
    def waiting(self) -> Sequence[Any]:
        """The requests that wait, oldest first."""
        return WaitingRequests(self.gate)

    @property
    def in_flight(self) -> int:
        """How many attempts are in flight."""
        if self.gate.deferred:
            self.gate.pump()
        return self.gate.active

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

    def close(self, join: bool = True, reopen: bool = False, leaving: bool = False) -> None:
        """Fail the waiting requests, let the running ones end, and join the queue's threads; then take new ones if `reopen`.

        Args:
            leaving: a `with` of the instance's own is left, and only what was submitted fails: see `Gate.close`.
        """
        self.gate.close(join, reopen, leaving)
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


def _forget(key: int, reference: Any, known: "dict[int, RequestEngine]" = engines) -> None:
    """Let go of the engine of an owner that is gone; at the end of the interpreter this module may have no names any more."""
    engine = known.get(key)
    if engine is not None and engine.reference is reference:
        del known[key]
