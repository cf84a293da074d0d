"""What went wrong."""

import errno
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .errors import QueueError
from .probing import PLAIN_TYPES, attribute, header, is_coroutine_function, status_in
from .vendor import VENDORS

# RFC 9110 section 15.5 and 15.6, RFC 6585, Cloudflare 520-524, Anthropic 529, Groq 498.
RETRIED_STATUSES = frozenset({408, 425, 429, 498, 500, 502, 503, 504, *range(520, 525), 529})
HOLDING_STATUSES = frozenset({429, 503, 529})
_NO_MONEY = re.compile(r"insufficient_quota|billing_\w+|credit_balance_exhausted", re.ASCII)
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
_UNREACHABLE = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH})


class Failure(NamedTuple):
    """Why an attempt failed, read from what it returned or raised."""

    why: str
    retry: bool
    status: "int | None" = None
    headers: Any = None
    body: Any = None
    never_sent: bool = False


def failure_in_result(result: Any) -> "Failure | None":
    """Return the failure that a returned object stands for, or None.

    A response is never truth-tested: a 429 of requests is false.
    """
    if type(result) in PLAIN_TYPES:
        return None
    if type(result) is dict:
        return _failure_by_vendor(result, "")
    status = status_in(result)
    if status is None or status < 400:
        return None
    return failure_by_status(status, attribute(result, "headers"), _body_of(result, status))


def failure_by_status(status: int, headers: Any, body: Any, name: str = "") -> Failure:
    asked = header(headers, "x-should-retry")
    if asked in ("true", "false"):
        retry = asked == "true"
    else:
        retry = status in RETRIED_STATUSES and not (status == 429 and _says_no_money(body))
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


def _failure_by_vendor(thing: Any, name: str) -> "Failure | None":
    for vendor in VENDORS:
        if vendor.failure is not None and (failure := vendor.failure(thing, name)) is not None:
            return failure
    return None


def _handled(error: BaseException) -> Any:
    """Return the response of the error in whose handling another was raised (`from None`), as ollama's is."""
    return attribute(attribute(error, "__context__"), "response")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then those that caused it or that it wraps (urllib3: `reason`; requests: `args[0]`)."""
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
            if type(link).__name__ == "S3UploadFailedError":  # raised without `from` what caused it
                todo.append(attribute(link, "__context__"))


def _body_of(response: Any, status: int) -> Any:
    """Return the decoded JSON body of an error response that has been read, or None.

    Only a 429 and a 503 are looked into. A body of requests that is still to come is read; it is kept for the caller.
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


def _says_no_money(body: Any) -> bool:
    """Return True if a 429 is about the account's balance, which no waiting mends."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return False
    words: list[Any] = []
    for part in (body, body.get("error"), body.get("detail")):  # gateways say it in any of these
        words += (part.get("code"), part.get("type")) if isinstance(part, dict) else (part,)
    return any(isinstance(word, str) and _NO_MONEY.fullmatch(word) for word in words)
