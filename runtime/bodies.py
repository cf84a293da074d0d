"""The body of a response, which keeps its slot until it has been read.

For responses that stay the very same object: what they read from is replaced.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

from .clocks import monotonic
from .probing import attribute, has_method
from .slots import Slot
from .streams import Held, as_inside


class HeldBody(Held):
    """What a response reads its body from."""

    @as_inside
    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read as before; the end of the body gives the slot back."""
        with self._under_slot():
            data = self._stream.read(*args, **kwargs)
        if not data or not any(type(size) is int and size >= 0 for size in (*args, *kwargs.values())):
            self._slot.release()
        return data

    @as_inside
    def readline(self, *args: Any) -> Any:
        """Read as before; the end of the body gives the slot back, which `http.client` need not notice."""
        return self._read_with(self._stream.readline, *args)

    @as_inside
    def read1(self, *args: Any) -> Any:
        """Read as before; the end of the body gives the slot back."""
        return self._read_with(self._stream.read1, *args)

    @as_inside
    def readinto(self, buffer: Any) -> Any:
        """Read as before; the end of the body gives the slot back."""
        return self._read_with(self._stream.readinto, buffer)

    def _read_with(self, read: Callable[..., Any], *args: Any) -> Any:
        with self._under_slot():
            got = read(*args)
        if not got:
            self._slot.release()
        return got

    @as_inside
    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Stream as before; the end of the body gives the slot back."""
        yield from self._until_its_end(self._stream.stream(*args, **kwargs))

    def _until_its_end(self, parts: Any) -> Iterator[Any]:
        try:
            for part in parts:
                self._slot.used_at = monotonic()
                yield part
                self._slot.used_at = math.inf
        except GeneratorExit:  # read in part: the connection is still open, and can be read on
            raise
        except BaseException:
            self._slot.release()
            raise
        self._slot.release()

    @as_inside
    def __iter__(self) -> Iterator[Any]:
        yield from self._until_its_end(self._stream)

    @as_inside
    def __next__(self) -> Any:
        with self._under_slot():
            return next(self._stream)

    @as_inside
    async def __aiter__(self) -> Any:
        try:
            async for part in self._stream:
                self._slot.used_at = monotonic()
                yield part
                self._slot.used_at = math.inf
        except GeneratorExit:  # as above
            raise
        except BaseException:
            self._slot.release()
            raise
        self._slot.release()


def hold_body(response: Any, place: str, is_read: str, slot: Slot) -> bool:
    """Let what a response reads its body from keep the slot; return False where there is nothing to be read.

    Args:
        place: name of the attribute by which it reads.
        is_read: name of the one that says that it has; of a mock it is neither True nor False.
    """
    body = attribute(response, place)
    if attribute(response, is_read) is False and (has_method(body, "close") or has_method(body, "aclose")):
        with contextlib.suppress(Exception):  # it takes no attribute
            setattr(response, place, HeldBody(body, slot))
            return True
    return False
