"""A process that calls the API of `test.shared.api_server`, limited in one of several ways.

    python scripts/figures/shared_caller.py '[way, redis port, API's port, threads, limit, rate, settings]'

It starts at the first line on stdin, ends at the second, and prints what it saw.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

Limited = Callable[[], AbstractContextManager[Any]]


def client_of(port: int) -> Any:
    import redis

    return redis.Redis(port=port, socket_timeout=60, max_connections=1000)


def lock(port: int, limit: int, rate: float) -> Limited:
    """redis-py's Lock, one of as many as the limit."""
    client, turn = client_of(port), iter(range(10**9))
    return lambda: client.lock(f"lock-{next(turn) % limit}", timeout=15, sleep=0.01)


def blpop(port: int, limit: int, rate: float) -> Limited:
    """A list of tokens: no lease, so a process that dies keeps its own."""
    client = client_of(port)
    if client.set("made", 1, nx=True):
        client.rpush("tokens", *range(limit))

    @contextlib.contextmanager
    def one() -> Any:
        token = client.blpop(["tokens"])[1]
        try:
            yield
        finally:
            client.rpush("tokens", token)

    return one


def steindamm(port: int, limit: int, rate: float) -> Limited:
    client = client_of(port)
    if rate:
        from steindamm.token_bucket.redis_token_bucket import SyncRedisTokenBucket

        return lambda: SyncRedisTokenBucket(
            name="b", connection=client, capacity=1, refill_frequency=1 / rate, refill_amount=1, max_sleep=0
        )
    from steindamm.semaphore.redis_semaphore import SyncRedisSemaphore

    return lambda: SyncRedisSemaphore(name="s", connection=client, capacity=limit, max_sleep=0, expiry=60)


def semaphore(port: int, limit: int, rate: float) -> Limited:
    from redis_semaphore import Semaphore, SemaphoreConfig

    client, config = client_of(port), SemaphoreConfig(name="s", limit=limit)
    return lambda: Semaphore(client, config)


def limits_moving(port: int, limit: int, rate: float) -> Limited:
    """`limits`, one in each interval of the rate: the waiting is its user's."""
    import limits

    storage = limits.storage.storage_from_string(f"redis://127.0.0.1:{port}")
    limiter = limits.strategies.MovingWindowRateLimiter(storage)
    item = limits.RateLimitItemPerSecond(int(rate))

    @contextlib.contextmanager
    def one() -> Any:
        while not limiter.hit(item, "account"):
            time.sleep(0.01)
        yield

    return one


def pyrate(port: int, limit: int, rate: float) -> Limited:
    from pyrate_limiter import Limiter, Rate, RedisBucket

    limiter = Limiter(RedisBucket.init([Rate(int(rate), 1000)], client_of(port), "pyrate"))

    @contextlib.contextmanager
    def one() -> Any:
        limiter.try_acquire("account")
        yield

    return one


WAYS: dict[str, Callable[[int, int, float], Limited]] = {
    "redis-py Lock": lock,
    "BLPOP": blpop,
    "steindamm": steindamm,
    "py-redis-semaphore": semaphore,
    "limits": limits_moving,
    "pyrate-limiter": pyrate,
}


def main() -> None:
    way, redis_port, port, threads, limit, rate, settings = json.loads(sys.argv[1])
    seen: list[tuple[float, float]] = []
    failed = 0
    begin, stop = threading.Event(), threading.Event()
    caller: Callable[[Callable[[Any], None], Any], Any]
    api: Any = None
    if way in WAYS:
        limited = WAYS[way](redis_port, limit, rate)

        def caller(send: Callable[[Any], None], connection: Any) -> None:
            with limited():
                send(connection)
    else:
        from test.shared.apis import SharedApi

        where = {"ours": f"redis://127.0.0.1:{redis_port}", "ours, machine": "machine", "dedicated": ""}[way]
        settings |= {
            "shared_queue": where,
            "queue_enabled": way != "dedicated",
            "max_concurrent_requests": limit,
        }
        api = SharedApi(
            queue_size=100_000, shared_account="bench", requests_per_minute=rate * 60 or None, **settings
        )
        caller = api.call

    def work() -> None:
        nonlocal failed
        with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rwb") as connection:
            begin.wait()
            while not stop.is_set():
                asked = time.monotonic()
                started = 0.0

                def send(connection: Any) -> None:
                    nonlocal started
                    started = time.monotonic()
                    connection.write(b"x 0\n")
                    connection.flush()
                    connection.readline()

                try:
                    caller(send, connection)
                    seen.append((asked, started))
                except Exception:
                    failed += 1
                    time.sleep(0.01)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    sys.stdin.readline()
    begin.set()
    sys.stdin.readline()
    stop.set()
    for worker in workers:
        worker.join(5)
    print(json.dumps([seen, failed]), flush=True)
    if api is not None:
        api.close()


if __name__ == "__main__":
    main()
