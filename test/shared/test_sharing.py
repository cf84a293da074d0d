"""One limit for several instances of an account: what their users see, on Redis and on one machine."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backend_retrofit_runtime import RequestEngine

from .apis import SharedApi
from .redis_process import RedisProcess
from .watching import InFlight, until

Make = Callable[..., SharedApi]


def two(make: Make, where: str, account: str, **settings: Any) -> tuple[SharedApi, SharedApi]:
    """Two instances in two places of one account: as the second shares no client, it could be in another process."""
    return tuple(  # type: ignore[return-value]
        make(shared_queue=where, shared_account=account, **settings) for _ in range(2)
    )


def test_R8_two_instances_have_one_limit(make: Make, where: str, account: str) -> None:
    first, second = two(make, where, account, max_concurrent_requests=3)
    seen = InFlight()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: (first, second)[n % 2].call(seen, 0.005), range(60)))
    assert (seen.peak, seen.calls) == (3, 60)


def test_R8_instances_of_other_keys_have_limits_of_their_own(make: Make, where: str) -> None:
    one, other = (make(shared_queue=where, api_key=key, max_concurrent_requests=1) for key in ("a", "b"))
    gate = threading.Event()
    held = one.submit(gate.wait)
    assert other.submit(lambda: "done").result(10) == "done"
    gate.set()
    assert held.result(10)


def test_R8_the_account_is_the_host_and_the_key(make: Make, where: str) -> None:
    one, other = (
        make(base_url=url, shared_queue=where, api_key="the-key", max_concurrent_requests=1)
        for url in ("https://api.example/v1", "https://api.example/v2/")
    )
    gate, started = threading.Event(), threading.Event()
    held = one.submit(lambda: (started.set(), gate.wait()))
    assert started.wait(10)
    waits = other.submit(lambda: "done")
    until(lambda: len(other.request_queue) == 1)
    assert not waits.done()
    gate.set()
    assert waits.result(10) == "done"
    held.result(10)


def test_R8_nothing_is_looked_for_at_every_moment_while_others_have_the_slots(
    make: Make, where: str, account: str
) -> None:
    first, second = two(make, where, account, max_concurrent_requests=2)
    gate, started = threading.Event(), threading.Barrier(3)
    held = [api.submit(lambda: (started.wait(10), gate.wait(60))) for api in (first, second)]
    started.wait(10)
    waits = first.submit(lambda: "done")
    line = RequestEngine.of(first).gate
    until(lambda: line.look_at < time.monotonic())  # when what is submitted may spare its slot
    assert line.exclusively(line._pump) > time.monotonic()
    gate.set()
    assert waits.result(20) == "done"
    for future in held:
        future.result(20)


def test_R9_within_an_instance_it_is_first_in_first_out(make: Make, where: str, account: str) -> None:
    api = make(shared_queue=where, shared_account=account, max_concurrent_requests=1)
    order: list[int] = []
    futures = [api.submit(order.append, number) for number in range(40)]
    for future in futures:
        future.result(20)
    assert order == list(range(40))


def test_R9_priority_goes_first(make: Make, where: str, account: str) -> None:
    first, second = two(make, where, account, max_concurrent_requests=1)
    gate, started = threading.Event(), threading.Event()
    held = first.submit(lambda: (started.set(), gate.wait()))
    assert started.wait(10)
    order: list[str] = []
    waiting = [first.submit(order.append, "normal") for _ in range(3)]
    with second.priority("high"):
        waiting.append(second.submit(order.append, "high"))
    until(lambda: len(first.request_queue) == 3 and len(second.request_queue) == 1)
    time.sleep(0.1)  # for the server to hear of them all; were it slower, the test would only see less
    gate.set()
    for future in [held, *waiting]:
        future.result(20)
    assert order == ["high", "normal", "normal", "normal"]


def test_R10_a_cancelled_wait_leaves_the_line(make: Make, where: str, account: str) -> None:
    first, second = two(make, where, account, max_concurrent_requests=1)
    gate, started = threading.Event(), threading.Event()
    held = first.submit(lambda: (started.set(), gate.wait()))
    assert started.wait(10)
    given_up = [second.submit(lambda: None) for _ in range(5)]
    waits = second.submit(lambda: "done")
    assert all(future.cancel() for future in given_up)
    gate.set()
    assert waits.result(10) == "done"
    held.result(10)
    assert second.call(lambda: "again") == "again"


def test_R10_an_event_loop_is_never_blocked_while_its_tasks_wait(
    make: Make, where: str, account: str
) -> None:
    first, second = two(make, where, account, max_concurrent_requests=2)
    seen = InFlight()

    async def main() -> int:
        ticks = 0
        jobs = [asyncio.ensure_future((first, second)[n % 2].acall(seen.asleep, 0.005)) for n in range(40)]
        while not all(job.done() for job in jobs):
            await asyncio.sleep(0)
            ticks += 1
        await asyncio.gather(*jobs)
        return ticks

    assert asyncio.run(asyncio.wait_for(main(), 60)) > 40
    assert (seen.peak, seen.calls) == (2, 40)


def test_R8_a_hold_holds_all_instances_of_the_account(make: Make, where: str, account: str) -> None:
    first, second = two(make, where, account, max_concurrent_requests=4, retry_jitter=0)
    second.call(lambda: None)
    answers = iter([RefusedOnce(1.0), "done"])

    def refused() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    begin = time.monotonic()
    held = first.submit(first.call, refused)
    until(lambda: first.queue_stats()["retried"] == 1)
    time.sleep(0.1)  # for the server to hear of it; were it slower, the next line would fail
    second.call(lambda: None)
    assert time.monotonic() - begin >= 0.9
    assert held.result(20) == "done"


class RefusedOnce(Exception):
    """A 429 with a `Retry-After`."""

    def __init__(self, seconds: float) -> None:
        self.status_code = 429
        self.headers = {"Retry-After": str(int(seconds))}


def test_R8_the_newest_change_of_the_limit_is_in_force_and_one_warning_says_so(
    make: Make, where: str, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = two(make, where, account, max_concurrent_requests=1)
    first.call(lambda: None)
    second.call(lambda: None)
    first.max_concurrent_requests = second.max_concurrent_requests = 4
    seen = InFlight()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (first, second)[n % 2].call(seen, 0.05), range(16)))
    assert seen.peak == 4


def test_R12_queue_stats_say_how_the_limit_is_shared(make: Make, where: str, account: str) -> None:
    api = make(shared_queue=where, shared_account=account)
    assert api.queue_stats()["shared"] is False
    api.call(lambda: None)
    stats = api.queue_stats()
    assert (stats["shared"], stats["processes"], stats["alone_seconds"]) == (True, 1, 0.0)


def test_R7_nothing_is_shared_where_nothing_is_set(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUEST_QUEUE_URL", raising=False)
    api = make()
    api.call(lambda: None)
    assert "shared" not in api.queue_stats()


def test_R7_the_environment_says_where_and_an_empty_setting_says_nowhere(
    make: Make, where: str, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUEST_QUEUE_URL", where)
    shared, own = make(shared_account=account), make(shared_account=account, shared_queue="")
    for api in (shared, own):
        api.call(lambda: None)
    assert shared.queue_stats()["shared"] is True
    assert "shared" not in own.queue_stats()


@pytest.mark.parametrize(
    "value",
    ["canary", "http://canary", "redis://:canary@", "redis://canary:port", "redis://:canary@h:x/1", 4711],
)
def test_R14_a_senseless_url_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(ValueError, match="shared_queue must be") as caught:
        SharedApi(shared_queue=value)
    assert "canary" not in str(caught.value)
    assert "4711" not in str(caught.value)


def test_R14_the_password_of_the_url_is_in_no_repr_and_no_pickle(make: Make) -> None:
    api = make(shared_queue="redis://user:canary-4711@127.0.0.1:1/0")
    assert "canary" not in repr(vars(api))
    assert b"canary" not in pickle.dumps(api.shared_queue)
    assert api.shared_queue == "redis://user:canary-4711@127.0.0.1:1/0"


def test_R15_close_leaves_nothing(make: Make, redis_server: RedisProcess, account: str) -> None:
    client = redis_server.client()
    others = set(threading.enumerate())
    api = make(shared_queue=redis_server.url, shared_account=account)
    before = set(client.keys())
    api.call(lambda: None)
    keys = set(client.keys()) - before
    assert keys
    assert all(0 < client.pttl(key) <= 45_000 for key in keys)
    api.close()
    until(lambda: not keys & set(client.keys()))
    until(lambda: not [t for t in set(threading.enumerate()) - others if t.name.startswith("request-queue-")])


def test_R8_who_goes_on_after_a_close_of_its_own_shares_the_limit_again(
    make: Make, where: str, account: str
) -> None:
    one, other = (
        make(shared_queue=where, shared_account=account, max_concurrent_requests=1) for _ in range(2)
    )
    one.call(lambda: None)
    RequestEngine.of(one).close(reopen=True)
    gate, started = threading.Event(), threading.Event()
    held = other.submit(lambda: (started.set(), gate.wait()))
    assert started.wait(10)
    waiting = one.submit(lambda: "on")
    until(lambda: RequestEngine.of(one).gate.waiting == 1)
    assert not waiting.done()
    gate.set()
    held.result(10)
    assert waiting.result(10) == "on"


def test_R15_a_fork_s_child_is_another_process(make: Make, where: str, account: str) -> None:
    api = make(shared_queue=where, shared_account=account, max_concurrent_requests=2)
    gate, started = threading.Event(), threading.Event()
    held = api.submit(lambda: (started.set(), gate.wait()))
    assert started.wait(10)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            fits = api.submit(lambda: "fits").result(10) == "fits"
            code = 0 if fits and api.queue_stats()["processes"] == 2 else 2
            api.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    gate.set()
    held.result(10)
    assert api.call(lambda: "on") == "on"


def test_R12_without_a_server_the_call_runs_and_one_warning_says_so(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        api = make(shared_queue="redis://user:canary@127.0.0.1:1/0", shared_timeout=0.5)
        for _ in range(5):
            assert api.call(lambda: "done") == "done"
        until(lambda: "cannot be reached" in caplog.text)
    assert caplog.text.count("cannot be reached") == 1
    assert "canary" not in caplog.text
    stats = api.queue_stats()
    assert stats["shared"] is False
    assert stats["alone_seconds"] > 0


def test_R12_wait_starts_nothing_without_a_server_and_timeouts_hold(make: Make) -> None:
    api = make(shared_queue="redis://127.0.0.1:1/0", shared_fallback="wait", queue_timeout=0.4)
    with pytest.raises(TimeoutError):
        api.call(lambda: "never")
