"""Trouble, as the API sees it: it counts for itself what it has in flight. R11, R12, R13."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .api_server import ApiServer, Worker
from .redis_process import RedisProcess, needs_redis
from .watching import until

LIMIT = 8


class Company:
    """Four processes with one limit, and the API that they call."""

    def __init__(self, redis: RedisProcess | None, api: ApiServer, **settings: Any) -> None:
        self.redis, self.api = redis, api
        where = "machine" if redis is None else redis.url
        self.settings: dict[str, Any] = {
            "shared_queue": where,
            "shared_account": f"company-{api.port}",
            "max_concurrent_requests": LIMIT,
            "shared_lease": 3,
            "shared_timeout": 0.5,
            **settings,
        }
        self.workers = [Worker(api, **self.settings) for _ in range(4)]
        for worker in self.workers:
            until(lambda worker=worker: worker.ask()["processes"] == 4 and worker.ask()["done"] > 3)
        api.forget()

    def goes_on(self, starts: int = 100) -> None:
        """Return once so many more requests have been started."""
        target = len(self.api.starts) + starts
        until(lambda: len(self.api.starts) >= target)

    def shared_again(self) -> None:
        """Return once all that live share the limit."""
        alive = [worker for worker in self.workers if worker.lives]
        until(
            lambda: all(
                (stats := worker.ask())["shared"] and stats["processes"] == len(alive) for worker in alive
            )
        )

    def end(self) -> None:
        """Let all end; no request may have failed, nothing may be left."""
        alive = [worker for worker in self.workers if worker.lives]
        for worker in alive:
            results = worker.stop()
            assert (results["failed_calls"], results["kinds"]) == (0, [])
            assert results["in_flight"] == 0
        if self.redis is not None:
            client = self.redis.client()
            until(lambda: client.keys("*") == [])


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer(LIMIT) as server:
        yield server


@pytest.fixture
def company(api: ApiServer) -> Iterator[Callable[..., Company]]:
    made: list[Any] = []

    def found(redis: bool = True, **settings: Any) -> Company:
        server = RedisProcess().start() if redis else None
        made.append(server)
        made.append(Company(server, api, **settings))
        return made[-1]  # type: ignore[no-any-return]

    yield found
    for thing in made:
        if isinstance(thing, Company):
            for worker in thing.workers:
                worker.kill()
        elif thing is not None:
            thing.__exit__(None, None, None)


def on_redis_and_on_a_machine(test: Any) -> Any:
    return pytest.mark.parametrize(
        "redis", [pytest.param(True, marks=needs_redis), False], ids=["redis", "machine"]
    )(test)


@on_redis_and_on_a_machine
def test_R8_four_processes_have_one_limit(
    company: Callable[..., Company], api: ApiServer, redis: bool
) -> None:
    four = company(redis)
    four.goes_on(300)
    assert (api.above, api.peak) == (0, LIMIT)
    four.end()


@on_redis_and_on_a_machine
def test_R11_a_killed_process_gives_its_slots_back(
    company: Callable[..., Company], api: ApiServer, redis: bool
) -> None:
    four = company(redis)
    killed = four.workers[-1]  # on a machine, the first one serves the others
    killed.kill()
    four.goes_on(200)
    four.shared_again()
    api.forget()
    four.goes_on(200)
    assert (api.above, api.peak) == (0, LIMIT)
    four.end()


@on_redis_and_on_a_machine
def test_R11_a_stopped_process_starts_nothing_late(
    company: Callable[..., Company], api: ApiServer, redis: bool
) -> None:
    four = company(redis)
    stopped = four.workers[-1]
    stopped.signal(signal.SIGSTOP)
    time.sleep(3.5)  # longer than its lease
    four.goes_on(100)
    stopped.signal(signal.SIGCONT)
    four.goes_on(200)
    four.shared_again()
    # Requests that had been granted when it was stopped, but were not on the wire yet, no lease can take back.
    assert api.above <= LIMIT // 2
    four.end()


def test_R12_on_a_machine_another_process_takes_over(company: Callable[..., Company], api: ApiServer) -> None:
    four = company(redis=False)
    four.workers[0].kill()
    four.goes_on(100)
    four.shared_again()
    api.forget()
    four.goes_on(200)
    assert (api.above, api.peak) == (0, LIMIT)
    four.end()


@needs_redis
def test_R12_redis_killed_and_started_again(company: Callable[..., Company], api: ApiServer) -> None:
    four = company()
    four.redis.kill()
    four.goes_on(150)  # alone, with a share each
    four.redis.start()
    four.shared_again()
    four.goes_on(100)
    assert api.above == 0
    four.end()


@needs_redis
def test_R12_redis_stopped_and_going_on(company: Callable[..., Company], api: ApiServer) -> None:
    four = company()
    four.redis.pause()
    four.goes_on(150)
    four.redis.resume()
    four.shared_again()
    four.goes_on(100)
    assert api.above == 0
    four.end()


@needs_redis
def test_R12_wait_starts_nothing_while_redis_is_away(company: Callable[..., Company], api: ApiServer) -> None:
    four = company(shared_fallback="wait")
    four.redis.kill()
    time.sleep(1)  # to let those end that are in flight, and that were granted
    before = len(api.starts)
    time.sleep(0.5)
    assert len(api.starts) == before
    four.redis.start()
    four.goes_on(200)
    assert api.above == 0
    four.end()


@needs_redis
@pytest.mark.parametrize("what", ["flushall", "script_flush", "killed_subscribers", "killed_connections"])
def test_R13_redis_forgets_or_hangs_up(company: Callable[..., Company], api: ApiServer, what: str) -> None:
    four = company()
    client = four.redis.client()
    for _ in range(3):
        if what == "flushall":
            client.flushall()
        elif what == "script_flush":
            client.script_flush()
        else:
            client.client_kill_filter(
                _type="pubsub" if what == "killed_subscribers" else "normal", skipme=True
            )
        four.goes_on(100)
    four.shared_again()
    four.goes_on(100)
    assert api.above == 0
    four.end()


@needs_redis
def test_R11_only_the_servers_clock_counts(api: ApiServer) -> None:
    with RedisProcess() as server:
        settings = {
            "shared_queue": server.url,
            "shared_account": "clocks",
            "max_concurrent_requests": LIMIT,
            "shared_lease": 3,
        }
        workers = [Worker(api, clock=days * 86_400, **settings) for days in (-1, 0, 1)]
        until(lambda: all(worker.ask()["processes"] == 3 and worker.ask()["done"] > 30 for worker in workers))
        results = [worker.stop() for worker in workers]
        assert api.above == 0
        assert [(result["failed_calls"], result["alone_seconds"]) for result in results] == [(0, 0.0)] * 3


@needs_redis
def test_R13_a_newcomer_at_a_restarted_redis_takes_no_slot_of_those_that_come_back_later(
    company: Callable[..., Company], api: ApiServer
) -> None:
    four = company()
    newcomer = Worker(api, waits=True, **four.settings)
    for _ in range(3):
        four.redis.kill()
        four.goes_on(100)  # so that the others try again but rarely
        four.redis.start()
        newcomer.go()
        four.workers.append(newcomer)
        newcomer = Worker(api, waits=True, **four.settings)
        four.goes_on(100)
        four.shared_again()
    newcomer.kill()
    assert api.above == 0
    four.end()


@needs_redis
def test_R12_redis_restarted_under_calls_that_are_longer_than_its_absence(
    company: Callable[..., Company], api: ApiServer
) -> None:
    api.seconds = 0.5
    four = company()
    four.goes_on(2 * LIMIT)
    api.seconds = 2.0
    four.goes_on(2 * LIMIT)
    four.redis.kill()
    four.redis.start()
    four.goes_on(2 * LIMIT)
    four.shared_again()
    assert api.above == 0
    api.seconds = 0.05
    four.end()


@pytest.fixture
def limited_api() -> Iterator[ApiServer]:
    with ApiServer(64, 0.02, rate=200) as server:
        yield server


@on_redis_and_on_a_machine
def test_R8_four_processes_have_one_rate(limited_api: ApiServer, redis: bool) -> None:
    server = RedisProcess().start() if redis else None
    try:
        four = Company(server, limited_api, requests_per_minute=200 * 60)
        limited_api.too_fast = 0
        four.goes_on(400)
        assert limited_api.too_fast <= 20
        four.end()
    finally:
        if server is not None:
            server.__exit__(None, None, None)


@needs_redis
def test_R12_the_rate_is_kept_while_redis_is_away(limited_api: ApiServer) -> None:
    with RedisProcess() as server:
        four = Company(server, limited_api, requests_per_minute=200 * 60)
        limited_api.too_fast = 0
        server.kill()
        four.goes_on(400)
        server.start()
        four.shared_again()
        four.goes_on(200)
        assert limited_api.too_fast <= 30
        four.end()
