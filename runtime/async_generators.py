"""An async generator whose first item is a request, and whose slot is kept until it ends."""

import math
from collections.abc import AsyncGenerator
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any

from .async_waiting import make_async
from .clocks import monotonic
from .request import Request
from .slots import Slot, current_slot, note_open_stream, reset_current_slot
from .usage import ItemsThatTellUse

if TYPE_CHECKING:
    from .engine import RequestEngine


class AsyncGeneratorCall(AsyncGenerator[Any, Any]):
    """An async generator that is begun, in its turn, when its first item is asked for; it keeps its slot until it ends."""

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        self._request = Request(engine, call, retry, args, kwargs)
        self._generator: Any = None
        self._slot: Slot | None = None
        self._use: ItemsThatTellUse | None = None  # where that is counted
        self._is_over = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance() says what it said before
        return AsyncGeneratorType

    def __getattr__(self, name: str) -> Any:
        if self._generator is None and name in ("ag_running", "ag_frame", "ag_await", "ag_suspended"):
            return None if name in ("ag_frame", "ag_await") else False
        if name.startswith("ag_") and self._generator is not None:
            return getattr(self._generator, name)
        raise AttributeError(name)

    def __del__(self) -> None:
        self._generator = None  # first, as in `Held`
        if self._slot is not None:
            self._slot.abandon()

    async def asend(self, value: Any) -> Any:
        """Send a value, as before; the first one begins the generator."""
        if self._is_over:
            raise StopAsyncIteration
        if self._slot is not None:
            item = await self._drive(self._generator.asend(value))
            if self._use is not None:
                self._use.hear(item)
            return item
        if value is not None:
            raise TypeError("can't send non-None value to a just-started async generator")
        request = self._request

        async def attempt() -> Any:
            self._generator = request.call(*request.args, **request.kwargs)
            try:
                return [await self._generator.__anext__()]
            except StopAsyncIteration:
                return []

        self._slot = await make_async(request.engine, request, attempt=attempt)
        try:
            first = request.outcome()
            if not first:
                raise StopAsyncIteration
        except BaseException:
            self._end()
            raise
        note_open_stream(self._slot)
        if self._slot.spent is not None:
            self._use = ItemsThatTellUse(None, self._slot)
            self._use.hear(first[0])
        return first[0]

    async def athrow(self, *error: Any) -> Any:
        """Raise in the generator, as before; one that was not begun ends."""
        if self._slot is not None and not self._is_over:
            return await self._drive(self._generator.athrow(*error))
        self._is_over = True
        raise error[1] if len(error) > 1 and error[1] is not None else error[0]

    async def aclose(self) -> None:
        """Close the generator and give its slot back."""
        try:
            if self._generator is not None:
                await self._generator.aclose()
        finally:
            self._end()

    async def _drive(self, step: Any) -> Any:
        slot: Any = self._slot
        token = current_slot.set(slot)
        slot.used_at = math.inf
        try:
            return await step
        except BaseException as error:
            if self._use is not None and isinstance(error, StopAsyncIteration):
                self._use.end()
            self._end()
            raise
        finally:
            slot.used_at = monotonic()
            reset_current_slot(token)

    def _end(self) -> None:
        self._is_over = True
        if self._slot is not None:
            self._slot.release()
