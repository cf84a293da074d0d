"""What a pool's methods do: call a member, and go on to another; sync, async, with a stream, or submitted."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ..errors import RequestQueueFull
from .calls import Member, PoolCall

if TYPE_CHECKING:
    from . import RequestPool


class Method:
    """A method of a pool's members."""

    def __init__(self, pool: RequestPool[Any], name: str) -> None:
        self.pool, self.name = pool, name
        self.__name__ = name
        method = getattr(pool._members[0].api, name)
        self.__doc__ = method.__doc__
        self.kind: Callable[..., Any] = self._call
        if inspect.iscoroutinefunction(method):
            self.kind = self._await
        elif inspect.isgeneratorfunction(method):
            self.kind = self._iterate
        elif inspect.isasyncgenfunction(method):
            self.kind = self._aiterate

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.kind(PoolCall(self.pool, args, kwargs), args, kwargs)

    def _of(self, member: Member) -> Any:
        return getattr(member.api, self.name)

    def in_line(self, args: Any, kwargs: Any) -> Future[Any]:
        """Make a call for which there is no room anywhere; return its future once it has ended."""
        future: Future[Any] = Future()
        try:
            future.set_result(self._call(PoolCall(self.pool, args, kwargs), args, kwargs, always=True))
        except Exception as error:
            future.set_exception(error)
        return future

    def _call(self, call: PoolCall, args: Any, kwargs: Any, always: bool = False) -> Any:
        while True:
            member = call.next_member()
            try:
                with call.made_by(member):
                    make = self._of(member)
                    result = always_in_line(member, make, args, kwargs) if always else make(*args, **kwargs)
            except BaseException as error:
                if not call.goes_on(error):
                    raise
                continue
            if inspect.isawaitable(result):  # of a method that does not say so
                return self._await(call, args, kwargs, result)
            if not call.goes_on(None, result):
                return result

    async def _await(self, call: PoolCall, args: Any, kwargs: Any, begun: Any = None) -> Any:
        while True:
            member = call.next_member() if begun is None or call.member is None else call.member
            try:
                with call.made_by(member):
                    result = await (self._of(member)(*args, **kwargs) if begun is None else begun)
            except BaseException as error:
                if not call.goes_on(error):
                    raise
                begun = None
                continue
            begun = None
            if not call.goes_on(None, result):
                return result

    def _iterate(self, call: PoolCall, args: Any, kwargs: Any) -> Iterator[Any]:
        parts = None
        while parts is None:
            member = call.next_member()
            parts = self._of(member)(*args, **kwargs)
            try:
                with call.made_by(member):  # it makes its request for the first part; from then on it stays
                    first = [next(parts)]
            except StopIteration:
                first = []
            except BaseException as error:
                if not call.goes_on(error):
                    raise
                parts = None
        member.worked()
        try:
            yield from first
            yield from parts
        finally:
            parts.close()

    async def _aiterate(self, call: PoolCall, args: Any, kwargs: Any) -> AsyncIterator[Any]:
        parts = None
        while parts is None:
            member = call.next_member()
            parts = self._of(member)(*args, **kwargs)
            try:
                with call.made_by(member):
                    first = [await parts.__anext__()]
            except StopAsyncIteration:
                first = []
            except BaseException as error:
                if not call.goes_on(error):
                    raise
                parts = None
        member.worked()
        try:
            for part in first:
                yield part
            async for part in parts:
                yield part
        finally:
            await parts.aclose()


def always_in_line(member: Member, make: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make a call that waits in the line of a member, whether there is room or not."""
    submit = getattr(member.engine, "submit_always", None)
    # The runtime of its file may be older than this: then it is refused where there is no room.
    future = member.engine.submit(make, *args, **kwargs) if submit is None else submit(make, args, kwargs)
    return future.result()


class PoolFuture(Future[Any]):
    """The outcome of what was submitted to a pool, whatever members it goes to."""

    def __init__(self, call: PoolCall, name: str, args: Any, kwargs: Any) -> None:
        super().__init__()
        self.call, self.name, self.args, self.kwargs = call, name, args, kwargs
        self.inner: Future[Any] | None = None
        self._submit()

    def _submit(self) -> None:
        while True:
            member = self.call.next_member()
            try:
                with self.call.made_by(member):
                    self.inner = member.engine.submit(
                        getattr(member.api, self.name), *self.args, **self.kwargs
                    )
            except RequestQueueFull as error:
                if not self.call.goes_on(error):
                    raise
                continue
            self.inner.add_done_callback(self._ended)
            return

    def _ended(self, inner: Future[Any]) -> None:
        if inner.cancelled():
            return
        error = inner.exception()
        try:
            if self.call.goes_on(error, None if error is not None else inner.result()):
                self._submit()
                return
        except Exception as refused:
            error = refused
        if not self.set_running_or_notify_cancel():
            return
        self.set_exception(error) if error is not None else self.set_result(inner.result())

    def cancel(self) -> bool:
        """Take it out of the line of the member where it waits; False if it runs already."""
        if self.done():
            return super().cancel()
        if self.inner is None or not self.inner.cancel():
            return False
        return super().cancel() and self.set_running_or_notify_cancel() is False
