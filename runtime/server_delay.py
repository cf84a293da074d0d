"""How long a server asks its clients to wait, read from the headers and the body of a failed answer (B4).

Every function here is total: whatever a server, a gateway or a test's mock puts there, it gives seconds or None.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from .clocks import wall_clock
from .probing import header

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,18})?"
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
        seconds = reset_time(header(headers, "ratelimit-reset"), date) or 0.0
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
        if _is_used_up(headers, remaining) and (seconds := reset_time(header(headers, reset), date))
    ]
    return max(resets, default=None)


def reset_time(value: Any, date: Any) -> "float | None":
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
