"""How long to wait."""

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from .probing import header


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


def requested_delay(headers: Any, body: Any = None) -> "tuple[float, str] | None":
    """Return how long the server asked us to wait, in seconds, and where it said so; None if it did not.

    In this order: `retry-after-ms` (gRPC: `grpc-retry-pushback-ms`), `Retry-After`, Google's RetryInfo (google/rpc/error_details.proto), and the
    reset time of the IETF's `RateLimit` header (draft-ietf-httpapi-ratelimit-headers) when nothing remains: of the
    policy that takes longest, or, as up to version 7 of the draft, of the only one.
    """
    for name in ("retry-after-ms", "grpc-retry-pushback-ms"):
        milliseconds = parse_retry_after(header(headers, name))
        if milliseconds:
            return milliseconds / 1000, name
    seconds = parse_retry_after(header(headers, "retry-after"), header(headers, "date"))
    if seconds:
        return seconds, "Retry-After"
    seconds = _google_retry_info(body)
    if seconds:
        return seconds, "RetryInfo"
    limit = header(headers, "ratelimit")
    if isinstance(limit, str):
        limit = re.sub(r'"[^"]*"', "", limit)
        policies = (limit,) if "remaining=" in limit else limit.split(",")
        exhausted = [policy for policy in policies if re.search(r"\b(r|remaining)=0\b", policy)]
        resets = [re.search(r"\b(?:t|reset)=([0-9]{1,9})\b", policy) for policy in exhausted]
        seconds = max((float(reset[1]) for reset in resets if reset), default=0.0)
        if seconds:
            return seconds, "RateLimit"
    if header(headers, "ratelimit-remaining") in ("0", 0):
        seconds = parse_retry_after(header(headers, "ratelimit-reset"))
        if seconds:
            return seconds, "RateLimit-Reset"
    return None


def _google_retry_info(body: Any) -> "float | None":
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else None  # OpenAI's SDK takes the wrapping off
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return parse_retry_after(delay[:-1])
    return None
