# Put here by add-queue-backoff; retrofit:runtime v2 7857c771f4
"""Request queue, exponential backoff and environment keys for API client classes.

A class that was given its blocks calls `self._queued(function)(...)` where it called `function(...)` before.
Everything behind that is in here, which needs nothing but the standard library (and reads `.env` files where
python-dotenv is installed).

The life of a request: it takes a slot (`Gate.enter`) or a ticket (`Gate.join`); each attempt runs while it holds
a slot; while it backs off it holds none and keeps its slot's number, hence its place in line. A request made from
within another runs under the other's slot.
"""

import _thread
import contextlib
import contextvars
import errno
import heapq
import importlib
import importlib.machinery
import importlib.util
import logging
import math
import operator
import os
import queue
import random
import re
import sys
import threading
import time
import uuid
import weakref
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial, wraps
from importlib import import_module
from inspect import unwrap
from queue import Empty
from threading import get_ident
from types import AsyncGeneratorType, CellType, FunctionType, MappingProxyType, MethodType
from typing import Any, ClassVar, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload
from urllib.parse import urlsplit, urlunsplit

# errors -----------------------------------------------------------------------------------------------------
# The exceptions that the queue itself raises.
#
# What an API or a client library raises passes through as it is; what it means is read in `failures`.


class QueueError(RuntimeError):
    """A request was not made, or not waited for, because of the queue; the API has no part in it."""


class RequestQueueFull(QueueError, ValueError):
    """As many requests wait already as `queue_size` allows."""


class RequestTimeout(QueueError, TimeoutError):
    """A request waited longer than `queue_timeout`, or took longer than `total_timeout`."""


class QueueClosed(QueueError):
    """The backend was closed while the request waited, or before it was made."""


class CircuitOpen(QueueError):
    """The last `circuit_breaker` attempts failed, so the API is left alone for a while."""


# clocks -----------------------------------------------------------------------------------------------------
# Clocks, and what a thread waits on, wherever the engine is imported and whatever was replaced around it.
#
# freezegun replaces the functions of `time` in every module, time-machine changes the wall clock for all of them, and gevent
# replaces threads, locks and queues, early or late or in part. A request has to wait in real time all the same, and a
# greenlet must not stop the others of its thread.


def _own_time() -> Any:
    """Return a `time` module of our own, whose functions nobody can find to replace them."""
    spec = importlib.machinery.BuiltinImporter.find_spec("time")
    if spec is None or spec.loader is None:  # not built in: an interpreter other than CPython
        return time
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _own_time()
monotonic: Callable[[], float] = _time.monotonic


def wall_clock() -> float:
    """Return the seconds since the epoch, also where a test travels in time."""
    machine = sys.modules.get(
        "time_machine"
    )  # it changes the function itself, and says how to get around that
    try:
        return machine.escape_hatch.time.time() if machine is not None else _time.time()  # type: ignore[no-any-return]
    except (AttributeError, ValueError):  # another version of it; nobody travels just now
        return _time.time()  # type: ignore[no-any-return]


def has_hub() -> bool:
    """Return True in a thread in which gevent switches between greenlets, patched or not."""
    local = sys.modules.get("gevent._hub_local")
    try:
        return local is not None and local.get_hub_if_exists() is not None
    except AttributeError:
        return False


def new_signal() -> Any:
    """Return a lock that is taken, for its maker to wait on until somebody releases it: in a greenlet one of gevent's."""
    signal = importlib.import_module("gevent.thread").allocate_lock() if has_hub() else threading.Lock()
    signal.acquire()
    return signal


def new_queue() -> Any:
    """Return a queue for threads that are started from now on; after gevent has patched, those are greenlets."""
    return queue.SimpleQueue()


# probing ----------------------------------------------------------------------------------------------------
# Reads other people's objects without being hurt by them, and logs without hurting a request.
#
# Responses, clients and exceptions of any library come here, and their attributes may raise anything. What an attribute
# means is not known here, but by `failures`, `streams` and the vendors.


# Arguments that are no body to be rewound; results that are neither a failure nor a stream.
PLAIN_ARGUMENTS = frozenset({type(None), bool, int, float, str, bytes})
PLAIN_TYPES = PLAIN_ARGUMENTS | {list, tuple}
# Key of a dict that is an answer of a library -> the function that tells if it is a good one, and read. The vendors add theirs.
ANSWER_KEYS: dict[str, Callable[[Any], bool]] = {}
# What neither fails nor streams. Models of SDKs are added: classes of pydantic's in a module, which are there for good.
_SETTLED_TYPES: set[type] = {*PLAIN_TYPES}
_STATUS_NAMES = ("status_code", "status", "code")
# What a stream of some kind has.
_STREAMING = frozenset(
    "__next__ __anext__ __enter__ __aenter__ close aclose connection response http_response".split()
)
CO_COROUTINE = 0x80


def attribute(thing: Any, name: str) -> Any:
    """Return an attribute of somebody else's object, or None; such attributes can raise anything."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def has_method(thing: Any, method: str) -> bool:
    return callable(attribute(thing, method))


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


def has_no_framing(headers: Any) -> bool:
    """Return True if headers do not say how long a body is, nor of what kind: they may have been cut."""
    names = ("content-length", "transfer-encoding", "content-type")
    return headers is not None and all(header(headers, name) is None for name in names)


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
        return cls in PLAIN_TYPES or not _has_status(result)
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
        if read is True:
            return bool(result._content)  # else it may have been cut within its headers
        return read is None and getattr(result, "is_stream_consumed", None) is True
    except Exception:
        return False


def remember_settled(result: Any) -> None:
    """Remember the class of a result that was neither a failure nor a stream, if that holds for all of its instances."""
    cls = type(result)
    fields = cls.__dict__.get("__pydantic_fields__")
    if not isinstance(fields, dict) or not _STREAMING.isdisjoint(fields):
        return
    stays = getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
    if stays and not any(hasattr(cls, name) for name in _STREAMING):
        _SETTLED_TYPES.add(cls)


def _has_status(model: Any) -> bool:
    """Return True if a model has a number for a status, in its fields or in what came beside them."""
    for values in (model.__dict__, model.__pydantic_extra__ or {}):
        for name in _STATUS_NAMES:
            if type(values.get(name)) is int:
                return True
    return False


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


# options ----------------------------------------------------------------------------------------------------
# The table of the settings: one row for each, from which the blocks, their documentation and their tests are made.
#
# It imports nothing of the runtime, so that the codemod can read it by itself. How a class holds its settings is in
# `settings`.


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError


def _count(value: Any) -> int:
    if isinstance(value, bool) or (number := operator.index(value)) < 0:
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    if isinstance(value, bool | str) or not 0 <= value < math.inf:
        raise ValueError
    return value if isinstance(value, int | float) else float(value)  # a Decimal cannot be added to a time


def _seconds_or_none(value: Any) -> "float | None":
    return None if value is None else _seconds(value)


def _factor(value: Any) -> float:
    if _seconds(value) == 0:
        raise ValueError
    return value  # type: ignore[no-any-return]


def _count_or_none(value: Any) -> "int | None":
    if value is not None and _count(value) == 0:
        raise ValueError
    return value  # type: ignore[no-any-return]


def _function_or_none(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError
    return value


def _positive(value: Any) -> float:
    if isinstance(value, bool | str) or not 0 < value < math.inf:
        raise ValueError
    return value  # type: ignore[no-any-return]


class QueueURL(str):
    """The URL of a server that holds a shared queue. Its password is in no `repr` and in no pickle."""

    __slots__ = ()

    def without_password(self) -> str:
        """Return the URL without user, password and options."""
        parts = urlsplit(str(self))
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def __repr__(self) -> str:
        return repr(self.without_password())

    def __reduce__(self) -> Any:
        return QueueURL, (self.without_password(),)


def _queue(value: Any) -> Any:
    if value is None or value in ("", "machine"):
        return value
    if not isinstance(value, str):
        raise TypeError
    parts = urlsplit(value)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.scheme == "unix"):
        raise ValueError
    try:
        import redis
    except ImportError:
        raise ImportError("a shared queue on Redis needs redis-py: pip install 'redis>=4.5'") from None
    redis.ConnectionPool.from_url(value)  # raises ValueError where it makes no sense
    return QueueURL(value)


def _name(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise TypeError


def _name_or_none(value: Any) -> "str | None":
    return None if value is None else _name(value)


def _fallback(value: Any) -> Any:
    if value in ("share", "wait", "local"):
        return value
    raise ValueError


def _count_or_unbounded(value: Any) -> "int | None":
    return None if value is None else _count(value)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise ValueError

    return check


class Option(NamedTuple):
    """A setting.

    Attributes:
        check: returns the value, or raises TypeError or ValueError where it makes no sense.
        allowed: what makes sense, in words.
        neutral: the value where the class has no such block; of `max_retries` None, as it has no backoff then.
        block: the block that has it.
        default: the value that the block gives it.
        about: what it is, in a line.
        secret: its value may hold a password, and is not shown.
    """

    name: str
    check: Callable[[Any], Any]
    allowed: str
    neutral: Any
    block: str
    default: Any
    about: str
    secret: bool = False


_COUNT, _SECONDS = (_count, "a whole number, 0 or more"), (_seconds, "seconds, 0 or more")
_MAYBE_SECONDS = (_seconds_or_none, "seconds, 0 or more, or None")
_MAYBE_COUNT = (_count_or_none, "a whole number, 1 or more, or None")
_MAYBE_FUNCTION = (_function_or_none, "a function, or None")
_FLAG, _FACTOR = (_flag, "True or False"), (_factor, "a number above 0")
_ABOVE_0 = (_positive, "seconds, above 0")
_ON_FULL = _one_of("raise", "wait"), '"raise" or "wait"'
_THREAD = _one_of("caller", "background"), '"caller" or "background"'
_FRACTION = (_seconds, "a fraction, 0 or more")

# name, check and what is allowed, neutral, block, default, about
OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("queue_enabled", *_FLAG, False, "queue", True, "limit how many requests run at once"),
        Option("max_concurrent_requests", *_COUNT, 5, "queue", 5, "how many requests run at once"),
        Option(
            "queue_size",
            _count_or_unbounded,
            "a whole number, 0 or more, or None",
            100,
            "queue",
            100,
            "how many requests may wait; another one is refused; None: no bound",
        ),
        Option(
            "queue_full", *_ON_FULL, "raise", "queue", "raise", "what a request does when the queue is full"
        ),
        Option(
            "queue_execution", *_THREAD, "caller", "queue", "caller", "whose thread runs what had to wait"
        ),
        Option("queue_timeout", *_MAYBE_SECONDS, None, "queue", None, "longest wait for a slot, in seconds"),
        Option(
            "total_timeout",
            *_MAYBE_SECONDS,
            None,
            "queue",
            None,
            "longest time for a request with its retries, in seconds",
        ),
        Option(
            "reuse_connections",
            *_FLAG,
            False,
            "queue",
            False,
            "let `requests.get` and similar functions reuse connections",
        ),
        Option("max_retries", *_COUNT, None, "backoff", 5, "how often a failed request is retried"),
        Option("initial_retry_delay", *_SECONDS, 1, "backoff", 1, "the first backoff, in seconds"),
        Option("backoff_factor", *_FACTOR, 2, "backoff", 2, "each backoff is the previous one times this"),
        Option("max_retry_delay", *_SECONDS, 60, "backoff", 60, "longest backoff, in seconds"),
        Option(
            "max_retry_after",
            *_SECONDS,
            120,
            "backoff",
            120,
            "longest wait that a server may ask for, in seconds",
        ),
        Option(
            "retry_jitter",
            *_FRACTION,
            0.1,
            "backoff",
            0.1,
            "random part of a backoff while others back off too",
        ),
        Option(
            "retry_budget",
            *_MAYBE_COUNT,
            None,
            "backoff",
            None,
            "how many retries until successes refill the budget",
        ),
        Option(
            "circuit_breaker",
            *_MAYBE_COUNT,
            None,
            "backoff",
            None,
            "how many failures in a row stop all requests for a while",
        ),
        Option(
            "retry_if",
            *_MAYBE_FUNCTION,
            None,
            "backoff",
            None,
            "(result, exception) -> True, False, seconds, or None for the usual judgement",
        ),
        Option(
            "shared_queue",
            _queue,
            '"machine", or a redis://, rediss:// or unix:// URL',
            "",
            "sharing",
            None,
            "where the processes of an account share one limit",
            secret=True,
        ),
        Option(
            "shared_account",
            _name_or_none,
            "a name, or None",
            None,
            "sharing",
            None,
            "name of the account that has the limit; None for the API's host and key",
        ),
        Option(
            "shared_lease", *_ABOVE_0, 15, "sharing", 15, "silence after which a process is dead, in seconds"
        ),
        Option(
            "shared_timeout", *_ABOVE_0, 1, "sharing", 1, "longest wait for the queue's server, in seconds"
        ),
        Option(
            "shared_fallback",
            _fallback,
            '"share", "wait" or "local"',
            "share",
            "sharing",
            "share",
            "what runs while that server is away: a share of the limit, nothing, or all of it",
        ),
        Option(
            "shared_fairness",
            _name,
            '"fifo", "process", or the name of a tenant',
            "fifo",
            "sharing",
            "fifo",
            "who takes turns: nobody, processes, or tenants",
        ),
    )
}


def queue_server(settings: Mapping[str, Any]) -> str:
    """Return where a limit is shared: the setting, else what `REQUEST_QUEUE_URL` says; "" for nowhere."""
    if settings["shared_queue"] is not None:
        return str(settings["shared_queue"])
    try:
        return str(_queue(os.environ.get("REQUEST_QUEUE_URL", "")))
    except (TypeError, ValueError):
        allowed = OPTIONS["shared_queue"].allowed
        raise ValueError(f"REQUEST_QUEUE_URL must be {allowed}") from None


# vendor -----------------------------------------------------------------------------------------------------
# What one library may say for itself: a row of `VENDORS`, made by its file in `vendors/`.
#
# The rows are asked on slow paths only: of an attempt that failed, of a result that may be a stream, of a call that is seen
# for the first time. The quick looks before them read three sets, to which the same files add: `RETRYING_MODULES` in
# `call_kinds`, `ANSWER_KEYS` in `probing`, `RAISED_WITHOUT_CAUSE` in `failures`.
# Whatever holds for many libraries stands where it is used, and not here.


class Handling(NamedTuple):
    """How a call is to be made, so that one layer retries each of its requests.

    Attributes:
        call: what is called: the same call without the library's own retries, or as it was.
        retry: False: it is queued only. The library retries, or its owner has said how, or it makes several requests.
        prepare: (call, args, kwargs) -> Prepared, asked for each request where its arguments decide, or where they are
            to be completed before the first attempt.
    """

    call: Any
    retry: bool = True
    prepare: "Callable[[Any, tuple[Any, ...], dict[str, Any]], Prepared] | None" = None


class Prepared(NamedTuple):
    """One request, as its arguments want it to be made."""

    call: Any
    args: Any
    kwargs: Any
    retry: bool = True


class Vendor(NamedTuple):
    """What is known of one library. All but the name may be missing.

    Attributes:
        name: of the library.
        failure: called with an exception and the name of the one that was raised, or with a dict that was returned and
            ""; returns what it says, or None.
        is_stream: called with a result; returns True if it is this library's, and still to be read.
        hold: called with such a result and the slot; returns True if it keeps the slot from now on.
        handling: called with a call and the object whose method it is (or None); returns how it is made, or None.
        repeatable: called with a call, the object whose method it is (or None), args and kwargs; returns True if it may be
            made again though it may have been done, or None where this library does not tell.
        is_cut: called with a good response that was read; returns True if its connection ended within its headers.
        was_kept: called with the variables of a frame in which a connection ended; returns True if it had answered before.
        awaits: called with a call and the class of the object whose method it is; returns True if the call gives
            something to be awaited or entered, though it is no coroutine function.
    """

    name: str
    failure: "Callable[[Any, str], Failure | None] | None" = None
    is_stream: "Callable[[Any], bool] | None" = None
    hold: "Callable[[Any, Slot], bool] | None" = None
    handling: "Callable[[Any, Any], Handling | None] | None" = None
    repeatable: "Callable[[Any, Any, Any, Any], bool | None] | None" = None
    is_cut: "Callable[[Any], bool] | None" = None
    was_kept: "Callable[[Mapping[str, Any]], bool] | None" = None
    awaits: "Callable[[Any, type], bool] | None" = None


VENDORS: list[Vendor] = []


# server_delay -----------------------------------------------------------------------------------------------
# How long a server asks its clients to wait, read from the headers and the body of a failed answer (B4).
#
# Every function here is total: whatever a server, a gateway or a test's mock puts there, it gives seconds or None.


_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
# "6m0s", "1h2m3.5s", "12ms": Go's durations, as OpenAI, Groq and Azure write them.
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|[dhms]))+")
_PART_OF_DURATION = re.compile(rf"({_NUMBER})(ms|[dhms])")
_SECONDS_IN = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# "Please try again in 6m0s.", "Please retry after 26 seconds.", "Too Many Requests: retry after 2"
_WAIT_IN_MESSAGE = re.compile(
    rf"(?:try again|retry) (?:in|after) (?:({_NUMBER}) ?(milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|weeks?)?(?!\w|\.[0-9])"
    rf"|((?:{_NUMBER}(?:ms|[dhms]))+)(?!\w))",
    re.IGNORECASE,
)
_LONGEST_MESSAGE = 2000  # characters that are searched
# What is counted: OpenAI, Groq, Azure have the first two, Anthropic the first four, Cerebras the others.
_COUNTED = (
    "requests", "tokens", "input-tokens", "output-tokens",
    "requests-minute", "tokens-minute", "requests-day", "tokens-day",
)  # fmt: skip


def backoff_delay(retry: int, initial: float, factor: float, longest: float) -> float:
    """Return the seconds before the n-th retry: min(initial * factor ** (n - 1), longest)."""
    try:
        return min(initial * factor ** (retry - 1), longest)
    except OverflowError:
        return longest


def requested_delay(headers: Any, body: Any = None) -> "tuple[float, str] | None":
    """Return how long the server asked us to wait, in seconds, and where it said so; None if it did not.

    The first that is there, in this order:

    1. `retry-after-ms`, `x-ms-retry-after-ms` (Azure), `grpc-retry-pushback-ms` (gRPC A6);
    2. `Retry-After` (RFC 9110 section 10.2.3);
    3. Google's RetryInfo in the body (google/rpc/error_details.proto);
    4. the IETF's `RateLimit`, `RateLimit-Reset` (draft-ietf-httpapi-ratelimit-headers) where nothing remains;
    5. the vendors' reset headers, of what has nothing remaining: `x-ratelimit-reset-requests` and the like (OpenAI,
       Groq, Azure), `anthropic-ratelimit-requests-reset` and the like, `x-ratelimit-reset` (GitHub);
    6. `retry_after` in a JSON body (Telegram, Discord), else "try again in 20s" in an error's message.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms"):
        milliseconds = parse_retry_after(header(headers, name))
        if milliseconds:
            return milliseconds / 1000, name
    date = header(headers, "date")
    seconds = parse_retry_after(header(headers, "retry-after"), date)
    if seconds:
        return seconds, "Retry-After"
    seconds = _google_retry_info(body)
    if seconds:
        return seconds, "RetryInfo"
    return _reset_of_ietf(headers, date) or _reset_of_vendor(headers, date) or _wait_in_body(body)


def parse_retry_after(value: Any, date: Any = None) -> "float | None":
    """Return the seconds that a `Retry-After` asks for, or None for garbage.

    Args:
        value: the header: seconds, or any of the three forms of an HTTP-date (RFC 9110 section 10.2.3).
        date: the response's `Date`, which takes the place of our clock in reading an HTTP-date.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e9 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return float(text)
    until = _http_date(text)
    return None if until is None else _seconds_until(until.timestamp(), date)


def _seconds_until(moment: float, date: Any) -> float:
    """Return the seconds until a time since the epoch, by the server's clock if it gave its `Date`, else by ours."""
    now = _http_date(date) if isinstance(date, str) else None
    return max(0.0, moment - (wall_clock() if now is None else now.timestamp()))


def _http_date(text: str) -> "datetime | None":
    if len(text) > 64 or not re.match(r"[A-Za-z]{3,9},? ", text):
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (
            moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
        )
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _is_used_up(headers: Any, name: str) -> bool:
    remaining = header(headers, name)
    return remaining == 0 or (isinstance(remaining, str) and remaining.strip() in ("0", "0.0"))


def _google_retry_info(body: Any) -> "float | None":
    error = error_in(body)
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return parse_retry_after(delay[:-1])
    return None


def error_in(body: Any) -> Any:
    """Return what describes the error in a decoded body: `{"error": ...}`, a list with one, or the body itself."""
    if isinstance(body, list) and body:
        body = body[0]
    # OpenAI's SDK takes the wrapping off.
    return body.get("error", body) if isinstance(body, dict) else None


def _reset_of_ietf(headers: Any, date: Any) -> "tuple[float, str] | None":
    """Read `RateLimit`: of the policy that takes longest, or, as up to version 7 of the draft, of the only one."""
    limit = header(headers, "ratelimit")
    if isinstance(limit, str):
        limit = re.sub(r'"[^"]*"', "", limit)
        policies = (limit,) if "remaining=" in limit else limit.split(",")
        exhausted = [policy for policy in policies if re.search(r"\b(r|remaining)=0\b", policy)]
        resets = [re.search(r"\b(?:t|reset)=([0-9]{1,9})\b", policy) for policy in exhausted]
        seconds = max((float(reset[1]) for reset in resets if reset), default=0.0)
        if seconds:
            return seconds, "RateLimit"
    if _is_used_up(headers, "ratelimit-remaining"):
        seconds = _reset_time(header(headers, "ratelimit-reset"), date) or 0.0
        if seconds:
            return seconds, "RateLimit-Reset"
    return None


def _reset_of_vendor(headers: Any, date: Any) -> "tuple[float, str] | None":
    """Read the reset times of all that is used up; the last one counts, as any of them refuses the next request."""
    names = [(f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}") for what in _COUNTED]
    names += [
        (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset")
        for what in _COUNTED[:4]
    ]
    names.append(("x-ratelimit-remaining", "x-ratelimit-reset"))
    resets = [
        (seconds, reset)
        for remaining, reset in names
        if _is_used_up(headers, remaining) and (seconds := _reset_time(header(headers, reset), date))
    ]
    return max(resets, default=None)


def _reset_time(value: Any, date: Any) -> "float | None":
    """Return the seconds until a reset: `1m12s`, seconds, seconds or milliseconds since the epoch, or an RFC 3339 time."""
    if isinstance(value, str):
        value = value.strip()
        if _DURATION.fullmatch(value):
            return _duration(value)
        if re.fullmatch(r"[0-9]{10,13}(\.[0-9]{1,9})?", value, re.ASCII):
            value = float(value)
        elif (moment := _rfc_3339(value)) is not None:
            return _seconds_until(moment, date)
    if isinstance(value, int | float) and not isinstance(value, bool) and 1e9 <= value < 1e13:
        return _seconds_until(value / 1000 if value >= 1e11 else value, date)
    return parse_retry_after(value, date)


def _duration(text: str) -> float:
    return sum(float(number) * _SECONDS_IN[unit] for number, unit in _PART_OF_DURATION.findall(text))


def _rfc_3339(text: str) -> "float | None":
    """Return an RFC 3339 time in seconds since the epoch, or None."""
    if len(text) > 40 or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}", text):
        return None
    # Python 3.10 reads neither a "Z" nor more or fewer than three or six digits of a second.
    whole = re.sub(r"\.[0-9]+", "", text)
    try:
        moment = datetime.fromisoformat(whole.upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    fraction = re.search(r"\.[0-9]{1,9}", text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp() + (float(fraction[0]) if fraction else 0.0)


def _wait_in_body(body: Any) -> "tuple[float, str] | None":
    """Return the wait that a JSON body asks for, in a field or in words."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return None
    for part in (body, body.get("parameters"), body.get("error"), body.get("detail")):
        value = part.get("retry_after") if isinstance(part, dict) else None
        if not isinstance(value, bool | str) and (seconds := parse_retry_after(value)):
            return seconds, "retry_after in the body"
    for message in messages_in(body):
        if (match := _WAIT_IN_MESSAGE.search(message)) is not None:
            number, unit, duration = match.groups()
            if duration:
                seconds = _duration(duration.lower())
            else:
                unit = (unit or "s").lower()
                seconds = float(number) * _SECONDS_IN["ms" if unit.startswith("mil") else unit[0]]
            if seconds:
                return seconds, "the error's message"
    return None


def messages_in(body: Any) -> Iterator[str]:
    """Yield the sentences with which a decoded body explains an error, shortened."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return
    for part in (body.get("error"), body.get("detail"), body):
        words = (
            (part.get("message"), part.get("description"), part.get("Message"))
            if isinstance(part, dict)
            else (part,)
        )
        yield from (word[:_LONGEST_MESSAGE] for word in words if isinstance(word, str))


# failures ---------------------------------------------------------------------------------------------------
# What went wrong in an attempt: a status, a lost connection, an error of a library.
#
# Read from what a call returned or raised, and only read: whether there is another attempt, `retry_policy` decides. What
# only one library does is in its file in `vendors/`.


# RFC 9110 section 15.5 and 15.6, RFC 6585, Cloudflare 520-524, Anthropic 529, Groq 498.
RETRIED_STATUSES = frozenset({408, 425, 429, 498, 500, 502, 503, 504, *range(520, 525), 529})
# Such an answer comes from a server, or a gateway before it, that may have done what was asked.
LOST_ANSWERS = frozenset({500, 502, 504, *range(520, 525)})
# A 403 only where it stands for a limit: see `_is_limit`.
HOLDING_STATUSES = frozenset({403, 429, 503, 529})
# Final though it comes as a 429: the account has no money (OpenAI, Moonshot, Zhipu's 1113, gateways), ...
_NO_MONEY = re.compile(
    r"insufficient[ _](account[ _])?(quota|balance|credits?|funds)|billing_\w+|credits?_(balance_)?(exhausted|depleted)"
    r"|out_of_credits?|exceeded_current_quota\w*|payment_required|spend(ing)?_limit_\w+|1113",
    re.ASCII | re.IGNORECASE,
)
# ... the request can never pass (OpenAI, Groq), or it says so in words only.
_FINAL_WORDS = re.compile(
    r"request too large|insufficient (account )?(balance|credits?|funds)|credit balance is too low"
    r"|\b(out of|used all (your |of your |the )?(available )?|no (more |remaining )?)credits|\bspend(ing)? limit",
    re.IGNORECASE,
)
# A quota of a day or a month; where a shorter one is named too, it may be that one which is used up.
_LONG_QUOTA = re.compile(r"(\bper |\ba |/ ?)(day|month)\b|\b(daily|monthly)\b|\b[RT]PD\b", re.IGNORECASE)
_SHORT_QUOTA = re.compile(r"(\bper |\ba |/ ?)(second|minute|hour)\b|\b[RT]PM\b", re.IGNORECASE)
# Exceptions are known by their names, in any library: requests, urllib3, httpx, aiohttp, botocore, the SDKs.
_NEVER_SENT_NAMES = """
    ClientConnectorError ConnectError ConnectTimeout ConnectTimeoutError ConnectionRefusedError
    EndpointConnectionError NameResolutionError NewConnectionError PoolTimeout gaierror
"""
_NEVER_SENT = frozenset(_NEVER_SENT_NAMES.split())
_LOST_NAMES = """
    APIConnectionError APITimeoutError BadStatusLine ChunkedEncodingError ClientConnectionError
    ClientOSError ClientPayloadError ConnectionClosedError ConnectionError HTTPClientError
    IncompleteRead IncompleteReadError NetworkError ProtocolError ProxyError ReadTimeout ReadTimeoutError RemoteProtocolError
    ResponseStreamingError ServerTimeoutError Timeout TimeoutError TimeoutException
"""
_LOST = _NEVER_SENT | frozenset(_LOST_NAMES.split())
_HOPELESS = frozenset(
    {
        "CertificateError",
        "SSLCertVerificationError",
        "LocalProtocolError",
        "UnsupportedProtocol",
        "QueueError",
    }
)
# Exceptions that are raised while what caused them is handled, without saying `from`; the vendors add theirs.
RAISED_WITHOUT_CAUSE: set[str] = set()
# What says that a connection has ended, and what says that it had begun to answer.
_ENDED_NAMES = """
    BrokenPipeError ConnectionAbortedError ConnectionResetError ReadError RemoteDisconnected RemoteProtocolError
    ServerDisconnectedError ClientOSError WriteError
"""
_ENDED = frozenset(_ENDED_NAMES.split())
_ANSWERED_NAMES = """
    ChunkedEncodingError ClientPayloadError IncompleteRead IncompleteReadError ResponseStreamingError
"""
_ANSWERED = frozenset(_ANSWERED_NAMES.split())
_UNREACHABLE = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH})


class Failure(NamedTuple):
    """Why an attempt failed, read from what it returned or raised."""

    why: str
    retry: bool
    status: "int | None" = None
    headers: Any = None
    body: Any = None
    never_sent: bool = False
    delay: "float | None" = None  # before the next attempt, where `retry_if` gives it
    by_owner: bool = False  # `retry_if` says that it is to be retried


def failure_in_result(result: Any) -> "Failure | None":
    """Return the failure that a returned object stands for, or None.

    A response is never truth-tested: a 429 of requests is false.
    """
    if type(result) in PLAIN_TYPES:
        return None
    if type(result) is dict:
        return _failure_by_vendor(result, "")
    status = status_in(result)
    if status is None:
        return None
    if status < 400:
        is_cut = any(vendor.is_cut is not None and vendor.is_cut(result) for vendor in VENDORS)
        return Failure("an answer that ends within its headers", True) if is_cut else None
    return failure_by_status(status, attribute(result, "headers"), _body_of(result, status))


def failure_by_status(status: int, headers: Any, body: Any, name: str = "") -> Failure:
    asked = header(headers, "x-should-retry")
    if asked in ("true", "false"):
        retry = asked == "true"
    else:
        limited = status in RETRIED_STATUSES or (status == 403 and _is_limit(headers, body))
        retry = limited and not (status in (403, 429, 503) and is_final(headers, body))
    return Failure(f"{name} (HTTP {status})" if name else f"HTTP {status}", retry, status, headers, body)


def failure_in_exception(error: BaseException) -> Failure:
    """Return what an exception says, following `__cause__` and what client libraries put inside one another."""
    name = type(error).__name__
    if not isinstance(error, Exception) or issubclass(type(error), QueueError):
        return Failure(name, False)
    names: set[str] = set()
    for link in _chain(error):
        response = attribute(link, "response")
        for thing in (link, response):
            status = status_in(thing) if thing is not None else None
            if status is not None and status >= 400:
                headers = attribute(thing, "headers")
                if headers is None:
                    headers = attribute(response if response is not None else _handled(link), "headers")
                body = attribute(link, "body")
                if not isinstance(body, Mapping | list):
                    body = _body_of(response if response is not None else thing, status)
                if body is None and isinstance(details := attribute(link, "details"), dict):  # google.genai
                    body = details
                return failure_by_status(status, headers, body, name)
        if (failure := _failure_by_vendor(link, name)) is not None:
            return failure
        names.update(cls.__name__ for cls in type(link).__mro__)
        number = attribute(link, "errno") if issubclass(type(link), OSError) else None
        if isinstance(number, int) and number in _UNREACHABLE:  # urllib's has no class of its own
            names.add("NetworkError")
    retry = not names.isdisjoint(_LOST) and names.isdisjoint(_HOPELESS)
    return Failure(name, retry, never_sent=not names.isdisjoint(_NEVER_SENT))


def is_unanswered(error: BaseException) -> bool:
    """Return True if a connection that had answered before ended before the first byte of this answer."""
    links = list(_chain(error, with_context=True))
    names = {type(link).__name__ for link in links}
    if names.isdisjoint(_ENDED) or not names.isdisjoint(_ANSWERED):
        return False
    asked = [vendor.was_kept for vendor in VENDORS if vendor.was_kept is not None]
    for link in links:
        trace = link.__traceback__
        while trace is not None:
            names_there = trace.tb_frame.f_locals
            if any(was_kept(names_there) for was_kept in asked):
                return True
            trace = trace.tb_next
    return False


def _failure_by_vendor(thing: Any, name: str) -> "Failure | None":
    for vendor in VENDORS:
        if vendor.failure is not None and (failure := vendor.failure(thing, name)) is not None:
            return failure
    return None


def _handled(error: BaseException) -> Any:
    """Return the response of the error in whose handling another was raised (`from None`), as ollama's is."""
    return attribute(attribute(error, "__context__"), "response")


def _chain(error: BaseException, with_context: bool = False) -> Iterator[BaseException]:
    """Yield an exception, then those that caused it or that it wraps (urllib3: `reason`; requests: `args[0]`).

    Args:
        with_context: and those in whose handling they were raised.
    """
    seen: list[BaseException] = []
    todo: list[Any] = [error]
    while todo and len(seen) < 20:
        link = todo.pop(0)
        if isinstance(link, BaseException) and not any(link is other for other in seen):
            seen.append(link)
            yield link
            todo += [
                attribute(link, "__cause__"),
                attribute(link, "reason"),
                *(args[:2] if type(args := attribute(link, "args")) is tuple else ()),
            ]
            if with_context or type(link).__name__ in RAISED_WITHOUT_CAUSE:
                todo.append(attribute(link, "__context__"))


def _body_of(response: Any, status: int) -> Any:
    """Return the decoded JSON body of an error response that has been read, or None.

    Only what may stand for a limit is looked into. A body of requests that is still to come is read; it is kept for the caller.
    """
    if status not in HOLDING_STATUSES or response is None:
        return None
    decode = attribute(response, "json")
    if not callable(decode) or is_coroutine_function(decode):
        return None
    try:
        body = decode()
    except Exception:
        return None
    return body if isinstance(body, dict | list) else None


def _is_limit(headers: Any, body: Any) -> bool:
    """Return True if a 403 stands for a rate limit, as GitHub's do (docs.github.com, "Rate limits for the REST API")."""
    if header(headers, "retry-after") is not None or header(headers, "x-ratelimit-remaining") in ("0", 0):
        return True
    return any("secondary rate limit" in message for message in messages_in(body))


def is_final(headers: Any, body: Any) -> bool:
    """Return True if no waiting helps a request that was refused for a limit (B15).

    That is: the account's balance is used up, a quota of a day or a month is (Google's QuotaFailure, or words without
    a time to wait), or the request is larger than the limit.
    """
    words: list[Any] = []
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return False
    for part in (first, first.get("error"), first.get("detail")):  # gateways say it in any of these
        words += (part.get("code"), part.get("type")) if isinstance(part, dict) else (part,)
    if any(isinstance(word, str) and _NO_MONEY.fullmatch(word) for word in words) or _is_daily(body):
        return True
    for message in messages_in(body):
        if _FINAL_WORDS.search(message):
            return True
        if _LONG_QUOTA.search(message) and not _SHORT_QUOTA.search(message):
            return requested_delay(headers, body) is None
    return False


def _is_daily(body: Any) -> bool:
    """Return True if Google says that a quota of a day is used up: its RetryInfo speaks of another one then."""
    error = error_in(body)
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        violations = detail.get("violations") if isinstance(detail, dict) else None
        for violation in violations if isinstance(violations, list) else ():
            name = violation.get("quotaId") if isinstance(violation, dict) else None
            if isinstance(name, str) and "PerDay" in name:
                return True
    return False


# repeating --------------------------------------------------------------------------------------------------
# May a request be sent twice? And can its body be?
#
# Judged by method, path and the name of the function, since an answer that was lost may have been a success. Only asked
# where it is not known that the request has not arrived.


_BODY_NAMES = frozenset(
    {"data", "content", "files", "file", "body", "Body", "Fileobj", "fileobj", "image", "audio"}
)
_INFERENCE = re.compile(
    r"chat|complet|embed|messages|generat|rerank|rank|predict|infer|classif|tokenize|moderat|responses|similarity"
    r"|transcri|translat|invoke|invocation|count_?tokens|tokens\.count|speech|\bocr\b|\bfim\b|agents\.stream"
    r"|converse|summari|images?[./]edit|\bscore\b|\bai/run/|search|\bquery\b",
    re.IGNORECASE,
)
# What makes something that stays, or runs for long and is billed, though its name has a word of those above.
_MAKES = re.compile(
    r"batch(?!_?embed)|job|thread|upload|fine.?tun|video|long_?running|functions/|create_inference|\bstart_"
    r"|async_?invoke|invoke_?\w*async|\blambda\.invoke",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(
    r"get|head|options|list|retrieve|download|describe|put|delete|show|search|whoami|compute_tokens|\w+_info"
    r"|\w+_exists$|content$|results$|ps$",
    re.IGNORECASE,
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#\s]*)(\S*)", re.IGNORECASE)
# Names of functions that create something, where nothing else tells.
_CREATES = re.compile(
    r"(create|add|insert|send|submit|upload|publish|start|launch|order|buy|pay|charge|book|register|invite)(_|$)",
    re.IGNORECASE,
)
_CREATING = frozenset({"post", "patch"})
_HEADER_NAMES = ("headers", "extra_headers", "http_headers")
_TAKES_METHOD = frozenset({"request", "stream", "send", "urlopen", "open", "urlretrieve"})


def may_be_repeated(
    call: Any, args: Sequence[Any], kwargs: Mapping[str, Any], sent: "tuple[str, str] | None" = None
) -> "bool | None":
    """Return True if a request whose answer was lost may be made again without harm (RFC 9110 section 9.2.2).

    GET, PUT, DELETE and their like may, and what carries a key by which the server knows a repetition; a POST may if it
    asks a model for something, judged by its path or, where an SDK hides the path, by the name of the function.

    Args:
        sent: method and URL of the request, where its response tells.

    Returns:
        False if it creates something, None if nothing tells.
    """
    call, args, kwargs = without_partial(call, args, kwargs)
    name = _name_of(call).lstrip("_")
    request: Any = args[0] if args else kwargs.get("request")
    owner = attribute(call, "__self__") or attribute(attribute(call, "__wrapped__"), "__self__")
    if _has_key(owner, request, kwargs):
        return True
    for vendor in VENDORS:
        if (
            vendor.repeatable is not None
            and (told := vendor.repeatable(call, owner, args, kwargs)) is not None
        ):
            return told
    path = attribute(call, "_method")  # of gRPC: b"/package.Service/Method"
    if not name and isinstance(path, bytes):
        name = path.decode().rpartition("/")[2]
    if has_method(request, "get_method"):  # urllib.request's, which `urlopen` is given
        args = (request.get_method(), str(attribute(request, "full_url")))
    elif isinstance(attribute(request, "method"), str):  # a request of requests or httpx, made beforehand
        args = (request.method, str(attribute(request, "url")))
    elif name in ("urlopen", "open", "urlretrieve") and "://" in str(request):
        args = ("GET" if kwargs.get("data", *args[1:2]) is None else "POST", request)
    words = [
        str(arg)
        for arg in (*args[:2], kwargs.get("method"), kwargs.get("url"))
        if isinstance(arg, str) or attribute(arg, "scheme") is not None  # a URL of httpx or yarl
    ]
    if name in _TAKES_METHOD and words and words[0].isalpha():
        name, words = words[0], words[1:]
    url = _URL.fullmatch(words[0]) if words else None
    if name.lower() in _CREATING or (url and not _READ_ONLY.match(name)):
        path = url[2] if url else "".join(words[:1])  # below a client's `base_url`
        return _asks_a_model(path) and not kwargs.get("files")
    if sent is not None and (sent[0] not in _CREATING or _asks_a_model(sent[1])):
        return True
    harmless = is_harmless(type(owner), name)
    return False if harmless is None and sent is not None else harmless


def is_harmless(owner: type, name: str) -> "bool | None":
    """Return True if a method reads, or asks a model, as its name tells; False if it creates something; None if it tells neither."""
    if _READ_ONLY.match(name):
        return True
    # OpenAI's `beta.threads.messages` are told from Anthropic's `messages` by their module alone.
    full_name = ".".join((*owner.__module__.split(".")[-2:], owner.__name__, name))
    makes = _MAKES.search(full_name)
    if _INFERENCE.search(f"{owner.__name__}.{name}") and not makes:
        return True
    return False if makes or _CREATES.match(name) else None


def _asks_a_model(url: str) -> bool:
    """Return True for the path of a POST, or its URL, that creates nothing."""
    found = _URL.fullmatch(url)
    path = (found[2] if found else url).partition("?")[0].lstrip("/")
    return bool(_INFERENCE.search(path)) and not _MAKES.search(path)


def _has_key(owner: Any, request: Any, kwargs: Mapping[str, Any]) -> bool:
    """Return True if a request carries a key of its caller's, the same with each attempt, by which a repetition is known."""
    places = (*map(kwargs.get, _HEADER_NAMES), attribute(request, "headers"), attribute(owner, "headers"))
    return any(
        header(headers, "idempotency-key") or header(headers, "x-idempotency-key") for headers in places
    )


def sent_request(outcome: Any) -> "tuple[str, str] | None":
    """Return method (in small letters) and URL of the request that a response, or an error with one, is the answer to.

    Of several, which redirections make, it is the first.
    """
    for thing in (attribute(outcome, "response"), attribute(outcome, "raw_response"), outcome):
        history = attribute(thing, "history")
        first = history[0] if isinstance(history, list | tuple) and history else thing
        for request in (
            attribute(first, "request"),
            attribute(first, "request_info"),
            first,
        ):  # aiohttp's are the last two
            method, url = attribute(request, "method"), attribute(request, "url")
            if isinstance(method, str) and url is not None:
                return method.lower(), str(url)
    return None


def _name_of(call: Any) -> str:
    """Return a function's name; of a mock, that of the method in whose place it is."""
    if type(call).__module__ == "unittest.mock" and not isinstance(attribute(call, "__name__"), str):
        # What was patched, or an attribute of another mock: "mock.session.get".
        whole = attribute(call, "_extract_mock_name")
        return str(whole()).rpartition(".")[2].rpartition(" ")[2] if callable(whole) else ""
    return str(attribute(call, "__name__") or "")


def without_partial(
    call: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> "tuple[Any, Sequence[Any], Mapping[str, Any]]":
    """Return what a `functools.partial` calls, and with which arguments; anything else as it is."""
    while isinstance(call, partial):
        call, args, kwargs = call.func, (*call.args, *args), {**call.keywords, **kwargs}
    return call, args, kwargs


def may_hold_a_body(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return False, quickly, where no argument is a file or an iterator that a second attempt would find used up."""
    for value in args:
        if type(value) not in PLAIN_ARGUMENTS:
            return True
    return bool(kwargs) and not _BODY_NAMES.isdisjoint(kwargs)


class Rewinder:
    """Puts the files in a request's body back to where they stood before the first attempt."""

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.rewindable = True
        self.marks: list[tuple[Any, int]] = []
        for value in (*args, *(value for name, value in kwargs.items() if name in _BODY_NAMES)):
            self._look_into(value, 5)

    def _look_into(self, value: Any, depth: int) -> None:
        if isinstance(value, str | bytes | int | float) or value is None:
            return
        if has_method(value, "get_method"):  # urllib.request's
            self._look_into(attribute(value, "data"), depth - 1)
            return
        if isinstance(attribute(value, "method"), str):  # a request of requests or httpx, made beforehand
            self._look_into(attribute(value, "body"), depth - 1)
            if has_method(value, "read") and attribute(value, "_content") is None:
                self.rewindable = False
            return
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for item in value if depth else ():
                self._look_into(item, depth - 1)
        elif callable(attribute(value, "read")):
            try:
                self.marks.append((value, value.tell()))
            except Exception:
                self.rewindable = False
        elif callable(attribute(value, "__next__")) or callable(attribute(value, "__anext__")):
            self.rewindable = False

    def rewind(self) -> bool:
        """Return True if the body can be sent again, and make it so."""
        try:
            for stream, mark in self.marks:
                stream.seek(mark)
        except Exception:
            return False
        return self.rewindable


# slots ------------------------------------------------------------------------------------------------------
# Slots and tickets, and under which slot the code runs that makes a request.
#
# A slot is the right to have an attempt in flight; a ticket is a place in line for one. Who gets a slot when, the gate
# decides; how a thread, a task or a worker is told of it is in `waiting`, `async_waiting` and `calls`.


WAITING, GRANTED, RUNNING, GONE = range(4)
RANKS = {"high": -1, "normal": 0, "low": 1}
# Gate -> rank of the requests that this context makes; lower numbers go first.
ranks: "contextvars.ContextVar[Mapping[Gate, int]]" = contextvars.ContextVar(
    "ranks", default=MappingProxyType({})
)


class Slot:
    """One request's right to have an attempt in flight, while it is held. Giving it back twice does no harm.

    A request that is made from within another one (its `parent`) takes over what that one holds, and gives it back when
    it ends: so nothing waits for itself, and as many attempts are in flight as slots are held. Of requests beside one
    another (tasks that are gathered, say) one has it at a time; the others take free slots, or wait.
    """

    held = 0  # the generation of the gate when it was taken; 0 while it is not held
    over = False  # no attempt of its request is under way: it has ended, or backs off
    ended = False  # its request has ended; what that has left running makes requests like anybody
    number = 0  # its place in line, given once
    rank: "int | None" = None  # given with its first ticket
    outer: "Slot | None" = None  # the one under which the code runs that makes this request, if there is one
    parent: "Slot | None" = None  # the outer one, if it is of the same gate
    taken_from: "Slot | None" = None  # the one that held before what this one holds, and is to have it back
    borrowers: "Sequence[Ticket]" = ()  # of requests made from within this one that wait
    judged = False  # a request made under it has failed, and was retried as often as it may be
    is_submitted = False  # it was taken for what `submit` was given
    makes_requests = (
        False  # that makes its requests itself, and holds no slot of its own from its first one on
    )
    of_method = False  # it was counted for a submitted method of the backend, which has made no request yet
    is_stream = False  # a stream holds it
    is_special = False  # there is more to giving it back than to count it
    used_at = 0.0  # when the submitted function began, or the stream was read last; infinity while it is read
    thread = 0  # the one that runs what was submitted
    watch: "Watch | None" = None  # of the stream that holds it
    lease: "Slot | None" = None  # what was taken from the gate's source for it, where processes share a limit
    lender: "Source | None" = None  # of a lease: of whom it was taken
    gate: "Gate"

    def release(self) -> None:
        """Give the slot back, also when a signal handler raises in the middle of it."""
        try:
            self.gate.leave(self)
        except BaseException:
            self.gate.leave(self)
            raise

    def abandon(self) -> None:
        """Give the slot back from a finalizer, which may run inside any function, one that holds locks included."""
        if not self.ended:
            try:
                self.gate.abandon(self)
            except BaseException:  # as above
                self.gate.abandon(self)
                raise


class Source(Protocol):
    """What lends slots to a gate, where other processes share its limit. All but `stats` is called with its lock held."""

    def take(self, slot: Slot) -> bool:
        """Lend a slot, at once or not."""

    def give(self, slot: Slot, unused: bool = False) -> None:
        """Take a slot back; nothing was sent under it if `unused`."""

    def want(self, waiting: int) -> float:
        """Get slots for those who wait; return when to try again without being told, or infinity."""

    def withdrawn(self) -> None:
        """Hear that one who waited has given up."""

    def hold(self, until: float) -> None:
        """Let nobody start anything before `until`."""

    def stats(self) -> dict[str, Any]:
        """Return what `queue_stats()` says of it."""

    def close(self) -> None:
        """Lend no more."""


class Watch(weakref.ref[Any]):
    """Gives a slot back when the stream that holds it is collected. Its callback is a C function, which no signal interrupts."""

    __slots__ = ("slot",)
    slot: Slot


class Ticket:
    """A place in line. The subclasses say who is told when it is handed a slot."""

    __slots__ = ("is_abandoned", "ready_at", "request", "since", "slot", "state")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.request: Any = None  # what waits, to tell of it
        if slot.rank is None:
            slot.rank = ranks.get().get(slot.gate, 0)
        self.since = 0.0  # when it began to wait for a slot
        self.ready_at = 0.0
        self.state = RUNNING  # its owner has it in hand
        self.is_abandoned = False  # it is to be withdrawn as soon as nobody else is at it

    @property
    def place(self) -> "tuple[float, int, int]":
        """Its place in line: first in, first out within each rank; before all where it needs no slot of the gate's.

        A request that is made from within another one stands just before that.
        """
        slot = self.slot
        depth, parent = 0, slot.parent
        while parent is not None and depth < 100:
            depth, parent = depth - 1, parent.parent
        takes_over = slot.parent is not None and slot.parent.held == slot.gate.generation
        return -math.inf if takes_over else slot.rank or 0, slot.number, depth

    def __lt__(self, other: "Ticket") -> bool:  # only among tickets of the same place: of one slot
        return id(self) < id(other)

    def hand_over(self) -> bool:
        """Tell the owner that it has a slot now; False if the owner cannot be told. A second call does nothing."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Tell the owner that its turn will not come."""
        raise NotImplementedError


current_slot: "contextvars.ContextVar[Slot | None]" = contextvars.ContextVar("current_slot", default=None)
# The slots of the streams that this context has opened, so that a reader does not wait for itself.
_open_streams: "contextvars.ContextVar[tuple[weakref.ref[Slot], ...]]" = contextvars.ContextVar(
    "open_streams", default=()
)


def reset_current_slot(token: "contextvars.Token[Slot | None]") -> None:
    """End what `current_slot.set()` began, except where the collector closes a coroutine, in another context."""
    try:  # noqa: SIM105, it is faster
        current_slot.reset(token)
    except ValueError:
        pass


def _under_way(slot: "Slot | None") -> "Slot | None":
    """Return the first slot whose request has not ended, from this one outwards: methods that submit one another make long chains."""
    while slot is not None and slot.ended:
        slot = slot.outer
    return slot


def take_in_hand(slot: Slot) -> "contextvars.Token[Slot | None]":
    """Let the code that runs from here on run under `slot`; return what undoes that."""
    outer = _under_way(current_slot.get())
    if outer is not slot:
        slot.outer = outer
        if outer is not None:
            outer.outer = _under_way(outer.outer)
    return current_slot.set(slot)


def slot_in_hand(gate: "Gate") -> "Slot | None":
    """Return the slot under which this code runs, if it is one of this gate."""
    slot = current_slot.get()
    while slot is not None and (slot.ended or slot.gate is not gate):
        slot = slot.outer
    return slot


def note_open_stream(slot: Slot) -> None:
    """Remember in this context that it has the stream of this slot, and forget those that have ended."""
    still_open = (ref for ref in _open_streams.get() if (other := ref()) is not None and not other.over)
    _open_streams.set((*still_open, weakref.ref(slot)))
    slot.gate.keep_for_stream(slot)


def slot_of_open_stream(gate: "Gate") -> "Slot | None":
    """Return the slot of a stream that this context reads, so that it does not wait for itself."""
    slots = (reference() for reference in _open_streams.get())
    return next((slot for slot in slots if slot is not None and not slot.over and slot.gate is gate), None)


# workers ----------------------------------------------------------------------------------------------------
# The threads of the queue: workers, which run jobs that have a slot, and the alarm, which wakes gates in time.
#
# They know gates, and never the instance whose requests they make, which they would keep alive.


_IDLE_SECONDS = 2.0


class Worker(threading.Thread):
    """Runs jobs until none has come for a while. It knows the gate, never the instance."""

    def __init__(self, gate: "Gate") -> None:
        try:
            super().__init__(name="request-queue", daemon=True)
        except RuntimeError:  # an isolated sub-interpreter, which has no daemon threads
            super().__init__(name="request-queue", daemon=False)
        self.gate = gate
        self.busy = True  # not counted in the gate's `idle`

    def become_idle(self) -> None:
        """Count as one that waits for a job, if it does not count already."""
        with self.gate.lock:
            self.gate.idle += self.busy
            self.busy = False

    def run(self) -> None:
        """Run jobs."""
        gate = self.gate
        while True:
            try:
                job = gate.jobs.get(timeout=_IDLE_SECONDS)
            except Empty:
                job = None
            if job is None:
                with gate.lock:
                    if gate.closed or gate.jobs.empty():
                        gate.idle = max(gate.idle - 1, 0)
                        gate.workers.discard(self)
                        return
                continue
            self.busy = True
            try:
                job.run(self)
            except BaseException as error:  # SystemExit from a future's callback, say
                safe_log(
                    job.request.engine.logger,
                    logging.ERROR,
                    "a future's callback raised %s",
                    type(error).__name__,
                )
            del job
            self.become_idle()


def start_worker(gate: "Gate") -> None:
    """Start a worker for a job that was put without one; without threads, run it here."""
    worker = Worker(gate)
    claimed = False
    try:
        claimed = gate.exclusively(_claim_job, gate, worker)
        if claimed is not True:
            return
        worker.start()
    except RuntimeError:  # no more threads, or the interpreter is on its way out
        gate.workers.discard(worker)
        _run_here(gate)
    except BaseException:  # Ctrl-C; one worker too many does no harm
        has_started = worker.ident is not None
        with gate.lock:
            gate.unstaffed += worker in gate.workers
            if not has_started:
                gate.workers.discard(worker)
        raise


def _claim_job(gate: "Gate", worker: Worker) -> bool:
    if not gate.unstaffed:
        return False
    gate.unstaffed -= 1
    gate.workers.add(worker)
    _renew_queue(gate)
    return True


def _renew_queue(gate: "Gate") -> None:
    """With the lock held: where gevent has patched since, hand jobs over in a way that stops no other greenlet."""
    jobs = new_queue()
    if type(jobs) is not type(gate.jobs):
        while not gate.jobs.empty():
            jobs.put(gate.jobs.get_nowait())
        gate.jobs = jobs


def waits_for_other_threads(thread: int) -> bool:
    """Return True if a thread stands in a wait for others that its own code began: a pool's `map`, `result()`, `join()`.

    A library that waits for a thread of its own (gRPC, s3transfer) may well have a request in flight.
    """
    frame: Any = sys._current_frames().get(thread)
    is_in_wait = False
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module in _POOLS or (module == "threading" and frame.f_code.co_name == "join"):
            is_in_wait = True
        elif module != "threading":
            break
        frame = frame.f_back
    if frame is None or not is_in_wait:
        return False
    return "site-packages" not in frame.f_code.co_filename and "dist-packages" not in frame.f_code.co_filename


_POOLS = frozenset({"concurrent.futures._base", "concurrent.futures.thread", "multiprocessing.pool"})


def _run_here(gate: "Gate") -> None:
    """Run the granted jobs in the calling thread, one after the other; not inside one another."""
    while not gate.jobs.empty() and gate.running_here.acquire(blocking=False):
        try:
            with contextlib.suppress(Empty):
                job = gate.jobs.get_nowait()
                if job is not None:
                    job.run()
        finally:
            gate.running_here.release()


class Alarm:
    """One daemon thread for all gates that pumps a gate when it is due, and ends when none is.

    Invariant, whenever `lock` is free: while a gate is in `due`, `thread` runs, unless it could not be started; then
    `Gate.own_wake_up` tells those who wait that they have to pump by themselves.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start with no times and no thread: at first, and in the child of a fork."""
        self.lock = _thread.RLock()  # a signal handler or a finalizer may call in the middle of a call
        self.news: Any = None  # a queue, not a Condition, which Ctrl-C can leave locked
        self.due: dict[Gate, float] = {}
        self.thread: threading.Thread | None = None

    def is_awake(self) -> bool:
        """Return True if its thread runs, and is not the one that asks."""
        thread = self.thread
        return thread is not None and thread.is_alive() and thread is not threading.current_thread()

    def set(self, gate: "Gate", due: float) -> None:
        """See to it that `gate.pump()` is called at `due` (`clocks.monotonic()`)."""
        with self.lock:
            if self.thread is not None and not self.thread.is_alive():
                self.thread = None
            if gate.closed or (self.thread is not None and due >= self.due.get(gate, math.inf)):
                return
            self.due[gate] = min(due, self.due.get(gate, math.inf))
            if self.thread is None:
                with contextlib.suppress(RuntimeError):
                    self.news = new_queue()
                    thread = threading.Thread(
                        target=self._run, args=(self.news,), name="request-queue-alarm", daemon=True
                    )
                    thread.start()
                    self.thread = thread
            else:
                self.news.put(None)

    def forget(self, gate: "Gate") -> None:
        """No longer wake up for a gate, which was closed."""
        with self.lock:
            if self.due.pop(gate, None) is not None and self.news is not None:
                self.news.put(None)

    def _run(self, news: Any) -> None:
        while True:
            with self.lock:
                if not self.due:
                    self.thread = None
                    return
                gate = min(self.due, key=self.due.__getitem__)
                wait = self.due[gate] - monotonic()
                if wait <= 0:
                    del self.due[gate]
            if wait <= 0:
                gate.pump()
            del gate
            if wait > 0:
                with contextlib.suppress(Empty):
                    news.get(timeout=min(wait, threading.TIMEOUT_MAX))


alarm = Alarm()


# spare_slots ------------------------------------------------------------------------------------------------
# Slots that are held without a request under way, found when others wait for one.


# How long a submitted method may hold a slot without a request while others wait for one, in seconds.
PREPARING = 0.05
# How long an open stream must not have been read before its slot serves who waits, if all slots are held by such, in seconds.
_STALLED = 1.0


def find_spare(gate: "HeldSlots", slot: Slot) -> bool:
    """With all slots taken: let `slot` have one that is held without a request under way, or return False.

    What was submitted may hand its work to other threads, and who reads a stream may do so between two reads. Nothing
    says whose work a request is, so what they hold serves whoever is first in line: otherwise they might wait forever.
    A submitted method holds one from its start to its first request; that of a stream is back when the other has ended.
    """
    now = monotonic()
    if now < gate.look_at:
        return False
    gate.look_at = math.inf
    stalled = (
        len(gate.keepers) >= gate.active
    )  # no other request is under way, whose end would admit the next
    for keeper in list(gate.keepers):
        if keeper.held != gate.generation:
            del gate.keepers[keeper]
            continue
        wait, spares = _STALLED, stalled
        if keeper.is_submitted:
            wait = PREPARING
            spares = keeper.of_method or (stalled and waits_for_other_threads(keeper.thread))
        if now < keeper.used_at + wait or not spares:
            if keeper.of_method or stalled:
                again = keeper.used_at + wait
                if not now < again < math.inf:
                    again = now + max(wait, (now - keeper.used_at) / 2)
                gate.look_at = min(gate.look_at, again)
            continue
        if keeper.is_stream:
            gate.take_over(slot, keeper)
        else:
            gate.give_back(keeper)
            keeper.makes_requests = True
        gate.look_at = 0.0 if stalled else gate.look_at
        return True
    return False


# held_slots -------------------------------------------------------------------------------------------------
# Slots: taken, lent to requests that are made from within others, given back, and found where they are held for nothing.
#
# The base of `gate`, which has the line.


# What `Gate.exclusively` returns to who has interrupted the gate's own work.
INTERRUPTED = object()


class HeldSlots:
    """The slots of a gate.

    `active` of them are held. `keepers` are those that are held by what was submitted and by open streams.

    A signal handler may raise between any two calls. So states and counts change together, by adjacent assignments,
    and a ticket is told before it is taken out of the heap: who finds a granted ticket on top tells it again.

    A signal handler, or a finalizer, may also call us at any call, in the thread that holds the lock. So the lock can be
    taken again by its thread, and whatever makes calls while it is held runs by `exclusively`: who finds it busy has
    interrupted it, must not wait, as nobody else can get on meanwhile, and leaves to `deferred` what has to be done.
    """

    def __init__(self) -> None:
        self.limit: float = math.inf
        self.size: float = math.inf
        self.number = 0  # of the newest request
        self.generation = 0
        self.source: Source | None = None  # of the limit that other processes share
        self.reset()

    def reset(self) -> None:
        """Start with no slot held, and a fresh lock."""
        self.generation += 1
        # For a few lines each time: no code of a user's runs under it, but signal handlers and finalizers.
        self.lock = _thread.RLock()
        self.busy = False
        self.active = 0
        self.waiting = 0
        self.calm = True
        self.closed = False
        self.hold_until = 0.0
        self.source_due = math.inf  # when to ask the source again, unless it tells us before
        self.ready: list[tuple[tuple[float, int, int], Ticket]] = []
        self.counts = dict.fromkeys(
            ("joined", "granted", "unsent", "nested", "refused", "retried", "failed"), 0
        )
        self.deferred: deque[Slot | Ticket | Watch] = deque()  # to be given back, withdrawn, or put in line
        self.watches: set[Watch] = set()  # a weak reference calls back only if it lives on itself
        self.keepers: dict[Slot, None] = {}
        self.look_at = math.inf  # when to look next whether one of them can spare its slot

    def pump(self) -> None:
        """Admit what can be admitted now; to be called when a slot has become free."""
        raise NotImplementedError

    def _pump(self) -> float:
        """With the lock held: the same, but for what needs threads; return what is due next."""
        raise NotImplementedError

    def new_slot(self) -> Slot:
        """Return a slot that is not held yet."""
        slot = Slot()
        slot.gate = self  # type: ignore[assignment]  # it is always a Gate
        return slot

    def exclusively(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that makes calls itself, with the lock held, and return what it returns.

        If we have interrupted such a function, INTERRUPTED is returned.
        """
        with self.lock:
            if self.busy:
                return INTERRUPTED
            self.busy = True
            try:
                return function(*args)
            finally:
                self.busy = False

    def enter(self, slot: Slot) -> bool:
        """Take a free slot, unless somebody waits for one."""
        with self.lock:
            if self.calm and self.active < self.limit:
                self.number += 1
                slot.number = self.number
                slot.held = self.generation
                self.active += 1
                return True
        # What it interrupts stands still meanwhile, so it is made without being counted.
        return self.exclusively(self._enter, slot) is not False

    def _enter(self, slot: Slot) -> bool:
        self._pump()
        self._refuse_if_closed()
        if self.ready or self.hold_until or self.active >= self.limit or not self._take(slot):
            return False
        self.number += 1
        slot.number = self.number
        slot.held = self.generation
        self.active += 1
        return True

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise QueueClosed("This backend is closed: it takes no more requests.")

    def borrow(self, slot: Slot, parent: Slot) -> bool:
        """Take what the request holds from within which this one is made, or else a free slot."""
        return self.exclusively(self._borrow, slot, parent) is not False

    def _borrow(self, slot: Slot, parent: Slot) -> bool:
        if slot.parent is None:
            if parent.ended:  # meanwhile
                return self._enter(slot)
            self._count_nested(parent)
            slot.parent, slot.number, slot.rank, slot.is_special = parent, parent.number, parent.rank, True
        if parent.is_submitted:
            parent.makes_requests = True
        self._pump()
        self._refuse_if_closed()
        if self.hold_until:
            return False
        if parent.held == self.generation:
            self.take_over(slot, parent)
            return True
        if self.ready or self.active >= self.limit or not self._take(slot):
            return False
        slot.held = self.generation
        self.active += 1
        return True

    def take_over(self, slot: Slot, holder: Slot) -> None:
        slot.is_special = True
        slot.taken_from = holder
        slot.held, holder.held, slot.lease, holder.lease = holder.held, 0, holder.lease, None
        self.keepers.pop(holder, None)

    def leave(self, slot: Slot) -> None:
        """Give a slot back, for good; the oldest ready ticket has it at once."""
        with self.lock:
            if self.calm and not slot.is_special:
                if slot.held == self.generation:
                    self.active -= 1
                slot.held = 0
                slot.ended = True
                return
        if self.exclusively(self._leave, slot) is INTERRUPTED:
            self.abandon(slot)
        else:
            self.pump()

    def _leave(self, slot: Slot) -> None:
        self.give_back(slot)
        slot.over = slot.ended = True
        self._forget(slot)

    def _take(self, slot: Slot) -> bool:
        """Take a slot from those that other processes share, if they do."""
        if self.source is None:
            return True
        slot.lease = self.new_slot()  # first, so that Ctrl-C loses none
        if self.source.take(slot.lease):
            return True
        slot.lease = None
        return False

    def _return_lease(self, slot: Slot, unused: bool = False) -> None:
        lease, slot.lease = slot.lease, None
        if lease is not None and lease.lender is not None:
            lease.lender.give(lease, unused)

    def let_go(self, slot: Slot) -> None:
        """Give back the slot of a request that goes on, and from now on makes requests like anybody."""
        slot.is_special = slot.makes_requests = True
        self.exclusively(self.give_back, slot)
        self.pump()

    def give_back(self, slot: Slot, to_all: bool = False, unused: bool = False) -> None:
        """Stop holding; what was taken from another goes back to that one, if it can use it.

        Args:
            to_all: it goes to whoever is first in line instead, unless it is a stream's.
            unused: nothing was sent under it.
        """
        if slot.held == self.generation:
            owner = slot.taken_from
            while owner is not None and (
                owner.over
                or owner.ended
                or owner.makes_requests
                or owner.held == self.generation
                or (to_all and not owner.is_stream)
            ):
                owner = owner.taken_from
            if owner is None:
                self.active -= 1
                slot.held = 0
            else:
                slot.held, owner.held, owner.lease, slot.lease = 0, self.generation, slot.lease, None
                if owner.is_stream:
                    self.keepers[owner] = None
                    self.look_at = 0.0  # there may be another that it can serve
                self._lend_on(owner)
        slot.held = 0
        slot.taken_from = None
        self._return_lease(slot, unused)
        self.keepers.pop(slot, None)

    def _lend_on(self, owner: Slot) -> None:
        """Let the first of the requests that were made from within this one have what it holds again."""
        while owner.borrowers:
            ticket = owner.borrowers[0]
            if ticket.state == WAITING:
                heapq.heappush(self.ready, (ticket.place, ticket))
                self.calm = False
                return
            owner.borrowers = owner.borrowers[1:]

    def _forget(self, slot: Slot) -> None:
        slot.parent = None
        if slot.watch is not None:
            self.watches.discard(slot.watch)
            slot.watch = None

    def _count_nested(self, slot: Slot) -> None:
        """Count a request that is made from within another; the first one of a submitted method was counted with it."""
        if slot.of_method:
            slot.of_method = False
        else:
            self.counts["nested"] += 1

    def abandon(self, thing: "Slot | Ticket") -> None:
        """Give a slot back, or withdraw a ticket, without a lock: a finalizer may run inside any function of ours."""
        if isinstance(thing, Ticket):
            thing.is_abandoned = True
        self.deferred.append(thing)
        self.calm = False
        if self.waiting:
            self._pump_soon()

    def _pump_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # the interpreter is on its way out
            _thread.start_new_thread(self.pump, ())

    def watch(self, stream: Any, slot: Slot) -> None:
        """Give the slot back when the stream is collected, even if a signal handler raises in its finalizer."""
        slot.is_special = True
        slot.watch = watch = Watch(stream, self.deferred.append)
        watch.slot = slot
        self.watches.add(watch)

    def keep_for_stream(self, slot: Slot) -> None:
        """Note that an open stream holds this slot from now on."""
        slot.is_special = slot.is_stream = True
        slot.used_at = monotonic()
        with self.lock:
            if slot.held == self.generation:
                self.keepers[slot] = None
                self.look_at = 0.0


# gate -------------------------------------------------------------------------------------------------------
# The line: admits requests, first in, first out, up to the limit.
#
# It knows slots and tickets, and nothing of requests, failures or settings. Its invariants are in the docstring of `Gate`.


class Gate(HeldSlots):
    """Admits requests, first in, first out, at most `limit` at once.

    Invariants, whenever `lock` is free: `active` is the number of slots that are held, `waiting` the number of
    tickets that wait. A newcomer takes a free slot only where no ticket is ready, so it overtakes nobody; and whoever
    frees a slot, adds a ticket or changes a limit calls `pump()` next, so that nothing waits while a slot is free.
    `calm` is True only where there is nothing to see to but `active` and `limit`: no ticket, no hold, nothing
    abandoned, not closed, no `source`. Where other processes share the limit, each slot that is held was taken from
    `source` as well.

    How the lock is used, and what a signal handler may find, is told in `HeldSlots`.
    """

    def reset(self) -> None:
        """Start empty, with fresh locks: at first, and in the child of a fork, where no other thread lives on."""
        super().reset()
        self.delayed: list[tuple[float, int, Ticket]] = []
        self.waited = 0.0  # seconds that requests have waited for a slot, in all
        self.backed_off = 0.0  # seconds of backoff, in all
        self.jobs: Any = new_queue()
        self.workers: set[threading.Thread] = set()
        self.idle = 0  # workers that wait for a job which was not put yet
        self.unstaffed = 0  # jobs that were put without an idle worker; each gets a new one
        # Held by the thread that runs jobs itself, as no other could be started.
        self.running_here = threading.Lock()

    def join(self, ticket: Ticket, always: bool = False) -> bool:
        """Put a ticket at the end of the line, or, made from within a request, just before that one.

        Args:
            always: also if there is no room.

        Returns:
            False if it interrupted the gate's own work, so that its thread must not wait.

        Raises:
            RequestQueueFull: if there is no room.
        """
        if self.exclusively(self._join_line, ticket, always) is INTERRUPTED:
            return False
        self.pump()
        return True

    def _join_line(self, ticket: Ticket, always: bool) -> None:
        self._refuse_if_closed()
        if self.active < self.limit or self.deferred:
            self._pump()  # there may be room now
        if (
            self.waiting >= self.size
            and not (always or ticket.slot.parent)
            and (self.ready or self.hold_until or self.active >= self.limit)
        ):
            self.counts["refused"] += 1
            raise RequestQueueFull(
                f"Request queue is full ({self.size:.0f} items). Try again later, raise `queue_size`, set "
                '`queue_full = "wait"` to wait for room, '
                "or raise `max_concurrent_requests` if the API allows more requests at once."
            )
        self._join(ticket)

    def join_later(self, ticket: Ticket) -> None:
        """Put a ticket in line as soon as what was interrupted is done."""
        self.deferred.append(ticket)
        self.calm = False
        self._pump_soon()

    def _join(self, ticket: Ticket) -> None:
        slot = ticket.slot
        if slot.parent is None:
            self.number += 1
            slot.number = self.number
        else:
            slot.parent.borrowers = [*slot.parent.borrowers, ticket]
        ticket.since = monotonic()
        entry = ticket.place, ticket
        self.calm = False
        ticket.state = WAITING
        self.waiting += 1
        self.counts["joined"] += 1
        heapq.heappush(self.ready, entry)

    def rejoin(self, ticket: Ticket, delay: float, hold: bool = False) -> bool:
        """Give the ticket's slot back and put the ticket where it stood, to be ready again after `delay` seconds.

        Args:
            hold: admit nothing at all until then, because the server asked for it.

        Returns:
            False if it interrupted the gate's own work, so that its thread must not wait.
        """
        if self.exclusively(self._rejoin, ticket, delay, hold) is INTERRUPTED:
            return False
        self.pump()
        if ticket.state == GONE:
            self._fail([ticket])
        return True

    def _rejoin(self, ticket: Ticket, delay: float, hold: bool) -> None:
        slot = ticket.slot
        self.give_back(slot, to_all=True)
        slot.taken_from = slot.parent  # which has it when this request has ended
        self.calm = False
        if self.closed:
            ticket.state = GONE
        if ticket.state != GONE:
            ticket.ready_at = monotonic() + delay
            if hold:
                self.hold_until = ticket.ready_at = max(self.hold_until, ticket.ready_at)
                if self.source is not None:
                    self.source.hold(self.hold_until)
            ticket.since = ticket.ready_at
            ticket.state = WAITING
            self.waiting += 1
            self.backed_off += delay
            heapq.heappush(self.delayed, (ticket.ready_at, slot.number, ticket))

    def start(self, job: "Job") -> bool:
        """Claim a job for the calling thread; False if it was withdrawn, or claimed already."""
        with self.lock:
            if job.state != GRANTED:
                return False
            job.state = RUNNING
            return True

    def withdraw(self, ticket: Ticket) -> bool:
        """See to it that a ticket has no further attempt; False if one is running, which is left to end."""
        was_running = self.exclusively(self._withdraw, ticket)
        if was_running is INTERRUPTED:
            self.abandon(ticket)
            return True
        self.pump()
        return not was_running

    def withdraw_unstarted(self, ticket: Ticket) -> bool:
        """Withdraw a ticket whose first attempt was not begun; False if it was, or if the ticket is withdrawn already."""
        withdrawn = self.exclusively(self._withdraw_unstarted, ticket)
        self.pump()
        return withdrawn is True

    def _withdraw_unstarted(self, ticket: Ticket) -> bool:
        if ticket.state not in (WAITING, GRANTED) or ticket.ready_at:
            return False
        self._withdraw(ticket)
        return True

    def _withdraw(self, ticket: Ticket) -> bool:
        """Withdraw a ticket; return True if an attempt is running."""
        was_running = ticket.state == RUNNING
        if ticket.state == WAITING:
            self.waiting -= 1
            if self.source is not None:
                self.source.withdrawn()
        elif ticket.state == GRANTED:
            self.give_back(ticket.slot, unused=True)
            self.counts["unsent"] += 1
        ticket.state = GONE
        if len(self.ready) > 2 * self.waiting + 10:  # let go of what was withdrawn behind one that waits on
            ready = [entry for entry in self.ready if entry[1].state != GONE]
            heapq.heapify(ready)
            self.ready = ready
        return was_running

    def hold(self, seconds: float) -> None:
        """Admit nothing for so long: the server asked for it."""
        self.exclusively(self._hold, monotonic() + seconds)

    def _hold(self, until: float) -> None:
        self.calm = False
        self.hold_until = max(self.hold_until, until)
        if self.source is not None:
            self.source.hold(self.hold_until)

    def resize(self, limit: float, size: float) -> None:
        """Change how many may be in flight and how many may wait; nothing is interrupted."""
        with self.lock:
            self.limit, self.size = limit, size
        self.pump()

    def share(self, source: Source | None) -> None:
        """Share the limit with other processes, or no longer. What is in flight is not interrupted."""
        with self.lock:
            before, self.source, self.calm = self.source, source, False
        if before is not None:
            before.close()
        self.pump()

    def own_wake_up(self) -> float:
        """Return when who waits has to pump by itself, as the alarm cannot; else infinity.

        Its thread could not be started, or is the one that waits, in a finalizer.
        """
        return math.inf if alarm.is_awake() else self._due()

    def is_backing_off(self) -> bool:
        """Return True if a request waits out its backoff now."""
        return any(ticket.state == WAITING for _, _, ticket in list(self.delayed))

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self.lock:
            self.counts[what] += 1

    def stats(self) -> dict[str, Any]:
        """Return what happened so far, and how things stand now."""
        stats = self.exclusively(self._stats)
        return self._stats() if stats is INTERRUPTED else stats

    def _stats(self) -> dict[str, Any]:
        counts = self.counts
        started = self.number - counts["joined"] + counts["granted"] - counts["unsent"]
        return {
            "requests": self.number + counts["nested"],
            "sent": started + counts["nested"],
            "retried": counts["retried"],
            "failed": counts["failed"],
            "refused": counts["refused"],
            "waiting": self.waiting,
            "in_flight": self.active,
            "waited_seconds": self.waited,
            "backoff_seconds": self.backed_off,
            **(self.source.stats() if self.source is not None else {}),
        }

    def line(self) -> list[Ticket]:
        """Return the tickets that wait, oldest first."""
        line = self.exclusively(self._line)
        return self._line() if line is INTERRUPTED else line

    def _line(self) -> list[Ticket]:
        line = {ticket for _, ticket in self.ready} | {ticket for _, _, ticket in self.delayed}
        return sorted((ticket for ticket in line if ticket.state == WAITING), key=lambda ticket: ticket.place)

    def refuse_newcomers(self) -> None:
        """Take no more requests. It takes no lock, for the sake of finalizers."""
        self.closed = True
        self.calm = False

    def close(self, join: bool = True) -> None:
        """Refuse newcomers, fail those who wait, let the running end, and join the worker threads."""
        ended = self.exclusively(self._close)
        if ended is INTERRUPTED:
            self.refuse_newcomers()
            with contextlib.suppress(RuntimeError):  # as in _pump_soon
                _thread.start_new_thread(self.close, (False,))
            return
        waiting, workers = ended
        try:
            self.pump()
            alarm.forget(self)
            if self.source is not None:
                self.source.close()
        finally:
            self._fail(waiting)
        if join and threading.current_thread() not in workers:
            for worker in workers:
                with contextlib.suppress(RuntimeError):  # not started yet
                    worker.join()

    def _close(self) -> "tuple[list[Ticket], list[threading.Thread]]":
        self.refuse_newcomers()
        waiting = self._line()
        for ticket in waiting:
            ticket.state = GONE
        self.waiting = 0
        self.delayed.clear()
        workers = list(self.workers)
        for _ in workers:
            self.jobs.put(None)
        return waiting, workers

    def _fail(self, tickets: list[Ticket]) -> None:
        """Tell the owners that the backend is closed: each of them, also where a future's callback raises, or on Ctrl-C."""
        while tickets:
            try:
                tickets[0].fail(QueueClosed("The backend was closed while the request waited."))
                del tickets[0]
            except BaseException:
                self._fail(tickets)
                raise

    def pump(self) -> None:
        """Admit what can be admitted now; see to it that it has threads, and that the next due time is not missed."""
        due = self.exclusively(self._pump)
        if due is INTERRUPTED:
            self._pump_soon()
            return
        if due < math.inf:
            alarm.set(self, due)
        while self.unstaffed:
            start_worker(self)

    def _due(self) -> float:
        """Return when there is something to be done though nobody comes or goes."""
        try:
            due = self.delayed[0][0]
        except IndexError:
            due = math.inf
        if self.ready:
            due = min(due, self.hold_until or min(self.look_at, self.source_due))
        return due

    def _pump(self) -> float:
        """With the lock held: make due tickets ready, then hand free slots to the oldest ready ones; return what is due next."""
        self._catch_up()
        self._admit()
        return self._due()

    def _catch_up(self) -> None:
        """Do what was deferred; make due tickets ready."""
        while self.deferred:
            thing = self.deferred[0]
            if isinstance(thing, Ticket):
                if thing.is_abandoned:
                    self._withdraw(thing)
                elif self.closed:
                    self._fail([thing])
                elif thing.state == RUNNING:
                    self._join(thing)
            else:
                slot = thing.slot if isinstance(thing, Watch) else thing
                self.give_back(slot)
                slot.over = slot.ended = True
                self._forget(slot)
            self.deferred.popleft()
        if self.delayed or self.hold_until:
            now = monotonic()
            if now >= self.hold_until:
                self.hold_until = 0.0
            while self.delayed and (self.delayed[0][0] <= now or self.delayed[0][2].state != WAITING):
                ticket = self.delayed[0][2]
                if ticket.state == WAITING:
                    heapq.heappush(self.ready, (ticket.place, ticket))
                heapq.heappop(self.delayed)

    def _admit(self) -> None:
        """Hand free slots to the oldest that are ready."""
        self.source_due = math.inf
        while self.ready:
            ticket = self.ready[0][1]
            slot = ticket.slot
            if ticket.state == WAITING:
                parent = slot.parent
                has_one = slot.held == self.generation  # given back to it, by what interrupted its wait
                if parent is not None and not has_one and parent.held == self.generation:
                    if self.hold_until:
                        break
                    self.take_over(slot, parent)
                    has_one = True
                elif self.hold_until or (
                    self.active >= self.limit and not has_one and not find_spare(self, slot)
                ):
                    break
                elif not has_one and slot.held != self.generation and not self._take(slot):
                    self.source_due = (
                        self.source.want(len(self.ready)) if self.source is not None else math.inf
                    )
                    break
                ticket.state = GRANTED
                if slot.held != self.generation:
                    slot.held = self.generation
                    self.active += 1
                self.waiting -= 1
                self.counts["granted"] += 1
                if slot.is_submitted:
                    slot.used_at = monotonic()
                    self.keepers[slot] = None
                    self.look_at = min(self.look_at, slot.used_at + PREPARING)
                self.waited += max(0.0, monotonic() - ticket.since)
            if ticket.state == GRANTED and not ticket.hand_over():
                self.give_back(slot, unused=True)
                self.counts["unsent"] += 1
                ticket.state = GONE
            if self.ready[0][1] is ticket:  # and none that has what this one's spare was taken from
                heapq.heappop(self.ready)
        self.calm = self.source is None and not (
            self.ready or self.delayed or self.hold_until or self.unstaffed or self.closed or self.deferred
        )


# health -----------------------------------------------------------------------------------------------------
# The retry budget and the circuit breaker; only where a setting asks for one of them.


class Health:
    """The retry budget and the circuit breaker of one engine. Invariant: all is read and changed under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.budget: int | None = None
        self.breaker: int | None = None
        self.pause = 0.0
        # Of the budget: a retry costs 1, a success gives 0.1 back (gRPC A6, retry throttling).
        self.spent = 0.0
        self.failures = 0  # in a row
        self.open_until = 0.0

    def configure(self, budget: "int | None", breaker: "int | None", pause: float) -> None:
        """Change the settings: retries in the budget, failures that open the breaker, seconds that it stays open."""
        with self.lock:
            self.budget, self.breaker, self.pause = budget, breaker, pause

    def check(self) -> None:
        """Raise CircuitOpen while the breaker is open. After its pause it lets one attempt through, a pause."""
        now = (
            monotonic()
        )  # no calls are made with the lock held: a signal handler may come in between, and wait
        with self.lock:
            if self.breaker is None or self.failures < self.breaker:
                return
            if now >= self.open_until:
                self.open_until = now + self.pause
                return
        raise CircuitOpen(
            f"The circuit breaker is open: the last {self.failures} attempts failed. "
            f"The next one is made in {self.open_until - now:.0f} s."
        )

    def note(self, failure: "Failure | None") -> None:
        """Count an attempt. One that failed for a reason of its own, such as a 404, says nothing about the API."""
        now = monotonic()
        with self.lock:
            if failure is None:
                self.failures = 0
                self.spent = self.spent - 0.1 if self.spent > 0.1 else 0.0
            elif failure.retry:
                self.failures += 1
                if self.failures == self.breaker:
                    self.open_until = now + self.pause

    def why_no_retry(self, delay: float) -> str:
        """Return why there is to be no retry after `delay` seconds; or nothing, having taken it off the budget."""
        now = monotonic()
        with self.lock:
            is_open = self.breaker is not None and self.failures >= self.breaker
            if is_open and now + delay < self.open_until:
                return "the circuit breaker is open"
            if self.budget is not None and self.spent + 1 > self.budget:
                return "the retry budget is spent"
            self.spent += 1
            return ""


# connections ------------------------------------------------------------------------------------------------
# Kept connections for functions that make a session for each call; only where `reuse_connections` asks for it.
#
# Sessions and clients that the user's code makes keep their connections themselves, and are not touched.


# What an environment variable of these says, httpx reads when a client is made.
_CLIENT_VARIABLES = tuple(
    variable
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
    for variable in (name, name.lower())
)

_MOST_KEPT = 16


class Connections:
    """Keeps the connections of `requests.get`, `httpx.post` and similar functions, which make a session for each call.

    Such a function is copied, with the same code, over names of its module in which the session's class gives a twin of
    one that is kept: with the same connections, and without cookies. So arguments, results and errors are the same.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: OrderedDict[Any, _Kept] = (
            OrderedDict()
        )  # the one that was used last is the last; under `lock`
        self.copies: dict[Any, Any] = {}

    def through(self, call: Any) -> Any:
        """Return `call` over kept connections; or as it is, where it is another function or was replaced (mocked)."""
        function = attribute(call, "__wrapped__") or call  # httpx.stream is a context manager's function
        names = attribute(function, "__globals__")
        module = names.get("__name__") if type(function) is FunctionType and type(names) is dict else None
        if module not in ("requests.api", "httpx._api", "httpx2._api"):
            return call
        request = names["request"]
        session = names["sessions"].Session if module == "requests.api" else names["Client"]
        if type(request) is not FunctionType or not isinstance(session, type):
            return call
        key = (call, request, session)
        if key not in self.copies:
            names = dict(names)
            if module == "requests.api":
                names["sessions"] = _Names(Session=partial(self._requests_session, session))
            else:
                names["Client"] = partial(self._httpx_client, session)
            names["request"] = _copy_of(request, names)
            copy = _copy_of(function, names)
            self.copies[key] = copy if function is call else contextlib.contextmanager(copy)
        return self.copies[key]

    def _requests_session(self, session_class: Any) -> Any:
        def make() -> Any:
            session = session_class()
            for prefix, adapter in list(session.adapters.items()):
                session.mount(prefix, type(adapter)(pool_maxsize=100))
            return session

        kept = self._take(session_class, make)
        return _Use(self, kept, twin_of(kept.client, cookies=type(kept.client.cookies)()))

    def _httpx_client(
        self, client_class: Any, cookies: Any = None, timeout: Any = None, **options: Any
    ) -> Any:
        variables = tuple(map(os.environ.get, _CLIENT_VARIABLES)) if options.get("trust_env", True) else ()
        key = (client_class, variables, *options.items())
        try:
            hash(key)
        except TypeError:  # an option that is no key: a client of its own, as without us
            return client_class(cookies=cookies, timeout=timeout, **options)

        def make() -> Any:
            module = sys.modules[client_class.__module__.partition(".")[0]]  # httpx, or its fork httpx2
            limits = module.Limits(max_connections=None, max_keepalive_connections=100)
            return client_class(limits=limits, **options)

        kept = self._take(key, make)
        twin = twin_of(kept.client)
        twin.cookies, twin.timeout = cookies, timeout
        return _Use(self, kept, twin)

    def _take(self, key: Any, make: Callable[[], Any]) -> "_Kept":
        """Return the client that is kept for a key, in use from now on."""
        with self.lock:
            kept = self.kept.get(key)
            if kept is not None:
                kept.uses += 1
                self.kept.move_to_end(key)
                return kept
        made = _Kept(make())
        with self.lock:
            kept = self.kept.setdefault(key, made)
            kept.uses += 1
            surplus = self._surplus()
        for one in surplus if kept is made else (made, *surplus):
            one.client.close()
        return kept

    def give_back(self, kept: "_Kept") -> None:
        """End a use of a client; one that was kept for longer than others, and is used no more, is closed."""
        with self.lock:
            kept.uses -= 1
            surplus = self._surplus()
        for one in surplus:
            one.client.close()

    def _surplus(self) -> "list[_Kept]":
        """Take out what is kept beyond the limit, as far as it is not in use: an SSL context for each call makes as many."""
        found = []
        for key, kept in list(self.kept.items()) if len(self.kept) > _MOST_KEPT else ():
            if len(self.kept) > _MOST_KEPT and not kept.uses:
                found.append(self.kept.pop(key))
        return found

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        with self.lock:
            kept, self.kept = list(self.kept.values()), OrderedDict()
        for one in kept:
            one.client.close()


class _Kept:
    """A session of requests or a client of httpx, and how many requests are using it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.uses = 0


class _Use:
    """What stands for a new session in `with`: a twin of one that is kept, which is not closed at the end."""

    def __init__(self, connections: Connections, kept: _Kept, twin: Any) -> None:
        self.connections, self.kept, self.twin = connections, kept, twin

    def __enter__(self) -> Any:
        return self.twin

    def __exit__(self, *exc: object) -> None:
        self.connections.give_back(self.kept)


class _Names:
    """An object with the given attributes."""

    def __init__(self, **names: Any) -> None:
        self.__dict__.update(names)


def _copy_of(function: Any, names: dict[str, Any]) -> Any:
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


# testing_mode -----------------------------------------------------------------------------------------------
# A switch for tests: no waiting, and as many retries as a test wants.


class TestingMode(contextlib.ContextDecorator):
    """Make a whole test run quick: `with RequestEngine.testing(): ...`, or as a decorator.

    All backends of the process that use this runtime are meant, in all threads.

    Args:
        waits: False: retries come at once, and no `Retry-After` holds anything back.
        retries: this many retries at most, whatever `max_retries` says; None: as it says.
    """

    waits = True  # of the block that was entered last
    retries: "int | None" = None

    def __init__(self, waits: bool = False, retries: "int | None" = None) -> None:
        self._wanted = (waits, retries)
        self._outer: list[tuple[bool, int | None]] = []

    def __enter__(self) -> "TestingMode":
        self._outer.append((TestingMode.waits, TestingMode.retries))
        TestingMode.waits, TestingMode.retries = self._wanted
        return self

    def __exit__(self, *exc: Any) -> None:
        TestingMode.waits, TestingMode.retries = self._outer.pop()


# retry_policy -----------------------------------------------------------------------------------------------
# Is there another attempt, and after what delay? Says so in the log, either way, and to the listeners.
#
# It decides, and neither waits nor calls: that is done by `calls` and `async_calls`.


# What a log record carries of an event, as attributes.
_LOGGED = ("backend", "method", "request", "status", "attempt", "delay", "source")


def delay_after(engine: "RequestEngine", failure: Failure, request: "Request", slot: Slot) -> "float | None":
    """Return the delay before the next attempt, or None to give up; say so in the log, either way."""
    request.holds = False
    retries = engine.settings["max_retries"]
    if not failure.retry or retries is None or engine.gate.closed:
        return None
    if TestingMode.retries is not None:
        retries = min(TestingMode.retries, retries)
    asked, too_long, holds = _word_of(engine, failure)
    if holds and asked is not None:
        engine.held_by = f"{request.name or caller_name(engine)}: {asked[1]}"
    if not (request.retry and retries):
        if asked is not None and holds:
            engine.gate.hold(asked[0])
        return None
    request.name = request.name or caller_name(engine)
    delay, source = asked or (_backoff(engine, request.retries + 1), "backoff")
    if not holds and engine.settings["retry_jitter"] and engine.gate.is_backing_off():
        delay *= 1 + random.uniform(0, engine.settings["retry_jitter"])
    if too_long:
        reason = f"{source} asks for {delay:.0f} s, over max_retry_after"
    else:
        delay = delay if TestingMode.waits else 0.0
        reason = _why_no_retry(engine, failure, request, retries, delay)
    if reason:
        if holds:
            engine.gate.hold(delay)
        _tell(engine, failure, request, slot, None, "", f"giving up: {reason}")
        with contextlib.suppress(Exception):
            if request.error is not None and hasattr(request.error, "add_note"):
                request.error.add_note(f"{engine.label}.{request.name} gave up: {reason}")
        return None
    request.retries += 1
    request.holds = holds
    if request.error is None:
        _discard(request.result)
    turn = f"{request.retries}/{retries}"
    _tell(engine, failure, request, slot, delay, source, f"retry {turn} in {delay:.3g} s ({source})")
    slot.over = True
    return delay


def _word_of(engine: "RequestEngine", failure: Failure) -> "tuple[tuple[float, str] | None, bool, bool]":
    """Return the delay that owner or server asks for and who asks, whether it is too long, and whether it holds all."""
    if failure.delay is not None:
        return (failure.delay, "retry_if"), False, False
    asked = requested_delay(failure.headers, failure.body)
    if asked is None:
        return None, False, False
    too_long = asked[0] > engine.settings["max_retry_after"]
    return asked, too_long, not too_long and failure.status in HOLDING_STATUSES and TestingMode.waits


def _backoff(engine: "RequestEngine", retry: int) -> float:
    settings = engine.settings
    return backoff_delay(
        retry, settings["initial_retry_delay"], settings["backoff_factor"], settings["max_retry_delay"]
    )


def _why_no_retry(
    engine: "RequestEngine", failure: Failure, request: "Request", retries: int, delay: float
) -> str:
    """Return why a request that may well succeed after `delay` seconds is not made again, or nothing."""
    if request.retries >= retries:
        return f"{request.retries} retries were made"
    if not failure.never_sent and not _may_send_again(engine, failure, request):
        return "sending it twice could do harm"
    if monotonic() + delay > request.deadline:
        return "total_timeout would be over before the next attempt"
    return engine.health.why_no_retry(delay) if engine.health is not None else ""


def _may_send_again(engine: "RequestEngine", failure: Failure, request: "Request") -> bool:
    if request.rewinder is not None and not request.rewinder.rewind():
        return False
    if failure.by_owner or (failure.status is not None and failure.status not in LOST_ANSWERS):
        return True
    if failure.status is None:
        return may_be_repeated(request.call, request.args, request.kwargs) is True
    if header(failure.headers, "x-should-retry") == "true":
        return True
    sent = sent_request(request.result if request.error is None else request.error)
    return may_be_repeated(request.call, request.args, request.kwargs, sent) is not False


def may_try_afresh(engine: "RequestEngine", failure: Failure, request: "Request") -> bool:
    """Return True if a kept connection ended before it gave an answer, and the request is to be sent at once on another.

    Servers close connections that they have promised to keep, often just as the next request is sent. So browsers do,
    once for each request (RFC 9112 section 9.3.1); it is not a failure of the server, and is not counted as one.
    """
    if failure.status is not None or not failure.retry or not request.retry or request.tried_afresh:
        return False
    if not engine.settings["max_retries"] or engine.gate.closed or request.error is None:
        return False
    return is_unanswered(request.error) and _may_send_again(engine, failure, request)


def _tell(
    engine: "RequestEngine",
    failure: Failure,
    request: "Request",
    slot: Slot,
    delay: "float | None",
    source: str,
    outcome: str,
) -> None:
    """Log what becomes of a request that failed, and tell the listeners. Neither may disturb the request.

    They hear of it under the slot, so that one that calls the backend does not wait for itself.
    """
    event = {
        "event": "gave up" if delay is None else "retry",
        "backend": engine.label,
        "method": request.name,
        "request": slot.number,
        "status": failure.status,
        "why": failure.why,
        "retries": request.retries,
        "attempt": request.retries + (delay is None),
        "delay": delay,
        "source": source,
    }
    fields = {name: event[name] for name in _LOGGED}
    level = logging.ERROR if delay is None else logging.WARNING
    text = f"{engine.label}.{request.name}: request {slot.number} failed: {failure.why}; {outcome}"
    token = current_slot.set(slot)
    try:
        for hear in (lambda _: engine.logger.log(level, "%s", text, extra=fields), *engine.listeners):
            with contextlib.suppress(Exception):
                hear(dict(event))
    finally:
        current_slot.reset(token)


def caller_name(engine: "RequestEngine", above: int = 0) -> str:
    """Return the name of the owner's method that makes the request now, a public one if possible, for the log.

    Args:
        above: how many frames above the caller's are the engine's own, which need no look.
    """
    owner = engine.reference()
    frame: Any = sys._getframe(1 + above)
    names: list[str] = []
    for _ in range(40):
        code = frame.f_code
        if code.co_varnames[:1] in (("self",), ("cls",)) or "self" in code.co_freevars:
            local = frame.f_locals
            if local.get("self") is owner or local.get("cls") is owner:
                names.append(code.co_name)
                if not code.co_name.startswith("_"):
                    break
        frame = frame.f_back
        if frame is None or owner is None:
            break
    return next((name for name in reversed(names) if not name.startswith("_")), (names or ["request"])[0])


def _discard(response: Any) -> None:
    """Close a response that nobody will see, so that its connection is free for the next attempt."""
    close = attribute(response, "close")
    if callable(close) and not is_coroutine_function(close):
        with contextlib.suppress(Exception):
            close()


# request ----------------------------------------------------------------------------------------------------
# One logical request: the call, its attempts, and the outcome of the last one.
#
# It makes an attempt and has it judged, under a slot that whoever calls it has taken and gives back.


class Request:
    """One logical request: its call, how many attempts were made, and the outcome of the last one."""

    __slots__ = (
        "args", "call", "deadline", "engine", "error", "holds", "is_method", "kwargs", "name", "result",
        "retries", "retry", "rewinder", "tried_afresh",
    )  # fmt: skip

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, args: Any, kwargs: Any) -> None:
        self.engine = engine
        self.call, self.args, self.kwargs = call, args, kwargs
        self.retry = retry
        self.retries = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self.tried_afresh = False  # its kept connection had ended, and it was sent at once on another
        self.holds = False  # the server asked all requests to wait until the next attempt
        self.is_method = False  # a submitted method of the backend: what it requests is judged by itself
        self.name = ""
        total = engine.settings["total_timeout"]
        self.deadline = math.inf if total is None else monotonic() + total
        self.rewinder: Rewinder | None = None
        if retry:
            _, args, kwargs = without_partial(call, args, kwargs)
            if may_hold_a_body(args, kwargs):
                with contextlib.suppress(Exception):  # as in `judge`
                    self.rewinder = Rewinder(args, kwargs)

    def attempt(self, slot: Slot) -> "float | None":
        """Make one attempt under `slot`; return the delay before the next one, or None if the outcome stands."""
        slot.over = slot.judged = slot.makes_requests = False
        token = take_in_hand(slot)
        try:
            if not self.is_method:
                check_health(self.engine)
            self.result, self.error = self.call(*self.args, **self.kwargs), None
        except BaseException as error:
            self.result, self.error = None, error
        finally:
            current_slot.reset(token)
        return self.judge(slot)

    def judge(self, slot: Slot, body: Any = None) -> "float | None":
        """Return the delay before the next attempt, or None if the outcome of the last one stands.

        Args:
            body: the decoded body of an error response, where the response does not give it at once.
        """
        parent = slot.parent
        if self.is_method or slot.judged:
            if parent is not None and not parent.is_stream:
                parent.judged = slot.judged
            return None
        error = self.error
        try:
            failure = failure_in_result(self.result) if error is None else failure_in_exception(error)
        except Exception:  # somebody else's object, which may raise whatever is asked of it
            failure = None
        if failure is not None and body is not None:
            failure = failure_by_status(failure.status or 0, failure.headers, body)
        retry_if = self.engine.settings["retry_if"]
        if retry_if is not None and (error is None or isinstance(error, Exception)):
            failure = _as_told(retry_if(self.result, error), failure, self.result)
        if failure is not None and may_try_afresh(self.engine, failure, self):
            self.tried_afresh = True
            slot.over = True
            return 0.0
        if self.engine.health is not None:
            self.engine.health.note(failure)
        delay = None if failure is None else delay_after(self.engine, failure, self, slot)
        if parent is not None and not parent.is_stream:
            parent.judged = failure is not None and delay is None
        if failure is None:
            return None
        slot.gate.count("failed" if delay is None else "retried")
        return delay

    def outcome(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        error, self.error = self.error, None
        result, self.result = self.result, None  # a stream knows its request: no cycle of references
        if error is None:
            return result
        try:
            raise error
        finally:
            del error


def _as_told(word: Any, failure: "Failure | None", result: Any) -> "Failure | None":
    """Return what the owner's `retry_if` makes of an attempt: it failed or not, and after how many seconds to retry."""
    if word is None:
        return failure
    if word is False:
        return None if failure is None else failure._replace(retry=False)
    failure = failure or Failure("retry_if says so", True, status_in(result), attribute(result, "headers"))
    if word is True:
        return failure._replace(retry=True, by_owner=True)
    if isinstance(word, int | float) and 0 <= word < math.inf:
        return failure._replace(retry=True, by_owner=True, delay=float(word))
    raise ValueError(f"retry_if must return True, False, seconds (0 or more) or None, not {word!r}")


def check_health(engine: "RequestEngine") -> None:
    """Raise CircuitOpen while the circuit breaker is open; the attempt is not counted as sent."""
    try:
        if engine.health is not None:
            engine.health.check()
    except CircuitOpen:
        engine.gate.count("unsent")
        raise


# waiting ----------------------------------------------------------------------------------------------------
# Waits for a slot in a thread, between two attempts of a request. For tasks: `async_waiting`.


class ThreadTicket(Ticket):
    """The place of a thread, or greenlet, that waits for its next attempt."""

    __slots__ = ("error", "signal")

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot)
        self.error: Exception | None = None
        self.signal = new_signal()

    def hand_over(self) -> bool:
        with contextlib.suppress(RuntimeError):  # released already
            self.signal.release()
        return True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.hand_over()


def take_slot(gate: "Gate", slot: Slot, parent: "Slot | None") -> bool:
    """Take a slot at once, or return False: a free one, or the one of the request from within which this one is made.

    Args:
        parent: the slot of that one, if there is one.
    """
    taken = gate.enter(slot) if parent is None else gate.borrow(slot, parent)
    return taken or borrow_from_stream(gate, slot)


def borrow_from_stream(gate: "Gate", slot: Slot) -> bool:
    """Take the slot of a stream that this context reads, so that its reader does not wait for itself; or return False."""
    stream = slot_of_open_stream(gate)
    return stream is not None and gate.borrow(slot, stream)


def wait_for_slot(engine: "RequestEngine", slot: Slot, delay: "float | None", request: Request) -> None:
    """Wait for a slot in this thread: at the end of the line, or where `slot` stood, after the backoff of `delay` seconds.

    Raises:
        RequestTimeout: if that takes longer than `queue_timeout` or `total_timeout` allows.
    """
    gate = engine.gate
    ticket = ThreadTicket(slot)
    ticket.request = request
    limits = {"total_timeout": request.deadline}
    try:
        if delay is not None:
            if not gate.rejoin(ticket, delay, request.holds):
                ticket.signal.acquire(timeout=min(delay, threading.TIMEOUT_MAX))
                return
        else:
            request.name = caller_name(engine, above=2)
            warn_of_a_blocked_loop(engine, request)
            if engine.settings["queue_timeout"] is not None:
                limits["queue_timeout"] = monotonic() + engine.settings["queue_timeout"]
            if not gate.join(ticket):
                return
        name = min(limits, key=limits.__getitem__)
        own_wake_up = ticket.ready_at or gate.own_wake_up()
        while not ticket.signal.acquire(timeout=timeout_until(min(limits[name], own_wake_up))):
            gate.pump()  # also where the alarm's thread could not be started
            if monotonic() >= limits[name]:
                raise timed_out(engine, name)
            own_wake_up = gate.own_wake_up()
        if ticket.error is not None:
            raise ticket.error
        ticket.state = RUNNING
    except BaseException:
        gate.withdraw(ticket)
        raise


def warn_of_a_blocked_loop(engine: "RequestEngine", request: Request) -> None:
    """Say once that a sync request waits in an event loop's thread: what it waits for may be a task of that loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None and "loop" not in engine.warned:
        engine.warned.add("loop")
        safe_log(
            engine.logger, logging.WARNING, "%s.%s: a synchronous request waits in an event loop's thread, which stands still "
            "meanwhile; if tasks of this loop hold the slots, forever. Use asyncio.to_thread.", engine.label, request.name,
        )  # fmt: skip


def timeout_until(deadline: float) -> float:
    """Return the timeout for `Lock.acquire` that ends at `deadline`; -1 waits forever."""
    if deadline == math.inf:
        return -1
    return min(max(deadline - monotonic(), 0), threading.TIMEOUT_MAX)


def timed_out(engine: "RequestEngine", setting: str) -> RequestTimeout:
    did = "waited" if setting == "queue_timeout" else "took"
    return RequestTimeout(f"The request {did} longer than {setting} ({engine.settings[setting]} s).")


# streams ----------------------------------------------------------------------------------------------------
# Results that are still to be read: recognised, and made to keep their slot until they have been.
#
# What a stream looks like in general, and what holds the slot of a sync one. Responses of single libraries are recognised
# in `vendors/`; async streams are in `async_streams`.


def is_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    """Return True for a generator, what `stream=True` asked for, and a response whose body is still to come."""
    try:
        return not issubclass(type(result), Held) and _is_stream(result, kwargs)
    except Exception:  # somebody else's object, which may raise whatever is asked of it
        return False


def _is_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    if is_settled(result):
        return False
    if _has_shape_of_stream(result, kwargs):
        return True
    for vendor in VENDORS:  # noqa: SIM110, it is faster
        if vendor.is_stream is not None and vendor.is_stream(result):
            return True
    return False


def _has_shape_of_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    name = type(result).__name__
    if name in ("generator", "async_generator"):
        return True
    # httpx's and the SDKs' `with client.stream(...)`
    if name.endswith("Manager") and has_method(result, "__enter__"):
        return True
    asked = kwargs.get("stream")  # not always a flag: an array of samples, say, which has no truth value
    if (
        type(asked) in (bool, int)
        and asked
        and (has_method(result, "close") or has_method(result, "__anext__"))
    ):
        return True
    # An iterator over what it reads from a response: Mistral's streams of events.
    iterates = has_method(result, "__next__") or has_method(result, "__anext__")
    return iterates and status_in(attribute(result, "response")) is not None


def finish(request: Request, slot: Slot) -> None:
    """Give the slot back, or let it stay with the stream that was returned."""
    if request.error is None and slot.held and is_stream(request.result, request.kwargs):
        request.result = _hold(request, slot)
    else:
        slot.release()
        if request.error is None and failure_in_result(request.result) is None:
            remember_settled(request.result)


def _hold(request: Request, slot: Slot) -> Any:
    """Let a streamed result keep its slot until it is exhausted, closed or collected; return what to hand out.

    A response of requests, httpx or aiohttp stays the very same object: what it reads from is watched.
    """
    result = request.result
    note_open_stream(slot)
    for vendor in VENDORS:
        if vendor.hold is not None and vendor.hold(result, slot):
            return result
    if status_in(result) is not None:
        slot.release()
        return result
    is_async = has_method(result, "__anext__") or has_method(result, "__aiter__")
    is_sync = has_method(result, "__next__") or has_method(result, "__iter__")
    return HELD_STREAMS.get((is_sync, is_async), HeldStream)(result, slot, request)


class Held:
    """Something that keeps its slot until it is exhausted, closed or collected; otherwise like what is inside."""

    _slot: Any = None
    _stream: Any = None
    _items: Any = None  # what iterating over the stream gives, once that has begun; often the stream itself

    def __init__(self, stream: Any, slot: Slot, request: "Request | None" = None) -> None:
        self._stream = stream
        self._slot = slot
        slot.gate.watch(self, slot)
        # Until the first item has come: a failure is retried by making the call again.
        self._request = request
        if request is not None:
            request.result = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance() says what it said before
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._stream, name)
        return partial(self._drive, value) if name in ("send", "throw") else value

    def _drive(self, step: Callable[..., Any], *args: Any) -> Any:
        """Let a generator go on with what it is sent; its end gives the slot back."""
        with self._under_slot():
            return step(*args)

    def __del__(self) -> None:
        if self._slot is not None:
            # First what closes its connection when nobody refers to it: the server is not to see the next request before.
            self._stream = self._items = None
            self._slot.abandon()

    @contextlib.contextmanager
    def _under_slot(self, release: bool = False) -> Iterator[None]:
        """Run the stream's own code under the slot, and give the slot back if it fails, or after it if `release`."""
        token = current_slot.set(None if self._slot.over else self._slot)
        self._slot.used_at = math.inf
        try:
            yield
        except BaseException:
            self._slot.release()
            raise
        finally:
            self._slot.used_at = monotonic()
            reset_current_slot(token)
        if release:
            self._slot.release()

    def close(self) -> Any:
        """Close the stream and give its slot back."""
        with self._under_slot(release=True):
            return self._stream.close()

    async def aclose(self) -> None:
        """Close the stream and give its slot back."""
        with self._under_slot(release=True):
            await self._stream.aclose()


class HeldStream(Held):
    """An iterator, a generator or a context manager that an API's stream comes as."""

    def __iter__(self) -> "HeldStream":
        return self

    def __next__(self) -> Any:
        try:
            return self._next()
        except BaseException:  # its end is one
            self._slot.release()
            raise

    def _next(self) -> Any:
        while True:
            request = self._request
            try:
                if self._items is None:
                    stream = self._stream
                    self._items = stream if hasattr(stream, "__next__") else iter(stream)
                slot = self._slot
                token = current_slot.set(None if slot.over else slot)
                slot.used_at = math.inf
                try:
                    item = next(self._items)
                finally:
                    slot.used_at = monotonic()
                    current_slot.reset(token)
            except Exception as error:
                if request is None or isinstance(error, StopIteration):
                    raise
                request.error = error
            else:
                self._request = None
                return item
            self._stream, self._items = self._again(request, request.judge(self._slot)), None

    def _again(self, request: Request, delay: "float | None") -> Any:
        """After a failure before the first item: make the call again, in its turn; raise if it is not to be."""
        while delay is not None:
            wait_for_slot(request.engine, self._slot, delay, request)
            delay = request.attempt(self._slot)
        return request.outcome()

    def __enter__(self) -> Any:
        try:
            entered = self._entered()
        except BaseException:
            self._slot.release()
            raise
        return self if entered is self._stream else entered

    def _entered(self) -> Any:
        """Enter the stream; where that fails and is to be retried, make the call again, in its turn."""
        request = self._request
        while True:
            token = current_slot.set(None if self._slot.over else self._slot)
            try:
                result, error = self._stream.__enter__(), None
            except Exception as raised:
                if request is None:
                    raise
                result, error = None, raised
            finally:
                current_slot.reset(token)
            if request is None:
                return result
            request.result, request.error = result, error
            del result, error  # no cycle of references
            if (delay := request.judge(self._slot)) is None:
                return request.outcome()
            if request.error is None:
                with contextlib.suppress(Exception):
                    self._stream.__exit__(None, None, None)
            self._stream = self._again(request, delay)

    def __exit__(self, *exc: Any) -> Any:
        with self._under_slot(release=True):
            return self._stream.__exit__(*exc)


# (can be read, can be read with `async`) -> what holds its slot; those of `async_streams` are added to it.
HELD_STREAMS: dict[tuple[bool, bool], type[Held]] = {(True, False): HeldStream}


# bodies -----------------------------------------------------------------------------------------------------
# The body of a response, which keeps its slot until it has been read.
#
# For responses that stay the very same object: what they read from is replaced.


class HeldBody(Held):
    """What a response reads its body from."""

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """Read as before; the end of the body gives the slot back."""
        with self._under_slot():
            data = self._stream.read(*args, **kwargs)
        if not data or not any(type(size) is int and size >= 0 for size in (*args, *kwargs.values())):
            self._slot.release()
        return data

    def readline(self, *args: Any) -> Any:
        """Read as before; the end of the body gives the slot back, which `http.client` need not notice."""
        return self._read_with(self._stream.readline, *args)

    def read1(self, *args: Any) -> Any:
        """Read as before; the end of the body gives the slot back."""
        return self._read_with(self._stream.read1, *args)

    def readinto(self, buffer: Any) -> Any:
        """Read as before; the end of the body gives the slot back."""
        return self._read_with(self._stream.readinto, buffer)

    def _read_with(self, read: Callable[..., Any], *args: Any) -> Any:
        with self._under_slot():
            got = read(*args)
        if not got:
            self._slot.release()
        return got

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

    def __iter__(self) -> Iterator[Any]:
        yield from self._until_its_end(self._stream)

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


# async_waiting ----------------------------------------------------------------------------------------------
# Makes a request in a task of asyncio, and waits there for its slots. For threads: `calls`, `waiting`.


class TaskTicket(Ticket):
    """The place of an asyncio task."""

    __slots__ = ("future", "loop", "thread")

    def __init__(self, slot: Slot, loop: Any) -> None:
        super().__init__(slot)
        self.loop = loop
        self.thread = get_ident()
        self.future: Any = loop.create_future()

    def hand_over(self) -> bool:
        return self._resolve(None)

    def fail(self, error: Exception) -> None:
        self._resolve(error)

    def _resolve(self, error: "Exception | None") -> bool:
        def resolve() -> None:
            if not self.future.done():
                self.future.set_exception(error) if error else self.future.set_result(None)

        return self.run_in_loop(resolve)

    def run_in_loop(self, function: Callable[[], Any]) -> bool:
        """Call a function in the task's event loop; return False if that has ended."""
        try:
            if self.thread == get_ident():  # another task of the loop: no need to wake it
                function()
            else:
                self.loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop was closed while its task waited
            return False
        return True

    async def wait(self, seconds: float) -> bool:
        """Wait until it is handed a slot; return False if that takes longer."""
        if seconds == math.inf:
            await self.future
            return True
        await sys.modules["asyncio"].wait([self.future], timeout=seconds)
        if self.future.done():
            self.future.result()
        return bool(self.future.done())

    def call_later(self, seconds: float, function: Callable[[], Any]) -> None:
        """Call a function in the task's event loop."""
        self.loop.call_later(seconds, function)


class TrioTicket(Ticket):
    """The place of a task of trio."""

    __slots__ = ("error", "event", "thread", "token", "trio")

    def __init__(self, slot: Slot, trio: Any) -> None:
        super().__init__(slot)
        self.trio = trio
        self.token = trio.lowlevel.current_trio_token()
        self.thread = get_ident()
        self.event = trio.Event()
        self.error: Exception | None = None

    def hand_over(self) -> bool:
        try:
            self.event.set() if self.thread == get_ident() else self.token.run_sync_soon(self.event.set)
        except RuntimeError:  # trio has ended while its task waited
            return False
        return True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.hand_over()

    async def wait(self, seconds: float) -> bool:
        """Wait until it is handed a slot; return False if that takes longer."""
        with self.trio.move_on_after(seconds):
            await self.event.wait()
        if self.error is not None:
            raise self.error
        return bool(self.event.is_set())

    def call_later(self, seconds: float, function: Callable[[], Any]) -> None:
        """Call a function in the trio run, in a task of the system's."""

        async def later() -> None:
            await self.trio.sleep(seconds)
            function()

        self.trio.lowlevel.spawn_system_task(later)


def _task_ticket(slot: Slot) -> "TaskTicket | TrioTicket":
    """Return a ticket for the task that runs now, of asyncio or trio."""
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
            return TrioTicket(slot, trio)
        except RuntimeError:
            pass
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    if loop is None:
        raise RuntimeError(
            "This request has to wait for its turn or for a retry, which it can do in a task of asyncio or trio only; "
            "what runs here is neither (curio?)."
        )
    return TaskTicket(slot, loop)


async def make_async(
    engine: "RequestEngine",
    request: Request,
    slot: "Slot | None" = None,
    attempt: "Callable[[], Any] | None" = None,
) -> Slot:
    """Make a request in this task; return its slot, still held.

    Args:
        slot: where the first attempt was made already, the one under which it was made.
        attempt: makes one attempt, if there is more to it than to await the call.
    """
    parent = slot_in_hand(engine.gate)
    held = slot or engine.gate.new_slot()
    outermost = take_in_hand(held)
    try:
        if slot is not None:
            delay = request.judge(held, await _async_body(request.result))
            if delay is None:
                return held
            await _close_and_wait(engine, held, delay, request)
        elif not take_slot(engine.gate, held, parent):
            await _wait_in_task(engine, held, None, request)
        while (delay := await _attempt_in_task(engine, request, held, attempt)) is not None:
            await _close_and_wait(engine, held, delay, request)
        return held
    except GeneratorExit:  # from the collector, perhaps
        held.abandon()
        raise
    except BaseException:
        held.release()
        raise
    finally:
        reset_current_slot(outermost)


async def _attempt_in_task(
    engine: "RequestEngine", request: Request, slot: Slot, attempt: "Callable[[], Any] | None"
) -> "float | None":
    """Make one attempt under `slot`; return the delay before the next one, or None if the outcome stands."""
    slot.over = slot.judged = False
    try:
        check_health(engine)
        result = request.call(*request.args, **request.kwargs) if attempt is None else attempt()
        request.result, request.error = await result, None
    except Exception as error:
        request.result, request.error = None, error
    if request.error is None and not engine.careful and is_settled(request.result):
        return None
    return request.judge(slot, await _async_body(request.result))


async def _close_and_wait(engine: "RequestEngine", slot: Slot, delay: float, request: Request) -> None:
    """Close the response of a failed attempt, so that its connection is free, and wait out the backoff."""
    if request.error is None and has_method(request.result, "aclose"):
        with contextlib.suppress(Exception):
            await request.result.aclose()
    await _wait_in_task(engine, slot, delay, request)


async def _wait_in_task(engine: "RequestEngine", slot: Slot, delay: "float | None", request: Request) -> None:
    """Wait for a slot: at the end of the line, or where we stood, after the backoff of `delay` seconds."""
    ticket = _task_ticket(slot)
    ticket.request = request
    limits = {"total_timeout": request.deadline}
    try:
        if delay is None:
            request.name = caller_name(engine)
            engine.gate.join(ticket)
            if engine.settings["queue_timeout"] is not None:
                limits["queue_timeout"] = monotonic() + engine.settings["queue_timeout"]
        else:
            engine.gate.rejoin(ticket, delay, request.holds)
        due = max(ticket.ready_at, engine.gate.own_wake_up() if delay is None else 0)
        if not alarm.is_awake() and 0 < due < math.inf:
            ticket.call_later(max(due - monotonic(), 0), engine.gate.pump)
        name = min(limits, key=limits.__getitem__)
        if not await ticket.wait(limits[name] - monotonic()):
            raise timed_out(engine, name)
        ticket.state = RUNNING
    except GeneratorExit:  # the collector closes a task whose loop is gone
        engine.gate.abandon(ticket)
        raise
    except BaseException:
        engine.gate.withdraw(ticket)
        raise


async def _async_body(response: Any) -> Any:
    """Return the decoded body of a 429 or 503 of a client whose `json()` is a coroutine, or None."""
    decode = attribute(response, "json")
    if status_in(response) not in HOLDING_STATUSES or not is_coroutine_function(decode):
        return None
    try:
        body = await decode()
    except Exception:
        return None
    return body if isinstance(body, dict | list) else None


# async_streams ----------------------------------------------------------------------------------------------
# What holds the slot of an async stream. See `streams`.


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
                self._items = stream if hasattr(stream, "__anext__") else stream.__aiter__()
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
            self._request = None
            return item
        await make_async(request.engine, request, self._slot, partial(_made_again, request))
        if request.error is not None:
            self._slot.release()
        self._stream, self._items = request.outcome(), None
        return await self.__anext__()

    async def __aenter__(self) -> Any:
        with self._under_slot():
            entered = await self._stream.__aenter__()
        return self if entered is self._stream else entered

    async def __aexit__(self, *exc: Any) -> Any:
        with self._under_slot(release=True):
            return await self._stream.__aexit__(*exc)


class HeldStreamOfBoth(HeldStream, HeldAsyncStream):
    """The same of a stream that may be read in either way, such as LiteLLM's."""


# async_calls ------------------------------------------------------------------------------------------------
# Async calls: a coroutine function, and what gives something to be awaited, entered or iterated.


async def run_async(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a request in this task, at once if a slot is free."""
    gate = engine.gate
    held: Slot | None = None
    request: Request | None = None
    if not (
        engine.careful
        or current_slot.get() is not None
        or may_hold_a_body(args, kwargs)
        or isinstance(call, partial)
    ):
        slot = gate.new_slot()
        token = current_slot.set(slot)
        try:
            if gate.enter(slot):  # the usual case: see `run_call`
                try:
                    result = await call(*args, **kwargs)
                    if is_settled(result):
                        gate.leave(slot)
                        return result
                    request = Request(engine, call, retry, args, kwargs)
                    request.result = result
                except Exception as error:
                    request = Request(engine, call, retry, args, kwargs)
                    request.error = error
                held = slot
        except GeneratorExit:  # from the collector, perhaps
            slot.abandon()
            raise
        except BaseException:
            slot.release()
            raise
        finally:
            reset_current_slot(token)
    request = request or Request(engine, call, retry, args, kwargs)
    try:
        finish(request, held := await make_async(engine, request, held))
    except BaseException:
        if held is not None:
            held.release()
        raise
    return request.outcome()


class AsyncCall(Coroutine[Any, Any, Any]):
    """A call whose result is awaited, entered with `async with`, or iterated; it is made then, in its turn."""

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        self._engine = engine
        self._request = Request(engine, call, retry, args, kwargs)
        self._coroutine: Any = None
        self._manager: Any = None
        self._slot: Slot | None = None
        self._bare: Any = None  # the call itself, once something else was asked of it
        self._begun = False  # it is being made in its turn

    def __getattr__(self, name: str) -> Any:
        """Give what else the call has, such as grpc.aio's `read` and `cancel`; it is made at once then, outside the queue.

        Not what is asked of any coroutine, to show a task for example, nor of a call that is being made in its turn.
        """
        if name.startswith(("_", "cr_", "gi_", "ag_")) or self._coroutine is not None or self._begun:
            if name.startswith("cr_") and self._coroutine is not None:
                return getattr(self._coroutine, name)
            raise AttributeError(name)
        request, engine = self._request, self._engine
        if self._bare is None:
            self._bare = request.call(*request.args, **request.kwargs)
            if name not in engine.warned:
                engine.warned.add(name)
                safe_log(
                    engine.logger, logging.WARNING, "%s: a call whose `%s` is used, rather than awaited or iterated, is not queued",
                    engine.label, name,
                )  # fmt: skip
        return getattr(self._bare, name)

    def __del__(self) -> None:
        # An async generator that is collected when its loop is closed already does not run its `finally`.
        if self._slot is not None:
            self._slot.abandon()

    def __await__(self) -> Any:
        return (self._made() if self._bare is None else self._bare).__await__()

    def send(self, value: Any) -> Any:
        """Run it as the coroutine that it stands for."""
        self._coroutine = self._coroutine or self._made()
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise in the coroutine that it stands for."""
        self._coroutine = self._coroutine or self._made()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Close the coroutine that it stands for."""
        if self._coroutine is not None:
            self._coroutine.close()

    def _made(self) -> Any:
        self._begun = True
        request = self._request
        return run_async(self._engine, request.call, request.retry, *request.args, **request.kwargs)

    async def __aenter__(self) -> Any:
        self._begun = True
        request = self._request

        async def attempt() -> Any:
            if self._manager is not None:
                manager, self._manager = self._manager, None
                await manager.__aexit__(None, None, None)
            manager = request.call(*request.args, **request.kwargs)
            entered = await manager.__aenter__()
            self._manager = manager
            return entered

        self._slot = await make_async(self._engine, request, attempt=attempt)
        if request.error is not None:
            self._slot.release()
        else:
            note_open_stream(self._slot)
            self._slot.used_at = math.inf  # when it is read is not known
        return request.outcome()

    async def __aexit__(self, *exc: Any) -> Any:
        try:
            return await self._manager.__aexit__(*exc)
        finally:
            if self._slot is not None:
                self._slot.release()

    async def __aiter__(self) -> Any:
        request = self._request
        if self._bare is not None:
            async for item in self._bare:
                yield item
            return

        async def attempt() -> Any:
            self._manager = request.call(*request.args, **request.kwargs)
            items = aiter(self._manager)
            return items, [item async for item in _first(items)]

        self._begun = True
        self._slot = slot = await make_async(self._engine, request, attempt=attempt)
        note_open_stream(slot)
        slot.used_at = math.inf  # as above
        try:
            items, first = request.outcome()
            for item in first:
                yield item
                async for (
                    item
                ) in items:  # not the manager itself, which may begin anew: an SDK's list of pages
                    yield item
        finally:
            try:
                if has_method(self._manager, "aclose"):
                    await self._manager.aclose()
            finally:
                slot.abandon()  # perhaps in the collector


class AsyncGeneratorCall(AsyncGenerator[Any, Any]):
    """An async generator that is begun, in its turn, when its first item is asked for; it keeps its slot until it ends."""

    def __init__(self, engine: "RequestEngine", call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        self._request = Request(engine, call, retry, args, kwargs)
        self._generator: Any = None
        self._slot: Slot | None = None
        self._is_over = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # so that isinstance() says what it said before
        return AsyncGeneratorType

    def __getattr__(self, name: str) -> Any:
        if self._generator is None and name in ("ag_running", "ag_frame", "ag_await", "ag_suspended"):
            return None if name in ("ag_frame", "ag_await") else False
        if name.startswith("ag_") and self._generator is not None:
            return getattr(self._generator, name)
        raise AttributeError(name)

    def __del__(self) -> None:
        self._generator = None  # first, as in `Held`
        if self._slot is not None:
            self._slot.abandon()

    async def asend(self, value: Any) -> Any:
        """Send a value, as before; the first one begins the generator."""
        if self._is_over:
            raise StopAsyncIteration
        if self._slot is not None:
            return await self._drive(self._generator.asend(value))
        if value is not None:
            raise TypeError("can't send non-None value to a just-started async generator")
        request = self._request

        async def attempt() -> Any:
            self._generator = request.call(*request.args, **request.kwargs)
            try:
                return [await self._generator.__anext__()]
            except StopAsyncIteration:
                return []

        self._slot = await make_async(request.engine, request, attempt=attempt)
        try:
            first = request.outcome()
            if not first:
                raise StopAsyncIteration
        except BaseException:
            self._end()
            raise
        note_open_stream(self._slot)
        return first[0]

    async def athrow(self, *error: Any) -> Any:
        """Raise in the generator, as before; one that was not begun ends."""
        if self._slot is not None and not self._is_over:
            return await self._drive(self._generator.athrow(*error))
        self._is_over = True
        raise error[1] if len(error) > 1 and error[1] is not None else error[0]

    async def aclose(self) -> None:
        """Close the generator and give its slot back."""
        try:
            if self._generator is not None:
                await self._generator.aclose()
        finally:
            self._end()

    async def _drive(self, step: Any) -> Any:
        slot: Any = self._slot
        token = current_slot.set(slot)
        slot.used_at = math.inf
        try:
            return await step
        except BaseException:
            self._end()
            raise
        finally:
            slot.used_at = monotonic()
            reset_current_slot(token)

    def _end(self) -> None:
        self._is_over = True
        if self._slot is not None:
            self._slot.release()


async def _first(stream: Any) -> Any:
    async for item in stream:
        yield item
        return


# call_kinds -------------------------------------------------------------------------------------------------
# Is a call synchronous, a coroutine function, or something else that is async?
#
# And the quick looks that save the usual calls, which every request pays for, from everything that is slow.


SYNC, COROUTINE, ASYNC_GENERATOR, ASYNC_OTHER = range(4)
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
            # None is no 0: then its other counts say how often.
            retries = [adapter.max_retries for adapter in adapters.values()]
            if any(retry.total != 0 or is_retry_policy(retry) for retry in retries):
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
        return ASYNC_OTHER if wrapper else COROUTINE
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


# jobs -------------------------------------------------------------------------------------------------------
# What is given away: jobs, which worker threads run, `submit` and `map`.


class Job(Ticket):
    """The place of a request that a worker thread runs, and its outcome."""

    __slots__ = ("context", "done", "future")

    def __init__(self, slot: Slot, request: Request, future: "Future[Any] | None" = None) -> None:
        super().__init__(slot)
        self.request = request
        self.future = future
        self.context = contextvars.copy_context()
        self.done = new_signal()

    def hand_over(self) -> bool:
        gate = self.slot.gate
        # Counted before it is put: Ctrl-C in between costs a worker too many, the other way round one too few.
        if gate.idle:
            gate.idle -= 1
        else:
            gate.unstaffed += 1
        gate.jobs.put(self)
        return True

    def fail(self, error: Exception) -> None:
        self.request.result, self.request.error = None, error
        self.deliver()

    def deliver(self) -> None:
        """Give the outcome to whoever waits for it."""
        if self.future is None:
            if self.state == GONE:  # nobody waits; a stream's slot is not to wait for the collector
                self.request.result = None
            with contextlib.suppress(RuntimeError):
                self.done.release()
            return
        error, result = self.request.error, self.request.result
        self.request.error = self.request.result = None
        with contextlib.suppress(InvalidStateError):  # cancelled in the meantime
            self.future.set_exception(error) if error is not None else self.future.set_result(result)
        del error, result

    def run(self, worker: "Worker | None" = None) -> None:
        """Make one attempt, having been handed a slot; then deliver, or go back in line to wait out the backoff.

        Args:
            worker: the thread that runs it, where it is one of the queue's.
        """
        gate, request = self.slot.gate, self.request
        if not gate.start(self):
            return
        future = self.future
        if not (future is None or future.running() or future.set_running_or_notify_cancel()):
            self.slot.release()
            return
        self.slot.thread = get_ident()
        token = current_slot.set(
            self.slot
        )  # in our own context: what a finalizer calls in this thread is made from within
        try:
            delay = self.context.run(request.attempt, self.slot)
            if delay is not None:
                gate.rejoin(self, delay, request.holds)
                # Without the alarm (Python 3.12 starts no thread once the main one has ended) only we know of it.
                while self.state == WAITING and (due := gate.own_wake_up()) < math.inf:
                    new_signal().acquire(timeout=timeout_until(due))
                    gate.pump()
                return
            if worker is not None and future is None:
                worker.become_idle()  # very soon: so that the slot's next job is its own, and wakes no other thread
            finish(request, self.slot)
        except BaseException as error:  # an error of our own must reach the caller, never end the worker
            request.result, request.error = None, error
            self.slot.release()
        finally:
            current_slot.reset(token)
        self.deliver()


def submit_call(
    engine: "RequestEngine", call: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> "Future[Any]":
    """Queue `call(*args, **kwargs)` and return its future at once.

    A method of the backend retries its own requests; any other function is retried as a whole.
    A request that submits others may go on to wait for them, so its slot is given back at once; what it requests
    itself from then on takes slots of its own.

    Raises:
        RequestQueueFull: if `queue_size` requests wait already.
    """
    return _submit_request(engine, False, call, args, kwargs)


def _submit_request(
    engine: "RequestEngine", always: bool, call: Callable[..., Any], args: Any, kwargs: Any
) -> "Future[Any]":
    owner = engine.reference()
    bound = attribute(call, "__self__")
    # Of instances that cannot be referred to weakly, the class is the owner.
    retry = owner is None or (bound is not owner and type(bound) is not owner)
    future: Future[Any] = Future()
    request = Request(engine, call, retry, args, kwargs)
    request.name = str(attribute(call, "__name__") or "")
    gate, slot = engine.gate, engine.gate.new_slot()
    slot.is_submitted = slot.is_special = True
    request.is_method = slot.of_method = not retry
    job = Job(slot, request, future)

    def withdraw(done: "Future[Any]") -> None:
        if done.cancelled() and gate.withdraw(job):
            done.set_running_or_notify_cancel()  # tells concurrent.futures.wait() and its like

    future.add_done_callback(withdraw)
    try:
        if not gate.join(job, always):
            gate.join_later(job)
        if (outer := slot_in_hand(gate)) is not None:
            gate.let_go(outer)
    except BaseException:  # Ctrl-C; nobody would ever know of the future
        gate.withdraw(job)
        raise
    return future


def map_calls(
    engine: "RequestEngine",
    call: Callable[..., Any],
    items: Iterable[Any],
    progress: "Callable[[int], Any] | None" = None,
) -> Iterator[Any]:
    """Yield `call(item)` for each item, in their order, made in their turn by the queue's threads.

    A few more are under way than may run at once, so the items may be without end, and the queue keeps room for others.
    The first error is raised in its place. Then, and when the iterator is dropped, what has not begun never runs.

    Args:
        progress: called with 1 for each result, in the thread that iterates: a bar's `update` of tqdm, say.
    """
    return _results_of(engine, call, iter(items), progress)


def _results_of(
    engine: "RequestEngine", call: Callable[..., Any], items: Iterator[Any], progress: Any
) -> Iterator[Any]:
    under_way: deque[Future[Any]] = deque()
    try:
        while True:
            # Twice as many as may run: when one ends, the next is in line already.
            while len(under_way) < max(2 * min(engine.gate.limit, 500), 1):
                try:
                    item = next(items)
                except StopIteration:
                    break
                submitted = _submit(engine, not under_way, call, item)
                while submitted is None:  # no room: those before have to end first
                    yield _next_of(under_way, progress)
                    submitted = _submit(engine, not under_way, call, item)
                under_way.append(submitted)
            if not under_way:
                return
            yield _next_of(under_way, progress)
    finally:
        for future in under_way:
            future.cancel()


def _next_of(under_way: "deque[Future[Any]]", progress: Any) -> Any:
    result = under_way[0].result()
    del under_way[0]
    if progress is not None:
        progress(1)
    return result


def _submit(
    engine: "RequestEngine", always: bool, call: Callable[..., Any], item: Any
) -> "Future[Any] | None":
    """Submit a call for `map_calls`; return None if the queue has no room for it and it is not to be in line `always`."""
    try:
        return _submit_request(engine, always, call, (item,), {})
    except RequestQueueFull:
        return None


# calls ------------------------------------------------------------------------------------------------------
# Sync calls: run at once, in their turn, or from within another request.
#
# The usual call is made in `run_call`, without anything that it does not need; what is not usual is made as a `Request`.


def run_call(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make a request in this thread, at once if a slot is free, else in its turn."""
    if engine.careful or current_slot.get() is not None or may_hold_a_body(args, kwargs):
        return _run_request(engine, Request(engine, call, retry, args, kwargs))
    # The usual case, without a Request where all goes well: every call pays for it.
    gate = engine.gate
    slot = Slot()
    slot.gate = gate
    # Before it is taken, and until it was given back: a signal handler that calls us is then made from within this one.
    token = current_slot.set(slot)
    try:
        if not gate.enter(slot) and not borrow_from_stream(gate, slot):
            return _run_in_turn(engine, Request(engine, call, retry, args, kwargs), slot)
        try:
            result = call(*args, **kwargs)
            if is_settled(result):
                gate.leave(slot)
                return result
            request = Request(engine, call, retry, args, kwargs)
            request.result = result
        except Exception as error:
            request = Request(engine, call, retry, args, kwargs)
            request.error = error
        return _run_on(engine, request, slot, request.judge(slot))
    except BaseException:
        slot.release()
        raise
    finally:
        current_slot.reset(token)


def run_partial(
    engine: "RequestEngine", call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Make the request of a partial, which may hold a body of its own, to be sent again from where it stood."""
    return _run_request(engine, Request(engine, call, retry, args, kwargs))


def _run_request(engine: "RequestEngine", request: Request) -> Any:
    gate = engine.gate
    slot, parent = gate.new_slot(), slot_in_hand(gate)
    token = take_in_hand(slot)
    try:
        if not take_slot(gate, slot, parent):
            return _run_in_turn(engine, request, slot)
        return _run_on(engine, request, slot, request.attempt(slot))
    except BaseException:
        slot.release()
        raise
    finally:
        current_slot.reset(token)


def _run_on(engine: "RequestEngine", request: Request, slot: Slot, delay: "float | None") -> Any:
    """Having made an attempt under `slot`, make more of them while there is to be one after `delay`."""
    while delay is not None:
        wait_for_slot(engine, slot, delay, request)
        delay = request.attempt(slot)
    finish(request, slot)
    return request.outcome()


def _run_in_turn(engine: "RequestEngine", request: Request, slot: Slot) -> Any:
    """Make a request for which no slot is free now: in this thread, or in a worker's where the owner wants it so."""
    if slot.parent is None and engine.settings["queue_execution"] == "background":
        return _run_in_background(engine, request)
    wait_for_slot(engine, slot, None, request)
    return _run_on(engine, request, slot, request.attempt(slot))


def _run_in_background(engine: "RequestEngine", request: Request) -> Any:
    """Let a worker thread make the request when its turn has come, and wait for the outcome."""
    request.name = caller_name(engine, above=2)
    warn_of_a_blocked_loop(engine, request)
    job = Job(engine.gate.new_slot(), request)  # a slot that the worker gives back
    queue_timeout = engine.settings["queue_timeout"]
    queue_deadline = math.inf if queue_timeout is None else monotonic() + queue_timeout
    try:
        engine.gate.join(job)
        while not job.done.acquire(
            timeout=timeout_until(min(queue_deadline, request.deadline, engine.gate.own_wake_up()))
        ):
            engine.gate.pump()
            now = monotonic()
            if now >= request.deadline:
                raise timed_out(engine, "total_timeout")
            if now >= queue_deadline:
                if engine.gate.withdraw_unstarted(job):
                    raise timed_out(engine, "queue_timeout")
                queue_deadline = math.inf
        if request.error is None and not job.slot.ended:  # a stream keeps it
            note_open_stream(job.slot)
    except BaseException:
        if engine.gate.withdraw(job):
            raise
        request.retry = False  # an attempt is under way; it is the last one
        request.result = None  # see Job.deliver
        raise
    return request.outcome()


# aiohttp ----------------------------------------------------------------------------------------------------
# aiohttp: its methods give something to be awaited or entered; a response keeps its slot until its connection is released.


def _aiohttp_connection(result: Any) -> Any:
    """Return what a response of aiohttp reads from; None where its body came with the headers, or it is something else."""
    if not type(result).__module__.startswith("aiohttp."):
        return None
    connection = attribute(result, "connection")
    return connection if has_method(connection, "add_callback") else None


def _is_unread_by_aiohttp(result: Any) -> bool:
    return type(result).__module__.startswith("aiohttp.") and _aiohttp_connection(result) is not None


def _hold_aiohttp(result: Any, slot: Slot) -> bool:
    connection = _aiohttp_connection(result)
    if connection is None:
        return False
    slot.used_at = math.inf  # when it is read is not known
    connection.add_callback(slot.abandon)  # a response may be released by the collector
    return True


def _awaits_in_aiohttp(call: Any, owner: type) -> bool:
    return owner.__module__.partition(".")[0] == "aiohttp"


def _was_kept_by_aiohttp(names: Mapping[str, Any]) -> bool:
    """Return True in `ClientSession._request` for what aiohttp itself does not send again: it does so with all but POST and PATCH.

    Nothing tells whether the connection had answered before. It is taken for granted there, as aiohttp takes it.
    """
    if type(names.get("self")).__module__ != "aiohttp.client" or "retry_persistent_connection" not in names:
        return False
    return str(names.get("method")).upper() in ("POST", "PATCH")


VENDORS.append(
    Vendor(
        "aiohttp",
        is_stream=_is_unread_by_aiohttp,
        hold=_hold_aiohttp,
        awaits=_awaits_in_aiohttp,
        was_kept=_was_kept_by_aiohttp,
    )
)


# botocore ---------------------------------------------------------------------------------------------------
# botocore (boto3, aiobotocore): failures in dicts, bodies and event streams in dicts, retries in a handler.
#
# After each attempt a client asks the handlers of its events whether to make another one. A call of ours goes through a
# copy of the client that tells them that the attempt was the last. The client itself is neither changed nor remembered.


# What botocore itself would have retried, whatever the status: DynamoDB's come with a 400.
_AWS_RETRIED_NAMES = """
    SlowDown RequestTimeout RequestTimeoutException Throttling ThrottlingException
    ThrottledException RequestThrottled RequestThrottledException RequestLimitExceeded TooManyRequestsException
    ProvisionedThroughputExceededException BandwidthLimitExceeded EC2ThrottledException
    ServiceUnavailable InternalError PriorRequestNotComplete TransactionInProgressException
"""
_AWS_RETRIED = frozenset(_AWS_RETRIED_NAMES.split())
# The modules of methods that send a file in parts, wait for something, go through pages, or through a collection.
_AWS_SEVERAL = re.compile(
    r"boto3\.s3\.(inject|transfer)|aioboto3\.s3\.inject|s3transfer\.|(aio)?boto(core|3)\.(waiter|paginate)|"
    r"aiobotocore\.(waiter|paginate)|(aio)?boto3\.resources\.collection|(aio)?boto3\.dynamodb\.table"
)
_READ_TYPES = PLAIN_TYPES | {dict}
_CLIENT_MODULES = frozenset({"botocore.client", "aiobotocore.client"})
_AWS_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_AWS_MAKES = re.compile(r"create_|start_|send_|publish_")
_AWS_READS = re.compile(
    r"query|scan|select_|batch_(get|write)_|lookup_|filter_|detect_|recognize_|analyze_|compare_|check_|validate_|verify"
    r"|simulate_|estimate_|assume_role|encrypt|decrypt|sign$"
)


def _failure_in_botocore(thing: Any, name: str) -> "Failure | None":
    """Return what an answer says, or the one that a ClientError has."""
    response = thing if type(thing) is dict else attribute(thing, "response")
    metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    if not isinstance(metadata, Mapping):
        return None
    error = response.get("Error")
    code, message = (error.get("Code"), error.get("Message")) if isinstance(error, Mapping) else (None, None)
    status = metadata.get("HTTPStatusCode")
    headers = metadata.get("HTTPHeaders")
    if isinstance(code, str) and code in _AWS_RETRIED:
        retry = not is_final(headers, {"message": message})  # Bedrock: "Too many tokens per day"
        return Failure(f"{name} ({code})" if name else code, retry, status, headers)
    if isinstance(status, int) and status >= 400:
        return failure_by_status(status, headers, None, name)
    return None


def _body_of_botocore(result: Any) -> Any:
    """Return the body or the stream of events in an answer of botocore, which is still to be read."""
    if type(result) is not dict or "ResponseMetadata" not in result:
        return None
    return next(
        (value for value in result.values() if has_method(attribute(value, "_raw_stream"), "read")), None
    )


def _is_settled_of_botocore(result: dict[str, Any]) -> bool:
    """Return True, quickly, for an answer that is a good one, and read."""
    metadata = result["ResponseMetadata"]
    if type(metadata) is not dict or "Error" in result:
        return False
    status = metadata.get("HTTPStatusCode")
    if type(status) is not int or status >= 300:
        return False
    return all(type(value) in _READ_TYPES or not hasattr(value, "_raw_stream") for value in result.values())


def _is_unread_by_botocore(result: Any) -> bool:
    return type(result) is dict and _body_of_botocore(result) is not None


def _hold_botocore(result: Any, slot: Slot) -> bool:
    body = _body_of_botocore(result)
    if body is None:
        return False
    body._raw_stream = HeldBody(body._raw_stream, slot)
    return True


class _LastAttempt:
    """The events of a client whose retry handlers are told that this attempt is the last one.

    Whatever else listens for `needs-retry` goes on to be heard: S3's redirections to the region of a bucket are made there.
    """

    def __init__(self, events: Any) -> None:
        self._events = events
        self.over = False  # what was made of the call's result goes on as the client itself would

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)

    def emit(self, event_name: str, **kwargs: Any) -> Any:
        """Emit an event."""
        if event_name.startswith("needs-retry.") and not self.over:
            kwargs["attempts"] = sys.maxsize
            if (
                kwargs.get("response") is not None
            ):  # a copy, or the error would say how many retries were not made
                http, parsed = kwargs["response"]
                kwargs["response"] = (
                    http,
                    {**parsed, "ResponseMetadata": {**parsed.get("ResponseMetadata", {})}},
                )
        return self._events.emit(event_name, **kwargs)


def _botocore_handling(call: Any, owner: Any) -> "Handling | None":
    """The same method of a copy of the client or resource, of which no handler repeats an attempt."""
    function = attribute(call, "__func__")
    module = attribute(function, "__module__")
    is_operation = module in _CLIENT_MODULES
    if not is_operation and (_AWS_SEVERAL.match(str(module)) or _is_waiter(call)):
        return Handling(call, retry=False)
    client = _client_of(owner)
    if function is None or client is None:
        return None
    if client.meta.config.retries.get("mode") == "adaptive":  # it paces the requests, too
        return Handling(call, retry=False)
    if client is not owner:
        return Handling(_once_of_resource(call, owner, client))
    once = MethodType(function, _with_events(client, _LastAttempt(client._endpoint._event_emitter)))
    operation = _operation_of(client, call.__name__)
    if call.__name__ == "_make_api_call" or _token_members(client, operation):
        return Handling(once, prepare=_with_token)
    return Handling(once)


def _is_waiter(call: Any) -> bool:
    """Return True for `bucket.wait_until_exists`, whose function is made by the factory of all resources."""
    return str(attribute(call, "__name__")).startswith("wait_until_") and has_method(
        attribute(attribute(attribute(call, "__self__"), "meta"), "client"), "get_waiter"
    )


def _client_of(owner: Any) -> Any:
    """Return the client that a method's object is, or that a resource has; None for anything that is not this library's."""
    client = (
        owner if attribute(owner, "_endpoint") is not None else attribute(attribute(owner, "meta"), "client")
    )
    is_one = type(client).__module__.startswith(("botocore.", "aiobotocore."))
    return client if is_one and attribute(client, "_endpoint") is not None else None


def _with_events(client: Any, events: Any) -> Any:
    return twin_of(client, _endpoint=twin_of(client._endpoint, _event_emitter=events))


def _once_of_resource(call: Any, owner: Any, client: Any) -> Any:
    """Return a resource's method that is called on a copy of it; what it notes on itself is noted on the resource."""

    @contextlib.contextmanager
    def copied() -> Iterator[Any]:
        events = _LastAttempt(client._endpoint._event_emitter)
        meta = twin_of(owner.meta, client=_with_events(client, events))
        try:
            yield twin_of(owner, meta=meta)
        finally:
            owner.meta.data = meta.data
            events.over = True

    @wraps(call)
    def call_once(*args: Any, **kwargs: Any) -> Any:
        with copied() as twin:
            return call.__func__(twin, *args, **kwargs)

    @wraps(call)
    async def await_once(*args: Any, **kwargs: Any) -> Any:
        with copied() as twin:
            return await call.__func__(twin, *args, **kwargs)

    return await_once if is_coroutine_function(call) else call_once


def _operation_of(client: Any, method: str) -> Any:
    return client.meta.method_to_api_mapping.get(method)


def _token_members(client: Any, operation: Any) -> Any:
    """Return the names of the parameters that botocore fills in with a token of its own, made for each call."""
    return (
        () if operation is None else client.meta.service_model.operation_model(operation).idempotent_members
    )


def _with_token(call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Prepared:
    """Fill in the token now, so that all attempts carry the same: the service knows the second for a repetition."""
    client = call.__self__
    if call.__name__ == "_make_api_call":
        operation, params = (*args, *kwargs.values())
        return Prepared(call, (operation, {**_tokens(client, operation), **params}), {})
    return Prepared(call, args, {**_tokens(client, _operation_of(client, call.__name__)), **kwargs})


def _tokens(client: Any, operation: str) -> dict[str, str]:
    return {name: str(uuid.uuid4()) for name in _token_members(client, operation)}


def _botocore_repeatable(call: Any, owner: Any, args: Any, kwargs: Any) -> "bool | None":
    client = _client_of(owner)
    if client is None:
        return None
    if client is not owner:
        return True if call.__name__ == "copy_from" else None  # of a resource: CopyObject, UploadPartCopy
    operation, params = _operation_of(client, call.__name__), kwargs
    if call.__name__ == "_make_api_call":
        operation, params = args
    if operation is None:
        return None
    if not params.keys().isdisjoint(_token_members(client, operation)):
        return True
    method = client.meta.service_model.operation_model(operation).http.get("method")
    if method in _AWS_IDEMPOTENT and not _AWS_MAKES.match(call.__name__):
        return True
    return bool(_AWS_READS.match(call.__name__) or is_harmless(type(client), call.__name__))


def _awaits_in_aiobotocore(call: Any, owner: type) -> bool:
    return owner.__module__.partition(".")[0] == "aiobotocore"


ANSWER_KEYS["ResponseMetadata"] = _is_settled_of_botocore
RAISED_WITHOUT_CAUSE.add("S3UploadFailedError")
VENDORS.append(
    Vendor(
        "botocore",
        failure=_failure_in_botocore,
        is_stream=_is_unread_by_botocore,
        hold=_hold_botocore,
        handling=_botocore_handling,
        repeatable=_botocore_repeatable,
        awaits=_awaits_in_aiobotocore,
    )
)


# by_argument ------------------------------------------------------------------------------------------------
# Cohere, Mistral, LiteLLM and the older SDK of Google: an argument of the call turns their retries off.


# Package of an SDK -> arguments that turn its own retries off for a call; a dict is merged with what is given.
_WITHOUT_RETRIES: dict[str, dict[str, Any]] = {
    "cohere": {"request_options": {"max_retries": 0}},
    "mistralai": {"retries": None},
    "litellm": {"num_retries": 0, "max_retries": 0},
    "google.generativeai": {"request_options": {"retry": None}},
}
# Its methods that make several requests, some of them with calls of the user's functions between.
_SDK_SEVERAL = re.compile(
    r"wait(_for)?$|run(_stream)?_async$|execute_workflow_and_wait|upload_file$|list_files$|list_models$"
)
_EMBEDDINGS_OF_LITELLM = re.compile(r"a?embedding$")  # these take no argument that turns their retries off
_CO_VARKEYWORDS = 0x08


def _handling_by_argument(call: Any, owner: Any) -> "Handling | None":
    """Cohere, Mistral, LiteLLM, the older SDK of Google: the same call with arguments that turn retries off."""
    module = f"{attribute(call, '__module__')}."
    sdk = next((sdk for sdk in _WITHOUT_RETRIES if module.startswith(f"{sdk}.")), None)
    if sdk is None:
        return None
    name = call.__name__
    if _SDK_SEVERAL.match(name) or (sdk == "litellm" and _EMBEDDINGS_OF_LITELLM.match(name)):
        return Handling(call, retry=False)
    if sdk == "litellm" and (attribute(owner, "retry_policy") or attribute(owner, "fallbacks")):
        return Handling(call, retry=False)
    if sdk == "mistralai" and _is_set(attribute(attribute(owner, "sdk_configuration"), "retry_config")):
        return Handling(call, retry=False)
    off = {name: value for name, value in _WITHOUT_RETRIES[sdk].items() if _takes(call, name)}
    if not off:
        return None
    return Handling(call, prepare=partial(_with_arguments, off))


def _with_arguments(off: Mapping[str, Any], call: Any, args: Any, kwargs: Any) -> Prepared:
    """Add the arguments; where the user has given a policy, rather than a count, that one stays."""
    given = [kwargs.get("retries"), kwargs.get("retry_policy"), kwargs.get("fallbacks")]
    given.append((kwargs.get("request_options") or {}).get("retry"))
    if any(_is_set(value) and not isinstance(value, int) for value in given):
        return Prepared(call, args, kwargs, retry=False)
    merged = {
        name: {**(kwargs.get(name) or {}), **value} if isinstance(value, dict) else value
        for name, value in off.items()
    }
    if (
        call.__name__ == "embed"
        and len(kwargs.get("texts") or ()) > 96
        and kwargs.get("batching") is not False
    ):
        return Prepared(
            call, args, kwargs, retry=False
        )  # Cohere's first client: a request for each 96 of them
    return Prepared(call, args, {**kwargs, **merged})


def _is_set(value: Any) -> bool:
    return value is not None and type(value).__name__ != "Unset"


def _takes(call: Any, name: str) -> bool:
    """Return True if a function has a parameter of this name, or takes any."""
    code = attribute(attribute(call, "__func__") or call, "__code__")
    if code is None:
        return False
    return (
        bool(code.co_flags & _CO_VARKEYWORDS)
        or name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    )


RETRYING_MODULES.update(
    {
        "cohere.client",
        "google.generativeai.embedding",
        "google.generativeai.files",
        "google.generativeai.models",
    }
)
VENDORS.append(Vendor("cohere, mistralai, litellm, google.generativeai", handling=_handling_by_argument))


# genai ------------------------------------------------------------------------------------------------------
# google-genai: its retries are options of its client or of a call; it calls functions of the user's by itself.


_GENAI_SEVERAL = re.compile(r"upload|download|list$|wait")
_TAKES_TOOLS = re.compile(r"(generate_content|send_message)(_stream)?$")
_ONE_ATTEMPT = {"attempts": 1}


def _genai_handling(call: Any, owner: Any) -> "Handling | None":
    """google-genai: the same call with `retry_options` that ask for one attempt."""
    client = _genai_client_of(owner)
    if client is None:
        return None
    options = attribute(attribute(client, "_http_options"), "retry_options")
    if _is_policy_of_genai(options):
        return Handling(call, retry=False)
    if _GENAI_SEVERAL.match(call.__name__):
        return Handling(call, retry=False)
    # The client of an older version or a newer one has its retries by itself, if it was given any.
    return Handling(call, prepare=_by_config)


def _genai_client_of(owner: Any) -> Any:
    """Return what sends the requests of a resource, or of a chat; None for anything that is not this library's."""
    if not type(owner).__module__.startswith("google.genai."):
        return None
    return attribute(attribute(owner, "_modules") or owner, "_api_client")


def _is_policy_of_genai(options: Any) -> bool:
    """Return True for retry options that say more than how often."""
    given = options if isinstance(options, Mapping) else vars(options) if options is not None else {}
    return any(value is not None for name, value in given.items() if name != "attempts")


def _by_config(call: Any, args: Any, kwargs: Any) -> Prepared:
    """Look at a call's configuration: at the user's functions in it, and at how often it is to be tried."""
    owner = call.__self__
    config = kwargs.get("config") or attribute(owner, "_config")
    given = _get(_get(config, "http_options"), "retry_options")
    if _is_policy_of_genai(given) or (_TAKES_TOOLS.match(call.__name__) and _has_functions(config)):
        return Prepared(call, args, kwargs, retry=False)
    options = given or _genai_client_of(owner)._http_options.retry_options
    if options is None or _get(options, "attempts") == 1:
        return Prepared(call, args, kwargs)
    http_options = _changed(_get(config, "http_options") or {}, retry_options=_ONE_ATTEMPT)
    return Prepared(call, args, {**kwargs, "config": _changed(config or {}, http_options=http_options)})


def _has_functions(config: Any) -> bool:
    """Return True if functions of the user's, or sessions of MCP, are called between the requests of one call."""
    if _get(_get(config, "automatic_function_calling"), "disable"):
        return False
    tools = _get(config, "tools") or ()
    return any(callable(tool) or "mcp" in type(tool).__module__ for tool in tools)


def _get(thing: Any, name: str) -> Any:
    """Return what a model has, or a dict that stands for one; in those the names may be written `likeThis`."""
    if not isinstance(thing, Mapping):
        return attribute(thing, name)
    camel = re.sub("_(.)", lambda found: found[1].upper(), name)
    return thing.get(name, thing.get(camel))


def _changed(thing: Any, **changes: Any) -> Any:
    """Return a copy of a model, or of a dict that stands for one, with other values."""
    if isinstance(thing, Mapping):
        names = {re.sub("_(.)", lambda found: found[1].upper(), name) for name in changes}
        return {**{name: value for name, value in thing.items() if name not in names}, **changes}
    return type(thing).model_validate({**{n: getattr(thing, n) for n in thing.model_fields_set}, **changes})


VENDORS.append(Vendor("google-genai", handling=_genai_handling))


# grpc -------------------------------------------------------------------------------------------------------
# gRPC: failures by code, answers that come as a stream, calls of grpc.aio.


# gRPC's codes as statuses (google/rpc/code.proto), and what its UNAVAILABLE says where no server has answered.
_GRPC_STATUSES = {"UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429}
_GRPC_LOST = re.compile(
    "socket closed|connection reset|broken pipe|stream removed|watchdog|goaway|cancelling all calls",
    re.IGNORECASE,
)


def _failure_in_grpc(error: Any, name: str) -> "Failure | None":
    """Return the failure that an `RpcError` stands for. Its `code()` waits for a call that runs: only ask what was raised."""
    if all(cls.__name__ != "RpcError" for cls in type(error).__mro__):
        return None
    try:
        code, details = error.code().name, str(error.details())
        headers = {name.lower(): value for name, value in error.trailing_metadata() or ()}
    except Exception:
        return None
    why = f"{type(error).__name__} ({code})"
    if code == "DEADLINE_EXCEEDED" or (code == "UNAVAILABLE" and _GRPC_LOST.search(details)):
        return Failure(why, True)
    status = _GRPC_STATUSES.get(code)
    if status is None:
        return Failure(why, False)
    retry = not is_final(headers, {"message": details})
    return Failure(why, retry, status, headers, None, "failed to connect" in details.lower())


def _is_stream_of_grpc(result: Any) -> bool:
    """Return True for the answers of a gRPC method that streams them. A mock's class has no such methods."""
    return hasattr(type(result), "__next__") and hasattr(type(result), "trailing_metadata")


def _awaits_in_grpc(call: Any, owner: type) -> bool:
    return type(call).__module__.startswith("grpc.aio")


VENDORS.append(Vendor("grpc", failure=_failure_in_grpc, is_stream=_is_stream_of_grpc, awaits=_awaits_in_grpc))


# httpx ------------------------------------------------------------------------------------------------------
# httpx, its fork httpx2, and the responses of httpx inside those of SDKs.


def _is_httpx(client: Any) -> bool:
    """Return True for a client of httpx or its fork, whose transport retries only connecting, and only if it is told to."""
    return any(cls.__module__.partition(".")[0] in ("httpx", "httpx2") for cls in type(client).__mro__)


def _httpx_handling(call: Any, owner: Any) -> "Handling | None":
    """A client of httpx whose transports connect more than once: a copy of it, with the same connections."""
    if not _is_httpx(owner):
        return None
    transports = {"": attribute(owner, "_transport"), **(attribute(owner, "_mounts") or {})}
    without = {key: _without_reconnecting(transport) for key, transport in transports.items()}
    if all(without[key] is transport for key, transport in transports.items()):
        return Handling(call)
    return Handling(getattr(twin_of(owner, _transport=without.pop(""), _mounts=without), call.__name__))


def _without_reconnecting(transport: Any) -> Any:
    pool = attribute(transport, "_pool")
    retries = attribute(pool, "_retries")
    if not isinstance(retries, int) or not retries:
        return transport
    return twin_of(transport, _pool=twin_of(pool, _retries=0))


def _is_unread_by_httpx(result: Any) -> bool:
    if attribute(result, "is_stream_consumed") is False:
        return True
    inner = attribute(result, "http_response")  # of the SDKs' `with_raw_response`
    return inner is not None and attribute(inner, "is_stream_consumed") is False


def _hold_httpx(result: Any, slot: Slot) -> bool:
    if status_in(result) is None:
        return False
    responses = (result, attribute(result, "http_response"))
    return any(hold_body(response, "stream", "is_closed", slot) for response in responses)


def _was_kept_by_httpx(names: Mapping[str, Any]) -> bool:
    """Return True in httpcore's `HTTP11Connection` if this was not its first request."""
    connection = names.get("self")
    if type(connection).__module__.partition(".")[0] not in ("httpcore", "httpcore2"):
        return False
    count = attribute(connection, "_request_count")
    return isinstance(count, int) and count > 1


VENDORS.append(
    Vendor(
        "httpx",
        is_stream=_is_unread_by_httpx,
        hold=_hold_httpx,
        handling=_httpx_handling,
        was_kept=_was_kept_by_httpx,
    )
)


# requests ---------------------------------------------------------------------------------------------------
# requests: the retries of a session's adapters, and responses that are read in parts.


def _requests_handling(call: Any, owner: Any) -> "Handling | None":
    """A requests.Session: a copy of it, with the same connections. Where its owner wrote a policy, that one retries."""
    adapters = attribute(owner, "adapters")
    if not isinstance(adapters, dict):
        return None
    kept = [
        is_retry_policy(attribute(adapter, "max_retries")) or _sends_by_sdk(adapter)
        for adapter in adapters.values()
    ]
    if all(kept):
        return Handling(call, retry=False)
    without = {prefix: _without_retry(adapter) for prefix, adapter in adapters.items()}
    if any(without[prefix] is not adapter for prefix, adapter in adapters.items()):
        call = _with_adapters(call, owner, type(adapters)(without))
    return Handling(call, prepare=partial(_by_url, owner) if any(kept) else None)


def _with_adapters(call: Any, session: Any, adapters: Any) -> Any:
    """Return a method of a session that is called on a copy with other adapters; what it notes on itself is noted on the session."""
    function = attribute(call, "__func__")

    @wraps(call)
    def call_once(*args: Any, **kwargs: Any) -> Any:
        twin = twin_of(session, adapters=adapters)
        before = dict(vars(twin))
        # Bound to the twin: what `super().request` means is not what the twin's own `request` is.
        method = getattr(twin, call.__name__) if function is None else function.__get__(twin)
        try:
            return method(*args, **kwargs)
        finally:
            for name, value in vars(twin).items():
                if before.get(name, vars) is not value:
                    setattr(session, name, value)

    return call_once


def _by_url(session: Any, call: Any, args: Any, kwargs: Any) -> Prepared:
    """Let the adapter for the request's URL decide, where a session has several."""
    places = [kwargs.get("url"), *args[:2], *(attribute(arg, "url") for arg in args[:1])]
    url = next((str(place) for place in places if "://" in str(place)), "")
    retry = True
    with contextlib.suppress(Exception):  # no adapter for it: let the session say so
        retry = not is_retry_policy(attribute(session.get_adapter(url), "max_retries"))
    return Prepared(call, args, kwargs, retry)


def _sends_by_sdk(adapter: Any) -> bool:
    """Return True for an adapter of somebody's own that sends through a client which retries by itself."""
    if attribute(adapter, "max_retries") is not None:
        return False
    held = vars(adapter).values() if hasattr(adapter, "__dict__") else ()
    return any(
        has_method(thing, "with_options") or attribute(thing, "_endpoint") is not None for thing in held
    )


def _without_retry(adapter: Any) -> Any:
    """Return an adapter of requests as it is, or one without urllib3's `Retry`, on the same connections."""
    retry = attribute(adapter, "max_retries")
    total = attribute(retry, "total")
    is_a_count = isinstance(total, int) or (total is None and has_method(retry, "is_exhausted"))
    if total == 0 or not is_a_count or is_retry_policy(retry):
        return adapter
    none = twin_of(retry, total=0, connect=None, read=False, status=None, other=None)
    return twin_of(adapter, max_retries=none)


def _is_unread_by_requests(result: Any) -> bool:
    return attribute(result, "_content_consumed") is False


def _hold_requests(result: Any, slot: Slot) -> bool:
    return status_in(result) is not None and hold_body(result, "raw", "_content_consumed", slot)


def _is_cut_of_requests(result: Any) -> bool:
    """Return True where `http.client` took the end of the connection for the end of the headers."""
    raw = attribute(result, "raw")
    return (
        attribute(result, "_content") == b""
        and attribute(raw, "version") == 11
        and result.status_code not in (204, 205, 304)
        and attribute(attribute(result, "request"), "method") != "HEAD"
        and has_no_framing(result.headers)
    )


VENDORS.append(
    Vendor(
        "requests",
        is_stream=_is_unread_by_requests,
        hold=_hold_requests,
        handling=_requests_handling,
        is_cut=_is_cut_of_requests,
    )
)


# retrying ---------------------------------------------------------------------------------------------------
# What retries by itself and has no switch for a single call: it is queued only, with its own retries.


_RETRYING_PACKAGES = frozenset(
    "aiohttp_retry backoff instructor langchain_core llama_index retry retrying stamina tenacity".split()
)
# What of the Hub's functions sends each of its requests through `http_backoff`.
_HUB_SEVERAL = re.compile(
    r"list_|\w*(up|down)load|create_commit|delete_(file|folder)|wait_for_|sync_|copy_files|batch_|fetch_|verify_"
)


def _handling_of_retrying(call: Any, owner: Any) -> "Handling | None":
    """A method of such a library's object, a function that it has put around another, and what the Hub repeats."""
    if any(cls.__module__.partition(".")[0] in _RETRYING_PACKAGES for cls in type(owner).__mro__):
        return Handling(call, retry=False)
    names = attribute(attribute(call, "__func__") or call, "__globals__")
    module = names.get("__name__") if type(names) is dict else None
    if isinstance(module, str) and module.partition(".")[0] in _RETRYING_PACKAGES:
        return Handling(call, retry=False)
    if str(attribute(call, "__module__")).startswith("huggingface_hub.") and _HUB_SEVERAL.match(
        call.__name__
    ):
        return Handling(call, retry=False)
    return None


# First: instructor is around the methods of other SDKs.
VENDORS.insert(0, Vendor("instructor, LangChain, tenacity, huggingface_hub", handling=_handling_of_retrying))


# sdk --------------------------------------------------------------------------------------------------------
# The SDKs of OpenAI, Anthropic, Groq, Together, which one generator makes.
#
# Their resources send through functions that they were given: `_post`, `_get` and so on. A call goes through a copy of its
# resource, whose functions say `max_retries=0` with each request. The client itself is neither copied nor changed.


# Error events of Anthropic's and OpenAI's streams: docs.anthropic.com/en/api/errors, platform.openai.com/docs/guides/error-codes.
_STREAM_ERRORS = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "server_error": 500}
# Methods that make several requests, or call functions of the user's between them.
_POLL_NAMES = """
    create_and_poll create_and_run_poll poll submit_tool_outputs_and_poll upload_and_poll upload_file_chunked
    wait_for_processing tool_runner poller worker
"""
_POLLS = frozenset(_POLL_NAMES.split())
_NUMBERS = (int, float)
_ONE_ATTEMPT_OF_SDK = {"max_retries": 0}
_SENDERS = ("_get", "_post", "_put", "_patch", "_delete")


def _failure_in_stream(error: Any, name: str) -> "Failure | None":
    """Return what an error event says, which comes inside a stream whose own status is 200."""
    body = attribute(error, "body")
    inner = body.get("error", body) if isinstance(body, dict) else None
    word = inner.get("type") if isinstance(inner, dict) else None
    status = _STREAM_ERRORS.get(word) if isinstance(word, str) else None
    return None if status is None else failure_by_status(status, None, body, name)


def _sdk_handling(call: Any, owner: Any) -> "Handling | None":
    """OpenAI, Anthropic, Groq, Together: the same method of a copy of its resource."""
    given = attribute(owner, "__dict__") or {}
    client: Any = given.get("_client")
    if "_post" not in given or not isinstance(attribute(client, "max_retries"), _NUMBERS):
        return _of_client(call, owner) if _is_client(owner) else None
    if call.__name__ in _POLLS:
        return Handling(call, retry=False)
    if attribute(client, "_idempotency_header"):
        return Handling(call, prepare=_with_key)
    if not client.max_retries:
        return Handling(call)
    return Handling(_once(call, owner, _ONE_ATTEMPT_OF_SDK))


def _with_key(call: Any, args: Any, kwargs: Any) -> Prepared:
    """Make the key by which the server knows a repetition, the same for all attempts of a request."""
    owner = attribute(call, "__self__") or call.__wrapped__.__self__
    options = {"idempotency_key": f"retrofit-{uuid.uuid4()}", **_ONE_ATTEMPT_OF_SDK}
    return Prepared(_once(call, owner, options), args, kwargs)


def _once(call: Any, owner: Any, options: dict[str, Any]) -> Any:
    """Return a method of a resource, or a function around one, as one of a copy that sends with these options.

    Raises:
        TypeError: it is not known where the function keeps the method.
    """
    given = owner.__dict__
    twin = object.__new__(type(owner))
    own = twin.__dict__
    own.update(given)
    for name in _SENDERS:
        if name in given:
            own[name] = partial(_send_once, given[name], options)
    if "_get_api_list" in given:
        own["_get_api_list"] = partial(_list_once, given["_get_api_list"], owner._client, options)
    if type(call) is MethodType:
        return MethodType(call.__func__, twin)
    if call.__name__ not in given and type(again := getattr(twin, call.__name__)) is type(call):
        return again  # a wrapper that somebody has put into the class, as tools that trace do
    return _around(call, call.__wrapped__, MethodType(call.__wrapped__.__func__, twin))


def _send_once(send: Any, more: dict[str, Any], /, *args: Any, **kwargs: Any) -> Any:
    """Send a request as `send` does, with more options."""
    options = kwargs.get("options")
    kwargs["options"] = {**(options or {}), **more}
    return send(*args, **kwargs)


def _list_once(send: Any, client: Any, more: dict[str, Any], /, *args: Any, **kwargs: Any) -> Any:
    """Ask for the first page of a list once; later ones are retried as before."""
    retries = (kwargs.get("options") or {}).get("max_retries", client.max_retries)
    sent = _send_once(send, more, *args, **kwargs)
    if has_method(sent, "__await__"):
        sent._client = _FirstPage(sent, retries)
    else:
        _let_later_pages_be_retried(sent, retries)
    return sent


def _sdk_repeatable(call: Any, owner: Any, args: Any, kwargs: Any) -> "bool | None":
    return True if _is_client(client := attribute(owner, "_client")) and client._idempotency_header else None


def _is_client(thing: Any) -> bool:
    return isinstance(attribute(thing, "max_retries"), _NUMBERS) and has_method(thing, "get_api_list")


def _of_client(call: Any, client: Any) -> Handling:
    """Handle `client.post(...)` and its like, for what the SDK has no method for."""
    if f"_{call.__name__}" not in _SENDERS or not client.max_retries:
        return Handling(call)
    return Handling(wraps(call)(partial(_send_once, call, _ONE_ATTEMPT_OF_SDK)))


def _let_later_pages_be_retried(page: Any, retries: Any) -> None:
    """Give a page, or a response of which one is still to be made, the retries that its client has."""
    parse = attribute(page._options, "post_parser")
    if has_method(page, "get_next_page"):
        page._options.max_retries = retries
    elif callable(parse):

        def parse_page(parsed: Any) -> Any:
            page = parse(parsed)
            page._options.max_retries = retries
            return page

        page._options.post_parser = parse_page


class _FirstPage:
    """The client of an `AsyncPaginator`, until the first page has come."""

    def __init__(self, paginator: Any, retries: Any) -> None:
        self.paginator, self.client, self.retries = paginator, paginator._client, retries

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        """Ask for the first page; it remembers the client, and the later pages' retries."""
        page = await self.client.request(*args, **kwargs)
        self.paginator._client = self.client
        if has_method(page, "get_next_page"):
            page._client = self.client
        _let_later_pages_be_retried(page, self.retries)
        return page

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


def _around(wrapper: Any, wrapped: Any, instead: Any) -> Any:
    """Return a wrapper of a method, such as `with_raw_response` gives, around another method.

    Raises:
        TypeError: it is not known where the wrapper keeps what it wraps.
    """
    cells: tuple[CellType, ...] = attribute(wrapper, "__closure__") or ()
    held = [cell.cell_contents is wrapped for cell in cells]
    if type(wrapper) is not FunctionType or not any(held):
        raise TypeError("the SDK's method is inside another function")
    closure = tuple(CellType(instead) if is_it else cell for is_it, cell in zip(held, cells, strict=True))
    copy = FunctionType(
        wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, closure
    )
    copy.__kwdefaults__ = wrapper.__kwdefaults__
    copy.__dict__.update(wrapper.__dict__, __wrapped__=instead)
    return copy


VENDORS.append(
    Vendor(
        "openai, anthropic, groq, together",
        failure=_failure_in_stream,
        handling=_sdk_handling,
        repeatable=_sdk_repeatable,
    )
)


# urllib3 ----------------------------------------------------------------------------------------------------
# urllib3, and `http.client` of the standard library, from which its responses and those of urllib are read.


def _plain_response(result: Any) -> Any:
    """Return the unread `http.client.HTTPResponse` that `urlopen()` returns, or that is in a response of urllib3."""
    client = sys.modules.get("http.client")
    inner = attribute(result, "_original_response") or result
    is_unread = client is not None and isinstance(inner, client.HTTPResponse) and inner.fp is not None
    return inner if is_unread else None


def _urllib3_handling(call: Any, owner: Any) -> "Handling | None":
    """A PoolManager or HTTPConnectionPool, or `urllib3.request`: the same call, with redirects but no retries."""
    maker = call if owner is None else type(owner)
    if str(attribute(maker, "__module__")).partition(".")[0] != "urllib3":
        return None
    return Handling(call, prepare=_with_redirects_alone)


def _with_redirects_alone(call: Any, args: Any, kwargs: Any) -> Prepared:
    """Let only redirects be followed, unless the call or the pool was given a policy, rather than a count."""
    owner = attribute(call, "__self__")
    pool_options = attribute(owner, "connection_pool_kw")
    default = pool_options.get("retries") if pool_options is not None else attribute(owner, "retries")
    retry = kwargs.get("retries")
    retry = default if retry is None else retry
    if is_retry_policy(retry):
        return Prepared(call, args, kwargs, retry=False)
    retry = sys.modules["urllib3.util.retry"].Retry.from_int(retry)
    if retry.total is not False:
        redirects = retry.total if retry.redirect is None else retry.redirect
        retry = retry.new(total=None, connect=0, read=0, status=0, other=0, redirect=redirects)
    return Prepared(call, args, {**kwargs, "retries": retry})


def _is_unread_by_http_client(result: Any) -> bool:
    return _plain_response(result) is not None


def _hold_http_client(result: Any, slot: Slot) -> bool:
    inner = _plain_response(result)
    if inner is None:
        return False
    inner.fp = HeldBody(inner.fp, slot)
    return True


def _is_cut_of_urllib3(result: Any) -> bool:
    """Return True where `http.client` took the end of the connection for the end of the headers."""
    return (
        type(result).__module__.startswith("urllib3.")
        and attribute(result, "_body") == b""
        and attribute(result, "version") == 11
        and result.status not in (204, 205, 304)
        and attribute(result, "_request_method") != "HEAD"
        and attribute(attribute(result, "_original_response"), "_method") != "HEAD"
        and has_no_framing(attribute(result, "headers"))
    )


def _was_kept_by_urllib3(names: Mapping[str, Any]) -> bool:
    """Return True in `HTTPConnectionPool.urlopen` if the pool has sent more requests than it has opened connections."""
    pool = names.get("self")
    if not any(cls.__module__.endswith("urllib3.connectionpool") for cls in type(pool).__mro__):
        return False
    sent, opened = attribute(pool, "num_requests"), attribute(pool, "num_connections")
    return isinstance(sent, int) and isinstance(opened, int) and sent > opened


RETRYING_MODULES.add("urllib3")
VENDORS.append(
    Vendor(
        "urllib3",
        is_stream=_is_unread_by_http_client,
        hold=_hold_http_client,
        handling=_urllib3_handling,
        is_cut=_is_cut_of_urllib3,
        was_kept=_was_kept_by_urllib3,
    )
)


# wrap -------------------------------------------------------------------------------------------------------
# The entry: `self._queued(function)` gives what is here made of the function.
#
# Its kind is known, its library's own retries are off; nothing is called yet.


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
    known = _known(engine, call)
    if known is None or known.may_be_ordinary:
        if is_ordinary(call, engine.ordinary, engine.without_retries):
            return partial(run_call, engine, call, retry)
        known = known or _look_at(engine, call)
    kind = known.kind
    prepare = None
    if retry and engine.settings["max_retries"] is not None:
        call, retry, prepare = _handling_of(engine, call, known.handle)
    if kind is SYNC:
        run: Any = run_partial if isinstance(call, partial) else run_call
    else:
        run = _ASYNC_RUNNERS[kind]
    if prepare is None:
        return partial(run, engine, call, retry)
    return partial(_await_prepared if kind is COROUTINE else _run_prepared, run, engine, call, prepare)


_ASYNC_RUNNERS: dict[int, Any] = {
    COROUTINE: run_async,
    ASYNC_GENERATOR: AsyncGeneratorCall,
    ASYNC_OTHER: AsyncCall,
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


def _known(engine: "RequestEngine", call: Any) -> "_Known | None":
    """Return what is known of a method, if it was looked at before."""
    known: _Known | None = None
    if type(call) is FunctionType:
        return engine.kinds.get(call)
    if type(call) is MethodType and type(call.__func__) is FunctionType:
        known = engine.kinds.get(call.__func__)
        if known is not None and known.of() is not type(call.__self__):
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
    may_be_ordinary = "adapters" in (
        attribute(owner, "__dict__") or ()
    )  # a session, which can be given others
    known = engine.kinds[call.__func__] = _Known(weakref.ref(type(owner)), kind, handle, may_be_ordinary)
    return known


def _is_nobodys(function: Any) -> bool:
    """Return True for a function, decorated perhaps, that no library's file has anything to say about."""
    try:
        return attribute(attribute(function, "__wrapped__"), "__self__") is None and not any(
            vendor.handling is not None and vendor.handling(function, None) is not None for vendor in VENDORS
        )
    except Exception:
        return False


def _as_it_is(call: Any, owner: Any) -> Handling:
    return Handling(call)


def _handles(handle: Any, call: Any) -> bool:
    try:
        return handle is not None and handle(call, call.__self__) is not None
    except Exception:
        return True  # it says so when it is asked again


def _handling_of(engine: "RequestEngine", call: Any, handle: Any) -> Handling:
    """Return how a call is made so that there is one layer of retries."""
    if isinstance(call, partial):
        inner = _handling_of(engine, call.func, None)
        prepare = None if inner.prepare is None else partial(_prepared_partial, inner.prepare)
        return Handling(partial(inner.call, *call.args, **call.keywords), inner.retry, prepare)
    owner = None
    try:
        if handle is not None:  # of a method
            return handle(call, attribute(call, "__self__")) or Handling(call)
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
    return Handling(call)


def _prepared_partial(prepare: Any, call: Any, args: Any, kwargs: Any) -> Prepared:
    """Prepare a request of a partial, as one of the function inside it."""
    return prepare(call.func, (*call.args, *args), {**call.keywords, **kwargs})  # type: ignore[no-any-return]


# engine -----------------------------------------------------------------------------------------------------
# The state of one owner: an instance, or a class where class methods make the requests.
#
# An engine knows its settings as plain values, and its owner by a weak reference at most. How the owner holds settings and
# keys, and how the engine is found, is in `settings` and `keys`.


# id(owner) -> its engine. By id, because instances may be unhashable or compare equal; a weak reference's callback
# takes an entry out before the id can be used again. Entries are added and removed by single, atomic operations.
engines: "dict[int, RequestEngine]" = {}
OwnerT = TypeVar("OwnerT")
CallT = TypeVar("CallT", bound=Callable[..., Any])
# Names for the types of attributes that are called as the errors are.
_QueueError = type[QueueError]
_RequestQueueFull = type[RequestQueueFull]
_RequestTimeout = type[RequestTimeout]
_QueueClosed = type[QueueClosed]
_CircuitOpen = type[CircuitOpen]


class RequestEngine:
    """The queue, the backoff and the keys of one instance, or of one class where class methods make the requests.

    `RequestEngine.of(owner)` returns it, and makes it at first use. It keeps no reference to its owner.
    """

    # Of modules that come after this one, hence put here by the last.
    setting: "ClassVar[type[Setting[Any, Any]]]"
    api_key: "ClassVar[type[ApiKey]]"
    entry_point: "ClassVar[type[EntryPoint]]"
    of: "ClassVar[Callable[[Any], RequestEngine]]"
    views: "ClassVar[Callable[[], tuple[RequestQueueView, CurrentRequestsView]]]"
    methods: "ClassVar[Callable[[], tuple[Submit, Map, Priority, QueueStats]]]"
    context: "ClassVar[Context]"
    closing: "ClassVar[Closing]"
    for_module: "ClassVar[Callable[..., ModuleQueue]]"
    # The queue's errors, which are attributes so that they can be caught where the runtime is inside a file.
    QueueError: "ClassVar[_QueueError]"
    RequestQueueFull: "ClassVar[_RequestQueueFull]"
    RequestTimeout: "ClassVar[_RequestTimeout]"
    QueueClosed: "ClassVar[_QueueClosed]"
    CircuitOpen: "ClassVar[_CircuitOpen]"
    QueueFull: "ClassVar[_RequestQueueFull]"
    testing = TestingMode
    wrap = wrap_call
    submit = submit_call
    map = map_calls
    # What blocks of version 1 name.
    Waiting = Sequence[Any]
    Call = Callable[..., Any]
    Result = Future[Any]
    Items = Iterable[Any]
    Results = Iterator[Any]
    Progress = Callable[[int], Any] | None
    Block = contextlib.AbstractContextManager[None]
    # Called with a dict for each retry and for each request that is given up, of all backends that use this module.
    listeners: "list[Callable[[dict[str, Any]], Any]]" = []

    def __init__(self, owner: Any) -> None:
        self.owner_is_class = isinstance(owner, type)
        self.label = (owner if self.owner_is_class else type(owner)).__name__
        self.logger = logger_of(owner)
        self.values: dict[str, Any] = {}
        self.keys: dict[str, tuple[Any, str]] = {}  # attribute -> key, and where it was found
        self.dotenv: Mapping[str, str | None] | None = None
        self.warned: set[str] = set()
        self.kinds: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self.ordinary: set[Any] = set()
        self.without_retries: OrderedDict[Any, Any] = OrderedDict()
        self.gate = Gate()
        self.settings: dict[str, Any] = {}
        self.held_by = ""  # the method whose answer held all back last, and where that was said
        self.careful = False  # requests have deadlines, count for the health, or are judged by their owner
        self.health: Health | None = None  # where a setting asks for it
        self.connections: Connections | None = None  # where `reuse_connections` asks for it
        # Held while settings are read and put to use: of two that are assigned at once, the later one stays.
        self.configuring = threading.RLock()
        self.reference = weakref.ref(owner, partial(_forget, id(owner)))

    @staticmethod
    def entered(owner: OwnerT) -> OwnerT:
        """Be a class's `__enter__`: `with` gives the instance itself."""
        return owner

    def configure(self, read: Callable[[], dict[str, Any]]) -> None:
        """Take over the settings that `read` returns; admit what may run under them."""
        with self.configuring:
            settings = read()  # with the lock held, so that the last word is not overtaken by one before it
            if settings == self.settings:
                return
            self.settings = settings
            if settings["retry_budget"] is None and settings["circuit_breaker"] is None:
                self.health = None
            else:
                self.health = self.health or Health()
                self.health.configure(
                    settings["retry_budget"], settings["circuit_breaker"], settings["max_retry_delay"]
                )
            self.careful = self.health is not None or settings["total_timeout"] is not None
            self.careful = self.careful or settings["retry_if"] is not None
            if settings["reuse_connections"]:
                self.connections = self.connections or Connections()
            elif self.connections is not None:
                self._close_connections()
                self.connections = None
            enabled = settings["queue_enabled"]
            bounded = enabled and settings["queue_full"] == "raise" and settings["queue_size"] is not None
            self.gate.resize(
                settings["max_concurrent_requests"] if enabled else math.inf,
                settings["queue_size"] if bounded else math.inf,
            )
            server = queue_server(settings) if enabled else ""
            if server or self.gate.source is not None:
                _share_limit(self, server)

    def after_fork(self) -> None:
        """In the child of a fork: start with fresh locks and an empty queue."""
        self.configuring = threading.RLock()
        if self.connections is not None:
            self.connections = Connections()
        if self.health is not None:
            self.health.lock = threading.RLock()
        self.gate.reset()

    @property
    def waiting(self) -> Sequence[Any]:
        """The requests that wait, oldest first."""
        return _WaitingRequests(self.gate)

    @property
    def in_flight(self) -> int:
        """How many attempts are in flight."""
        if self.gate.deferred:
            self.gate.pump()
        return self.gate.active

    def stats(self) -> dict[str, Any]:
        """Return counts since the first request, and how things stand now.

        `requests`: accepted; `sent`: attempts made; `retried`: attempts that were made again; `failed`: requests whose
        last attempt failed; `refused`: found the queue full; `waiting` and `in_flight`: now; `waited_seconds`: for a
        slot, and `backoff_seconds`: between attempts, of all requests together. `backing_off`: how many of those that
        wait do so between attempts; `hold_seconds`: how long the server has asked all to wait from now on, and `held_by`:
        which method's answer, and where in it. Where the limit is shared, `shared`:
        the server is there; `processes`: how many share it; `alone_seconds`: how long this one had to go on alone.
        """
        if self.gate.deferred:
            self.gate.pump()
        now, until = monotonic(), self.gate.hold_until
        return {
            **self.gate.stats(),
            "backing_off": sum(ticket.ready_at > now for ticket in self.gate.line()),
            "hold_seconds": max(until - now, 0.0) if until else 0.0,
            "held_by": self.held_by if until > now else "",
        }

    @contextlib.contextmanager
    def priority(self, level: "str | int") -> Iterator[None]:
        """Let the requests made inside the `with` block wait in a line before or behind the others.

        Args:
            level: "high", "normal", "low", or a number; lower ones go first.
        """
        rank = RANKS.get(level) if isinstance(level, str) else operator.index(level)
        if rank is None:
            raise ValueError(f"priority must be one of {', '.join(RANKS)} or a whole number, not {level!r}")
        token = ranks.set({**ranks.get(), self.gate: rank})
        try:
            yield
        finally:
            ranks.reset(token)

    def close(self, join: bool = True) -> None:
        """Fail the waiting requests, let the running ones end, and join the queue's threads."""
        self.gate.close(join)
        self._close_connections()

    def _close_connections(self) -> None:
        """Close the connections that are kept, unless a request may be using one."""
        if self.connections is not None and not self.gate.active:
            self.connections.close()


def _share_limit(engine: RequestEngine, server: str) -> None:
    """Share the limit with other processes, or no longer; the part of the runtime that does is only installed."""
    try:
        accounts = import_module("backend_retrofit_runtime.shared.accounts")
    except ImportError:
        raise RuntimeError(
            "A shared queue needs the installed runtime: pip install backend-retrofit-runtime"
        ) from None
    accounts.share_limit(engine, server)


class _WaitingRequests(Sequence[Any]):
    """A live view of the requests that wait, oldest first; each is shown as a dict."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __len__(self) -> int:
        return self._gate.waiting

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def __getitem__(self, index: Any) -> Any:
        now = monotonic()
        return [_shown(ticket, now) for ticket in self._gate.line()][index]

    def __repr__(self) -> str:
        return f"<{len(self)} waiting requests>"


def _shown(ticket: Ticket, now: float) -> dict[str, Any]:
    """Return a request that waits, as `request_queue` shows it.

    Its `id`, the `method` that makes it, its `state`, the `attempt` that it waits for, and the `seconds` that it has
    waited for a slot or, while it is "backing off", has to wait still.
    """
    request, rest = ticket.request, ticket.ready_at - now
    return {
        "id": f"req_{ticket.slot.number}",
        "method": "" if request is None else request.name,
        "state": "backing off" if rest > 0 else "waiting for a slot",
        "attempt": 1 if request is None else request.retries + 1,
        "seconds": rest if rest > 0 else now - ticket.since,
    }


def _forget(key: int, reference: Any) -> None:
    engine = engines.get(key)
    if engine is not None and engine.reference is reference:
        del engines[key]


# settings ---------------------------------------------------------------------------------------------------
# How a class holds its settings and its entry point, and how an owner's engine is found.
#
# Which settings there are: `options`. What they do is where `engine.settings` is read.


GetT = TypeVar("GetT")
SetT = TypeVar("SetT")
USUAL = object()  # stands for the default of the table

# Class -> its settings by name, to know them again where a plain value was assigned to the class.
_declared: "weakref.WeakKeyDictionary[type, dict[str, Setting[Any, Any]]]" = weakref.WeakKeyDictionary()


class Setting(property, Generic[GetT, SetT]):
    """An attribute that can be changed on a live instance; a senseless value is refused.

    It is a property so that frameworks that inspect class bodies (pydantic, dataclasses) leave it alone. The value
    is kept in the instance's `__dict__`, hence copied and pickled with it, but only once it was assigned.
    One can serve several names, `queue_timeout = total_timeout = RequestEngine.setting()`: each gets one of its own.

    Args:
        default: the value until one is assigned; without it, that of the table.
        option: what it sets, where the attribute has another name.
        shared: a base class that is not known may use the attribute for its own ends. Its default is kept, and so is
            a value that makes no sense as a setting; the default of the setting is in force then.
    """

    @overload
    def __init__(
        self: "Setting[bool, bool]", default: bool, option: str = "", shared: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: "Setting[int, float | None]", default: int, option: str = "", shared: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: "Setting[float, float | None]", default: float, option: str = "", shared: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: "Setting[Any, Any]", default: object = ..., option: str = "", shared: bool = False
    ) -> None: ...
    def __init__(self, default: Any = USUAL, option: str = "", shared: bool = False) -> None:
        super().__init__()
        self.given = default, option, shared
        self.default = default
        self.option = option
        self.attribute = ""
        self.shared = shared
        self.inherited: Any = _NOTHING

    def __set_name__(self, owner: type, name: str) -> None:
        if self.attribute not in ("", name):
            another: Setting[Any, Any] = Setting(*self.given)
            setattr(owner, name, another)
            another.__set_name__(owner, name)
            return
        self.attribute = name
        self.option = self.option or name
        if self.default is USUAL:
            self.default = OPTIONS[self.option].default
        if self.shared:
            self.inherited = _inherited(owner, name)
            self.default = self.in_force(self.inherited if self.inherited is not _NOTHING else self.default)
        else:
            self.default = self.checked(self.default)
        _declared.setdefault(owner, {})[name] = self

    def in_force(self, value: Any) -> Any:
        """Return `value`, or for a shared attribute the default where it makes no sense as a setting."""
        try:
            return self.checked(value)
        except ValueError:
            if not self.shared:
                raise
            return self.default if self._makes_sense(self.default) else OPTIONS[self.option].default

    def _makes_sense(self, value: Any) -> bool:
        try:
            self.checked(value)
        except ValueError:
            return False
        return True

    def checked(self, value: Any) -> Any:
        """Return `value`; raise ValueError, naming the attribute, where it makes no sense."""
        option = OPTIONS[self.option]
        try:
            return option.check(value)
        except (TypeError, ValueError):
            seen = "" if option.secret else f", not {value!r}"
            raise ValueError(f"{self.attribute} must be {option.allowed}{seen}") from None

    def __get__(self, instance: Any, owner: "type | None" = None) -> GetT:  # type: ignore[override]
        if self.inherited is _A_FIELD and instance is None:
            raise AttributeError(self.attribute)  # a model takes the field's own default then
        shown = self.default if self.inherited in (_NOTHING, _A_FIELD) else self.inherited
        return shown if instance is None else values_of(instance).get(self.attribute, shown)  # type: ignore[no-any-return]

    def __set__(self, instance: Any, value: SetT) -> None:
        values_of(instance)[self.attribute] = value if self.shared else self.checked(value)
        engine = engines.get(id(instance))
        if engine is not None:
            engine.configure(partial(_settings_of, instance, engine.values))

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, self.default)
        del values_of(instance)[self.attribute]


_NOTHING = object()
_A_FIELD = object()


def _inherited(owner: type, name: str) -> Any:
    """Return what the bases of a class have by a name: a plain default, `_A_FIELD` of a model, or `_NOTHING`."""
    for cls in owner.__mro__[1:]:
        for fields in ("__pydantic_fields__", "model_fields", "__fields__"):
            known = vars(cls).get(fields)
            if isinstance(known, dict) and name in known:
                return _A_FIELD
        value = vars(cls).get(name, _NOTHING)
        if isinstance(value, Setting):
            return _NOTHING
        if value is not _NOTHING and not hasattr(value, "__get__"):
            return value
    return _NOTHING


def values_of(instance: Any) -> dict[str, Any]:
    """Return where the values of an instance's settings are kept: its `__dict__`, or its engine if it has slots."""
    try:
        return instance.__dict__  # type: ignore[no-any-return]
    except AttributeError:
        return engine_of(instance).values


def _settings_of(owner: Any, values_in_slots: Mapping[str, Any]) -> dict[str, Any]:
    """Return option -> value for an instance, or for a class that holds a queue itself.

    `max_retries` is None where the class has no backoff.

    A plain value in the body of a subclass, or assigned to a class, hides the Setting: a Setting is put in its place,
    so that later assignments are noticed. A property in a subclass stays, and is asked when the settings are read.
    """
    values = {name: option.neutral for name, option in OPTIONS.items()}
    classes = (owner if isinstance(owner, type) else type(owner)).__mro__
    settings: dict[str, Setting[Any, Any]] = {}
    computed: set[str] = set()
    for cls in reversed(classes):
        declared = _declared.get(cls, {})
        for name, value in list(vars(cls).items()):
            hidden = settings.get(name) or declared.get(name)
            if hidden is not None and not hasattr(value, "__get__"):
                value = Setting(value, hidden.option, hidden.shared)
                value.__set_name__(cls, name)
                setattr(cls, name, value)
            if isinstance(value, Setting):
                settings[name] = value
            elif hidden is not None:
                computed.add(name)
    own = {} if isinstance(owner, type) else getattr(owner, "__dict__", values_in_slots)
    for name, setting in settings.items():
        if name in computed and not isinstance(owner, type):
            values[setting.option] = setting.in_force(getattr(owner, name))
        else:
            values[setting.option] = setting.in_force(own[name]) if name in own else setting.default
    return values


def engine_of(owner: Any) -> RequestEngine:
    """Return the engine of an instance or class, and make it at first use."""
    engine = engines.get(id(owner))
    if engine is None:
        try:
            engine = RequestEngine(owner)
        except (
            TypeError
        ):  # it cannot be referred to weakly, so nobody could say when it is gone: its class has one queue
            if isinstance(owner, type):
                raise
            return engine_of(type(owner))
        engine.configure(partial(_settings_of, owner, engine.values))
        engine = engines.setdefault(id(owner), engine)
        engine.configure(
            partial(_settings_of, owner, engine.values)
        )  # a setting may have been changed meanwhile
    elif engine.owner_is_class:
        engine.configure(partial(_settings_of, owner, engine.values))
    return engine


def _declare_the_rest(owner: type) -> None:
    """Make attributes of the settings that a class's blocks do not name; a name that it has already stays its own."""
    members = {name: value for cls in reversed(owner.__mro__) for name, value in vars(cls).items()}
    options = {value.option or name for name, value in members.items() if isinstance(value, Setting)}
    shared = any(isinstance(value, Setting) and value.shared for value in members.values())
    blocks = {OPTIONS[option].block for option in options if option in OPTIONS}
    taken = options | members.keys()
    taken |= {name for cls in owner.__mro__ for name in vars(cls).get("__annotations__", ())}
    for option in OPTIONS.values():
        if option.block in blocks and option.name not in taken:
            setting: Setting[Any, Any] = Setting(shared=shared)
            setattr(owner, option.name, setting)
            setting.__set_name__(owner, option.name)


class Wrap(Protocol):
    """The type of `self._queued`: to a type checker, what it returns is what it was given."""

    def __call__(self, call: CallT, /, retry: bool = True) -> CallT: ...


class EntryPoint(property):
    """What `_queued` is in a class: `self._queued(function)` is `function`, made in its turn and retried.

    Reached through the class (`cls._queued`), the class itself holds the queue. A property, like the settings.
    It makes attributes of the settings that the class's blocks do not name.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        _declare_the_rest(owner)

    def __get__(self, instance: Any, owner: "type | None" = None) -> "Wrap":  # type: ignore[override]
        try:
            return engines[id(instance)].wrap
        except KeyError:
            return engine_of(owner if instance is None else instance).wrap


# keys -------------------------------------------------------------------------------------------------------
# API keys: as assigned, else from `metadata`, the environment or a `.env` file. A key is never logged.


_OUTSIDE = (" in the environment", " in .env")  # where a key is looked for once


class ApiKey(property):
    """An API key: as assigned, else from the instance's `metadata`, the environment, or a `.env` file.

    Args:
        variables: names of environment variables, first choice first.
        metadata_names: names in `metadata`, beside `api_key`, `<class>_api_key` and the variables in lower case.
        empty_is_missing: take an assigned "" for a missing key; otherwise it means that there is to be none.
        missing: given where no key is found; None: what was assigned, so that `if self.api_key is None` still holds.
    """

    def __init__(
        self,
        *variables: str,
        metadata_names: Sequence[str] = (),
        empty_is_missing: bool = False,
        missing: "str | None" = None,
    ) -> None:
        super().__init__()
        self.variables = variables
        self.metadata_names = ("api_key", *metadata_names, *map(str.lower, variables))
        self.empty_is_missing = empty_is_missing
        self.missing = missing
        self.attribute = "api_key"

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.metadata_names += (f"{owner.__name__.lower()}_api_key",)

    def __set__(self, instance: Any, value: Any) -> None:
        values = values_of(instance)
        values[self.attribute] = value
        engine = engines.get(id(instance))
        if engine is not None:
            engine.keys.pop(self.attribute, None)

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, None)
        del values_of(instance)[self.attribute]

    def __get__(self, instance: Any, owner: "type | None" = None) -> Any:
        if instance is None:
            return self
        values = values_of(instance)
        assigned = values.get(self.attribute)
        if assigned == "" and not self.empty_is_missing:
            return ""
        if assigned is not None and not isinstance(assigned, str):
            return assigned  # a callable or a secret's wrapper: not ours to judge
        if (key := _clean_key(assigned, self.attribute)) is not None:
            return key
        keys = engine_of(instance).keys
        known = keys.get(self.attribute)
        found = self._in_metadata(instance)
        if found is None:
            if known is not None and known[1].endswith(_OUTSIDE):
                return known[0]
            found = self._outside(instance)
        if found is None:
            keys.pop(self.attribute, None)
            if self.missing is not None:
                return self.missing
            if self.attribute not in values:
                name = type(instance).__name__
                raise AttributeError(f"{name!r} object has no attribute {self.attribute!r}")
            return assigned
        if found != known:
            keys[self.attribute] = found
            name = type(instance).__name__
            safe_log(logger_of(instance), logging.INFO, "%s: API key taken from %s", name, found[1])
        return found[0]

    def _in_metadata(self, instance: Any) -> "tuple[Any, str] | None":
        metadata = attribute(instance, "metadata")
        if isinstance(metadata, Mapping):
            for name in self.metadata_names:
                value = metadata.get(name)
                key = (
                    value
                    if callable(value) or has_method(value, "get_secret_value")
                    else _clean_key(value, name)
                )
                if key is not None:
                    return key, f'metadata["{name}"]'
        return None

    def _outside(self, instance: Any) -> "tuple[Any, str] | None":
        for name in self.variables:
            if (key := _clean_key(os.environ.get(name), name)) is not None:
                return key, f"{name}{_OUTSIDE[0]}"
        engine = engine_of(instance)
        if engine.dotenv is None:
            engine.dotenv = _read_dotenv(logger_of(instance))
        for name in self.variables:
            if (key := _clean_key(engine.dotenv.get(name), name)) is not None:
                return key, f"{name}{_OUTSIDE[1]}"
        return None


def _clean_key(value: Any, name: str) -> "str | None":
    """Return a key without the white space around it, or None for a blank one; the value is never shown."""
    if not isinstance(value, str) or not (key := value.strip()):
        return None
    if any(char in key for char in "\r\n\0"):
        raise ValueError(f"The API key in {name} has a line break inside it; it was not used.")
    return key


def _read_dotenv(logger: logging.Logger) -> Mapping[str, "str | None"]:
    """Return what the nearest `.env` says, from the working directory upwards; `os.environ` is not changed."""
    if os.environ.get("PYTHON_DOTENV_DISABLED", "").strip().lower() in ("1", "true", "t", "yes", "y"):
        return {}
    try:
        from dotenv import dotenv_values, find_dotenv
    except ImportError:
        safe_log(logger, logging.DEBUG, "python-dotenv is not installed: no .env file is read")
        return {}
    try:
        path = find_dotenv(usecwd=True)
        return dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, ValueError) as error:
        safe_log(logger, logging.DEBUG, "the .env file could not be read: %s", type(error).__name__)
        return {}


# members ----------------------------------------------------------------------------------------------------
# What the queue block gives a class beside its settings: views, methods, `with` and `close`.
#
# They are properties and plain functions, as if they stood in the class, so that frameworks, mocks and `help()` see what
# they are used to. The protocols tell type checkers what an instance gives.


ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")
InstanceT = TypeVar("InstanceT")


class RequestQueueView(Protocol):
    """The type of `request_queue`."""

    @overload
    def __get__(self, instance: None, owner: type) -> property: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Sequence[Any]: ...


class CurrentRequestsView(Protocol):
    """The type of `current_requests`."""

    @overload
    def __get__(self, instance: None, owner: type) -> property: ...
    @overload
    def __get__(self, instance: object, owner: type) -> int: ...


def views() -> tuple[RequestQueueView, CurrentRequestsView]:
    """Return `request_queue` and `current_requests` for a class."""

    def request_queue(self: Any) -> Sequence[Any]:
        """The requests that wait, oldest first."""
        return engine_of(self).waiting

    def current_requests(self: Any) -> int:
        """How many requests are running."""
        return engine_of(self).in_flight

    return cast(
        tuple[RequestQueueView, CurrentRequestsView], (property(request_queue), property(current_requests))
    )


class BoundSubmit(Protocol):
    """The type of `api.submit`."""

    def __call__(
        self, call: Callable[ParamsT, ResultT], /, *args: ParamsT.args, **kwargs: ParamsT.kwargs
    ) -> "Future[ResultT]": ...


class Submit(Protocol):
    """The type of `submit`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., "Future[Any]"]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundSubmit: ...


class BoundMap(Protocol):
    """The type of `api.map`."""

    def __call__(
        self,
        call: Callable[[ItemT], ResultT],
        items: Iterable[ItemT],
        progress: "Callable[[int], Any] | None" = None,
    ) -> Iterator[ResultT]: ...


class Map(Protocol):
    """The type of `map`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Iterator[Any]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundMap: ...


class Priority(Protocol):
    """The type of `priority`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., AbstractContextManager[None]]: ...
    @overload
    def __get__(
        self, instance: object, owner: type
    ) -> "Callable[[str | int], AbstractContextManager[None]]": ...


class QueueStats(Protocol):
    """The type of `queue_stats`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[[Any], dict[str, Any]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[[], dict[str, Any]]: ...


def _submit_to_queue(self: Any, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
    """Queue `call(*args, **kwargs)` and return its future at once.

    Raises:
        RequestQueueFull: if `queue_size` requests wait already.
    """
    return engine_of(self).submit(call, *args, **kwargs)


def _map_over_queue(
    self: Any,
    call: Callable[..., Any],
    items: Iterable[Any],
    progress: "Callable[[int], Any] | None" = None,
) -> Iterator[Any]:
    """Yield `call(item)` for each item, in their order; `progress` is called with 1 for each result."""
    return engine_of(self).map(call, items, progress)


def _priority_in_queue(self: Any, level: "str | int") -> AbstractContextManager[None]:
    """In a `with` block: queue ahead of ("high") or behind ("low") the rest."""
    return engine_of(self).priority(level)


def _stats_of_queue(self: Any) -> dict[str, Any]:
    """Return a dict of counts: requests, sent, retried, failed, waiting, seconds waited, ..."""
    return engine_of(self).stats()


def methods() -> tuple[Submit, Map, Priority, QueueStats]:
    """Return `submit`, `map`, `priority` and `queue_stats` for a class."""
    return cast(tuple[Submit, Map, Priority, QueueStats], tuple(_METHODS))


_METHODS = [_submit_to_queue, _map_over_queue, _priority_in_queue, _stats_of_queue]
for _method, _called in zip(_METHODS, ("submit", "map", "priority", "queue_stats"), strict=True):
    _method.__name__ = _method.__qualname__ = _called


class Enter(Protocol):
    """The type of `__enter__`: `with` gives the instance itself."""

    @overload
    def __get__(self, instance: None, owner: type[InstanceT]) -> Callable[[InstanceT], InstanceT]: ...
    @overload
    def __get__(self, instance: InstanceT, owner: type[InstanceT]) -> Callable[[], InstanceT]: ...


class Exit(Protocol):
    """The type of `__exit__`."""

    def __get__(self, instance: object, owner: type) -> Callable[..., None]: ...


class Close(Protocol):
    """The type of `close` where the class has none of its own."""

    @overload
    def __get__(self, instance: None, owner: type[InstanceT]) -> Callable[[InstanceT], None]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[[], None]: ...


class Context:
    """What `RequestEngine.context` is."""

    @overload
    def __call__(self) -> tuple[Enter, Exit, Close]: ...
    @overload
    def __call__(self, close: CallT) -> tuple[Enter, Exit, CallT]: ...
    def __call__(self, close: Any = None) -> Any:
        """Return `__enter__`, `__exit__` and `close` for a class: `with` closes the instance at its end.

        Args:
            close: the class's own; the one that is returned closes the queue first.
        """
        closer = InheritedCloser() if close is None else _closing(close)

        def leave(self: Any, *exc: object) -> None:
            name = closer.attribute if isinstance(closer, InheritedCloser) else close.__name__
            getattr(self, name)()

        leave.__name__ = leave.__qualname__ = "__exit__"
        return _enter, leave, closer


def _enter(self: Any) -> Any:
    return self


_enter.__name__ = _enter.__qualname__ = "__enter__"


class Closing:
    """What `RequestEngine.closing` is."""

    @overload
    def __call__(self) -> Any: ...
    @overload
    def __call__(self, function: CallT) -> CallT: ...
    def __call__(self, function: Any = None) -> Any:
        """Return a `close` (`__exit__`, `aclose`, `__del__`, ...) for a class that first closes the instance's queue.

        Args:
            function: the class's own, which is called then; without it, what the class inherits, if anything.
        """
        return InheritedCloser() if function is None else _closing(function)


def _closing(function: Any) -> Any:
    """Return a function that closes the queue and then calls the class's own.

    An async one does not wait for the threads, and `__del__`, which may run inside any function, takes no locks.
    """
    if kind_of(function) is COROUTINE:

        @wraps(function)
        async def close_queue_then_await(self: Any, *args: Any, **kwargs: Any) -> Any:
            _close_queue(self, join=False)
            return await function(self, *args, **kwargs)

        return close_queue_then_await

    @wraps(function)
    def close_queue_then(self: Any, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ != "__del__":
            _close_queue(self)
        elif (engine := engines.get(id(self))) is not None:
            engine.gate.refuse_newcomers()
        return function(self, *args, **kwargs)

    return close_queue_then


def _close_queue(instance: Any, join: bool = True) -> None:
    if (engine := engines.get(id(instance))) is not None:
        engine.close(join)


class InheritedCloser(property):
    """Becomes, in its class, a function that closes the queue and then calls what is inherited under its name."""

    attribute = "close"

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

        def close(self: Any, *args: Any, **kwargs: Any) -> Any:
            """Fail the waiting requests, let the running ones end, and join the queue's threads."""
            inherited = _overridden(self, name, close)
            _close_queue(self, join=kind_of(inherited) is not COROUTINE)
            return None if inherited is None else inherited(*args, **kwargs)

        close.__name__, close.__qualname__ = name, f"{owner.__qualname__}.{name}"
        setattr(owner, name, close)


def _overridden(instance: Any, name: str, function: Callable[..., Any]) -> Any:
    """Return the bound method that comes after `function` among those of a name; None if there is none.

    The class is looked for, because a decorator may have made another one of that which was told its name.
    """
    classes = type(instance).__mro__
    own = [cls for cls in classes if unwrap(vars(cls).get(name, 0)) is function]
    return getattr(super(own[0], instance), name, None) if own else None


# module_queue -----------------------------------------------------------------------------------------------
# The queue of a module, whose functions and static methods share it: `_queued = RequestEngine.for_module(__name__, ...)`.


class ModuleQueue:
    """What `_queued` is in a module: `_queued(function)` is `function`, made in its turn and retried.

    Its attributes are the settings that an instance of a class would have: `_queued.max_retries = 2`.
    """

    def __getattr__(self, name: str) -> Any:
        """Say that there is no such setting; to a type checker, that settings can be read."""
        raise AttributeError(f"the queue of a module has no setting {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Change a setting.

        Raises:
            AttributeError: there is no such setting.
            ValueError: the value makes no sense; the message names the setting.
        """
        if name not in OPTIONS:
            raise AttributeError(f"the queue of a module has no setting {name!r}", name=name, obj=self)
        super().__setattr__(name, value)

    def __call__(self, call: CallT, /, retry: bool = True) -> CallT:
        """Return `call` as a function that waits for its turn and, if `retry`, is tried again when it fails."""
        try:
            engine = engines[id(self)]
        except KeyError:
            engine = engine_of(self)
        return engine.wrap(call, retry)  # type: ignore[no-any-return]

    request_queue, current_requests = views()
    submit, map, priority, queue_stats = methods()

    def close(self) -> None:
        """Fail the waiting requests, let the running ones end, and join the queue's threads."""
        engine_of(self).close()

    def __reduce__(self) -> Any:
        """Be made anew where a copy arrives, as an instance's queue is: functions may be sent to other processes."""
        cls = type(self)
        defaults = {name: value.default for name, value in vars(cls).items() if isinstance(value, Setting)}
        return _copied_queue, (cls.__module__, {**defaults, **self.__dict__})


def for_module(name: str, **settings: Any) -> ModuleQueue:
    """Return the queue of a module.

    Args:
        name: of the module, `__name__`: that of the logger.
        settings: defaults; of the blocks queue and backoff it has those of which a setting is named.

    Raises:
        TypeError: there is no such setting.
        ValueError: a value makes no sense; the message names the setting.
    """
    members: dict[str, Any] = {}
    for setting, value in settings.items():
        if setting not in OPTIONS:
            raise TypeError(f"there is no setting {setting!r}; there are {', '.join(OPTIONS)}")
        members[setting] = default = Setting(value, setting)
        default.attribute = setting
        default.checked(value)  # here, as Python before 3.12 hides what is raised while a class is made
    # The settings that are not named are declared by the entry point, as in a class.
    members |= {"__module__": name, "_queued": EntryPoint()}
    queue: ModuleQueue = type(name.rpartition(".")[2], (ModuleQueue,), members)()
    return queue


def _copied_queue(name: str, settings: dict[str, Any]) -> ModuleQueue:
    return for_module(name, **settings)


# __init__ ---------------------------------------------------------------------------------------------------


__all__ = ["CircuitOpen", "QueueClosed", "QueueError", "RequestEngine", "RequestQueueFull", "RequestTimeout"]

_KNOWN_AS = "RequestEngine"  # another name where the runtime is inside a file that has one of its own

# What a module uses of those that come after it, it is given here.
HELD_STREAMS[False, True] = HeldAsyncStream
HELD_STREAMS[True, True] = HeldStreamOfBoth
RequestEngine.setting = Setting
RequestEngine.api_key = ApiKey
RequestEngine.entry_point = EntryPoint
RequestEngine.of = staticmethod(engine_of)
RequestEngine.views = staticmethod(views)
RequestEngine.methods = staticmethod(methods)
RequestEngine.context = Context()
RequestEngine.closing = Closing()
RequestEngine.for_module = staticmethod(for_module)
RequestEngine.QueueFull = RequestQueueFull

# So that they are caught, shown and pickled under a name that can be reached, wherever the runtime is.
for _error in (QueueError, RequestQueueFull, RequestTimeout, QueueClosed, CircuitOpen):
    setattr(RequestEngine, _error.__name__, _error)
    _error.__module__, _error.__qualname__ = __name__, f"{_KNOWN_AS}.{_error.__name__}"


def _after_fork_in_child() -> None:
    """Give the child fresh locks and empty queues: the threads that held and filled the old ones are gone."""
    alarm.reset()
    for engine in list(engines.values()):
        engine.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
