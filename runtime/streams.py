"""Results that are still to be read: recognised, and made to keep their slot until they have been.

What a stream looks like in general, and what holds the slot of a sync one. Responses of single libraries are recognised
in `vendors/`; async streams are in `async_streams`.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MethodType
from typing import Any, TypeVar

from .clocks import monotonic
from .failures import failure_in_result
from .probing import attribute, has_method, is_settled, remember_settled, status_in
from .request import Request
from .slots import Slot, current_slot, note_open_stream, reset_current_slot
from .usage import with_use
from .vendor import VENDORS
from .waiting import wait_for_slot


def is_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    """Return True for a generator, what `stream=True` asked for, and a response whose body is still to come."""
    try:
        return not issubclass(type(result), Held) and _is_stream(result, kwargs)
    except Exception:  # somebody else's object, which may raise whatever is asked of it
        return False


def _is_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    if is_settled(result):
        return False
    if _has_shape_of_stream(result, kwargs):
        return True
    for vendor in VENDORS:  # noqa: SIM110, it is faster
        if vendor.is_stream is not None and vendor.is_stream(result):
            return True
    return False


def _has_shape_of_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    name = type(result).__name__
    if name in ("generator", "async_generator"):
        return True
    # httpx's and the SDKs' `with client.stream(...)`
    if name.endswith("Manager") and has_method(result, "__enter__"):
        return True
    asked = kwargs.get("stream")  # not always a flag: an array of samples, say, which has no truth value
    if (
        type(asked) in (bool, int)
        and asked
        and (has_method(result, "close") or has_method(result, "__anext__"))
    ):
        return True
    # An iterator over what it reads from a response: Mistral's streams of events.
    iterates = has_method(result, "__next__") or has_method(result, "__anext__")
    return iterates and status_in(attribute(result, "response")) is not None


def finish(request: Request, slot: Slot) -> None:
    """Give the slot back, or let it stay with the stream that was returned."""
    if request.error is None and slot.held and is_stream(request.result, request.kwargs):
        request.result = _hold(request, slot)
    else:
        slot.release()
        if request.error is None and failure_in_result(request.result) is None:
            remember_settled(request.result)


def _hold(request: Request, slot: Slot) -> Any:
    """Let a streamed result keep its slot until it is exhausted, closed or collected; return what to hand out.

    A response of requests, httpx or aiohttp stays the very same object: what it reads from is watched.
    """
    result = request.result
    note_open_stream(slot)
    for vendor in VENDORS:
        if vendor.hold is not None and vendor.hold(result, slot):
            return result
    if status_in(result) is not None:
        slot.release()
        return result
    is_async = has_method(result, "__anext__") or has_method(result, "__aiter__")
    is_sync = has_method(result, "__next__") or has_method(result, "__iter__")
    return HELD_STREAMS.get((is_sync, is_async), HeldStream)(result, slot, request)


Method = TypeVar("Method", bound=Callable[..., Any])


class _AsInside:
    """See `as_inside`."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __get__(self, held: Any, owner: Any = None) -> Any:
        if held is None:  # as `contextlib.ExitStack` asks
            return self.method
        getattr(held._stream, self.method.__name__)
        return MethodType(self.method, held)


def as_inside(method: Method) -> Method:
    """Let a method be there only where what is inside has one of its name: many ask by `hasattr` how something is to be read, or closed."""
    return _AsInside(method)  # type: ignore[return-value]


class Held:
    """Something that keeps its slot until it is exhausted, closed or collected; otherwise like what is inside."""

    _slot: Any = None
    _stream: Any = None
    _items: Any = None  # what iterating over the stream gives, once that has begun; often the stream itself
    _request: "Request | None" = None

    def __init__(self, stream: Any, slot: Slot, request: "Request | None" = None) -> None:
        self._stream = stream
        self._slot = slot
        slot.gate.watch(self, slot)
        # Until the first item has come: a failure is retried by making the call again.
        self._request = request
        if request is not None:
            request.result = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance() says what it said before
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._stream, name)
        return partial(self._drive, value) if name in ("send", "throw") else value

    # What is set is for what is inside, as in `response.raw.decode_content = True`; but not where it takes the place of
    # what calls that, as in `response.raw.read = partial(response.raw.read, decode_content=True)`.

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            setattr(self._stream, name, value)

    def __delattr__(self, name: str) -> None:
        if name in vars(self):
            object.__delattr__(self, name)
        else:
            delattr(self._stream, name)

    def __dir__(self) -> list[str]:
        return dir(self._stream)

    def _drive(self, step: Callable[..., Any], *args: Any) -> Any:
        """Let a generator go on with what it is sent; its end gives the slot back."""
        with self._under_slot():
            return step(*args)

    def __del__(self) -> None:
        if self._slot is not None:
            # First what closes its connection when nobody refers to it: the server is not to see the next request before.
            self._stream = self._items = None
            self._slot.abandon()

    @contextlib.contextmanager
    def _under_slot(self, release: bool = False) -> Iterator[None]:
        """Run the stream's own code under the slot, and give the slot back if it fails, or after it if `release`."""
        token = current_slot.set(None if self._slot.over else self._slot)
        self._slot.used_at = math.inf
        try:
            yield
        except BaseException:
            self._slot.release()
            raise
        finally:
            self._slot.used_at = monotonic()
            reset_current_slot(token)
        if release:
            self._slot.release()

    @as_inside
    def close(self) -> Any:
        """Close the stream and give its slot back."""
        with self._under_slot(release=True):
            return self._stream.close()

    @as_inside
    async def aclose(self) -> None:
        """Close the stream and give its slot back."""
        with self._under_slot(release=True):
            await self._stream.aclose()

    @as_inside
    def __enter__(self) -> Any:
        entered = self._stream.__enter__()
        return self if entered is self._stream else entered

    @as_inside
    def __exit__(self, *exc: Any) -> Any:
        with self._under_slot(release=True):
            return self._stream.__exit__(*exc)


class HeldStream(Held):
    """An iterator, a generator or a context manager that an API's stream comes as."""

    def __iter__(self) -> "HeldStream":
        return self

    def __next__(self) -> Any:
        try:
            return self._next()
        except BaseException:  # its end is one
            self._slot.release()
            raise

    def _next(self) -> Any:
        while True:
            request = self._request
            try:
                if self._items is None:
                    stream = self._stream
                    items = stream if hasattr(stream, "__next__") else iter(stream)
                    self._items = with_use(items, self._slot)
                slot, outer = self._slot, current_slot.get()
                try:
                    current_slot.set(None if slot.over else slot)
                    slot.used_at = math.inf
                    item = next(self._items)
                finally:
                    current_slot.set(outer)
                    slot.used_at = monotonic()
            except Exception as error:
                if request is None or isinstance(error, StopIteration):
                    raise
                request.error = error
            else:
                if request is not None:
                    self._request = None
                return item
            self._stream, self._items = self._again(request, request.judge(self._slot)), None

    def _again(self, request: Request, delay: "float | None") -> Any:
        """After a failure before the first item: make the call again, in its turn; raise if it is not to be."""
        while delay is not None:
            wait_for_slot(request.engine, self._slot, delay, request)
            delay = request.attempt(self._slot)
        return request.outcome()

    @as_inside
    def __enter__(self) -> Any:
        try:
            entered = self._entered()
        except BaseException:
            self._slot.release()
            raise
        return self if entered is self._stream else entered

    def _entered(self) -> Any:
        """Enter the stream; where that fails and is to be retried, make the call again, in its turn."""
        request = self._request
        while True:
            outer = current_slot.get()
            try:
                current_slot.set(None if self._slot.over else self._slot)
                result, error = self._stream.__enter__(), None
            except Exception as raised:
                if request is None:
                    raise
                result, error = None, raised
            finally:
                current_slot.set(outer)
            if request is None:
                return result
            request.result, request.error = result, error
            del result, error  # no cycle of references
            if (delay := request.judge(self._slot)) is None:
                return request.outcome()
            if request.error is None:
                with contextlib.suppress(Exception):
                    self._stream.__exit__(None, None, None)
            self._stream = self._again(request, delay)


# (can be read, can be read with `async`) -> what holds its slot; those of `async_streams` are added to it.
HELD_STREAMS: dict[tuple[bool, bool], type[Held]] = {(True, False): HeldStream}
