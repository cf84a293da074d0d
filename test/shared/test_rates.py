"""R8: all processes of an account have its rates together, as the API counts them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .api_server import ApiServer, Worker
from .apis import SharedApi
from .redis_process import RedisProcess, needs_redis
from .watching import until

Make = Callable[..., SharedApi]
TOKENS = 20_000  # a second


@pytest.fixture(params=[2, 4])
def processes(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=[pytest.param("redis", marks=needs_redis), "machine"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "machine":
        yield "machine"
        return
    with RedisProcess() as server:
        yield server.url


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with ApiServer(64, 0.02, **getattr(request, "param", {})) as server:
        yield server


@pytest.fixture
def start(api: ApiServer, place: str, processes: int) -> Iterator[Callable[..., list[Worker]]]:
    """Start the processes; return them once all share the limit, and have had answers."""
    started: list[Worker] = []

    def begin(**settings: Any) -> list[Worker]:
        common = {"shared_queue": place, "shared_account": f"rates-{api.port}", "shared_lease": 3}
        for _ in range(processes):
            started.append(Worker(api, max_concurrent_requests=64, **common, **settings))
        until(lambda: all((s := w.ask())["processes"] == processes and s["done"] > 5 for w in started), 60)
        return started

    yield begin
    for worker in started:
        worker.kill()


@pytest.mark.parametrize("counted", ["", "input_", "output_"])
def test_R8_processes_have_one_rate_of_tokens(
    api: ApiServer, start: Callable[..., list[Worker]], counted: str
) -> None:
    start(tokens=[50, 150], **{f"{counted}tokens_per_minute": 60 * TOKENS})
    before, begin = api.tokens, time.monotonic()
    until(lambda: api.tokens > before + 3 * TOKENS, 120)
    used, seconds = api.tokens - before, time.monotonic() - begin
    assert used <= 1.1 * TOKENS * seconds + 15 * 150  # each on its own, it would be a multiple


def test_R8_a_cost_that_is_told_beforehand_counts_in_all_processes(
    api: ApiServer, start: Callable[..., list[Worker]]
) -> None:
    start(tokens=[100, 100], tokens_per_minute=60 * TOKENS, token_cost=100)
    before, begin = api.tokens, time.monotonic()
    until(lambda: api.tokens > before + 3 * TOKENS, 120)
    assert api.tokens - before <= 1.1 * TOKENS * (time.monotonic() - begin) + 15 * 100


@pytest.mark.parametrize("api", [{"rate": 100, "burst": 20}], indirect=True)
def test_R8_what_processes_learn_of_the_rate_is_that_of_all(
    api: ApiServer, start: Callable[..., list[Worker]]
) -> None:
    start(requests_per_minute="auto")
    api.too_fast, before = 0, len(api.starts)
    until(lambda: len(api.starts) > before + 400, 120)
    assert api.too_fast <= 0.15 * (len(api.starts) - before)  # each on its own, it would be half and more


def test_R8_a_setting_that_is_not_shared_is_said_once(
    make: Make, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            api = make(shared_queue="machine", shared_account=account, requests_per_day=1000)
            api.call(lambda: None)
    assert caplog.text.count("requests_per_day counts for each process") == 1
