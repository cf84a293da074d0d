"""A thousand processes of one account, as a real Redis sees them: their counters and reports, driven by one loop.

Each process has its own `Holdings` and reports through the real script; one connection makes the steps of all, and one
has all their subscriptions. So what is counted is the protocol's work and Redis's, not that of a thousand interpreters.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import deque
from typing import Any

from backend_retrofit_runtime.shared.holdings import Holdings
from backend_retrofit_runtime.shared.messages import Terms
from backend_retrofit_runtime.shared.redis_server import RedisServer
from test.shared.redis_process import RedisProcess

CHANNEL = "request-queue:{crowd}:"


class _Process:
    def __init__(self, terms: Terms) -> None:
        self.holdings = Holdings(terms, CHANNEL)
        self.waiting = 0
        self.is_dirty = False


class Crowd:
    """So many processes with one caller each, which asks again as soon as its call has ended.

    Attributes:
        peak: the most that were in flight at once.
        done: requests that have ended.
        steps: scripts that were run.
        cpu: seconds of Redis.
    """

    def __init__(self, redis: RedisProcess, count: int, limit: int, call: float = 0.05) -> None:
        self.call = call
        self.client = redis.client()
        self.server = RedisServer(redis.url, "crowd", 5)
        terms = Terms(limit=limit, lease=60.0, timeout=1.0)
        self.processes = {(process := _Process(terms)).holdings.id: process for _ in range(count)}
        self.pubsub = self.client.pubsub(ignore_subscribe_messages=True)
        self.pubsub.subscribe(CHANNEL, *(CHANNEL + name for name in self.processes))
        self.ends: list[tuple[float, int, _Process]] = []
        self.wakes: list[tuple[float, int, _Process]] = []  # who is to report when something is due
        self.dirty: deque[_Process] = deque()
        self.in_flight = self.peak = self.done = self.steps = 0

    def run(self, seconds: float) -> None:
        """Let all join; then count for so long."""
        for process in self.processes.values():
            self._ask(process)
        joined = time.monotonic() + 60
        while self.done < len(self.processes) and time.monotonic() < joined:
            self._turn()
        self.done = self.steps = 0
        cpu, end = self._cpu(), time.monotonic() + seconds
        while time.monotonic() < end:
            self._turn()
        self.cpu = self._cpu() - cpu

    def close(self) -> None:
        """End the connections."""
        self.pubsub.close()
        self.client.close()
        self.server.close()

    def _cpu(self) -> float:
        info = self.client.info("cpu")
        return float(info["used_cpu_user"] + info["used_cpu_sys"])

    def _turn(self) -> None:
        now = time.monotonic()
        while self.ends and self.ends[0][0] <= now:
            _, slot, process = heapq.heappop(self.ends)
            process.holdings.give(slot, now)
            self.in_flight -= 1
            self.done += 1
            self._ask(process)
        while self.wakes and self.wakes[0][0] <= now:
            self._report_soon(heapq.heappop(self.wakes)[2])
        message = self.pubsub.get_message(timeout=0 if self.dirty else 0.002)
        while message is not None:
            self._hear(message)
            message = self.pubsub.get_message(timeout=0)
        if self.dirty:
            self._step(self.dirty.popleft())

    def _hear(self, message: dict[str, Any]) -> None:
        name = message["channel"].removeprefix(CHANNEL)
        for process in [self.processes[name]] if name else self.processes.values():
            if process.holdings.told(message["data"], time.monotonic()):
                self._report_soon(process)
            else:
                self._start(process)

    def _ask(self, process: _Process) -> None:
        process.waiting += 1
        self._report_soon(process)

    def _report_soon(self, process: _Process) -> None:
        if not process.is_dirty:
            process.is_dirty = True
            self.dirty.append(process)

    def _step(self, process: _Process) -> None:
        holdings, now = process.holdings, time.monotonic()
        process.is_dirty = False
        holdings.give_back_spare(process.waiting)
        report = holdings.report(now, {0: process.waiting} if process.waiting else {})
        holdings.answered(report, self.server.step(report), now, time.monotonic())
        self.steps += 1
        self._start(process)
        if holdings.wake_at < math.inf:
            heapq.heappush(self.wakes, (holdings.wake_at, self.steps, process))

    def _start(self, process: _Process) -> None:
        now = time.monotonic()
        while process.waiting:
            slot = random.getrandbits(62)
            if not process.holdings.take(slot, now):
                return
            process.waiting -= 1
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            heapq.heappush(self.ends, (now + self.call * random.uniform(0.5, 1.5), slot, process))
