"""The entry: `self._queued(function)` gives what is here made of the function.

Its kind is known, its library's own retries are off; nothing is called yet.
"""

import contextlib
import logging
import weakref
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from inspect import signature
from operator import itemgetter
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from .async_calls import AsyncCall, CoroutineCall, run_async
from .async_generators import AsyncGeneratorCall
from .call_kinds import ASYNC_GENERATOR, ASYNC_OTHER, COROUTINE, SYNC, WRAPPED_COROUTINE, is_ordinary, kind_of
from .calls import run_call, run_partial
from .probing import attribute, has_usual_attributes, safe_log
from .vendor import AS_IT_IS, VENDORS, Handling, Prepared

if TYPE_CHECKING:
    from .engine import RequestEngine


class Queued(partial[Any]):
    """A call, made in its turn.

    Where it is handed on, it has the name, the signature and the attributes of the function, and equals it. It is made with
    a `__dict__`: of one without, `partial(queued, ...)` takes what it calls, and not itself.
    """

    __slots__ = ()

    @property
    def __signature__(self) -> Any:
        return signature(self.args[-2])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.args[-2], name)

    def __eq__(self, other: object) -> bool:
        return bool(self.args[-2] == (other.args[-2] if isinstance(other, Queued) else other))

    def __hash__(self) -> int:
        return hash(self.args[-2])

    def __reduce__(self) -> Any:
        """Be the function itself in another process, which has no queue of ours."""
        return itemgetter(0), ((self.args[-2],),)

    def __copy__(self) -> "Queued":
        return self

    def __deepcopy__(self, memo: Any) -> "Queued":
        return _queued(self.func, *self.args[:-2], deepcopy(self.args[-2], memo), self.args[-1])


def wrap_call(engine: "RequestEngine", call: Any, /, retry: bool = True) -> Any:
    """Return `call` as a function that waits for its turn and, if `retry`, is tried again when it fails."""
    if engine.connections is not None:
        call = engine.connections.through(call)
    try:
        # The usual call, known at once, as every call pays for this: a method of a session that is as it was last time.
        if (
            type(call) is MethodType
            and call.__func__ in engine.ordinary
            and call.__self__.adapters == engine.without_retries  # type: ignore[attr-defined]
        ):
            queued = Queued(run_call, engine, call, retry)
            queued.__dict__  # noqa: B018, as `_queued` does
            return queued
    except Exception:  # the same function, of something else
        pass
    known = _known(engine, call)
    if known is None or known.may_be_ordinary:
        if is_ordinary(call, engine.ordinary, engine.without_retries):
            return _queued(run_call, engine, call, retry)
        known = known or _look_at(engine, call)
    kind = known.kind
    if known.handle is _as_it_is and kind is SYNC:
        return _queued(run_call, engine, call, retry)
    if engine.gate.pace is not None and engine.gate.pace.learns:
        call = _with_headers(call)
    prepare = None
    if retry and engine.settings["max_retries"] is not None:
        handling = _handling_of(engine, call, known.handle)
        if handling is not AS_IT_IS:
            call, retry, prepare = handling
    if kind is SYNC:
        run: Any = run_partial if isinstance(call, partial) else run_call
    else:
        run = _ASYNC_RUNNERS[kind]
    if prepare is None:
        return _queued(run, engine, call, retry)
    return _queued(_await_prepared if kind is COROUTINE else _run_prepared, run, engine, call, prepare)


def _queued(*parts: Any) -> Queued:
    queued = Queued(*parts)
    queued.__dict__  # noqa: B018, makes one
    return queued


_ASYNC_RUNNERS: dict[int, Any] = {
    COROUTINE: run_async,
    ASYNC_GENERATOR: AsyncGeneratorCall,
    ASYNC_OTHER: AsyncCall,
    WRAPPED_COROUTINE: CoroutineCall,
}


def _run_prepared(
    run: Any, engine: "RequestEngine", call: Any, prepare: Any, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a request that depends on its arguments."""
    prepared = prepare(call, args, kwargs)
    return run(engine, prepared.call, prepared.retry, *prepared.args, **prepared.kwargs)


async def _await_prepared(
    run: Any, engine: "RequestEngine", call: Any, prepare: Any, /, *args: Any, **kwargs: Any
) -> Any:
    prepared = prepare(call, args, kwargs)
    return await run(engine, prepared.call, prepared.retry, *prepared.args, **prepared.kwargs)


class _Known(NamedTuple):
    """What is known of a function, or a method. Neither it nor its class is kept alive by it."""

    of: "Callable[[], Any]"
    kind: int
    handle: Any
    may_be_ordinary: bool
    unless: "frozenset[str]" = (
        frozenset()
    )  # the instance has an attribute of such a name: it is to be looked at again


def _known(engine: "RequestEngine", call: Any) -> "_Known | None":
    """Return what is known of a method, if it was looked at before."""
    known: _Known | None = None
    if type(call) is FunctionType:
        return engine.kinds.get(call)
    if type(call) is MethodType and type(call.__func__) is FunctionType:
        known = engine.kinds.get(call.__func__)
        if known is not None and (
            known.of() is not type(call.__self__)
            or (known.unless and not known.unless.isdisjoint(call.__self__.__dict__))
        ):
            known = None
    return known


def _look_at(engine: "RequestEngine", call: Any) -> _Known:
    """Find out the kind of a call, and what handles such calls. For methods both are remembered.

    There are clients whose class is made with each of them, and their methods with it: botocore's.
    """
    kind = kind_of(call)
    if type(call) is FunctionType and _is_nobodys(call):
        known = engine.kinds[call] = _Known(lambda: None, kind, _as_it_is, False)
        return known
    if type(call) is not MethodType or type(call.__func__) is not FunctionType:
        return _Known(lambda: None, kind, None, False)
    owner = call.__self__
    handle = next((vendor.handling for vendor in VENDORS if _handles(vendor.handling, call)), None)
    # A session can be given other adapters.
    may_be_ordinary = "adapters" in (attribute(owner, "__dict__") or ())
    unless: frozenset[str] = frozenset()
    if handle is None and _is_nobodys_method(call, owned := frozenset(_names_of_vendors())):
        handle, unless = _as_it_is, owned
    known = engine.kinds[call.__func__] = _Known(
        weakref.ref(type(owner)), kind, handle, may_be_ordinary, unless
    )
    return known


def _names_of_vendors() -> Iterator[str]:
    for vendor in VENDORS:
        yield from vendor.owned


def _is_nobodys_method(call: Any, owned: "frozenset[str]") -> bool:
    """Return True for a method that no library handles, and of which only an attribute of the instance could change that."""
    try:
        cls, own = type(call.__self__), call.__self__.__dict__
        return (
            not hasattr(call.__func__, "__wrapped__")
            and has_usual_attributes(cls)
            and type(own) is dict
            and owned.isdisjoint(own)
            and not any(hasattr(cls, name) for name in owned)
        )
    except Exception:
        return False


def _is_nobodys(function: Any) -> bool:
    """Return True for a function, decorated perhaps, that no library's file has anything to say about."""
    try:
        return attribute(attribute(function, "__wrapped__"), "__self__") is None and not any(
            vendor.handling is not None and vendor.handling(function, None) is not None for vendor in VENDORS
        )
    except Exception:
        return False


def _as_it_is(call: Any, owner: Any) -> Handling:
    return AS_IT_IS


def _handles(handle: Any, call: Any) -> bool:
    try:
        return handle is not None and handle(call, call.__self__) is not None
    except Exception:
        return True  # it says so when it is asked again


def _with_headers(call: Any) -> Any:
    """Return a call whose answer's headers can be read."""
    with contextlib.suppress(Exception):  # somebody else's object, as above
        for vendor in VENDORS:
            if vendor.hears is not None:
                call = vendor.hears(call)
    return call


def _handling_of(engine: "RequestEngine", call: Any, handle: Any) -> Handling:
    """Return how a call is made so that there is one layer of retries."""
    owner = None
    try:
        if handle is not None:
            return handle(call, getattr(call, "__self__", None)) or AS_IT_IS
        if isinstance(call, partial):
            inner = _handling_of(engine, call.func, None)
            if inner is AS_IT_IS:
                return inner
            prepare = None if inner.prepare is None else partial(_prepared_partial, inner.prepare)
            return Handling(partial(inner.call, *call.args, **call.keywords), inner.retry, prepare)
        wrapped = attribute(call, "__wrapped__")  # an SDK's with_raw_response.create
        owner = attribute(call, "__self__") or attribute(wrapped, "__self__")
        for vendor in VENDORS:
            if vendor.handling is not None and (handling := vendor.handling(call, owner)) is not None:
                return handling
    except Exception as error:
        owner = attribute(call, "__self__") or owner
        name = type(call if owner is None else owner).__name__
        if name not in engine.warned:
            engine.warned.add(name)
            safe_log(
                engine.logger, logging.WARNING, "%s: the retries of %s could not be turned off (%s), so its requests are queued, "
                "and retried by it alone. Make it with max_retries=0.", engine.label, name, type(error).__name__,
            )  # fmt: skip
        return Handling(call, retry=False)
    return AS_IT_IS


def _prepared_partial(prepare: Any, call: Any, args: Any, kwargs: Any) -> Prepared:
    """Prepare a request of a partial, as one of the function inside it."""
    return prepare(call.func, (*call.args, *args), {**call.keywords, **kwargs})  # type: ignore[no-any-return]
