"""Tells which calls make requests through a function or a client class of the project, and what repeats a function.

The requests themselves are found, and wrapped if they can be, where they are made. A second wrap around the call would
multiply the attempts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..tables.request_shapes import SURE_SDK_CALL
from .follow import Follower
from .summary import Function

_DEEPEST = 3
"""Functions between a call and the request that it leads to."""
_MOST_CALLERS = 5
"""Functions between a loop that repeats and the request in it."""
_CALLS = ", which calls "


@dataclass(frozen=True)
class Request:
    """A request that a function of the project makes: the function's module, the function, and where.

    Attributes:
        by_shape: it may be one, by its shape alone; whether it is wrapped is decided where it is made.
        of_sdk: by its shape, it is one that an SDK makes.
    """

    module: str
    function: Function
    line: int
    by_shape: bool = False
    of_sdk: bool = False

    @property
    def can_hold_a_queue(self) -> bool:
        return self.function.kind in ("method", "class", "property")


def requests_of(follower: Follower, place: str, depth: int = 0) -> Iterator[Request]:
    """Yield the requests that a function makes itself, or through functions that it calls; the nearest first.

    Args:
        place: of the function: `@0/shop.http:Client.get`.
    """
    found = follower.function(place)
    if found is None:
        return
    module, function = found
    further: list[str] = []
    for call in function.calls:
        name = follower.follow(call.name, module)
        if call.name.startswith("$"):
            is_sure = SURE_SDK_CALL.search(call.name) is not None
            of_sdk = call.name.count(".") > 1 and not is_sure
            yield Request(module, function, call.line, by_shape=not is_sure, of_sdk=of_sdk)
        elif name.startswith("@"):
            further.append(name)
        elif (known := follower.catalogue.transport(name)) is not None and not known.refusal:
            yield Request(module, function, call.line)
    if depth < _DEEPEST:
        for name in further:
            if name != place:
                yield from requests_of(follower, name, depth + 1)


def leads_to_requests(follower: Follower, name: str) -> bool:
    """Return True for a client, for what gives one or derives from one, and for what makes requests itself."""
    found = follower.follow(name, "")
    if not found.startswith("@"):
        known = follower.catalogue
        is_client = found.endswith("()") and known.is_client(found[:-2])
        gives_requests = known.has_functions(found) or known.transport(found) is not None
        return is_client or gives_requests or known.is_known_class(found)
    module, _, path = found[1:].removesuffix("()").partition(":")
    function = follower.function(found)
    if function is not None:
        return leads_to_requests(follower, follower.step(found, "()")) or makes_requests(follower, found)
    if follower.client_base(module, path):
        return True
    for owner, cls in follower.lineage(module, path):
        values = (follower.follow(value, owner) for values in cls.attributes.values() for value in values)
        if any(value.endswith("()") and follower.catalogue.is_client(value[:-2]) for value in values):
            return True
        if any(makes_requests(follower, f"@{owner}:{cls.name}.{method}") for method in cls.methods):
            return True
    return False


def makes_requests(follower: Follower, place: str) -> bool:
    """Return True for a function that makes requests, itself or through others."""
    if place not in follower.requests:
        follower.requests[place] = next(requests_of(follower, place), None) is not None
    return follower.requests[place]


def goes_through(follower: Follower, place: str) -> str:
    """Return through what a call of a function makes a request, and whether that is wrapped; nothing if it makes none."""
    found = follower.function(place)
    request = next(requests_of(follower, place), None)
    if found is None or request is None:
        return ""
    where = f"{follower.view.shown(request.module)}:{request.line}"
    what = f"goes through {found[1].name}"
    if request.function.name != found[1].name:
        what += f" and {request.function.name}"
    if not request.can_hold_a_queue and not follower.functions and not request.of_sdk:
        kind = "static method" if request.function.kind == "static" else "module function"
        reason = "and has no `self` to hold a queue; --functions gives its module one"
        return f"{what}, a {kind}, which makes the request at {where} {reason}"
    if request.by_shape:
        return f"{what}, which makes the request at {where}; what is done about it is said there"
    if request.module in follower.view.planned:
        return f"{what}, wrapped at {where}"
    return f"{what}, which makes the request at {where}; that file is not among those given"


def methods_named(follower: Follower, method: str) -> list[str]:
    """Return the methods of the project's classes that have this name and make requests in that class, or a base of it."""
    if method in follower.named:
        return follower.named[method]
    found = follower.named[method] = []
    for place in follower.view.methods.get(method, ()):
        request = next(requests_of(follower, place), None)
        if request is None:
            continue
        module, _, path = place[1:].partition(":")
        lineage = {(owner, cls.name) for owner, cls in follower.lineage(module, path.rpartition(".")[0])}
        if (request.module, request.function.name.rpartition(".")[0]) in lineage:
            found.append(place)
    return found


def repeated(follower: Follower, place: str, seen: frozenset[str] = frozenset()) -> str:
    """Return what repeats a function when it fails: its decorator, or a call of it in the project; or nothing."""
    if place in seen or len(seen) > _MOST_CALLERS:
        return ""
    # Whatever it is asked through, what it comes back to is not retried. How far it looks makes a difference.
    key = (place, len(seen))
    if key not in follower.repeats:
        follower.repeats[key] = _search_callers(follower, place, seen)
    return follower.repeats[key]


def _search_callers(follower: Follower, place: str, seen: frozenset[str]) -> str:
    found = follower.function(place)
    if found is None:
        return ""
    own, function = place[1:].partition(":")[0], found[1]
    if by := _decorator_of(follower, found):
        return by
    told = ""
    others: list[str] = []
    for caller_module, caller, line, again in follower.view.callers.get(place, ()):
        where = "" if caller_module == own else f" of {follower.view.shown(caller_module)}"
        by = f"{again}{where}" if again else ""
        if not by and caller:
            by = repeated(follower, f"@{caller_module}:{caller}", seen | {place})
            repeater, calls, rest = by.partition(_CALLS)
            if " of " not in repeater:  # it is in the caller's file
                by = f"{repeater}{where}{calls}{rest}" if by else ""
        if not by and f"@{caller_module}:{caller}" != place:
            others.append(f"line {line}{where}")
        told = told or by
    return by_callers(told, function.name.rpartition(".")[2], others)


def _decorator_of(follower: Follower, found: tuple[str, Function]) -> str:
    """Return which decorator of the project repeats a function, and how; or nothing."""
    module, function = found
    for written in function.decorators:
        decorator = follower.function(follower.follow(written, module))
        if decorator is not None and decorator[1].repeats:
            name = decorator[1].name
            return f"@{name}, by {decorator[1].repeats} of {follower.view.shown(decorator[0])}"
    return ""


def by_decorator(follower: Follower, place: str) -> str:
    """Return which decorator of the project repeats a function that is given another one to run, or nothing."""
    found = follower.function(place)
    if found is None:
        return ""
    by = _decorator_of(follower, found)
    return f"{by}, as `{found[1].name}` runs it" if by else ""


def repeats_what_it_is_given(follower: Follower, place: str) -> str:
    """Return how a function of the project repeats a function that it is given, or nothing."""
    found = follower.function(place)
    if found is None or not found[1].repeats:
        return by_decorator(follower, place)
    module, function = found
    return f"{function.repeats} of {follower.view.shown(module)}, as `{function.name}` runs it"


def by_callers(retried: str, name: str, others: Sequence[str]) -> str:
    """Return what retries a function through its callers; nothing if none of them does.

    One caller that retries is enough: with a backoff inside, its attempts would multiply. The others are named, as their
    calls are then not retried by anything, which is what they were before.

    Args:
        retried: what retries one of its calls, or nothing.
        name: of the function.
        others: where it is called and not retried.
    """
    if not retried or _CALLS in retried:
        return retried
    told = f"{retried}{_CALLS}`{name}`"
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        told += f" (its call in {others[0]}{more} is not retried; `--existing wrap` would retry all)"
    return told
