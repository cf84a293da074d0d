"""What the runtime's tests share: fixtures, and what `api` has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.gate import Gate
from test.loopback import LoopbackServer

from .api import PATIENCE, Answer, Api, Flaky, Gated, assert_at_rest, caller, queue_up, until

__all__ = [
    "PATIENCE",
    "Answer",
    "Api",
    "Flaky",
    "Gated",
    "assert_at_rest",
    "caller",
    "closed_later",
    "queue_up",
    "until",
]

_T = TypeVar("_T")


@pytest.fixture
def gated() -> Iterator[Gated]:
    """Calls that last until they are ended; all of them are, after the test."""
    gated = Gated()
    yield gated
    gated.end(10_000)


@pytest.fixture
def busy(api: Api, gated: Gated) -> Api:
    """A backend with one slot, and that is taken."""
    api.max_concurrent_requests = 1
    caller(api.call, gated, "first")
    until(lambda: gated.now == 1)
    return api


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no backoff take time; return the list of the delays, in seconds, that there would have been."""
    recorded: list[float] = []
    rejoin = Gate.rejoin

    def rejoin_at_once(gate: Gate, ticket: Any, delay: float, *args: Any, **kwargs: Any) -> None:
        recorded.append(delay)
        rejoin(gate, ticket, 0)

    monkeypatch.setattr(Gate, "rejoin", rejoin_at_once)
    return recorded


_open_clients: list[Any] = []


def closed_later(client: _T) -> _T:
    """Return a client that is closed after the test: where the test is about slots or retries, not about sockets."""
    _open_clients.append(client)
    return client


@pytest.fixture(autouse=True)
def _closed_clients() -> Iterator[None]:
    yield
    while _open_clients:
        _open_clients.pop().close()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api(initial_retry_delay=0.01)
    yield api
    RequestEngine.of(api).gate.close(join=False)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server
