"""What the queue block gives a class beside its settings: views, methods, `with` and `close`.

They are properties and plain functions, as if they stood in the class, so that frameworks, mocks and `help()` see what
they are used to. The protocols tell type checkers what an instance gives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import wraps
from inspect import unwrap
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from .call_kinds import COROUTINE, kind_of
from .engine import CallT, engines
from .settings import engine_of

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")
InstanceT = TypeVar("InstanceT")


class RequestQueueView(Protocol):
    """The type of `request_queue`."""

    @overload
    def __get__(self, instance: None, owner: type) -> property: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Sequence[Any]: ...


class CurrentRequestsView(Protocol):
    """The type of `current_requests`."""

    @overload
    def __get__(self, instance: None, owner: type) -> property: ...
    @overload
    def __get__(self, instance: object, owner: type) -> int: ...


class Views(Protocol):
    """The type of `RequestEngine.views`."""

    def __call__(self) -> tuple[RequestQueueView, CurrentRequestsView]: ...


def views() -> tuple[RequestQueueView, CurrentRequestsView]:
    """Return `request_queue` and `current_requests` for a class."""

    def request_queue(self: Any) -> Sequence[Any]:
        """The requests that wait, oldest first."""
        return engine_of(self).waiting

    def current_requests(self: Any) -> int:
        """How many requests are running."""
        return engine_of(self).in_flight

    return cast(
        tuple[RequestQueueView, CurrentRequestsView], (property(request_queue), property(current_requests))
    )


class BoundSubmit(Protocol):
    """The type of `api.submit`."""

    def __call__(
        self, call: Callable[ParamsT, ResultT], /, *args: ParamsT.args, **kwargs: ParamsT.kwargs
    ) -> "Future[ResultT]": ...


class Submit(Protocol):
    """The type of `submit`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., "Future[Any]"]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundSubmit: ...


class BoundMap(Protocol):
    """The type of `api.map`."""

    def __call__(
        self,
        call: Callable[[ItemT], ResultT],
        items: Iterable[ItemT],
        progress: "Callable[[int], Any] | None" = None,
    ) -> Iterator[ResultT]: ...


class Map(Protocol):
    """The type of `map`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Iterator[Any]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundMap: ...


class Priority(Protocol):
    """The type of `priority`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., AbstractContextManager[None]]: ...
    @overload
    def __get__(
        self, instance: object, owner: type
    ) -> "Callable[[str | int], AbstractContextManager[None]]": ...


class QueueStats(Protocol):
    """The type of `queue_stats`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[[Any], dict[str, Any]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[[], dict[str, Any]]: ...


class Methods(Protocol):
    """The type of `RequestEngine.methods`."""

    def __call__(self) -> tuple[Submit, Map, Priority, QueueStats]: ...


def _submit_to_queue(self: Any, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
    """Queue `call(*args, **kwargs)` and return its future at once.

    Raises:
        RequestQueueFull: if `queue_size` requests wait already.
    """
    return engine_of(self).submit(call, *args, **kwargs)


def _map_over_queue(
    self: Any,
    call: Callable[..., Any],
    items: Iterable[Any],
    progress: "Callable[[int], Any] | None" = None,
) -> Iterator[Any]:
    """Yield `call(item)` for each item, in their order; `progress` is called with 1 for each result."""
    return engine_of(self).map(call, items, progress)


def _priority_in_queue(self: Any, level: "str | int") -> AbstractContextManager[None]:
    """In a `with` block: queue ahead of ("high") or behind ("low") the rest."""
    return engine_of(self).priority(level)


def _stats_of_queue(self: Any) -> dict[str, Any]:
    """Return a dict of counts: requests, sent, retried, failed, waiting, seconds waited, ..."""
    return engine_of(self).stats()


def methods() -> tuple[Submit, Map, Priority, QueueStats]:
    """Return `submit`, `map`, `priority` and `queue_stats` for a class."""
    return cast(tuple[Submit, Map, Priority, QueueStats], tuple(_METHODS))


_METHODS = [_submit_to_queue, _map_over_queue, _priority_in_queue, _stats_of_queue]
for _method, _called in zip(_METHODS, ("submit", "map", "priority", "queue_stats"), strict=True):
    _method.__name__ = _method.__qualname__ = _called


class Enter(Protocol):
    """The type of `__enter__`: `with` gives the instance itself."""

    @overload
    def __get__(self, instance: None, owner: type[InstanceT]) -> Callable[[InstanceT], InstanceT]: ...
    @overload
    def __get__(self, instance: InstanceT, owner: type[InstanceT]) -> Callable[[], InstanceT]: ...


class Exit(Protocol):
    """The type of `__exit__`."""

    def __get__(self, instance: object, owner: type) -> Callable[..., None]: ...


class Close(Protocol):
    """The type of `close` where the class has none of its own."""

    @overload
    def __get__(self, instance: None, owner: type[InstanceT]) -> Callable[[InstanceT], None]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[[], None]: ...


class Context:
    """What `RequestEngine.context` is."""

    @overload
    def __call__(self) -> tuple[Enter, Exit, Close]: ...
    @overload
    def __call__(self, close: CallT) -> tuple[Enter, Exit, CallT]: ...
    def __call__(self, close: Any = None) -> Any:
        """Return `__enter__`, `__exit__` and `close` for a class: `with` closes the instance at its end.

        Args:
            close: the class's own; the one that is returned ends what waits first.
        """
        closer = InheritedCloser() if close is None else _closing(close)

        def leave(self: Any, *exc: object) -> None:
            name = closer.attribute if isinstance(closer, InheritedCloser) else close.__name__
            getattr(self, name)()

        leave.__name__ = leave.__qualname__ = "__exit__"
        return _enter, leave, closer


def _enter(self: Any) -> Any:
    return self


_enter.__name__ = _enter.__qualname__ = "__enter__"


class Closing:
    """What `RequestEngine.closing` is."""

    @overload
    def __call__(self) -> Any: ...
    @overload
    def __call__(self, function: CallT) -> CallT: ...
    def __call__(self, function: Any = None) -> Any:
        """Return a `close` (`__exit__`, `aclose`, `__del__`, ...) for a class, which first fails the requests that wait.

        Args:
            function: the class's own, which is called then; without it, what the class inherits, if anything. It may
                make requests, such as that for logging out, and an instance that could be used after it still can.
        """
        return InheritedCloser() if function is None else _closing(function)


def _closing(function: Any) -> Any:
    """Return a function that fails the requests that wait, and then calls the class's own.

    An async one does not wait for the threads. `__del__`, which may run inside any function, takes no locks; it is the last
    that makes a request.
    """
    if kind_of(function) is COROUTINE:

        @wraps(function)
        async def close_queue_then_await(self: Any, *args: Any, **kwargs: Any) -> Any:
            _close_queue(self, join=False, reopen=True)
            return await function(self, *args, **kwargs)

        return close_queue_then_await

    @wraps(function)
    def close_queue_then(self: Any, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ != "__del__":
            _close_queue(self, reopen=True)
            return function(self, *args, **kwargs)
        try:
            return function(self, *args, **kwargs)
        finally:
            if (engine := engines.get(id(self))) is not None:
                engine.gate.refuse_newcomers()

    return close_queue_then


def _close_queue(instance: Any, join: bool = True, reopen: bool = False) -> None:
    if (engine := engines.get(id(instance))) is not None:
        engine.close(join, reopen)


class InheritedCloser(property):
    """Becomes, in its class, a function that closes the queue, or calls what is inherited under its name once nobody waits."""

    attribute = "close"

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

        def close(self: Any, *args: Any, **kwargs: Any) -> Any:
            """Fail the waiting requests, let the running ones end, and join the queue's threads."""
            inherited = _overridden(self, name, close)
            _close_queue(self, kind_of(inherited) is not COROUTINE, reopen=inherited is not None)
            return None if inherited is None else inherited(*args, **kwargs)

        close.__name__, close.__qualname__ = name, f"{owner.__qualname__}.{name}"
        setattr(owner, name, close)


def _overridden(instance: Any, name: str, function: Callable[..., Any]) -> Any:
    """Return the bound method that comes after `function` among those of a name; None if there is none.

    The class is looked for, because a decorator may have made another one of that which was told its name.
    """
    classes = type(instance).__mro__
    own = [cls for cls in classes if unwrap(vars(cls).get(name, 0)) is function]
    return getattr(super(own[0], instance), name, None) if own else None
