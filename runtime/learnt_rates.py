"""Rates that the server's headers say (R2, R3): each vendor's form, read, and what is to be made of it.

As in `server_delay`, every function here is total: whatever is in the headers, it gives a reading or none.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .probing import header
from .server_delay import reset_time

_WHOLE = re.compile(r"[0-9]{1,12}(?:\.0{1,3})?", re.ASCII)
_EPOCH = re.compile(r"[0-9]{10,13}(?:\.[0-9]{1,9})?", re.ASCII)
_REQUESTS, _TOKENS, _INPUT, _OUTPUT = "requests", "tokens", "input tokens", "output tokens"
# The end of a header's name -> what it counts: OpenAI, Groq and Azure; OpenAI for a project; Groq, Cerebras, Fireworks, Mistral.
_OF_OPENAI = {
    "requests": _REQUESTS, "tokens": _TOKENS, "project-tokens": _TOKENS, "tokens_usage_based": _TOKENS,
    "input-tokens": _INPUT, "output-tokens": _OUTPUT,
    "requests-minute": _REQUESTS, "tokens-minute": _TOKENS, "requests-day": _REQUESTS, "tokens-day": _TOKENS,
    "tokens-prompt": _INPUT, "tokens-generated": _OUTPUT, "req-minute": _REQUESTS,
}  # fmt: skip
# Of these it is known that they are by the minute, also where no reset is said.
_BY_THE_MINUTE = ("requests-minute", "tokens-minute", "tokens-prompt", "tokens-generated", "req-minute")
_OF_ANTHROPIC = {
    "requests": _REQUESTS, "tokens": _TOKENS, "input-tokens": _INPUT, "output-tokens": _OUTPUT,
}  # fmt: skip
_OF_TOGETHER = ("x-tokenlimit-limit", "x-tokenlimit-remaining", "x-tokenlimit-reset")
_OF_MISTRAL = (
    "x-ratelimitbysize-limit-minute",
    "x-ratelimitbysize-remaining-minute",
    "ratelimitbysize-reset",
)
_SIXTY_SECONDS = 60.0
# A reset is told in whole seconds, or later: a window ends when two answers agree, give or take these seconds.
_SAME = 1.0


class Reading(NamedTuple):
    """What an answer's headers say of one rate.

    Attributes:
        name: by which it is known again in the next answer.
        counts: requests, tokens, ...
        reset: seconds until the next window begins, or the bucket is full.
        interval: seconds for one unit, where the vendor says that, else 0: `reset` tells.
        is_window: it is refilled at once when the next begins; False: it fills evenly, or this is not known.
    """

    name: str
    counts: str
    limit: float
    remaining: float
    reset: float
    interval: float = 0.0
    is_window: bool = False


def readings_in(headers: Any) -> Iterator[Reading]:
    """Yield what the headers of an answer say of the server's rates."""
    date = header(headers, "date")
    for end, counts in _OF_OPENAI.items():
        names = [f"x-ratelimit-{part}-{end}" for part in ("limit", "remaining", "reset")]
        yield from _reading(headers, names, date, counts, end in _BY_THE_MINUTE)
    for end, counts in _OF_ANTHROPIC.items():
        names = [f"anthropic-ratelimit-{end}-{part}" for part in ("limit", "remaining", "reset")]
        for reading in _reading(
            headers, names, date, counts
        ):  # its resets are rounded to seconds, its rates by the minute
            yield reading._replace(interval=_SIXTY_SECONDS / reading.limit, is_window=False)
    for start in ("x-ratelimit", "x-rate-limit", "ratelimit"):
        names = [f"{start}-{part}" for part in ("limit", "remaining", "reset")]
        for reading in _reading(headers, names, date, _REQUESTS):
            yield reading._replace(is_window=reading.is_window or start == "ratelimit")
    yield from _reading(headers, _OF_TOGETHER, date, _TOKENS)
    for reading in _reading(headers, _OF_MISTRAL, date, _TOKENS):
        yield reading._replace(is_window=True)
    yield from _ietf(headers)


def _reading(
    headers: Any, names: Sequence[str], date: Any, counts: str, by_the_minute: bool = False
) -> Iterator[Reading]:
    limit, remaining = (_number(header(headers, name)) for name in names[:2])
    if limit is None or remaining is None or not 0 < limit >= remaining:
        return
    value = header(headers, names[2])
    reset = reset_time(value, date)
    if reset is not None:
        is_epoch = _EPOCH.fullmatch(str(value).strip()) is not None
        yield Reading(names[0], counts, limit, remaining, reset, is_window=is_epoch)
    elif value is None and by_the_minute:
        interval = _SIXTY_SECONDS / limit
        yield Reading(names[0], counts, limit, remaining, (limit - remaining) * interval, interval)


def _number(value: Any) -> "float | None":
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    return float(text) if _WHOLE.fullmatch(text) else None


def _ietf(headers: Any) -> Iterator[Reading]:
    """Read `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), or version 7's `RateLimit`."""
    limits, policies = header(headers, "ratelimit"), header(headers, "ratelimit-policy")
    if not isinstance(limits, str) or len(limits) > 2000:
        return
    if "remaining=" in limits:
        said = dict(re.findall(r"\b(limit|remaining|reset)=([0-9]{1,9})\b", limits))
        if len(said) == 3 and 0 < float(said["limit"]) >= float(said["remaining"]):
            limit, remaining, reset = (float(said[key]) for key in ("limit", "remaining", "reset"))
            yield Reading("ratelimit", _REQUESTS, limit, remaining, reset, is_window=True)
        return
    quotas = dict(_parameters(policies)) if isinstance(policies, str) and len(policies) <= 2000 else {}
    for name, given in _parameters(limits):
        policy = quotas.get(name, {})
        if "qu" in policy and "requests" not in policy["qu"]:
            continue
        most, rest, seconds = (_number(text) for text in (policy.get("q"), given.get("r"), given.get("t")))
        if most is not None and rest is not None and seconds is not None and 0 < most >= rest:
            yield Reading(f"ratelimit {name}", _REQUESTS, most, rest, seconds, is_window=True)


def _parameters(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the items of a structured list (RFC 9651) with their parameters: `"default";r=50;t=30, ...`.

    An item may have a kind before its name, as Hugging Face's has: `"fixed window";"api";q=500;w=300`.
    """
    for item in text.split(","):
        parts = [part.strip() for part in item.split(";")]
        pairs = (part.partition("=") for part in parts)
        names = [part for part in parts if "=" not in part]
        yield names[-1] if names else "", {key: value.strip() for key, is_pair, value in pairs if is_pair}


class Known(NamedTuple):
    """What is known of one rate that a server has said, and where we stand in it."""

    name: str
    limit: float
    interval: float
    paid_at: float  # of a bucket: when it will be full again; see `MeteredRate`
    left: float  # of a window
    until: float  # of a window: its end; else when the bucket was to be full by the latest reading
    used: float  # by the latest reading
    most_used: float  # by the one that the interval was taken from
    is_window: bool

    @property
    def per_minute(self) -> float:
        """What it comes to, as far as known."""
        return _SIXTY_SECONDS / self.interval if self.interval else self.limit


class LearntRate(NamedTuple):
    """All that the server has said of what is counted. The level is a tuple of `Known`."""

    counts: str
    start: tuple[Known, ...] = ()

    def due(self, level: tuple[Known, ...], cost: float, mean: float) -> float:
        return max((_due(known, cost) for known in level), default=0.0)

    def charge(self, level: tuple[Known, ...], cost: float, now: float) -> tuple[Known, ...]:
        return tuple(_charged(known, cost, now) for known in level)

    def take_back(
        self, level: tuple[Known, ...], paid: tuple[Known, ...], cost: float, now: float
    ) -> tuple[Known, ...]:
        before = {known.name: known for known in paid}
        return tuple(
            _taken_back(known, before[known.name], cost, now) if known.name in before else known
            for known in level
        )

    def learn(
        self, level: tuple[Known, ...], readings: list[Reading], since: float, now: float, longest: float
    ) -> tuple[Known, ...]:
        """Return the level after an answer.

        Args:
            since: what was started after the request that was answered, which the server had not counted.
            longest: the longest wait, in seconds, that the headers may ask for.
        """
        before = {known.name: known for known in level}
        for reading in readings:
            if reading.counts == self.counts:
                known = _learnt(before.get(reading.name), reading, since, now)
                if known is None or (known.is_window and known.left <= 0 and reading.reset > longest):
                    before.pop(reading.name, None)
                else:
                    before[reading.name] = known._replace(interval=min(known.interval, longest))
        return tuple(before.values())


def _due(known: Known, cost: float) -> float:
    if known.is_window:
        return 0.0 if known.left >= min(cost, known.limit) else known.until
    return known.paid_at - max(known.limit - cost, 0.0) * known.interval


def _charged(known: Known, cost: float, now: float) -> Known:
    if known.is_window:
        left = known.limit if now >= known.until else known.left
        return known._replace(left=left - cost)
    paid_at = max(known.paid_at, now) if cost > 0 else known.paid_at
    return known._replace(paid_at=paid_at + cost * known.interval)


def _taken_back(known: Known, paid: Known, cost: float, now: float) -> Known:
    if known.is_window:
        return known._replace(left=known.left + cost) if known.until == paid.until else known
    rest = min(max(paid.paid_at - now, 0.0), cost * known.interval)
    return known._replace(paid_at=known.paid_at - rest)


def _learnt(before: "Known | None", reading: Reading, since: float, now: float) -> "Known | None":
    """Return what is known after a reading; it can only be stricter than what was known of the same window or bucket."""
    used, moment = reading.limit - reading.remaining, now + reading.reset
    left = max(reading.remaining - since, 0.0)
    if before is not None and before.limit != reading.limit:
        before = None  # the account has another limit now
    interval, most_used = (0.0, 0.0) if before is None else (before.interval, before.most_used)
    if reading.interval:
        interval = reading.interval
    elif used and reading.reset and (used >= most_used / 2 or not interval):
        interval, most_used = reading.reset / used, used
    is_window = reading.is_window or (before is not None and before.is_window)
    if before is not None and not reading.is_window and not reading.interval and used > before.used:
        moved, expected = moment - before.until, (used - before.used) * before.interval
        if expected > 2 * _SAME:
            is_window = abs(moved) < min(_SAME, expected / 2)
    if is_window:
        if not reading.reset:
            return before
        if before is not None and before.is_window and moment <= before.until + _SAME and now < before.until:
            left = min(left, before.left)
        return Known(reading.name, reading.limit, interval, 0.0, left, moment, used, most_used, True)
    if not interval:
        return before
    paid_at = now + (reading.limit - left) * interval
    if before is not None:
        paid_at = max(paid_at, before.paid_at)
    return Known(reading.name, reading.limit, interval, paid_at, left, moment, used, most_used, False)
