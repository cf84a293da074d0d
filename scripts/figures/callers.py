"""Many callers, a limit of five: what waiting in line costs, and who is overtaken."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import requests

from .measuring import in_turns, median_ratio
from .others import HandWritten, behind_async_semaphore, behind_semaphore, in_pool, with_tenacity
from .retrofit import number_in_line, retrofitted
from .rows import Check, Row, shown

LIMIT = 5
FIVE, FIVE_TASKS = "five threads, no queue", "five tasks, no queue"
OURS, OURS_ASYNC = "ours", "ours, async def"


class _Calls:
    """Calls of so many seconds; notes who arrived when, in which order they started, and how many ran at once.

    A call is known by its arrival. Ours has a number in line, which is exact; the others are numbered before they
    call, and some threads change places on the way to the line.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.lock = threading.Lock()
        self.arrivals = itertools.count()
        self.started: list[int] = []
        self.now = self.most = 0

    def start(self, arrival: int) -> None:
        number = number_in_line()
        with self.lock:
            self.started.append(arrival if number is None else number - 1)
            self.now += 1
            self.most = max(self.most, self.now)

    def end(self) -> None:
        with self.lock:
            self.now -= 1

    def overtaken(self) -> int:
        """Return how many started before one that had arrived before them: the most that happened to anyone.

        Those five that are let in together may start in any order; that is not counted.
        """
        worst = 0
        seen: list[int] = []
        for place, arrival in enumerate(self.started):
            if arrival < place - LIMIT:
                worst = max(worst, sum(other > arrival for other in seen) - LIMIT)
            seen.append(arrival)
        return worst


class _Session(requests.Session):
    calls: _Calls

    def get(self, arrival: Any, **options: Any) -> Any:
        calls = self.calls
        calls.start(arrival)
        time.sleep(calls.seconds)
        calls.end()
        return None


class _AsyncClient(httpx.AsyncClient):
    calls: _Calls

    async def get(self, arrival: Any, **options: Any) -> Any:  # type: ignore[override]
        calls = self.calls
        calls.start(arrival)
        await asyncio.sleep(calls.seconds)
        calls.end()
        return None


def measure(quick: bool) -> Row:
    """Measure 64 and 256 callers with calls of 10 and 2 ms."""
    rounds = 1 if quick else 5
    gc.freeze()  # a full collection of all the libraries takes as long as 50 calls, of whoever is at turn then
    ratios: dict[float, dict[str, float]] = {}
    overtaken: dict[str, int] = {}
    most: dict[str, int] = {}
    # So many that not only the first moment is measured, in which all callers arrive at once; five threads and 256 can
    # share them evenly, so that all ways make equally many calls.
    for seconds, full in ((0.010, 1280), (0.002, 2560)):
        total = 256 if quick else full
        worst = ratios[seconds] = {}
        for callers in (64, 256):
            runs = {name: _run(name, callers, total, seconds, overtaken, most) for name in _WAYS}
            took = in_turns(runs, rounds)
            for name in _WAYS:
                base = FIVE_TASKS if name in _ASYNC else FIVE
                worst[name] = max(worst.get(name, 0), median_ratio(took[name], took[base]))
    names = [name for name in _WAYS if name not in (FIVE, FIVE_TASKS)]
    notes = {}
    for name in names:
        passed = f"overtaken up to {overtaken[name]:,} times" if overtaken[name] else "nobody overtaken"
        notes[name] = f"at 2 ms {shown(ratios[0.002][name])}; {passed}"
    both, semaphore = (OURS, OURS_ASYNC), "asyncio.Semaphore + tenacity"
    return Row(
        "callers",
        "64 and 256 callers, limit 5, calls of 10 ms",
        "time ÷ that of five threads (tasks) without a queue",
        {name: ratios[0.010][name] for name in names},
        [
            Check("10 ms", ratios[0.010][OURS], "≤", 1.03),
            Check("2 ms", ratios[0.002][OURS], "≤", 1.05),
            Check(
                f"async, 2 ms, ÷ {semaphore}", ratios[0.002][OURS_ASYNC] / ratios[0.002][semaphore], "≤", 1
            ),
            Check("overtaken", max(overtaken[name] for name in both), "=", 0),
            Check("in flight", max(most[name] for name in both), "≤", LIMIT),
        ],
        notes,
        goal=1.03,
    )


def _run(
    name: str, callers: int, total: int, seconds: float, overtaken: dict[str, int], most: dict[str, int]
) -> Callable[[], float]:
    def run() -> float:
        gc.collect()
        calls = _Calls(seconds)
        took = _WAYS[name](calls, callers, total // callers)
        overtaken[name] = max(overtaken.get(name, 0), calls.overtaken())
        most[name] = max(most.get(name, 0), calls.most)
        return took

    return run


def _threads(calls: _Calls, call: Callable[[int], Any], callers: int, each: int) -> float:
    """Return how long `callers` threads take to make `each` calls, one after the other."""
    ready = threading.Barrier(callers + 1)

    def caller() -> None:
        ready.wait()
        for _ in range(each):
            call(next(calls.arrivals))

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def _session(calls: _Calls) -> _Session:
    session = _Session()
    session.calls = calls
    return session


def _dedicated(calls: _Calls, callers: int, each: int) -> float:
    return _threads(calls, _session(calls).get, LIMIT, callers * each // LIMIT)


def _hand_written(calls: _Calls, callers: int, each: int) -> float:
    hand, session = HandWritten(LIMIT), _session(calls)
    return _threads(calls, lambda arrival: hand.request(session.get, arrival), callers, each)


def _semaphore(calls: _Calls, callers: int, each: int) -> float:
    return _threads(calls, behind_semaphore(with_tenacity(_session(calls).get)), callers, each)


def _pool(calls: _Calls, callers: int, each: int) -> float:
    with ThreadPoolExecutor(LIMIT) as pool:
        return _threads(calls, in_pool(with_tenacity(_session(calls).get), pool), callers, each)


def _ours(calls: _Calls, callers: int, each: int) -> float:
    client = retrofitted()(_session(calls))
    client.queue_size = callers
    with client:
        return _threads(calls, client.get, callers, each)


def _tasks(calls: _Calls, call: Callable[[int], Any], callers: int, each: int) -> float:
    async def caller() -> None:
        for _ in range(each):
            await call(next(calls.arrivals))

    async def everybody() -> float:
        start = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return time.perf_counter() - start

    return asyncio.run(everybody())


def _async_client(calls: _Calls) -> _AsyncClient:
    client = _AsyncClient()
    client.calls = calls
    return client


def _dedicated_tasks(calls: _Calls, callers: int, each: int) -> float:
    return _tasks(calls, _async_client(calls).get, LIMIT, callers * each // LIMIT)


def _async_semaphore(calls: _Calls, callers: int, each: int) -> float:
    return _tasks(calls, behind_async_semaphore(with_tenacity(_async_client(calls).get)), callers, each)


def _ours_async(calls: _Calls, callers: int, each: int) -> float:
    client = retrofitted()(None, _async_client(calls))
    client.queue_size = callers
    return _tasks(calls, client.aget, callers, each)


_WAYS: dict[str, Callable[[_Calls, int, int], float]] = {
    FIVE: _dedicated,
    OURS: _ours,
    "hand-written": _hand_written,
    "BoundedSemaphore + tenacity": _semaphore,
    "thread pool + tenacity": _pool,
    FIVE_TASKS: _dedicated_tasks,
    OURS_ASYNC: _ours_async,
    "asyncio.Semaphore + tenacity": _async_semaphore,
}
_ASYNC = {FIVE_TASKS, OURS_ASYNC, "asyncio.Semaphore + tenacity"}
