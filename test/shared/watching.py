"""Counting what is in flight, and waiting for what is to come."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable


class InFlight:
    """A call that takes a while, and counts how many of it run at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.peak = self.calls = 0

    def _begin(self) -> None:
        with self.lock:
            self.now += 1
            self.calls += 1
            self.peak = max(self.peak, self.now)

    def _end(self) -> None:
        with self.lock:
            self.now -= 1

    def __call__(self, seconds: float) -> None:
        self._begin()
        time.sleep(seconds)
        self._end()

    async def asleep(self, seconds: float) -> None:
        self._begin()
        await asyncio.sleep(seconds)
        self._end()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Return once something is so; fail if it is not after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)
