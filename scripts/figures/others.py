"""The ways in which this is done otherwise: by hand, and with the libraries that people use for it.

Each takes the call as a function without arguments, or makes a function of the same signature, so that all pay alike.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import backoff
import requests
import stamina
import tenacity

RETRIED = frozenset({429, 500, 502, 503, 504})
LOST = (requests.ConnectionError, requests.Timeout)
ATTEMPTS = 6

Call = Callable[..., Any]


class FifoGate:
    """At most `limit` at once, first in, first out: the shortest right way to write it."""

    def __init__(self, limit: int = 5) -> None:
        self.lock = threading.Lock()
        self.limit = limit
        self.active = 0
        self.line: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self.lock:
            if self.active < self.limit and not self.line:
                self.active += 1
                return
            turn = threading.Lock()
            turn.acquire()
            self.line.append(turn)
        turn.acquire()

    def __exit__(self, *exc: object) -> None:
        with self.lock:
            if self.line:
                self.line.popleft().release()
            else:
                self.active -= 1


class HandWritten:
    """A FIFO gate and a retry loop: neither `Retry-After`, nor streams, nor cancelling, nor async callers."""

    def __init__(self, limit: int = 5) -> None:
        self.gate = FifoGate(limit)
        self.max_retries = ATTEMPTS - 1
        self.initial_retry_delay = 1.0
        self.backoff_factor = 2.0

    def request(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        """Make a request; return the last response or raise the last exception."""
        for attempt in range(self.max_retries + 1):
            with self.gate:
                try:
                    response = call(*args, **kwargs)
                    if getattr(response, "status_code", 200) not in RETRIED or attempt == self.max_retries:
                        return response
                except LOST:
                    if attempt == self.max_retries:
                        raise
            time.sleep(self.initial_retry_delay * self.backoff_factor**attempt)


def _failed(response: Any) -> bool:
    return getattr(response, "status_code", 200) in RETRIED


def _last(state: tenacity.RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()


def with_tenacity(call: Call, wait: Any = None, full_jitter: bool = False) -> Call:
    """Return `call` retried by tenacity, on lost connections and on the retried statuses."""
    if wait is None:
        wait = tenacity.wait_random_exponential(max=60) if full_jitter else tenacity.wait_exponential(max=60)
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=wait,
        retry=tenacity.retry_if_exception_type(LOST) | tenacity.retry_if_result(_failed),
        retry_error_callback=_last,
    )(call)


def with_stamina(call: Call) -> Call:
    """Return `call` retried by stamina; it looks at exceptions only."""
    return stamina.retry(on=LOST, attempts=ATTEMPTS, timeout=None)(call)


def with_backoff(call: Call) -> Call:
    """Return `call` retried by backoff; on exceptions only, so that it pays for one layer."""
    return backoff.on_exception(backoff.expo, LOST, max_tries=ATTEMPTS)(call)


def behind_semaphore(call: Call, limit: int = 5) -> Call:
    """Return `call` with at most `limit` at once, in no particular order."""
    semaphore = threading.BoundedSemaphore(limit)

    def limited(*args: Any, **kwargs: Any) -> Any:
        with semaphore:
            return call(*args, **kwargs)

    return limited


def in_pool(call: Call, pool: ThreadPoolExecutor) -> Call:
    """Return `call` made by a thread of a pool, and waited for."""

    def pooled(*args: Any, **kwargs: Any) -> Any:
        return pool.submit(call, *args, **kwargs).result()

    return pooled


def behind_async_semaphore(
    call: Callable[..., Awaitable[Any]], limit: int = 5
) -> Callable[..., Awaitable[Any]]:
    """Return an `async def` call with at most `limit` at once."""
    semaphore = asyncio.Semaphore(limit)

    async def limited(*args: Any, **kwargs: Any) -> Any:
        async with semaphore:
            return await call(*args, **kwargs)

    return limited
