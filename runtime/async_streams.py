"""What holds the slot of an async stream. See `streams`."""

import math
from functools import partial
from typing import Any

from .async_waiting import make_async
from .clocks import monotonic
from .request import Request
from .streams import Held, HeldStream, as_inside
from .usage import with_use


async def _made_again(request: Request) -> Any:
    """Make the call of an async stream again; it is a coroutine function, or a function that gives the stream itself."""
    made = request.call(*request.args, **request.kwargs)
    return await made if hasattr(made, "__await__") else made


class HeldAsyncStream(Held):
    """The same of an async stream."""

    def __aiter__(self) -> "HeldAsyncStream":
        return self

    async def __anext__(self) -> Any:
        request = self._request
        try:
            if self._items is None:
                stream = self._stream
                items = stream if hasattr(stream, "__anext__") else stream.__aiter__()
                self._items = with_use(items, self._slot)
            self._slot.used_at = math.inf
            item = await self._items.__anext__()
            self._slot.used_at = monotonic()
        except Exception as error:
            if request is None or isinstance(error, StopAsyncIteration):
                self._slot.release()
                raise
            request.error = error
        except BaseException:
            self._slot.release()
            raise
        else:
            if request is not None:
                self._request = None
            return item
        await make_async(request.engine, request, self._slot, partial(_made_again, request))
        if request.error is not None:
            self._slot.release()
        self._stream, self._items = request.outcome(), None
        return await self.__anext__()

    @as_inside
    async def __aenter__(self) -> Any:
        with self._under_slot():
            entered = await self._stream.__aenter__()
        return self if entered is self._stream else entered

    @as_inside
    async def __aexit__(self, *exc: Any) -> Any:
        with self._under_slot(release=True):
            return await self._stream.__aexit__(*exc)


class HeldStreamOfBoth(HeldStream, HeldAsyncStream):
    """The same of a stream that may be read in either way, such as LiteLLM's."""
