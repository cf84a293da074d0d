"""The entry: `self._queued(function)` gives what is here made of the function.

Its kind is known, its library's own retries are off; nothing is called yet.
"""

import logging
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any

from .async_calls import AsyncCall, run_async
from .call_kinds import COROUTINE, SYNC, is_known, is_ordinary, kind_of
from .calls import run_call, run_partial
from .probing import attribute, safe_log
from .vendor import VENDORS

if TYPE_CHECKING:
    from .engine import RequestEngine


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
            return partial(run_call, engine, call, retry)
    except Exception:  # the same function, of something else
        pass
    if is_ordinary(call, engine.ordinary, engine.without_retries):
        return partial(run_call, engine, call, retry)
    kind = _kind_of_call(engine, call)
    if retry and engine.settings["max_retries"] is not None and not is_known(call, engine.without_retries):
        call = _without_own_retries(call, engine)
    if kind is SYNC:
        return partial(run_partial if isinstance(call, partial) else run_call, engine, call, retry)
    return partial(run_async if kind is COROUTINE else AsyncCall, engine, call, retry)


def _kind_of_call(engine: "RequestEngine", call: Any) -> int:
    """Return the kind of a call; remembered for methods."""
    if type(call) is not MethodType:
        return kind_of(call)
    key = (call.__func__, type(call.__self__))
    if key not in engine.kinds:
        engine.kinds[key] = kind_of(call)
    return engine.kinds[key]


def _without_own_retries(call: Any, engine: "RequestEngine") -> Any:
    """Return `call` with the retries of its SDK or session turned off, so that there is one layer of them."""
    if isinstance(call, partial):
        return partial(_without_own_retries(call.func, engine), *call.args, **call.keywords)
    wrapped = attribute(call, "__wrapped__")  # an SDK's with_raw_response.create
    owner = attribute(call, "__self__") or attribute(wrapped, "__self__")
    try:
        for vendor in VENDORS:
            if vendor.once is not None and (changed := vendor.once(call, owner, engine)) is not None:
                return changed
    except Exception as error:
        name = type(call if owner is None else owner).__name__
        if name not in engine.warned:
            engine.warned.add(name)
            safe_log(
                engine.logger, logging.WARNING, "%s: the retries of %s could not be turned off (%s); a request may be sent more often than "
                "max_retries says. Make it with max_retries=0.", engine.label, name, type(error).__name__,
            )  # fmt: skip
    return call
