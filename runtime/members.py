"""What the queue block gives a class beside its settings: views, methods, `with` and `close`.

They are properties and plain functions, as if they stood in the class, so that frameworks, mocks and `help()` see what
they are used to. The protocols tell type checkers what an instance gives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from .closers import InheritedCloser, closing_first
from .engine import CallT
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
        closer = InheritedCloser() if close is None else closing_first(close)

        def leave(self: Any, *exc: object) -> None:
            name = closer.attribute if isinstance(closer, InheritedCloser) else close.__name__
            getattr(self, name)()

        leave.__name__ = leave.__qualname__ = "__exit__"
        return _enter, leave, closer


def _enter(self: Any) -> Any:
    return self


_enter.__name__ = _enter.__qualname__ = "__enter__"
