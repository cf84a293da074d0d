"""How close to a server's rate callers come, and how often they are refused: ours beside other limiters, in one run."""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from .retrofit import retrofitted
from .rows import Check, Row, shown
from .server import Behaviour, Server, running_server
from .storms import CALLERS, Call, Outcome, pooled_session

RATE, BURST = 200.0, 10.0
ATTEMPTS = 60
TOKENS_A_SECOND = 100_000.0


def ours(**settings: Any) -> Call:
    """Return a call of the retrofitted client, with settings."""
    client = retrofitted()(pooled_session())
    for name, value in {"queue_size": None, "max_concurrent_requests": 16, **settings}.items():
        setattr(client, name, value)
    return client.get  # type: ignore[no-any-return]


def at_rate(requests_per_minute: float) -> Call:
    """Return a call of the retrofitted client with its default limit and a rate."""
    return ours(requests_per_minute=requests_per_minute, max_concurrent_requests=5)


def _waiting(wait: Callable[[], Any]) -> Call:
    """Return a call that waits for a limiter before, and is made again after a refusal, as its `Retry-After` says."""
    session = pooled_session()

    def call(url: str) -> Any:
        for _ in range(ATTEMPTS):
            wait()
            answer = session.get(url)
            if answer.status_code != 429:
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        return answer

    return call


def _langchain() -> Call:
    from langchain_core.rate_limiters import InMemoryRateLimiter

    return _waiting(InMemoryRateLimiter(requests_per_second=RATE).acquire)


def _limits() -> Call:
    from limits import RateLimitItemPerSecond
    from limits.storage import MemoryStorage
    from limits.strategies import MovingWindowRateLimiter

    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerSecond(int(RATE))

    def wait() -> None:
        while not limiter.hit(item):
            time.sleep(0.01)

    return _waiting(wait)


def _pyrate() -> Call:
    from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate

    limiter = Limiter(InMemoryBucket([Rate(int(RATE), Duration.SECOND)]))
    return _waiting(lambda: limiter.try_acquire("key"))


def _in_a_loop(acquire: Callable[[], Coroutine[Any, Any, Any]]) -> Call:
    """Return a call whose limiter lives in a loop of its own, as the callers are threads."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return _waiting(lambda: asyncio.run_coroutine_threadsafe(acquire(), loop).result())


def _aiolimiter() -> Call:
    from aiolimiter import AsyncLimiter

    return _in_a_loop(AsyncLimiter(RATE, 1).acquire)


def _steindamm() -> Call:
    from steindamm import SyncTokenBucket

    bucket = SyncTokenBucket.create("key", capacity=1, refill_frequency=1 / RATE, max_sleep=0)

    def wait() -> None:
        with bucket:
            pass

    return _waiting(wait)


def _token_throttle() -> Call:
    from token_throttle import PerModelConfig, Quota, SyncMemoryBackendBuilder, SyncRateLimiter, UsageQuotas

    quotas = UsageQuotas([Quota(metric="requests", limit=RATE, per_seconds=1)])
    limiter = SyncRateLimiter(PerModelConfig(quotas=quotas), backend=SyncMemoryBackendBuilder())
    one = {"requests": 1}

    def wait() -> None:
        limiter.refund_capacity(one, limiter.acquire_capacity(one, "model"))  # all of it was used

    return _waiting(wait)


def _llmratelimiter() -> Call:
    """Return a call whose limiter is in Redis, as this one is always."""
    from llmratelimiter import RateLimiter

    server = shutil.which("redis-server")
    if server is None:
        raise ImportError(name="redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redis = subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
    )
    atexit.register(redis.kill)
    limiter = RateLimiter(f"redis://127.0.0.1:{port}", "model", rpm=int(RATE * 60), tpm=10**9)
    return _in_a_loop(lambda: limiter.acquire(tokens=1))


def _cookbook() -> Call:
    """Return the way of OpenAI's cookbook: a minute's capacity that fills evenly, looked at each millisecond, a pause after a 429."""
    lock, state = threading.Lock(), {"held": RATE, "at": time.monotonic()}  # a second's, as the run is short

    def wait() -> None:
        while True:
            with lock:
                now = time.monotonic()
                state["held"] = min(RATE, state["held"] + (now - state["at"]) * RATE)
                state["at"] = now
                if state["held"] >= 1:
                    state["held"] -= 1
                    return
            time.sleep(0.001)

    return _waiting(wait)


WAYS: dict[str, Callable[[], Call]] = {
    "ours": lambda: ours(requests_per_minute=RATE * 60),
    "ours, auto": lambda: ours(requests_per_minute="auto"),
    "ours, nothing set": ours,
    "LangChain InMemoryRateLimiter": _langchain,
    "limits": _limits,
    "pyrate-limiter": _pyrate,
    "aiolimiter": _aiolimiter,
    "steindamm": _steindamm,
    "token-throttle": _token_throttle,
    "llmratelimiter": _llmratelimiter,
    "openai-cookbook": _cookbook,
}


def _run(server: Server, call: Call, paths: Iterator[str], callers: int = CALLERS) -> Outcome:
    """Let threads make the requests of `paths` between them; `callers` says how many."""
    lock, failed = threading.Lock(), []

    def caller() -> None:
        while True:
            with lock:
                path = next(paths, None)
            if path is None:
                return
            answer = call(f"{server.url}/v1/models/{path}")
            if answer.status_code >= 400:
                failed.append(answer.status_code)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, facts = time.perf_counter() - start, server.facts()
    return Outcome(seconds, facts["requests"], facts["refused"], len(failed))


def _row(
    key: str, what: str, ideal: float, count: int, outcomes: dict[str, Outcome], checks: list[Check]
) -> Row:
    notes = {
        name: f"{shown(100 * outcome.refused / count)} % refused, {outcome.failed} failed"
        for name, outcome in outcomes.items()
    }
    values = {name: outcome.seconds / ideal for name, outcome in outcomes.items()}
    return Row(key, what, "time ÷ ideal", values, checks, notes, goal=checks[0].target)


def requests_a_second(quick: bool) -> Row:
    """Measure a server with a bucket of ten that fills 200 times a second."""
    count = 256 if quick else 1280
    ideal, outcomes, what = (count - BURST) / RATE, {}, "200 a second from a bucket of 10"
    with running_server() as server:
        for name, way in WAYS.items():
            try:
                call = way()
            except ImportError as missing:  # two of them need Python 3.12, one redis-server
                what += f"; {name} was not measured: no {missing.name}"
                continue
            says = "requests" if "auto" in name else ""
            server.behave(Behaviour(seconds=0.023, bucket=(BURST, RATE), says_bucket=says))
            outcomes[name] = _run(server, call, iter(["x"] * count))
    own, auto = outcomes["ours"], outcomes["ours, auto"]
    checks = [
        Check("time ÷ ideal", own.seconds / ideal, "≤", 1.03),
        Check("refused, %", 100 * own.refused / count, "≤", 0.5),
        Check("auto: time ÷ ideal", auto.seconds / ideal, "≤", 1.05),
        Check("auto: refused, %", 100 * auto.refused / count, "≤", 1),
        Check("failed", own.failed + auto.failed, "=", 0),
    ]
    return _row("rates", what, ideal, count, outcomes, checks)


def tokens_a_second(quick: bool) -> Row:
    """Measure a server that counts tokens: 30 to 1,500 a request, lognormal."""
    chance, count = random.Random(7), 256 if quick else 1280
    costs = [int(min(max(chance.lognormvariate(5.7, 0.8), 30), 1500)) for _ in range(count)]
    size = TOKENS_A_SECOND / 10
    ideal, outcomes = (sum(costs) - size) / TOKENS_A_SECOND, {}
    ways = {
        "ours": lambda: ours(tokens_per_minute="auto"),
        "ours, rate set": lambda: ours(tokens_per_minute=TOKENS_A_SECOND * 60),
        "ours, nothing set": ours,
    }
    with running_server() as server:
        for name, way in ways.items():
            server.behave(Behaviour(seconds=0.023, bucket=(size, TOKENS_A_SECOND), says_bucket="tokens"))
            outcomes[name] = _run(server, way(), iter([str(cost) for cost in costs]))
    own = outcomes["ours"]
    checks = [
        Check("time ÷ ideal", own.seconds / ideal, "≤", 1.06),
        Check("refused, %", 100 * own.refused / count, "≤", 0.5),
        Check("failed", own.failed, "=", 0),
    ]
    return _row("tokens", "100,000 tokens a second", ideal, count, outcomes, checks)


def _until(end: float) -> Iterator[str]:
    """Yield paths until a time of the monotonic clock."""
    while time.monotonic() < end:
        yield "x"


def adapting(quick: bool) -> Row:
    """Measure a server that takes 5 at once, then 20, then 8."""
    phase = 2.0 if quick else 6.0
    capacity = ((phase, 5), (2 * phase, 20), (3 * phase, 8))
    seconds = 0.05
    ideal = sum(at_once for _, at_once in capacity) * phase / seconds
    ways = {
        "ours": lambda: ours(adaptive_concurrency=True, max_concurrent_requests=5, max_retries=50, initial_retry_delay=0.05, backoff_factor=1),
        "ours, fixed at 5": lambda: ours(max_concurrent_requests=5),
    }  # fmt: skip
    kept, notes, refused = {}, {}, {}
    with running_server() as server:
        for name, way in ways.items():
            server.behave(Behaviour(seconds=seconds, capacity_of=capacity, at_once=8, retry_after=0))
            outcome = _run(server, way(), _until(time.monotonic() + 3 * phase))
            kept[name] = (outcome.requests - outcome.refused) / ideal
            refused[name] = 100 * outcome.refused / outcome.requests
            notes[name] = f"{shown(refused[name])} % refused, {outcome.failed} failed"
    checks = [Check("throughput", kept["ours"], "≥", 0.85), Check("refused, %", refused["ours"], "≤", 4)]
    return Row(
        "adapting", "5, then 20, then 8 at once", "of the ideal throughput", kept, checks, notes, goal=0.85
    )
