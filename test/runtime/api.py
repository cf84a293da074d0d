"""A backend class with all blocks, as the codemod makes it, and calls to try it with.

Does not import pytest: scripts that tests run in processes of their own, by the hundred, import this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from backend_retrofit_runtime import RequestEngine

PATIENCE = 1.0
"""Seconds after which a client gives up on an answer that never comes; time enough, on a busy machine, for one that does."""


class Api:
    """What a retrofitted class looks like."""

    queue_enabled = RequestEngine.setting(True)
    max_concurrent_requests = RequestEngine.setting(5)
    queue_size = RequestEngine.setting(100)
    queue_full = RequestEngine.setting("raise")
    queue_execution = RequestEngine.setting("caller")
    queue_timeout = RequestEngine.setting(None)
    total_timeout = RequestEngine.setting(None)
    reuse_connections = RequestEngine.setting(False)
    max_retries = RequestEngine.setting(5)
    initial_retry_delay = RequestEngine.setting(1)
    backoff_factor = RequestEngine.setting(2)
    max_retry_delay = RequestEngine.setting(60)
    max_retry_after = RequestEngine.setting(120)
    retry_jitter = RequestEngine.setting(0.1)
    retry_budget = RequestEngine.setting(None)
    circuit_breaker = RequestEngine.setting(None)
    api_key = RequestEngine.api_key(
        "RUNTIME_TEST_KEY", "RUNTIME_TEST_TOKEN", metadata_names=("runtime_api_key",), missing=""
    )
    _queued = RequestEngine.entry_point()

    def __init__(self, metadata: Any = None, api_key: Any = None, **settings: Any) -> None:
        self.metadata = metadata
        self.api_key = api_key
        for name, value in settings.items():
            setattr(self, name, value)

    @property
    def request_queue(self) -> Any:
        return RequestEngine.of(self).waiting

    @property
    def current_requests(self) -> int:
        return RequestEngine.of(self).in_flight

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return RequestEngine.of(self).submit(call, *args, **kwargs)

    def map(self, call: Callable[..., Any], items: Any, progress: Any = None) -> Any:
        return RequestEngine.of(self).map(call, items, progress)

    def priority(self, level: Any) -> Any:
        return RequestEngine.of(self).priority(level)

    def queue_stats(self) -> dict[str, Any]:
        return RequestEngine.of(self).stats()

    def close(self) -> None:
        RequestEngine.of(self).close()

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make one request with `function`, as the methods of a backend do."""
        return self._queued(function)(*args, **kwargs)

    async def acall(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await self._queued(function)(*args, **kwargs)


class Flaky:
    """A call that fails so many times with the given status, then returns "done"; it counts its calls."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        outcome = self.outcomes.pop(0) if self.outcomes else "done"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Answer:
    """The shape of a response."""

    def __init__(self, status_code: int, headers: Any = None, body: Any = None) -> None:
        self.status_code = status_code
        self.headers = {} if headers is None else headers
        self.body = body

    def json(self) -> Any:
        return self.body


def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for a condition; fail if it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.001)


class Gated:
    """A call that tells when it runs, and ends when it may. `ran` lists the arguments in the order of their start."""

    def __init__(self) -> None:
        self.may_end = threading.Semaphore(0)
        self.ran: list[Any] = []
        self.now = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, number: Any = None) -> Any:
        with self.lock:
            self.ran.append(number)
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.may_end.acquire(timeout=10)
        with self.lock:
            self.now -= 1
        return number

    def end(self, count: int = 1) -> None:
        self.may_end.release(count)


def caller(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    """Call a function in a thread of its own, as a caller of the backend would; return its outcome as a future."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="caller", daemon=True).start()
    return future


def queue_up(api: Any, call: Callable[..., Any], count: int) -> list[Future[Any]]:
    """Let so many callers queue, one after the other, so that their order is known; call(n) is their request."""
    before = len(api.request_queue)
    callers = []
    for number in range(count):
        callers.append(caller(api.call, call, number))
        until(lambda: len(api.request_queue) == before + len(callers))
    return callers


def assert_at_rest(api: Any) -> None:
    """Check that nothing is counted any more, and that the backend takes requests: no slot was lost."""
    gate = RequestEngine.of(api).gate
    until(lambda: api.current_requests == 0)
    until(lambda: gate.unstaffed == 0)  # a worker that was started may still have to begin
    assert len(api.request_queue) == gate.active == gate.waiting == 0
    assert list(api.request_queue) == []
    for _ in range(api.max_concurrent_requests + 1):
        assert api.call(len, "abc") == 3
    assert not gate.watches, "a stream that has ended is still watched"
