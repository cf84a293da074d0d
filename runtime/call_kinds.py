"""Is a call synchronous, a coroutine function, or something else that is async?

And the quick looks that save the usual calls, which every request pays for, from everything that is slow.
"""

from collections import OrderedDict
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from .parts import any_retries
from .probing import CO_COROUTINE, attribute, flags_of, has_method, is_coroutine_function
from .vendor import VENDORS

SYNC, COROUTINE, ASYNC_GENERATOR, ASYNC_OTHER, WRAPPED_COROUTINE = range(5)
# Whose plain functions have retries of their own, or stand for async ones without saying so; the vendors add theirs.
RETRYING_MODULES: set[str] = set()
# What urllib3's `Retry` counts, and what follows from its counts.
_RETRY_COUNTS = frozenset("total connect read redirect status other history raise_on_redirect".split())
_CO_ASYNC_GENERATOR = 0x200
_ASYNC_FLAGS = CO_COROUTINE | _CO_ASYNC_GENERATOR


def is_ordinary(call: Any, ordinary: set[Any], without_retries: dict[Any, Any]) -> bool:
    """Return True, quickly, for the usual calls: synchronous, and with no retries of their own to be turned off.

    They are a plain function, and a method of a session of requests that is as it was made.

    Args:
        ordinary: the functions of the methods that were found to be so.
        without_retries: the adapters of the session that was looked at last, and found to be so.
    """
    method = type(call) is MethodType
    function = call.__func__ if method else call
    if type(function) is not FunctionType or function.__dict__ or function.__code__.co_flags & _ASYNC_FLAGS:
        return False
    if not method:
        return function.__module__ not in RETRYING_MODULES
    try:
        adapters = call.__self__.adapters
        if type(adapters) is not OrderedDict:
            return False
        if without_retries != adapters:
            # None is not 0: then its other counts say how often.
            retries = [adapter.max_retries for adapter in adapters.values()]
            if any(retry.total != 0 or is_retry_policy(retry) for retry in retries) or any_retries(
                adapters.values()
            ):
                return False
            without_retries.clear()
            without_retries.update(adapters)
        if len(ordinary) > 50:  # of classes that are made for each call
            ordinary.clear()
        ordinary.add(function)
    except Exception:
        return False
    return True


def is_retry_policy(retry: Any) -> bool:
    """Return True for urllib3's `Retry` if its owner has said more with it than how often.

    So are a class derived from it, and one with statuses, methods, a backoff or other options; not one with counts alone.
    """
    if not has_method(retry, "is_exhausted"):
        return False
    if type(retry).__name__ != "Retry" or not type(retry).__module__.endswith("urllib3.util.retry"):
        return True
    plain = vars(type(retry)(0))
    return any(value != plain.get(name) for name, value in vars(retry).items() if name not in _RETRY_COUNTS)


def kind_of(call: Any) -> int:
    """Tell a coroutine function and a function that gives something to be awaited or entered from an ordinary one."""
    function, depth = call.__func__ if type(call) is MethodType else call, 0
    while depth < 20 and (type(function) is not FunctionType or function.__dict__ or _poses(function)):
        inner = function.func if isinstance(function, partial) else attribute(function, "__wrapped__")
        if inner is None and _poses(function):
            inner = _inside(function)
        if inner is None:
            break
        function, depth = inner, depth + 1
    flags = flags_of(function) or flags_of(attribute(type(function), "__call__"))
    if flags & CO_COROUTINE:
        wrapper = depth and not isinstance(call, partial) and not is_coroutine_function(call)
        return WRAPPED_COROUTINE if wrapper else COROUTINE
    owner = type(attribute(call, "__self__"))
    if flags & _CO_ASYNC_GENERATOR:
        # What a decorator makes of one may be another thing: `contextlib.asynccontextmanager`.
        return ASYNC_OTHER if depth and not isinstance(call, partial) else ASYNC_GENERATOR
    if owner is type(None) and type(call) in (FunctionType, partial):  # no library's method
        return SYNC
    for vendor in VENDORS:
        if vendor.awaits is not None and vendor.awaits(call, owner):
            return ASYNC_OTHER
    return ASYNC_OTHER if owner.__name__.startswith("Async") else SYNC


def _poses(function: Any) -> bool:
    """Return True for a function that has been given the name of another, which it wraps: cohere's `chat_stream`."""
    return type(function) is FunctionType and function.__name__ != function.__code__.co_name


def _inside(function: Any) -> Any:
    """Return the function of the same name that a wrapper holds, or None."""
    cells = function.__closure__ or ()
    held = (attribute(cell, "cell_contents") for cell in cells)
    return next((thing for thing in held if attribute(thing, "__name__") == function.__name__), None)
