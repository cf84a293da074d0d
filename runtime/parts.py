"""Does a part that was put into a client retry by itself: a transport, an adapter, a middleware, an interceptor?

Such a part cannot be told to send once. A loop around its sending is seen in its code, and what it is called counts too.
"""

import dis
import re
import weakref
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from .probing import attribute

# Their own parts send once, or say how often.
_LIBRARIES = frozenset(
    "httpx httpx2 httpcore httpcore2 requests urllib3 aiohttp grpc builtins abc typing".split()
)
_SAYS_RETRY = re.compile(r"retr(y|ies|ier)|backoff", re.IGNORECASE)
# By what a part sends on: the methods of what is below it, and how aiohttp's and gRPC's documentation call it.
_SENDING = frozenset(
    "send handle_request handle_async_request urlopen handler continuation call_next".split()
)
# Classes of the libraries that were met, and class or function of others -> what was found.
_of_libraries: set[type] = set()
_found: "weakref.WeakKeyDictionary[Any, bool]" = weakref.WeakKeyDictionary()


def is_of_library(part: Any) -> bool:
    """Return True, quickly, for a part of a library's own that was met before."""
    return type(part) in _of_libraries


def client_retries(client: Any) -> bool:
    """Return True for a client of httpx, or of its fork, one of whose transports retries by itself."""
    transport, mounts = attribute(client, "_transport"), attribute(client, "_mounts")
    if is_of_library(transport) and not mounts:
        return False
    return any_retries([transport, *mounts.values()] if isinstance(mounts, dict) else [transport])


def any_retries(parts: "Iterable[Any]", depth: int = 3) -> bool:
    """Return True if one of the parts, or what is inside one, retries by itself."""
    for part in parts:
        if part is None or type(part) in _of_libraries:
            continue
        kind = part if type(part) is FunctionType else type(part)
        if not _is_of_others(kind):
            if isinstance(kind, type):
                _of_libraries.add(kind)
            continue
        found = _found.get(kind)
        if found is None:
            found = _found[kind] = _retries(kind)
        if found:
            return True
        inside = attribute(part, "__dict__")
        if depth and isinstance(inside, dict) and any_retries(filter(_sends, inside.values()), depth - 1):
            return True
    return False


def _sends(thing: Any) -> bool:
    return any(
        callable(getattr(type(thing), name, None))
        for name in ("handle_request", "handle_async_request", "send")
    )


def _is_of_others(kind: Any) -> bool:
    return str(attribute(kind, "__module__")).partition(".")[0] not in _LIBRARIES


def _retries(kind: Any) -> bool:
    """Return True for a function, or a class, that is called so, or that sends in a loop."""
    classes = [cls for cls in attribute(kind, "__mro__") or (kind,) if _is_of_others(cls)]
    if any(_SAYS_RETRY.search(f"{cls.__module__}.{cls.__name__}") for cls in classes):
        return True
    functions = [thing for cls in classes if isinstance(cls, type) for thing in vars(cls).values()] or classes
    return any(_sends_in_a_loop(thing.__code__) for thing in functions if type(thing) is FunctionType)


def sends_again(hook: Any) -> bool:
    """Return True for a hook of the user's that sends a request again, but not for one that only does so after a login.

    It is called with a response, and what it returns takes that one's place. So it is its owner's retry of what failed.
    """
    function = attribute(hook, "__func__") or attribute(hook, "func") or hook
    if type(function) is not FunctionType:
        function = attribute(type(hook), "__call__")
    if type(function) is not FunctionType or not _is_of_others(function):
        return False
    found = _found.get(function)
    if found is None:
        codes = list(_codes_of(function, type(attribute(hook, "__self__") or hook)))
        statuses = {number for code in codes for number in _numbers_in(code.co_consts)}
        logs_in = bool(statuses & {401, 407}) and not statuses & {429, 500, 502, 503, 504}
        found = _found[function] = not logs_in and any(_calls_send(code) for code in codes)
    return found


def _codes_of(function: Any, cls: type) -> "Iterator[Any]":
    """Yield the code of a function, and of the methods of its class that it names."""
    yield function.__code__
    for name in function.__code__.co_names:
        method = vars(cls).get(name)
        if type(method) is FunctionType:
            yield method.__code__


def _numbers_in(constants: "Iterable[Any]") -> "Iterator[int]":
    for value in constants:
        if type(value) is int:
            yield value
        elif type(value) in (tuple, frozenset):
            yield from _numbers_in(value)


def _calls_send(code: Any) -> bool:
    """Return True for code that has to do with a method `send`, or calls `request`: that of a response is read."""
    return any(
        step.argval == "send"
        or (
            step.argval == "request"
            # As it is in Python 3.10 and 3.11, and as newer ones say that an attribute is called.
            and (step.opname == "LOAD_METHOD" or (step.opname == "LOAD_ATTR" and "self" in step.argrepr))
        )
        for step in dis.get_instructions(code)
        if step.opname.startswith("LOAD_")
    )


def _sends_in_a_loop(code: Any) -> bool:
    steps = list(dis.get_instructions(code))
    loops = [
        (step.argval, step.offset)
        for step in steps
        # The other one is how newer Pythons await.
        if "JUMP" in step.opname and "NO_INTERRUPT" not in step.opname and step.argval < step.offset
    ]
    names = {
        step.offset: step.argval if isinstance(step.argval, tuple) else (step.argval,)
        for step in steps
        if step.opname.startswith("LOAD_") and isinstance(step.argval, str | tuple)
    }
    sent = [offset for offset, loaded in names.items() if not _SENDING.isdisjoint(loaded)]
    return any(start <= offset < end for start, end in loops for offset in sent)
