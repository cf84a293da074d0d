"""100,000 requests that wait: what each takes, and what is left afterwards."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import requests

from .retrofit import retrofitted
from .rows import Check, Row


class _Session(requests.Session):
    may_end: threading.Event

    def get(self, number: Any, **options: Any) -> Any:
        self.may_end.wait()
        return number


def measure(quick: bool) -> Row:
    """Queue the requests with `submit`, weigh them, let them run, and count the threads."""
    count = 2_000 if quick else 100_000
    before = set(threading.enumerate())
    session = _Session()
    session.may_end = threading.Event()
    client = retrofitted()(session)
    client.queue_size = count
    running = [client.submit(client.get, -1) for _ in range(client.max_concurrent_requests)]
    gc.collect()
    resident, traced = _resident(), _traced(client, 2_000)
    futures = [client.submit(client.get, number) for number in range(count)]
    gc.collect()
    each = max(traced, (_resident() - resident) / count)
    assert len(client.request_queue) == count
    start = time.perf_counter()
    session.may_end.set()
    assert [future.result() for future in futures] == list(range(count))
    took = time.perf_counter() - start
    assert all(future.result() == -1 for future in running)
    assert len(client.request_queue) == client.current_requests == 0
    left = _left_over(before)
    return Row(
        "memory",
        f"{count:,} requests through the queue",
        "KiB for each that waits",
        {"ours": each / 1024},
        [Check("KiB", each / 1024, "≤", 4), Check("threads afterwards", left, "=", 0)],
        {"ours": f"then {count / took:,.0f} a second"},
        goal=4,
    )


def _traced(client: Any, count: int) -> float:
    """Return the bytes that Python allocates for one, its future included; the requests are taken out again."""
    tracemalloc.start()
    first = tracemalloc.get_traced_memory()[0]
    futures = [client.submit(client.get, number) for number in range(count)]
    each = (tracemalloc.get_traced_memory()[0] - first) / count
    tracemalloc.stop()
    for future in futures:
        future.cancel()
    return each


def _resident() -> int:
    """Return the bytes of memory that this process occupies, where the system tells."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0


def _left_over(before: set[threading.Thread]) -> int:
    """Return how many threads are left when the queue has been at rest for a while: its own end after two seconds."""
    end = time.monotonic() + 60
    while (left := len(set(threading.enumerate()) - before)) and time.monotonic() < end:
        time.sleep(0.05)
    return left
