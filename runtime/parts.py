"""Does a part that was put into a client retry by itself: a transport, an adapter, a middleware, an interceptor?

Such a part cannot be told to send once. A loop around its sending is seen in its code, and what it is called counts too.
"""

import dis
import re
import weakref
from collections.abc import Iterable
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
