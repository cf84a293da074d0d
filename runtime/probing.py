"""Reads other people's objects without being hurt by them, and logs without hurting a request.

Responses, clients and exceptions of any library come here, and their attributes may raise anything. What an attribute
means is not known here, but by `failures`, `streams` and the vendors.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

# Arguments that are not a body to rewind; results that are neither a failure nor a stream.
PLAIN_ARGUMENTS = frozenset({type(None), bool, int, float, str, bytes})
PLAIN_TYPES = PLAIN_ARGUMENTS | {list, tuple}
# Key of a dict that is an answer of a library -> the function that tells if it is a good one, and read. The vendors add theirs.
ANSWER_KEYS: dict[str, Callable[[Any], bool]] = {}
_STATUS_NAMES = ("status_code", "status", "code")
# What a stream of some kind has.
_STREAMING = frozenset(
    "__next__ __anext__ __enter__ __aenter__ close aclose connection response http_response".split()
)
# Names of attributes that make an object a stream, or a failure perhaps.
_TELLING = _STREAMING.union(_STATUS_NAMES, ("_content_consumed", "is_stream_consumed"))
_FRAMING = ("content-length", "transfer-encoding", "content-type")
CO_COROUTINE = 0x80


def attribute(thing: Any, name: str) -> Any:
    """Return an attribute of somebody else's object, or None; such attributes can raise anything."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def has_method(thing: Any, method: str) -> bool:
    return callable(attribute(thing, method))


def has_usual_attributes(cls: Any) -> bool:
    """Return True if the attributes of a class's instances are those of the class, and those in `__dict__`."""
    return cls.__getattribute__ is object.__getattribute__ and not hasattr(cls, "__getattr__")


def status_in(thing: Any) -> "int | None":
    """Return the HTTP status that an object carries: a real integer of three digits, so that a mock has none."""
    for name in _STATUS_NAMES:
        value = attribute(thing, name)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
            return int(value)
    return None


def header(headers: Any, name: str) -> Any:
    """Return a header by its lower-case name from any kind of mapping, or None; only text and numbers count."""
    get = attribute(headers, "get")
    if not callable(get):
        return None
    try:
        value = get(name)
        if value is None and isinstance(headers, Mapping):  # one that heeds case
            value = next((v for k, v in headers.items() if _text(k).lower() == name), None)
        if isinstance(value, list | tuple):
            value = ", ".join(map(_text, value))
    except Exception:
        return None
    if isinstance(value, bytes):
        value = _text(value)
    return value if isinstance(value, str | int | float) else None


def ends_within_headers(response: Any, content: Any, method: Any = None) -> bool:
    """Return True for an answer whose headers may have been cut, and taken for whole, as `http.client` does.

    It has no body, and nothing says how long it is, nor of what kind.

    Args:
        response: with `version`, `status` and `headers` as urllib3 and `http.client` have them.
        content: its body.
        method: of the request, if the response does not know it.
    """
    if not isinstance(content, bytes) or content:  # first, as a mock notes what else it is asked
        return False
    method = method or attribute(response, "_request_method") or attribute(response, "_method")
    headers, status = attribute(response, "headers"), attribute(response, "status")
    return (
        attribute(response, "version") == 11
        and status not in (None, 204, 205, 304)  # None: made up, by tests
        and method != "HEAD"
        and headers is not None
        and all(header(headers, name) is None for name in _FRAMING)
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def flags_of(function: Any) -> int:
    flags = attribute(attribute(function, "__code__"), "co_flags")
    return flags if isinstance(flags, int) else 0


def is_coroutine_function(function: Any) -> bool:
    return bool(flags_of(function) & CO_COROUTINE)


def is_settled(result: Any) -> bool:
    """Return True, quickly, for what is neither a failure nor a stream: plain data, a good response that was read."""
    cls = type(result)
    if cls in _SETTLED_TYPES:
        tells = _SETTLED_TYPES[cls]
        return tells is None or not tells(result)
    if cls is dict:
        for key, is_settled_answer in ANSWER_KEYS.items():
            if key in result:
                return is_settled_answer(result)
        return True
    try:
        status = result.status_code
        if type(status) is not int or status >= 400:
            return False
        read = getattr(result, "_content_consumed", None)  # as requests calls it, and as httpx does
        if read is True and result._content:  # without any, it may have been cut within its headers
            return True
        return read is None and getattr(result, "is_stream_consumed", None) is True
    except Exception:
        return False


def remember_settled(result: Any) -> None:
    """Remember the class of a result that was neither a failure nor a stream, if the same can be told of all its instances.

    Only classes that a module keeps, so that none is kept alive by this.
    """
    cls = type(result)
    with contextlib.suppress(Exception):  # of a metaclass
        if getattr(sys.modules.get(cls.__module__), cls.__name__, None) is not cls:
            return
        fields = cls.__dict__.get("__pydantic_fields__")
        if isinstance(fields, dict):
            if _STREAMING.isdisjoint(fields) and not any(hasattr(cls, name) for name in _STREAMING):
                _SETTLED_TYPES[cls] = _has_status
        elif has_usual_attributes(cls) and not any(hasattr(cls, name) for name in _TELLING):
            _SETTLED_TYPES[cls] = _tells_something if hasattr(result, "__dict__") else None


def _has_status(model: Any) -> bool:
    """Return True if a model has a number for a status, in its fields or in what came beside them."""
    for values in (model.__dict__, model.__pydantic_extra__ or {}):
        for name in _STATUS_NAMES:
            if type(values.get(name)) is int:
                return True
    return False


def _tells_something(thing: Any) -> bool:
    return not _TELLING.isdisjoint(thing.__dict__)


# Classes whose instances neither fail nor stream, unless this says so of one. They are added as they are met.
_SETTLED_TYPES: dict[type, Callable[[Any], bool] | None] = dict.fromkeys(PLAIN_TYPES)


def twin_of(thing: Any, **changes: Any) -> Any:
    twin = object.__new__(type(thing))
    twin.__dict__.update(vars(thing), **changes)
    return twin


def safe_log(logger: logging.Logger, level: int, message: str, *args: Any) -> None:
    """Log a line; a handler or filter that raises harms no request."""
    with contextlib.suppress(Exception):
        logger.log(level, message, *args)


def logger_of(owner: Any) -> logging.Logger:
    return logging.getLogger((owner if isinstance(owner, type) else type(owner)).__module__)
