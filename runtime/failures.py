"""What went wrong in an attempt: a status, a lost connection, an error of a library.

Read from what a call returned or raised, and only read: whether there is another attempt, `retry_policy` decides. What
only one library does is in its file in `vendors/`.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .errors import QueueError
from .probing import PLAIN_TYPES, attribute, header, is_coroutine_function, status_in
from .server_delay import error_in, messages_in, requested_delay
from .vendor import VENDORS

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


CUT = Failure("an answer that ends within its headers", True)


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
        return CUT if is_cut(result) else None
    return failure_by_status(status, attribute(result, "headers"), _body_of(result, status))


def is_cut(result: Any) -> bool:
    """Return True for a good answer whose connection ended within its headers."""
    return any(vendor.is_cut is not None and vendor.is_cut(result) for vendor in VENDORS)


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
        kinds = {cls.__name__ for cls in type(link).__mro__}
        if "APIConnectionError" not in kinds or attribute(link, "__cause__") is None:
            names |= kinds  # else it only says that something was raised inside, perhaps by a hook
        number = attribute(link, "errno") if issubclass(type(link), OSError) else None
        if isinstance(number, int) and number in _UNREACHABLE:  # urllib's has no class
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


def sdk_would_retry(call: Any, error: Any, failure: Failure) -> bool:
    """Return True for a final status after which the SDK, whose own retries are turned off, would repeat its request."""
    if failure.status is None or failure.status in RETRIED_STATUSES:
        return False
    if header(failure.headers, "x-should-retry") == "false":
        return False
    return any(
        vendor.retries_status is not None and vendor.retries_status(call, error, failure.status)
        for vendor in VENDORS
    )


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


def says_no_money(body: Any) -> bool:
    """Return True if an error says that the account has no money, in a code (`insufficient_quota`)."""
    first = body[0] if isinstance(body, list) and body else body
    parts = (first, first.get("error"), first.get("detail")) if isinstance(first, dict) else ()
    words = [
        word for part in parts if isinstance(part, dict) for word in (part.get("code"), part.get("type"))
    ]
    return any(isinstance(word, str) and _NO_MONEY.fullmatch(word) is not None for word in words)


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
