"""Async calls: a coroutine function, and what gives something to be awaited, entered or iterated."""

import logging
import math
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from .async_waiting import make_async
from .probing import attribute, has_method, is_settled, safe_log
from .repeating import may_hold_a_body
from .request import Request
from .slots import Slot, current_slot, note_open_stream, reset_current_slot
from .streams import finish
from .usage import with_use

if TYPE_CHECKING:
    from .engine import RequestEngine


async def run_async(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a request in this task, at once if a slot is free."""
    gate = engine.gate
    held: Slot | None = None
    request: Request | None = None
    if not (
        engine.careful
        or current_slot.get() is not None
        or may_hold_a_body(args, kwargs)
        or isinstance(call, partial)
    ):
        slot = Slot()
        slot.gate = gate
        token = current_slot.set(slot)
        try:
            if gate.enter(slot):  # the usual case: see `run_call`
                try:
                    result = await call(*args, **kwargs)
                    if is_settled(result):
                        gate.leave(slot)
                        return result
                    request = Request(engine, call, retry, args, kwargs)
                    request.result = result
                except Exception as error:
                    request = Request(engine, call, retry, args, kwargs)
                    request.error = error
                held = slot
        except GeneratorExit:  # from the collector, perhaps
            slot.abandon()
            raise
        except BaseException:
            slot.release()
            raise
        finally:
            reset_current_slot(token)
    request = request or Request(engine, call, retry, args, kwargs)
    try:
        finish(request, held := await make_async(engine, request, held))
    except BaseException:
        if held is not None:
            held.release()
        raise
    return request.outcome()


class AsyncCall(Coroutine[Any, Any, Any]):
    """A call whose result is awaited, entered with `async with`, or iterated; it is made then, in its turn."""

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        self._engine = engine
        self._request = Request(engine, call, retry, args, kwargs)
        self._coroutine: Any = None
        self._manager: Any = None  # what the library's call gave in the last attempt
        self._slot: Slot | None = None
        self._bare: Any = None  # the call itself, once something else was asked of it
        self._begun = False  # it is being made in its turn

    def __getattr__(self, name: str) -> Any:
        """Give what else the call has, such as grpc.aio's `read` and `cancel`; it is made at once then, outside the queue.

        Not what is asked of any coroutine, to show a task for example, nor of a call that still waits for its turn. Once it
        was made, it is that of the last attempt: `code()`, `trailing_metadata()`.
        """
        if name.startswith("cr_") and self._coroutine is not None:
            return getattr(self._coroutine, name)
        if name.startswith(("_", "cr_", "gi_", "ag_")) or (self._begun and self._manager is None):
            raise AttributeError(name)
        if self._begun:
            return getattr(self._manager, name)
        request, engine = self._request, self._engine
        if self._bare is None:
            self._bare = request.call(*request.args, **request.kwargs)
            if name not in engine.warned:
                engine.warned.add(name)
                safe_log(
                    engine.logger, logging.WARNING, "%s: a call whose `%s` is used, rather than awaited or iterated, is not queued",
                    engine.label, name,
                )  # fmt: skip
        return getattr(self._bare, name)

    def __del__(self) -> None:
        if self._slot is not None:  # the `finally` of an async generator does not run once its loop is closed
            self._slot.abandon()

    def __await__(self) -> Any:
        if self._bare is None and self._begun and self._manager is not None:
            return self._manager.__await__()  # a second time: as the library has it
        return (self._made() if self._bare is None else self._bare).__await__()

    def send(self, value: Any) -> Any:
        """Run it as the coroutine that it stands for."""
        self._coroutine = self._coroutine or self._made()
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise in the coroutine that it stands for."""
        self._coroutine = self._coroutine or self._made()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Close the coroutine that it stands for."""
        if self._coroutine is not None:
            self._coroutine.close()

    def _made(self) -> Any:
        self._begun = True
        return self._make()

    async def _make(self) -> Any:
        request = self._request

        async def attempt() -> Any:
            self._manager = request.call(*request.args, **request.kwargs)
            return await self._manager

        slot = await make_async(self._engine, request, attempt=attempt)
        try:
            finish(request, slot)
        except BaseException:
            slot.release()
            raise
        return request.outcome()

    def __call__(self, function: Callable[..., Any]) -> Any:
        """Decorate an async function, as a context manager of `contextlib` may: each call makes the request anew."""
        one = self._request

        async def within(*args: Any, **kwargs: Any) -> Any:
            async with AsyncCall(self._engine, one.call, one.retry, *one.args, **one.kwargs):
                return await function(*args, **kwargs)

        return wraps(function)(within)

    async def __aenter__(self) -> Any:
        self._begun = True
        request = self._request

        async def attempt() -> Any:
            if self._manager is not None:
                manager, self._manager = self._manager, None
                await manager.__aexit__(None, None, None)
            manager = request.call(*request.args, **request.kwargs)
            entered = await manager.__aenter__()
            self._manager = manager
            return entered

        self._slot = await make_async(self._engine, request, attempt=attempt)
        if request.error is not None:
            self._slot.release()
        else:
            note_open_stream(self._slot)
            self._slot.used_at = math.inf  # when it is read is not known
        return request.outcome()

    async def __aexit__(self, *exc: Any) -> Any:
        try:
            return await self._manager.__aexit__(*exc)
        finally:
            if self._slot is not None:
                self._slot.release()

    async def __aiter__(self) -> Any:
        request = self._request
        if self._bare is not None:
            async for item in self._bare:
                yield item
            return

        async def attempt() -> Any:
            self._manager = request.call(*request.args, **request.kwargs)
            items = aiter(self._manager)
            return items, [item async for item in _first(items)]

        self._begun = True
        self._slot = slot = await make_async(self._engine, request, attempt=attempt)
        note_open_stream(slot)
        slot.used_at = math.inf  # as above
        try:
            # Not the manager itself, which may start over: an SDK's list of pages.
            items, first = request.outcome()
            told = with_use(items, slot)
            for item in first:
                if told is not items:
                    told.hear(item)
                yield item
                async for later in told:
                    yield later
        finally:
            try:
                if has_method(self._manager, "aclose"):
                    await self._manager.aclose()
            finally:
                slot.abandon()  # perhaps in the collector


class CoroutineCall(AsyncCall):
    """What a function gives that a library has put around a coroutine function, as OpenAI's SDK does: a coroutine, to all who ask."""

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(engine, call, retry, *args, **kwargs)
        self.__name__ = str(attribute(call, "__name__") or "")
        self.__qualname__ = str(attribute(call, "__qualname__") or self.__name__)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance() and inspect.iscoroutine() say what they said before
        return CoroutineType


async def _first(stream: Any) -> Any:
    async for item in stream:
        yield item
        return
