"""The table of the settings: one row for each, from which the blocks, their documentation and their tests are made.

It imports nothing of the runtime, so that the codemod can read it by itself. How a class holds its settings is in
`settings`.
"""

import math
import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit


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


def _task_queue(value: Any) -> Any:
    if value is not None and not callable(getattr(value, "submit", None)):
        raise TypeError
    return value


def _positive(value: Any) -> float:
    if isinstance(value, bool | str) or not 0 < value < math.inf:
        raise ValueError
    return value  # type: ignore[no-any-return]


def _positive_or_none(value: Any) -> "float | None":
    return None if value is None else _positive(value)


def _rate(value: Any) -> Any:
    return value if isinstance(value, str) and value == "auto" else _positive_or_none(value)


def _burst(value: Any) -> float:
    if _positive(value) < 1:
        raise ValueError
    return value  # type: ignore[no-any-return]


def _some(value: Any) -> int:
    if _count(value) == 0:
        raise ValueError
    return value  # type: ignore[no-any-return]


def _cost(value: Any) -> Any:
    return value if value is None or callable(value) else _seconds(value)


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
    redis.ConnectionPool.from_url(value)  # raises ValueError where it is not valid
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
        check: returns the value, or raises TypeError or ValueError where it is not valid.
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
_RATE = (_rate, 'a number above 0, "auto", or None')
_MAYBE_POSITIVE = (_positive_or_none, "a number above 0, or None")
_BURST = (_burst, "a number, 1 or more")
_COST = (_cost, "a number, 0 or more, a function, or None")
_SOME = (_some, "a whole number, 1 or more")

# name, check and what is allowed, neutral, block, default, about
OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("queue_enabled", *_FLAG, False, "queue", True, "limit how many requests run at once"),
        Option("max_concurrent_requests", *_COUNT, 5, "queue", 5, "how many requests run at once"),
        Option("queue_size", _count_or_unbounded, "a whole number, 0 or more, or None", 100, "queue", 100, "how many requests may wait; another one is refused; None: no bound"),
        Option("queue_full", *_ON_FULL, "raise", "queue", "raise", "what a request does when the queue is full"),
        Option("queue_execution", *_THREAD, "caller", "queue", "caller", "whose thread runs what had to wait"),
        Option("queue_timeout", *_MAYBE_SECONDS, None, "queue", None, "longest wait for a slot, in seconds"),
        Option("total_timeout", *_MAYBE_SECONDS, None, "queue", None, "longest time for a request with its retries, in seconds"),
        Option("reuse_connections", *_FLAG, False, "queue", False, "let `requests.get` and similar functions reuse connections"),
        Option("requests_per_minute", *_RATE, None, "queue", None, "how many requests may start in a minute; \"auto\": as the server says"),
        Option("requests_per_day", *_MAYBE_POSITIVE, None, "queue", None, "how many requests may start in 24 hours"),
        Option("tokens_per_minute", *_RATE, None, "queue", None, "how many tokens requests may use in a minute; \"auto\": as the server says"),
        Option("input_tokens_per_minute", *_RATE, None, "queue", None, "the same of input tokens, where they are counted apart"),
        Option("output_tokens_per_minute", *_RATE, None, "queue", None, "the same of output tokens"),
        Option("rate_burst", *_BURST, 3, "queue", 3, "how many requests may start at once, if none did before"),
        Option("token_cost", *_COST, None, "queue", None, "tokens of a request: a number, or a function of its arguments; None: the mean of the last ones"),
        Option("adaptive_concurrency", *_FLAG, False, "queue", False, "let the limit follow what the server's answers allow"),
        Option("adaptive_concurrency_max", *_SOME, 64, "queue", 64, "how many requests run at once at most where the limit adapts"),
        Option("max_retries", *_COUNT, None, "backoff", 5, "how often a failed request is retried"),
        Option("initial_retry_delay", *_SECONDS, 1, "backoff", 1, "the first backoff, in seconds"),
        Option("backoff_factor", *_FACTOR, 2, "backoff", 2, "each backoff is the previous one times this"),
        Option("max_retry_delay", *_SECONDS, 60, "backoff", 60, "longest backoff, in seconds"),
        Option("max_retry_after", *_SECONDS, 120, "backoff", 120, "longest wait that a server may ask for, in seconds"),
        Option("retry_jitter", *_FRACTION, 0.1, "backoff", 0.1, "random part of a backoff while others back off too"),
        Option("retry_budget", *_MAYBE_COUNT, None, "backoff", None, "how many retries until successes refill the budget"),
        Option("circuit_breaker", *_MAYBE_COUNT, None, "backoff", None, "how many failures in a row stop all requests for a while"),
        Option("retry_if", *_MAYBE_FUNCTION, None, "backoff", None, "(result, exception) -> True, False, seconds, or None for the usual judgement"),
        Option("shared_queue", _queue, '"machine", or a redis://, rediss:// or unix:// URL', "", "sharing", None, "where the processes of an account share one limit", secret=True),
        Option("shared_account", _name_or_none, "a name, or None", None, "sharing", None, "name of the account that has the limit; None for the API's host and key"),
        Option("shared_lease", *_ABOVE_0, 15, "sharing", 15, "silence after which a process is dead, in seconds"),
        Option("shared_timeout", *_ABOVE_0, 1, "sharing", 1, "longest wait for the queue's server, in seconds"),
        Option("shared_fallback", _fallback, '"share", "wait" or "local"', "share", "sharing", "share", "what runs while that server is away: a share of the limit, nothing, or all of it"),
        Option("shared_fairness", _name, '"fifo", "process", or the name of a tenant', "fifo", "sharing", "fifo", "who takes turns: nobody, processes, or tenants"),
        Option("submit_to", _task_queue, "a queue of backend_retrofit_runtime.tasks, or None", None, "sharing", None, "where submit and map make requests: None for this process"),
    )
}  # fmt: skip


def queue_server(settings: Mapping[str, Any]) -> str:
    """Return where a limit is shared: the setting, else what `REQUEST_QUEUE_URL` says; "" for nowhere."""
    if settings["shared_queue"] is not None:
        return str(settings["shared_queue"])
    try:
        return str(_queue(os.environ.get("REQUEST_QUEUE_URL", "")))
    except (TypeError, ValueError):
        allowed = OPTIONS["shared_queue"].allowed
        raise ValueError(f"REQUEST_QUEUE_URL must be {allowed}") from None
