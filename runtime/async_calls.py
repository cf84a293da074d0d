"""Async calls: a coroutine function, and what gives something to be awaited, entered or iterated."""

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from .async_waiting import make_async
from .probing import has_method, is_settled, safe_log
from .repeating import may_hold_a_body
from .request import Request
from .slots import Slot, current_slot, note_open_stream, reset_current_slot
from .streams import finish

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
        or get_ident() in gate.threads
        or current_slot.get() is not None
        or may_hold_a_body(args, kwargs)
        or isinstance(call, partial)
    ):
        slot = gate.new_slot()
        try:
            if gate.enter(slot):  # the usual case: see `run_call`
                token = current_slot.set(slot)
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
                finally:
                    reset_current_slot(token)
                held = slot
        except GeneratorExit:  # from the collector, perhaps
            slot.abandon()
            raise
        except BaseException:
            slot.release()
            raise
    request = request or Request(engine, call, retry, args, kwargs)
    held = await make_async(engine, request, held)
    if held is not None:
        finish(request, held)
    return request.outcome()


class AsyncCall(Coroutine[Any, Any, Any]):
    """A call whose result is awaited, entered with `async with`, or iterated; it is made then, in its turn."""

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        self._engine = engine
        self._request = Request(engine, call, retry, args, kwargs)
        self._coroutine: Any = None
        self._manager: Any = None
        self._slot: Slot | None = None
        self._bare: Any = None  # the call itself, once something else was asked of it

    def __getattr__(self, name: str) -> Any:
        """Give what else the call has, such as grpc.aio's `read` and `cancel`; it is made at once then, outside the queue."""
        if name.startswith("_"):
            raise AttributeError(name)
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
        # An async generator that is collected when its loop is closed already does not run its `finally`.
        if self._slot is not None:
            self._slot.abandon()

    def __await__(self) -> Any:
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
        request = self._request
        return run_async(self._engine, request.call, request.retry, *request.args, **request.kwargs)

    async def __aenter__(self) -> Any:
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
        if request.error is not None and self._slot is not None:
            self._slot.release()
        elif self._slot is not None:
            note_open_stream(self._slot)
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

        self._slot = await make_async(self._engine, request, attempt=attempt)
        if self._slot is not None:
            note_open_stream(self._slot)
        try:
            items, first = request.outcome()
            for item in first:
                yield item
                async for (
                    item
                ) in items:  # not the manager itself, which may begin anew: an SDK's list of pages
                    yield item
        finally:
            try:
                if has_method(self._manager, "aclose"):
                    await self._manager.aclose()
            finally:
                if self._slot is not None:
                    self._slot.abandon()  # perhaps in the collector


async def _first(stream: Any) -> Any:
    async for item in stream:
        yield item
        return
