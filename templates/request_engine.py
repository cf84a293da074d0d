"""Request queue, exponential backoff and environment keys for API client classes.

A class that was given its blocks calls `self._queued(function)(...)` where it called `function(...)` before.
Everything behind that is in this module, which needs nothing but the standard library (and reads `.env` files
where python-dotenv is installed). From top to bottom: settings, what went wrong, how long to wait, the line and
its slots, streams, keys, and the engine that ties them together.

The life of a request: it takes a slot (`_Gate.enter`) or a ticket (`_Gate.join`); each attempt runs while it holds
a slot; while it backs off it holds none and keeps its ticket's number, hence its place in line.
"""

import contextlib
import contextvars
import heapq
import itertools
import logging
import math
import operator
import os
import random
import re
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial, wraps
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

__all__ = ["QueueClosed", "RequestEngine", "RequestQueueFull", "RequestTimeout"]


class QueueError(RuntimeError):
    """A request was not made, or not waited for, because of the queue; the API has no part in it."""


class RequestQueueFull(QueueError, ValueError):
    """As many requests wait already as `queue_size` allows."""


class RequestTimeout(QueueError, TimeoutError):
    """A request waited longer than `queue_timeout`, or took longer than `total_timeout`."""


class QueueClosed(QueueError):
    """The backend was closed while the request waited, or before it was made."""


# Settings ------------------------------------------------------------------------------------------------------


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
    return value  # type: ignore[no-any-return]


def _seconds_or_none(value: Any) -> "float | None":
    return None if value is None else _seconds(value)


def _factor(value: Any) -> float:
    if _seconds(value) == 0:
        raise ValueError
    return value  # type: ignore[no-any-return]


# Option -> (check, what is allowed, value where the class has no such block).
_OPTIONS: dict[str, tuple[Callable[[Any], Any], str, Any]] = {
    "queue_enabled": (_flag, "True or False", False),
    "max_concurrent_requests": (_count, "a whole number, 0 or more", 5),
    "queue_size": (_count, "a whole number, 0 or more", 100),
    "queue_timeout": (_seconds_or_none, "seconds, 0 or more, or None", None),
    "total_timeout": (_seconds_or_none, "seconds, 0 or more, or None", None),
    "max_retries": (_count, "a whole number, 0 or more", 0),
    "initial_retry_delay": (_seconds, "seconds, 0 or more", 1),
    "backoff_factor": (_factor, "a number above 0", 2),
    "max_retry_delay": (_seconds, "seconds, 0 or more", 60),
    "max_retry_after": (_seconds, "seconds, 0 or more", 120),
    "retry_jitter": (_seconds, "a fraction, 0 or more", 0.1),
}


class Setting(property):
    """An attribute that can be changed on a live instance; a senseless value is refused.

    It is a property so that frameworks that inspect class bodies (pydantic, dataclasses) leave it alone. The value
    is kept in the instance's `__dict__`, hence copied and pickled with it, but only once it was assigned.

    Args:
        default: the value until one is assigned.
        option: what it sets, where the attribute has another name.
    """

    def __init__(self, default: Any, option: str = "") -> None:
        super().__init__()
        self.default = default
        self.option = option
        self.attribute = option

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name
        self.option = self.option or name
        self.default = self.checked(self.default)

    def checked(self, value: Any) -> Any:
        """Return `value`; raise ValueError, naming the attribute, where it makes no sense."""
        check, allowed, _ = _OPTIONS[self.option]
        try:
            return check(value)
        except (TypeError, ValueError):
            raise ValueError(f"{self.attribute} must be {allowed}, not {value!r}") from None

    def __get__(self, instance: Any, owner: "type | None" = None) -> Any:
        return self.default if instance is None else _values_of(instance).get(self.attribute, self.default)

    def __set__(self, instance: Any, value: Any) -> None:
        _values_of(instance)[self.attribute] = self.checked(value)
        engine = _engines.get(id(instance))
        if engine is not None:
            engine.configure(instance)

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, self.default)
        del _values_of(instance)[self.attribute]


def _values_of(instance: Any) -> dict[str, Any]:
    """Return where the values of an instance's settings are kept: its `__dict__`, or its engine if it has slots."""
    try:
        return instance.__dict__  # type: ignore[no-any-return]
    except AttributeError:
        return RequestEngine.of(instance).values


def _settings_of(owner: Any) -> dict[str, Any]:
    """Return option -> value for an instance, or for a class that holds a queue itself.

    A plain value in the body of a subclass hides the base's Setting: a Setting is put in its place, so that later
    assignments are noticed.
    """
    values = {option: neutral for option, (_, _, neutral) in _OPTIONS.items()}
    classes = (owner if isinstance(owner, type) else type(owner)).__mro__
    settings: dict[str, Setting] = {}
    for cls in reversed(classes):
        for name, value in list(vars(cls).items()):
            if isinstance(value, Setting):
                settings[name] = value
            elif name in settings and not hasattr(value, "__get__"):
                replacement = Setting(value, settings[name].option)
                replacement.__set_name__(cls, name)
                setattr(cls, name, replacement)
                settings[name] = replacement
    own = {} if isinstance(owner, type) or not hasattr(owner, "__dict__") else vars(owner)
    for name, setting in settings.items():
        values[setting.option] = setting.checked(own[name]) if name in own else setting.default
    return values


# What went wrong -----------------------------------------------------------------------------------------------

# RFC 9110 section 15.5 and 15.6, RFC 6585, Cloudflare 520-524, Anthropic 529, Groq 498.
_RETRIED_STATUSES = frozenset({408, 425, 429, 498, 500, 502, 503, 504, *range(520, 525), 529})
_HOLDING_STATUSES = frozenset({429, 503, 529})
_NO_MONEY = re.compile(r"insufficient_quota|billing_\w+|credit_balance_exhausted", re.ASCII)
_S3_RETRIED = frozenset(
    """
    SlowDown RequestTimeout RequestTimeoutException Throttling ThrottlingException
    ThrottledException RequestThrottled RequestLimitExceeded TooManyRequestsException
    ServiceUnavailable InternalError PriorRequestNotComplete
    """.split()
)
# Exceptions are known by their names, in any library: requests, urllib3, httpx, aiohttp, botocore, the SDKs.
_NEVER_SENT = frozenset(
    """
    ClientConnectorError ConnectError ConnectTimeout ConnectTimeoutError ConnectionRefusedError
    EndpointConnectionError NameResolutionError NewConnectionError PoolTimeout gaierror
    """.split()
)
_LOST = _NEVER_SENT | frozenset(
    """
    APIConnectionError APITimeoutError BadStatusLine ChunkedEncodingError ClientConnectionError
    ClientOSError ClientPayloadError ConnectionClosedError ConnectionError HTTPClientError
    IncompleteRead NetworkError ProtocolError ReadTimeout ReadTimeoutError RemoteProtocolError
    ResponseStreamingError ServerTimeoutError Timeout TimeoutError TimeoutException
    """.split()
)
_HOPELESS = frozenset(
    {"CertificateError", "SSLCertVerificationError", "LocalProtocolError", "UnsupportedProtocol"}
)


class Failure(NamedTuple):
    """Why an attempt failed, read from what it returned or raised."""

    why: str
    retry: bool
    status: "int | None" = None
    headers: Any = None
    body: Any = None
    never_sent: bool = False


def _attribute(thing: Any, name: str) -> Any:
    """Return an attribute of somebody else's object, or None; such attributes can raise anything."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _status_in(thing: Any) -> "int | None":
    """Return the HTTP status that an object carries: a real integer of three digits, so that a mock has none."""
    for name in ("status_code", "status", "code"):
        value = _attribute(thing, name)
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
            return int(value)
    return None


def _looks_healthy(result: Any) -> bool:
    """Return True for most results, quickly. A response is never truth-tested: a 429 of requests is false."""
    if result is None or type(result) in (str, bytes, list):
        return True
    if type(result) is dict:
        return "ResponseMetadata" not in result
    status = _attribute(result, "status_code")
    if status is None:
        status = _attribute(result, "status")
    return not isinstance(status, int) or status < 400


def _failure_in_result(result: Any) -> "Failure | None":
    """Return the failure that a returned object stands for, or None."""
    if type(result) is dict:
        return _failure_in_botocore(result)
    status = _status_in(result)
    if status is None or status < 400:
        return None
    return _failure_by_status(status, _attribute(result, "headers"), _body_of(result, status))


def _failure_by_status(status: int, headers: Any, body: Any, name: str = "") -> Failure:
    asked = _header(headers, "x-should-retry")
    if asked in ("true", "false"):
        retry = asked == "true"
    else:
        retry = status in _RETRIED_STATUSES and not (status == 429 and _says_no_money(body))
    return Failure(f"{name} (HTTP {status})" if name else f"HTTP {status}", retry, status, headers, body)


def _failure_in_botocore(response: Mapping[str, Any], name: str = "") -> "Failure | None":
    metadata = response.get("ResponseMetadata")
    if not isinstance(metadata, Mapping):
        return None
    error = response.get("Error")
    code = error.get("Code") if isinstance(error, Mapping) else None
    status = metadata.get("HTTPStatusCode")
    headers = metadata.get("HTTPHeaders")
    if isinstance(code, str) and code in _S3_RETRIED:
        return Failure(f"{name} ({code})" if name else code, True, status, headers)
    if isinstance(status, int) and status >= 400:
        return _failure_by_status(status, headers, None, name)
    return None


def _failure_in_exception(error: BaseException) -> Failure:
    """Return what an exception says, following `__cause__` and what client libraries put inside one another."""
    name = type(error).__name__
    if not isinstance(error, Exception) or isinstance(error, QueueError):
        return Failure(name, False)
    names: set[str] = set()
    for link in _chain(error):
        response = _attribute(link, "response")
        if isinstance(response, Mapping) and (failure := _failure_in_botocore(response, name)):
            return failure
        for thing in (link, response):
            status = _status_in(thing) if thing is not None else None
            if status is not None and status >= 400:
                headers = _attribute(thing, "headers")
                if headers is None:
                    headers = _attribute(response, "headers")
                body = _attribute(link, "body")
                if not isinstance(body, Mapping | list):
                    body = _body_of(response if response is not None else thing, status)
                return _failure_by_status(status, headers, body, name)
        names.update(cls.__name__ for cls in type(link).__mro__)
    retry = not names.isdisjoint(_LOST) and names.isdisjoint(_HOPELESS)
    return Failure(name, retry, never_sent=not names.isdisjoint(_NEVER_SENT))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then those that caused it or that it wraps (urllib3: `reason`; requests: `args[0]`)."""
    seen: list[BaseException] = []
    todo: list[Any] = [error]
    while todo and len(seen) < 20:
        link = todo.pop(0)
        if isinstance(link, BaseException) and not any(link is other for other in seen):
            seen.append(link)
            yield link
            todo += [link.__cause__, _attribute(link, "reason"), *_attribute(link, "args")[:2]]
            if type(link).__name__ == "S3UploadFailedError":  # raised without `from` what caused it
                todo.append(link.__context__)


def _body_of(response: Any, status: int) -> Any:
    """Return the decoded JSON body of an error response that has been read, or None.

    Only a 429 and a 503 are looked into. A body of requests that is still to come is read; it is kept for the caller.
    """
    if status not in _HOLDING_STATUSES or response is None:
        return None
    decode = _attribute(response, "json")
    if not callable(decode) or hasattr(decode, "__await__"):
        return None
    if (getattr(_attribute(decode, "__code__"), "co_flags", 0)) & 0x80:  # a coroutine function
        return None
    try:
        body = decode()
    except Exception:
        return None
    return body if isinstance(body, dict | list) else None


def _says_no_money(body: Any) -> bool:
    """Return True if a 429 is about the account's balance, which no waiting mends."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return False
    words = (error.get("code"), error.get("type"))
    return any(isinstance(word, str) and _NO_MONEY.fullmatch(word) for word in words)


# How long to wait ----------------------------------------------------------------------------------------------


def backoff_delay(retry: int, initial: float, factor: float, longest: float) -> float:
    """Return the seconds before the n-th retry: min(initial * factor ** (n - 1), longest)."""
    try:
        return min(initial * factor ** (retry - 1), longest)
    except OverflowError:
        return longest


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
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    now = _http_date(date) if isinstance(date, str) else None
    return max(0.0, (until - (now or datetime.now(timezone.utc))).total_seconds())


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


def _header(headers: Any, name: str) -> Any:
    """Return a header by its lower-case name from any kind of mapping, or None; only text and numbers count."""
    get = _attribute(headers, "get")
    if not callable(get):
        return None
    try:
        value = get(name)
        if value is None and type(headers) is dict:
            value = next((v for k, v in headers.items() if isinstance(k, str) and k.lower() == name), None)
    except Exception:
        return None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value if isinstance(value, str | int | float) else None


def server_delay(headers: Any, body: Any = None) -> "tuple[float, str] | None":
    """Return how long the server asked us to wait, in seconds, and where it said so; None if it did not.

    In this order: `retry-after-ms`, `Retry-After`, Google's RetryInfo (google/rpc/error_details.proto), and the
    reset time of the IETF's `RateLimit` header (draft-ietf-httpapi-ratelimit-headers) when nothing remains.
    """
    milliseconds = parse_retry_after(_header(headers, "retry-after-ms"))
    if milliseconds:
        return milliseconds / 1000, "retry-after-ms"
    seconds = parse_retry_after(_header(headers, "retry-after"), _header(headers, "date"))
    if seconds:
        return seconds, "Retry-After"
    seconds = _google_retry_info(body)
    if seconds:
        return seconds, "RetryInfo"
    limit = _header(headers, "ratelimit")
    if (
        isinstance(limit, str)
        and re.search(r"\br=0\b", limit)
        and (t := re.search(r"\bt=([0-9]{1,9})\b", limit))
    ):
        return float(t[1]), "RateLimit"
    if _header(headers, "ratelimit-remaining") in ("0", 0):
        seconds = parse_retry_after(_header(headers, "ratelimit-reset"))
        if seconds:
            return seconds, "RateLimit-Reset"
    return None


def _google_retry_info(body: Any) -> "float | None":
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return parse_retry_after(delay[:-1])
    return None


# Sending twice -------------------------------------------------------------------------------------------------

_BODY_NAMES = frozenset(
    {"data", "content", "files", "file", "body", "Body", "Fileobj", "fileobj", "image", "audio"}
)
_INFERENCE = re.compile(
    r"chat|complet|embed|messages|generat|rerank|rank|predict|infer|classif|tokenize|moderation|responses"
    r"|similarity|transcri|translat|invoke|count",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(r"get|head|options|list|retrieve|download|describe|put|delete", re.IGNORECASE)


def _may_be_repeated(call: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return True if a request whose answer was lost may be made again without harm (RFC 9110 section 9.2.2).

    GET, PUT, DELETE and their like may; a POST may if it asks a model for something, judged by its path or, where an
    SDK hides the path, by the name of the function.
    """
    name = str(_attribute(call, "__name__") or "")
    words = [arg for arg in (*args[:2], kwargs.get("method"), kwargs.get("url")) if isinstance(arg, str)]
    if name in ("request", "stream", "send") and words and words[0].isalpha():
        name, words = words[0], words[1:]
    is_url = bool(words) and "://" in words[0]
    if name.lower() == "post" or (is_url and not _READ_ONLY.match(name)):
        path = "".join(words[:1]).partition("://")[2].partition("?")[0].partition("/")[2]
        return bool(_INFERENCE.search(path)) and not kwargs.get("files")
    owner = type(_attribute(call, "__self__")).__name__
    return bool(_READ_ONLY.match(name) or _INFERENCE.search(f"{owner}.{name}"))


class _Rewinder:
    """Puts the files in a request's body back to where they stood before the first attempt."""

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.rewindable = True
        self.marks: list[tuple[Any, int]] = []
        for value in (*args, *(value for name, value in kwargs.items() if name in _BODY_NAMES)):
            self._look_into(value, 3)

    def _look_into(self, value: Any, depth: int) -> None:
        if isinstance(value, str | bytes | int | float) or value is None or depth == 0:
            return
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for item in value:
                self._look_into(item, depth - 1)
        elif callable(_attribute(value, "read")):
            try:
                self.marks.append((value, value.tell()))
            except Exception:
                self.rewindable = False
        elif callable(_attribute(value, "__next__")) or callable(_attribute(value, "__anext__")):
            self.rewindable = False

    def rewind(self) -> bool:
        """Return True if the body can be sent again, and make it so."""
        try:
            for stream, mark in self.marks:
                stream.seek(mark)
        except Exception:
            return False
        return self.rewindable


# The line ------------------------------------------------------------------------------------------------------

_WAITING, _GRANTED, _RUNNING, _GONE = range(4)


class _Slot:
    """The right to have one attempt in flight. Giving it back twice does no harm."""

    __slots__ = ("__weakref__", "gate", "generation", "held", "number")

    def __init__(self, gate: "_Gate") -> None:
        self.gate = gate
        self.generation = gate.generation
        self.number = next(gate.numbers)
        self.held = False

    def release(self) -> None:
        """Give the slot back, also when a signal handler raises in the middle of it."""
        try:
            self.gate.leave(self)
        except BaseException:
            self.gate.leave(self)
            raise

    def abandon(self) -> None:
        """Give the slot back from a finalizer, which may run inside any function, this module's own included."""
        if self.held:
            self.gate.abandoned.append(self)
            self.gate.collect_abandoned()


class _Ticket:
    """A place in line. The subclasses say who is told when it is handed a slot."""

    __slots__ = ("number", "ready_at", "slot", "state")

    def __init__(self, slot: _Slot) -> None:
        self.slot = slot
        self.number = slot.number
        self.ready_at = 0.0
        self.state = _GONE  # until it joins the line

    def __lt__(self, other: "_Ticket") -> bool:
        return self.number < other.number

    def hand_over(self) -> bool:
        """Tell the owner that it has a slot now; False if the owner cannot be told. A second call does nothing."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Tell the owner that its turn will not come."""
        raise NotImplementedError


class _ThreadTicket(_Ticket):
    """The place of a thread that waits for its next attempt."""

    __slots__ = ("error", "signal")

    def __init__(self, slot: _Slot) -> None:
        super().__init__(slot)
        self.error: Exception | None = None
        self.signal = threading.Lock()
        self.signal.acquire()

    def hand_over(self) -> bool:
        with contextlib.suppress(RuntimeError):  # released already
            self.signal.release()
        return True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.hand_over()


class _TaskTicket(_Ticket):
    """The place of an asyncio task."""

    __slots__ = ("future", "loop")

    def __init__(self, slot: _Slot, loop: Any) -> None:
        super().__init__(slot)
        self.loop = loop
        self.future: Any = loop.create_future()

    def hand_over(self) -> bool:
        return self._resolve(None)

    def fail(self, error: Exception) -> None:
        self._resolve(error)

    def _resolve(self, error: "Exception | None") -> bool:
        def resolve() -> None:
            if not self.future.done():
                self.future.set_exception(error) if error else self.future.set_result(None)

        try:
            self.loop.call_soon_threadsafe(resolve)
        except RuntimeError:  # the loop was closed while its task waited
            return False
        return True


class _Job(_Ticket):
    """The place of a request that a worker thread runs, and its outcome."""

    __slots__ = ("attempt", "context", "done", "error", "future", "request", "result")

    def __init__(self, slot: _Slot, request: "_Request", future: "Future[Any] | None" = None) -> None:
        super().__init__(slot)
        self.request = request
        self.future = future
        self.context = contextvars.copy_context()
        self.done = threading.Lock()
        self.done.acquire()
        self.result: Any = None
        self.error: BaseException | None = None

    def hand_over(self) -> bool:
        self.slot.gate.jobs.put(self)
        return True

    def fail(self, error: Exception) -> None:
        self.deliver(None, error)

    def deliver(self, result: Any, error: "BaseException | None") -> None:
        """Give the outcome to whoever waits for it."""
        self.result, self.error = result, error
        future, self.future = self.future, None
        if future is not None:
            with contextlib.suppress(InvalidStateError):  # cancelled in the meantime
                future.set_exception(error) if error is not None else future.set_result(result)
        with contextlib.suppress(RuntimeError):
            self.done.release()

    def run(self) -> None:
        """Make one attempt, having been handed a slot; then deliver, or go back in line to wait out the backoff."""
        gate = self.slot.gate
        if not gate.start(self):
            return
        try:
            delay = self.context.run(self.request.attempt_once, self.slot)
            result, error = self.request.result, self.request.error
        except BaseException as raised:  # an error of our own must reach the caller, never end the worker
            delay, result, error = None, None, raised
        if delay is None:
            self.request.finish(self.slot)
            self.deliver(result, error)
        else:
            gate.rejoin(self, delay)
        del error, result


class _Gate:
    """Admits requests, first in, first out, at most `limit` at once.

    Invariant, whenever `lock` is free: if a ticket is ready, then `active >= limit`, or the gate is on hold
    (`hold_until`), or it is closed. So a newcomer that finds a free slot overtakes nobody, and nothing waits while a
    slot is free. `active` is the number of slots with `held` set, plus the tickets that were granted one.

    A signal handler may raise between any two calls. So a ticket is marked and counted by adjacent assignments,
    told, and only then taken out of the heap: who finds a granted ticket at the top of the heap tells it again.
    """

    def __init__(self) -> None:
        self.limit: float = math.inf
        self.size: float = math.inf
        self.numbers = itertools.count(1)
        self.generation = 0
        self.reset()

    def reset(self) -> None:
        """Start empty, with fresh locks: at first, and in the child of a fork, where no other thread lives on."""
        self.generation += 1
        self.lock = threading.Lock()
        self.active = 0
        self.waiting = 0
        self.closed = False
        self.hold_until = 0.0
        self.ready: list[_Ticket] = []
        self.delayed: list[tuple[float, _Ticket]] = []
        self.abandoned: deque[_Slot] = deque()
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.workers: set[threading.Thread] = set()
        self.idle = 0

    # Each method below holds the lock for a few lines and then does what must not be done under it.

    def enter(self, slot: _Slot) -> bool:
        """Take a free slot, unless somebody waits for one."""
        with self.lock:
            if self.closed:
                raise QueueClosed("This backend is closed: it takes no more requests.")
            if self.hold_until and time.monotonic() >= self.hold_until:
                self.hold_until = 0.0
            if self.ready or self.hold_until:
                self._pump()
            if self.ready or self.hold_until or self.active >= self.limit:
                return False
            slot.held = True
            self.active += 1
        return True

    def join(self, ticket: _Ticket) -> None:
        """Put a ticket at the end of the line; raise RequestQueueFull if there is no room."""
        with self.lock:
            if self.closed:
                raise QueueClosed("This backend is closed: it takes no more requests.")
            if self.waiting >= self.size:
                raise RequestQueueFull(
                    f"Request queue is full ({self.size:.0f} items). Try again later, raise `queue_size`, "
                    "or raise `max_concurrent_requests` if the API allows more requests at once."
                )
            ticket.state = _WAITING
            self.waiting += 1
            heapq.heappush(self.ready, ticket)
            self._pump()
            due = self._next_due()
        self._after(due)

    def rejoin(self, ticket: _Ticket, delay: float) -> None:
        """Give the ticket's slot back and put the ticket where it stood, to be ready again after `delay` seconds."""
        with self.lock:
            if ticket.slot.held:
                ticket.slot.held = False
                self.active -= 1
            if self.closed:
                ticket.state = _GONE
            else:
                ticket.state = _WAITING
                self.waiting += 1
                ticket.ready_at = time.monotonic() + delay
                heapq.heappush(self.delayed, (ticket.ready_at, ticket))
            self._pump()
            due = self._next_due()
        self._after(due)
        if ticket.state == _GONE:
            ticket.fail(QueueClosed("The backend was closed while the request waited."))

    def leave(self, slot: _Slot) -> None:
        """Give a slot back; the oldest ready ticket has it at once."""
        with self.lock:
            if slot.held and slot.generation == self.generation:
                slot.held = False
                self.active -= 1
            if self.ready or self.delayed:
                self._pump()
            due = self._next_due() if self.delayed or self.hold_until else 0.0
        if self.abandoned:
            self.collect_abandoned()
        if due or not self.jobs.empty():
            self._after(due)

    def start(self, job: _Job) -> bool:
        """Claim a job for the calling thread; False if it was withdrawn, or claimed already."""
        with self.lock:
            if job.state != _GRANTED:
                return False
            job.state = _RUNNING
            return True

    def take(self, ticket: _Ticket) -> None:
        """Note that the owner of a granted ticket has it in hand and answers for the slot from now on."""
        ticket.state = _RUNNING

    def withdraw(self, ticket: _Ticket) -> bool:
        """Take a ticket out of the line, so that it never runs; False if it runs already."""
        with self.lock:
            if ticket.state == _WAITING:
                ticket.state = _GONE
                self.waiting -= 1
            elif ticket.state == _GRANTED:
                ticket.state = _GONE
                if ticket.slot.held and ticket.slot.generation == self.generation:
                    ticket.slot.held = False
                    self.active -= 1
            self._pump()
            gone = ticket.state == _GONE
            due = self._next_due()
        self._after(due)
        return gone

    def hold(self, seconds: float) -> None:
        """Admit nothing for so long: the server asked for it."""
        with self.lock:
            self.hold_until = max(self.hold_until, time.monotonic() + seconds)

    def resize(self, limit: float, size: float) -> None:
        """Change how many may be in flight and how many may wait; nothing is interrupted."""
        with self.lock:
            self.limit, self.size = limit, size
            self._pump()
            due = self._next_due()
        self._after(due)

    def pump(self) -> None:
        """Admit what can be admitted now."""
        with self.lock:
            self._pump()
            due = self._next_due()
        self._after(due)

    def collect_abandoned(self) -> None:
        """Take back the slots of collected streams, unless somebody holds the lock, who then does it."""
        while self.abandoned and self.lock.acquire(blocking=False):
            try:
                while self.abandoned:
                    slot = self.abandoned.popleft()
                    if slot.held and slot.generation == self.generation:
                        slot.held = False
                        self.active -= 1
                self._pump()
            finally:
                self.lock.release()
            self._after(0.0)

    def close(self, join: bool = True) -> None:
        """Refuse newcomers, fail those who wait, let the running end, and join the worker threads."""
        with self.lock:
            self.closed = True
            waiting = [ticket for ticket in self._line() if ticket.state == _WAITING]
            for ticket in waiting:
                ticket.state = _GONE
            self.waiting = 0
            self.ready.clear()
            self.delayed.clear()
            workers = list(self.workers)
            for _ in workers:
                self.jobs.put(None)  # type: ignore[arg-type]
        for ticket in waiting:
            ticket.fail(QueueClosed("The backend was closed while the request waited."))
        for worker in workers:
            if join and worker is not threading.current_thread():
                worker.join()

    def line(self) -> list[_Ticket]:
        """Return the tickets that wait, oldest first."""
        with self.lock:
            return [ticket for ticket in self._line() if ticket.state == _WAITING]

    # With the lock held.

    def _line(self) -> list[_Ticket]:
        return sorted([*self.ready, *(ticket for _, ticket in self.delayed)])

    def _pump(self) -> None:
        """Make due tickets ready, then hand free slots to the oldest ready ones."""
        if self.delayed or self.hold_until:
            now = time.monotonic()
            while self.delayed and (self.delayed[0][1].state != _WAITING or self.delayed[0][0] <= now):
                ticket = self.delayed[0][1]
                if ticket.state == _WAITING and ticket not in self.ready[:1]:
                    heapq.heappush(self.ready, ticket)
                heapq.heappop(self.delayed)
            if self.hold_until and now >= self.hold_until:
                self.hold_until = 0.0
        while self.ready:
            ticket = self.ready[0]
            if ticket.state == _WAITING:
                if self.active >= self.limit or self.hold_until:
                    return
                ticket.state = _GRANTED
                ticket.slot.held = True
                self.waiting -= 1
                self.active += 1
            if ticket.state == _GRANTED and not ticket.hand_over():
                ticket.state = _GONE
                ticket.slot.held = False
                self.active -= 1
            heapq.heappop(self.ready)

    def _next_due(self) -> float:
        """Return when the gate must be looked at again (`time.monotonic()`), or 0."""
        due = self.delayed[0][0] if self.delayed else 0.0
        if self.hold_until and self.ready:
            due = min(due, self.hold_until) if due else self.hold_until
        return due

    # Without the lock.

    def _after(self, due: float) -> None:
        """See to it that granted jobs have a thread and that the next due time is not missed."""
        if due:
            _alarm.set(due, self)
        while not self.jobs.empty():
            with self.lock:
                if self.idle >= self.jobs.qsize() or self.jobs.empty():
                    return
                worker = threading.Thread(target=_work, args=(self,), name="request-queue", daemon=True)
                self.workers.add(worker)
                self.idle += 1
            try:
                worker.start()
            except RuntimeError:  # no more threads, or the interpreter is on its way out: run it here
                with self.lock:
                    self.workers.discard(worker)
                    self.idle -= 1
                with contextlib.suppress(Empty):
                    job = self.jobs.get_nowait()
                    if job is not None:
                        job.run()


_IDLE_SECONDS = 2.0


def _work(gate: _Gate) -> None:
    """Run jobs until none has come for a while. A worker knows the gate, never the instance."""
    generation = gate.generation
    while True:
        try:
            job = gate.jobs.get(timeout=_IDLE_SECONDS)
        except Empty:
            job = None
        with gate.lock:
            if gate.generation != generation:
                return
            if job is None and (gate.closed or gate.jobs.empty()):
                gate.idle -= 1
                gate.workers.discard(threading.current_thread())
                return
            gate.idle -= 1
        if job is not None:
            job.run()
        del job
        with gate.lock:
            gate.idle += 1


class _Alarm:
    """One daemon thread for all gates that looks at a gate when it is due, and ends when nothing is."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start with no times and no thread: at first, and in the child of a fork."""
        self.changed = threading.Condition(threading.Lock())
        self.times: list[tuple[float, int, weakref.ref[_Gate]]] = []
        self.numbers = itertools.count()
        self.thread: threading.Thread | None = None

    def set(self, due: float, gate: _Gate) -> None:
        """See to it that `gate.pump()` is called at `due` (`time.monotonic()`)."""
        with self.changed:
            first = not self.times or due < self.times[0][0]
            if any(when == due and ref() is gate for when, _, ref in self.times[:3]):
                return
            heapq.heappush(self.times, (due, next(self.numbers), weakref.ref(gate)))
            if self.thread is None:
                thread = threading.Thread(target=self._run, name="request-queue-alarm", daemon=True)
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self.thread = thread
            elif first:
                self.changed.notify()

    def _run(self) -> None:
        while True:
            with self.changed:
                while self.times and (wait := self.times[0][0] - time.monotonic()) > 0:
                    self.changed.wait(wait)
                if not self.times:
                    self.thread = None
                    return
                gate = heapq.heappop(self.times)[2]()
            if gate is not None:
                gate.pump()
            del gate


_alarm = _Alarm()


class _WaitingRequests(Sequence[Any]):
    """A live view of the requests that wait, oldest first; each is shown as a dict."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate

    def __len__(self) -> int:
        return self._gate.waiting

    def __getitem__(self, index: Any) -> Any:
        return [{"id": f"req_{ticket.number}"} for ticket in self._gate.line()][index]

    def __repr__(self) -> str:
        return f"<{len(self)} waiting requests>"


# Requests and streams ------------------------------------------------------------------------------------------

_current_slot: "contextvars.ContextVar[_Slot | None]" = contextvars.ContextVar("current_slot", default=None)


class _Request:
    """One logical request: its call, how many attempts were made, and the outcome of the last one."""

    __slots__ = (
        "args", "call", "deadline", "engine", "error", "failure", "kwargs", "name", "result", "retries", "retry",
        "rewinder",
    )  # fmt: skip

    def __init__(self, engine: "RequestEngine", call: Any, args: Any, kwargs: Any, retry: bool) -> None:
        self.engine = engine
        self.call, self.args, self.kwargs = call, args, kwargs
        self.retry = retry
        self.retries = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self.failure: Failure | None = None
        self.name = ""
        total = engine.settings["total_timeout"]
        self.deadline = math.inf if total is None else time.monotonic() + total
        self.rewinder = _Rewinder(args, kwargs) if retry else None

    def attempt_once(self, slot: _Slot) -> "float | None":
        """Make one attempt under `slot`; return the delay before the next one, or None if the outcome stands."""
        token = _current_slot.set(slot)
        try:
            self.result, self.error = self.call(*self.args, **self.kwargs), None
        except BaseException as error:
            self.result, self.error = None, error
        finally:
            _current_slot.reset(token)
        return self.judge(slot)

    def judge(self, slot: _Slot) -> "float | None":
        """Return the delay before the next attempt, or None if the outcome of the last one stands."""
        if self.error is not None:
            failure: Failure | None = _failure_in_exception(self.error)
        else:
            failure = None if _looks_healthy(self.result) else _failure_in_result(self.result)
        if failure is None or not self.retry:
            return None
        return self.engine.delay_after(failure, self, slot)

    def finish(self, slot: _Slot) -> None:
        """Give the slot back, or let it stay with the stream that was returned."""
        if self.error is None and _is_stream(self.result, self.kwargs):
            self.result = _hold(self, slot)
        else:
            slot.release()

    def outcome(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        error, self.error = self.error, None
        if error is None:
            return self.result
        try:
            raise error
        finally:
            del error


def _is_stream(result: Any, kwargs: Mapping[str, Any]) -> bool:
    if type(result).__name__ in ("generator", "_GeneratorContextManager"):
        return True
    stream = kwargs.get("stream")
    return stream is not None and stream is not False and callable(_attribute(result, "close"))


def _hold(request: _Request, slot: _Slot) -> Any:
    """Let a streamed result keep its slot until it is exhausted, closed or collected; return what to hand out."""
    result = request.result
    request.engine.streams[threading.get_ident()] = weakref.ref(slot)
    if callable(_attribute(result, "iter_content")) and hasattr(result, "__dict__"):
        return _hold_response(result, slot)
    return _HeldStream(request, slot)


def _hold_response(response: Any, slot: _Slot) -> Any:
    """Do so for a response of requests, which stays the very same object."""
    if _attribute(response, "_content_consumed") is True:
        slot.release()
        return response
    close, iter_content = response.close, response.iter_content
    finalizer = weakref.finalize(response, slot.abandon)
    finalizer.atexit = False

    def closing() -> None:
        try:
            close()
        finally:
            slot.release()

    def iterating(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from iter_content(*args, **kwargs)
        finally:
            slot.release()

    response.close, response.iter_content = closing, iterating
    return response


class _HeldStream:
    """A stream that keeps its slot until it is exhausted, closed or collected; otherwise like the stream itself.

    Until the first item has come, a failure is retried by making the call again.
    """

    def __init__(self, request: _Request, slot: _Slot) -> None:
        self._request = request
        self._slot = slot
        self._stream = request.result
        self._started = False
        request.result = None
        weakref.finalize(self, slot.abandon).atexit = False

    def __iter__(self) -> "_HeldStream":
        if not hasattr(self._stream, "__next__"):
            self._stream = iter(self._stream)
        return self

    def __next__(self) -> Any:
        try:
            item = next(self._stream)
        except StopIteration:
            self._slot.release()
            raise
        except BaseException as error:
            self._retry_or_raise(error)
            return next(self)
        self._started = True
        return item

    def _retry_or_raise(self, error: BaseException) -> None:
        request = self._request
        request.result, request.error = None, error
        delay = None if self._started else request.judge(self._slot)
        while delay is not None:
            request.engine.wait_for_slot(self._slot, delay, request)
            delay = request.attempt_once(self._slot)
        if request.error is not None:
            self._slot.release()
        self._stream, request.result = request.outcome(), None
        iter(self)

    def __enter__(self) -> Any:
        entered = self._stream.__enter__()
        return self if entered is self._stream else entered

    def __exit__(self, *exc: Any) -> Any:
        try:
            return self._stream.__exit__(*exc)
        finally:
            self._slot.release()

    def close(self) -> None:
        """Close the stream and give its slot back."""
        try:
            self._stream.close()
        finally:
            self._slot.release()

    def send(self, value: Any) -> Any:
        """Send a value into the generator, as before."""
        return self._stream.send(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# Keys ----------------------------------------------------------------------------------------------------------


class ApiKey(property):
    """An API key: as assigned, else from the instance's `metadata`, the environment, or a `.env` file, else "".

    Args:
        variables: names of environment variables, first choice first.
        metadata_names: names in `metadata`; `api_key` and those given.
        empty_is_missing: take an assigned "" for a missing key; otherwise it means that there is to be none.
    """

    def __init__(
        self, *variables: str, metadata_names: Sequence[str] = (), empty_is_missing: bool = False
    ) -> None:
        super().__init__()
        self.variables = variables
        self.metadata_names = ("api_key", *metadata_names)
        self.empty_is_missing = empty_is_missing
        self.attribute = "api_key"

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = name

    def __set__(self, instance: Any, value: Any) -> None:
        values = _values_of(instance)
        values[self.attribute] = value
        engine = _engines.get(id(instance))
        if engine is not None:
            engine.keys.pop(self.attribute, None)

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, None)
        del _values_of(instance)[self.attribute]

    def __get__(self, instance: Any, owner: "type | None" = None) -> Any:
        if instance is None:
            return self
        assigned = _values_of(instance).get(self.attribute)
        if assigned == "" and not self.empty_is_missing:
            return ""
        if assigned is not None and not isinstance(assigned, str):
            return assigned  # a callable or a secret's wrapper: not ours to judge
        if (key := _clean_key(assigned, self.attribute)) is not None:
            return key
        keys = RequestEngine.of(instance).keys
        if self.attribute not in keys:
            found = self._find(instance)
            if found is None:
                return ""
            keys[self.attribute], source = found
            _logger_of(instance).info("%s: API key taken from %s", type(instance).__name__, source)
        return keys[self.attribute]

    def _find(self, instance: Any) -> "tuple[str, str] | None":
        metadata = _attribute(instance, "metadata")
        if isinstance(metadata, Mapping):
            for name in self.metadata_names:
                if (key := _clean_key(metadata.get(name), name)) is not None:
                    return key, f'metadata["{name}"]'
        for name in self.variables:
            if (key := _clean_key(os.environ.get(name), name)) is not None:
                return key, f"{name} in the environment"
        engine = RequestEngine.of(instance)
        if engine.dotenv is None:
            engine.dotenv = _read_dotenv(_logger_of(instance))
        for name in self.variables:
            if (key := _clean_key(engine.dotenv.get(name), name)) is not None:
                return key, f"{name} in .env"
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
        logger.debug("python-dotenv is not installed: no .env file is read")
        return {}
    try:
        path = find_dotenv(usecwd=True)
        return dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, ValueError) as error:
        logger.debug("the .env file could not be read: %s", type(error).__name__)
        return {}


def _logger_of(owner: Any) -> logging.Logger:
    return logging.getLogger((owner if isinstance(owner, type) else type(owner)).__module__)


# The engine ----------------------------------------------------------------------------------------------------

# id(owner) -> its engine. By id, because instances may be unhashable or compare equal; a weak reference's callback
# takes an entry out before the id can be used again. Entries are added and removed by single, atomic operations.
_engines: "dict[int, RequestEngine]" = {}


class EntryPoint:
    """What a class body calls `_queued`: reached through an instance or the class, it gives that one's `wrap`."""

    def __get__(self, instance: Any, owner: type) -> "Callable[..., Callable[..., Any]]":
        return RequestEngine.of(owner if instance is None else instance).wrap


class RequestEngine:
    """The queue, the backoff and the keys of one instance, or of one class where class methods make the requests.

    `RequestEngine.of(owner)` returns it, and makes it at first use. It keeps no reference to its owner.
    """

    setting = Setting
    api_key = ApiKey
    entry_point = EntryPoint

    @staticmethod
    def closing(close: Callable[..., Any]) -> Callable[..., Any]:
        """Return a class's own `close` as a function that closes the instance's queue first, if it has one."""
        if _kind_of(close) is _COROUTINE:

            @wraps(close)
            async def close_queue_then_await(self: Any, *args: Any, **kwargs: Any) -> Any:
                engine = _engines.get(id(self))
                if engine is not None:
                    engine.gate.close(join=False)
                return await close(self, *args, **kwargs)

            return close_queue_then_await

        @wraps(close)
        def close_queue_then(self: Any, *args: Any, **kwargs: Any) -> Any:
            engine = _engines.get(id(self))
            if engine is not None:
                engine.close()
            return close(self, *args, **kwargs)

        return close_queue_then

    def __init__(self, owner: Any) -> None:
        self.owner_is_class = isinstance(owner, type)
        self.label = (owner if self.owner_is_class else type(owner)).__name__
        self.logger = _logger_of(owner)
        self.values: dict[str, Any] = {}
        self.keys: dict[str, str] = {}
        self.dotenv: Mapping[str, str | None] | None = None
        self.streams: dict[int, weakref.ref[_Slot]] = {}
        self.gate = _Gate()
        self.settings: dict[str, Any] = {}
        self.reference = weakref.ref(owner, partial(_forget, id(owner)))

    @classmethod
    def of(cls, owner: Any) -> "RequestEngine":
        """Return the engine of an instance or class."""
        engine = _engines.get(id(owner))
        if engine is None:
            engine = cls(owner)
            _engines[id(owner)] = engine = _engines.setdefault(id(owner), engine)
            engine.configure(owner)
        elif engine.owner_is_class:
            engine.configure(owner)
        return engine

    def configure(self, owner: Any) -> None:
        """Read the owner's settings; admit what may run under them."""
        settings = _settings_of(owner)
        if settings != self.settings:
            self.settings = settings
            enabled = settings["queue_enabled"]
            self.gate.resize(
                settings["max_concurrent_requests"] if enabled else math.inf,
                settings["queue_size"] if enabled else math.inf,
            )

    @property
    def waiting(self) -> Sequence[Any]:
        """The requests that wait, oldest first."""
        return _WaitingRequests(self.gate)

    @property
    def in_flight(self) -> int:
        """How many attempts are in flight."""
        self.gate.collect_abandoned()
        return self.gate.active

    def close(self) -> None:
        """Fail the waiting requests, let the running ones end, and join the queue's threads."""
        self.gate.close()

    # Calls.

    def wrap(self, call: Callable[..., Any], retry: bool = True) -> Callable[..., Any]:
        """Return `call` as a function that waits for its turn and, if `retry`, is tried again when it fails."""
        call = _without_own_retries(call)
        kind = _kind_of(call)
        if kind is _SYNC:
            return partial(self._run, call) if retry else partial(self._run_once, call)
        if kind is _COROUTINE:
            return partial(self._run_async, call, retry)
        return partial(_AsyncCall, self, call, retry)

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Queue `call(*args, **kwargs)` and return its future at once.

        A method of the backend retries its own requests; any other function is retried as a whole.

        Raises:
            RequestQueueFull: if `queue_size` requests wait already.
        """
        owner = self.reference()
        retry = owner is None or _attribute(call, "__self__") is not owner
        future: Future[Any] = Future()
        job = _Job(_Slot(self.gate), _Request(self, call, args, kwargs, retry), future)
        job.request.name = str(_attribute(call, "__name__") or "")
        gate = self.gate

        def withdraw(done: "Future[Any]") -> None:
            if done.cancelled():
                gate.withdraw(job)

        future.add_done_callback(withdraw)
        gate.join(job)
        return future

    def _run(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self._make(_Request(self, call, args, kwargs, True))

    def _run_once(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return self._make(_Request(self, call, args, kwargs, False))

    def _make(self, request: _Request) -> Any:
        """Make a request in this thread if a slot is free, else through the queue."""
        slot = self._slot_in_hand()
        if slot is not None:
            return self._make_under(request, slot)
        slot = _Slot(self.gate)
        try:
            if self.gate.enter(slot):
                return self._make_here(request, slot)
        except BaseException:
            slot.release()
            raise
        slot = self._slot_of_open_stream()
        if slot is not None:
            return self._make_under(request, slot)
        return self._make_in_line(request)

    def _make_here(self, request: _Request, slot: _Slot) -> Any:
        while (delay := request.attempt_once(slot)) is not None:
            self.wait_for_slot(slot, delay, request)
        if isinstance(request.error, KeyboardInterrupt | SystemExit):
            slot.release()
        request.finish(slot)
        return request.outcome()

    def _make_under(self, request: _Request, slot: _Slot) -> Any:
        """Make a request from within another one, under the slot that that one holds."""
        while (delay := request.attempt_once(slot)) is not None:
            self.wait_for_slot(slot, delay, request)
        return request.outcome()

    def _make_in_line(self, request: _Request) -> Any:
        """Let a worker thread make the request when its turn has come, and wait for the outcome."""
        request.name = self._caller_name()
        job = _Job(_Slot(self.gate), request)
        queue_timeout = self.settings["queue_timeout"]
        queue_deadline = math.inf if queue_timeout is None else time.monotonic() + queue_timeout
        try:
            self.gate.join(job)
            while not job.done.acquire(timeout=_timeout_until(min(queue_deadline, request.deadline))):
                now = time.monotonic()
                if now >= request.deadline and (self.gate.withdraw(job) or True):
                    total = self.settings["total_timeout"]
                    raise RequestTimeout(f"The request took longer than total_timeout ({total} s).")
                if now >= queue_deadline:
                    if job.request.retries == 0 and self.gate.withdraw(job):
                        raise RequestTimeout(
                            f"The request waited longer than queue_timeout ({queue_timeout} s)."
                        )
                    queue_deadline = math.inf
        except BaseException:
            self.gate.withdraw(job)
            raise
        request.result, request.error = job.result, job.error
        del job
        return request.outcome()

    def wait_for_slot(self, slot: _Slot, delay: float, request: _Request) -> None:
        """Give `slot` back, wait out the backoff, and take it again when its turn has come."""
        ticket = _ThreadTicket(slot)
        try:
            self.gate.rejoin(ticket, delay)
            while not ticket.signal.acquire(timeout=_timeout_until(ticket.ready_at)):
                self.gate.pump()  # also where the alarm's thread could not be started
                if ticket.signal.acquire(timeout=_timeout_until(request.deadline)):
                    break
                total = self.settings["total_timeout"]
                raise RequestTimeout(f"The request took longer than total_timeout ({total} s).")
            if ticket.error is not None:
                raise ticket.error
            self.gate.take(ticket)
        except BaseException:
            self.gate.withdraw(ticket)
            raise

    def _slot_in_hand(self) -> "_Slot | None":
        """Return the slot under which this code runs, if it is one of this engine."""
        slot = _current_slot.get()
        return slot if slot is not None and slot.held and slot.gate is self.gate else None

    def _slot_of_open_stream(self) -> "_Slot | None":
        """Return the slot of a stream that this thread reads, so that it does not wait for itself."""
        reference = self.streams.get(threading.get_ident())
        slot = reference() if reference is not None else None
        return slot if slot is not None and slot.held else None

    # Async calls.

    async def _run_async(self, call: Callable[..., Any], retry: bool, /, *args: Any, **kwargs: Any) -> Any:
        request = _Request(self, call, args, kwargs, retry)

        async def attempt() -> Any:
            return await call(*args, **kwargs)

        slot = await self._make_async(request, attempt)
        if slot is None:
            return request.outcome()
        if request.error is None and kwargs.get("stream") and hasattr(request.result, "__anext__"):
            return _HeldAsyncStream(request.result, slot)
        slot.release()
        return request.outcome()

    async def _make_async(self, request: _Request, attempt: Callable[[], Any]) -> "_Slot | None":
        """Make a request in this task; return its slot, still held, or None if it ran under another's."""
        outer = self._slot_in_hand()
        slot = outer or _Slot(self.gate)
        try:
            if outer is None and not self.gate.enter(slot):
                await self._wait_in_task(slot, None, request)
            while True:
                token = _current_slot.set(slot)
                try:
                    request.result, request.error = await attempt(), None
                except Exception as error:
                    request.result, request.error = None, error
                finally:
                    _current_slot.reset(token)
                delay = request.judge(slot)
                if delay is None:
                    return None if outer is not None else slot
                await self._wait_in_task(slot, delay, request)
        except BaseException:
            if outer is None:
                slot.release()
            raise

    async def _wait_in_task(self, slot: _Slot, delay: "float | None", request: _Request) -> None:
        """Wait for a slot: at the end of the line, or where we stood, after the backoff of `delay` seconds."""
        import asyncio

        ticket = _TaskTicket(slot, asyncio.get_running_loop())
        limits = {"total_timeout": request.deadline}
        try:
            if delay is None:
                self.gate.join(ticket)
                if self.settings["queue_timeout"] is not None:
                    limits["queue_timeout"] = time.monotonic() + self.settings["queue_timeout"]
            else:
                self.gate.rejoin(ticket, delay)
            name = min(limits, key=lambda limit: limits[limit])
            if limits[name] == math.inf:
                await ticket.future
            else:
                await asyncio.wait([ticket.future], timeout=limits[name] - time.monotonic())
                if not ticket.future.done():
                    raise RequestTimeout(f"The request took longer than {name} ({self.settings[name]} s).")
                ticket.future.result()
            self.gate.take(ticket)
        except BaseException:
            self.gate.withdraw(ticket)
            raise

    # Backoff.

    def delay_after(self, failure: Failure, request: _Request, slot: _Slot) -> "float | None":
        """Return the delay before the next attempt, or None to give up; say so in the log, either way."""
        settings = self.settings
        asked = server_delay(failure.headers, failure.body) if failure.headers is not None else None
        too_long = asked is not None and asked[0] > settings["max_retry_after"]
        if asked is not None and not too_long and failure.retry and failure.status in _HOLDING_STATUSES:
            self.gate.hold(asked[0])
        if not failure.retry or not settings["max_retries"]:
            return None
        if not request.name:
            request.name = self._caller_name()
        if asked is not None and too_long:
            self._give_up(
                request, slot, failure, f"{asked[1]} asks for {asked[0]:.0f} s, over max_retry_after"
            )
            return None
        if request.retries >= settings["max_retries"]:
            self._give_up(request, slot, failure, f"{request.retries} retries were made")
            return None
        if not failure.never_sent and not self._may_send_again(failure, request):
            self._give_up(request, slot, failure, "sending it twice could do harm")
            return None
        delay = backoff_delay(
            request.retries + 1,
            settings["initial_retry_delay"],
            settings["backoff_factor"],
            settings["max_retry_delay"],
        )
        source = "backoff"
        if asked is not None:
            delay, source = asked
        if self.gate.delayed:
            delay *= 1 + random.uniform(0, settings["retry_jitter"])
        if time.monotonic() + delay > request.deadline:
            self._give_up(request, slot, failure, "total_timeout would be over before the next attempt")
            return None
        request.retries += 1
        if request.error is None:
            _discard(request.result)
        self.logger.warning(
            "%s.%s: request %d failed: %s; retry %d/%d in %.3g s (%s)",
            self.label, request.name, slot.number, failure.why, request.retries, settings["max_retries"], delay, source,
        )  # fmt: skip
        return delay

    def _may_send_again(self, failure: Failure, request: _Request) -> bool:
        if request.rewinder is not None and not request.rewinder.rewind():
            return False
        return failure.status is not None or _may_be_repeated(request.call, request.args, request.kwargs)

    def _give_up(self, request: _Request, slot: _Slot, failure: Failure, reason: str) -> None:
        self.logger.error(
            "%s.%s: request %d failed: %s; giving up: %s",
            self.label,
            request.name,
            slot.number,
            failure.why,
            reason,
        )
        if request.error is not None and hasattr(request.error, "add_note"):
            request.error.add_note(f"{self.label}.{request.name} gave up: {reason}")

    def _caller_name(self) -> str:
        """Return the name of the owner's method that makes the request now, a public one if possible, for the log."""
        owner = self.reference()
        frame: Any = sys._getframe(1)
        names = []
        while owner is not None and frame is not None and len(names) < 40:
            if any(frame.f_locals.get(name) is owner for name in ("self", "cls")):
                names.append(frame.f_code.co_name)
            frame = frame.f_back
        return next((name for name in names if not name.startswith("_")), names[0] if names else "request")


def _forget(key: int, reference: Any) -> None:
    engine = _engines.get(key)
    if engine is not None and engine.reference is reference:
        del _engines[key]


def _timeout_until(deadline: float) -> float:
    """Return the timeout for `Lock.acquire` that ends at `deadline`; -1 waits for ever."""
    if deadline == math.inf:
        return -1
    return min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)


def _discard(response: Any) -> None:
    """Close a response that nobody will see, so that its connection is free for the next attempt."""
    close = _attribute(response, "close")
    if callable(close) and not (getattr(_attribute(close, "__code__"), "co_flags", 0) & 0x80):
        with contextlib.suppress(Exception):
            close()


# Kinds of calls, and the retries that SDKs make themselves ------------------------------------------------------

_SYNC, _COROUTINE, _ASYNC_OTHER = range(3)


def _kind_of(call: Any) -> int:
    """Tell a coroutine function and a function that gives an async context manager from an ordinary one."""
    function = call
    while (inner := _attribute(function, "__wrapped__")) is not None and inner is not function:
        function = inner
    flags = getattr(_attribute(function, "__code__"), "co_flags", 0)
    if flags & 0x80:
        return _COROUTINE
    if flags & 0x200 or type(_attribute(call, "__self__")).__module__.partition(".")[0] == "aiohttp":
        return _ASYNC_OTHER
    return _SYNC


def _without_own_retries(call: Any) -> Any:
    """Return `call` with the retries of its SDK turned off, so that there is one layer of them.

    The SDKs of OpenAI, Anthropic and Groq make a client with other options; botocore's handler is taken out.
    """
    owner = _attribute(call, "__self__")
    client = _attribute(owner, "_client")
    if (
        client is not None
        and callable(_attribute(client, "with_options"))
        and _attribute(client, "max_retries")
    ):
        try:
            return getattr(type(owner)(client.with_options(max_retries=0)), call.__name__)
        except Exception:
            return call
    meta = _attribute(owner, "meta")
    if meta is not None and _attribute(_attribute(meta, "service_model"), "service_name") is not None:
        service = meta.service_model.service_id.hyphenize()
        with contextlib.suppress(Exception):
            meta.events.unregister(f"needs-retry.{service}", unique_id=f"retry-config-{service}")
    return call


class _AsyncCall:
    """A call whose result is awaited or entered with `async with`; it is made then, in its turn."""

    def __init__(self, engine: RequestEngine, call: Any, retry: bool, /, *args: Any, **kwargs: Any) -> None:
        self._engine = engine
        self._request = _Request(engine, call, args, kwargs, retry)
        self._manager: Any = None
        self._slot: _Slot | None = None

    def __await__(self) -> Any:
        request = self._request

        async def make() -> Any:
            async def attempt() -> Any:
                return await request.call(*request.args, **request.kwargs)

            slot = await self._engine._make_async(request, attempt)
            if slot is not None:
                slot.release()
            return request.outcome()

        return make().__await__()

    async def __aenter__(self) -> Any:
        request = self._request

        async def attempt() -> Any:
            if self._manager is not None:
                manager, self._manager = self._manager, None
                await manager.__aexit__(None, None, None)
            manager = request.call(*request.args, **request.kwargs)
            entered = await manager.__aenter__()
            self._manager = manager
            return entered

        self._slot = await self._engine._make_async(request, attempt)
        if request.error is not None and self._slot is not None:
            self._slot.release()
        return request.outcome()

    async def __aexit__(self, *exc: Any) -> Any:
        try:
            return await self._manager.__aexit__(*exc)
        finally:
            if self._slot is not None:
                self._slot.release()


class _HeldAsyncStream:
    """An async stream that keeps its slot until it is exhausted, closed or collected."""

    def __init__(self, stream: Any, slot: _Slot) -> None:
        self._stream = stream
        self._slot = slot
        weakref.finalize(self, slot.abandon).atexit = False

    def __aiter__(self) -> "_HeldAsyncStream":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._slot.release()
            raise

    async def __aenter__(self) -> "_HeldAsyncStream":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> Any:
        try:
            return await self._stream.__aexit__(*exc)
        finally:
            self._slot.release()

    async def close(self) -> None:
        """Close the stream and give its slot back."""
        try:
            await self._stream.close()
        finally:
            self._slot.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _after_fork_in_child() -> None:
    """Give the child fresh locks and empty queues: the threads that held and filled the old ones are gone."""
    _alarm.reset()
    for engine in list(_engines.values()):
        engine.gate.reset()
        engine.streams.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
