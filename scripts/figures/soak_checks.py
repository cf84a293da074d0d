"""What must be so during and after a soak: the book of all requests, and the state of the process at rest."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import statistics
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import httpx
import requests
from rich.console import Console

from .server import Server

MOST_ATTEMPTS = 6
_OPEN, _ENDED, _TIMED_OUT = range(3)
_MEGABYTE = 1024 * 1024


class Book:
    """Has a line for each request: how often it was sent, and whether it has ended.

    Two bytes a request, so that the book itself does not look like a leak.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.attempts = bytearray()
        self.states = bytearray()
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.clients: list[weakref.ref[Any]] = []

    def watch(self, client: Any) -> None:
        """See to it, at the end, that the client is collected."""
        self.clients = [ref for ref in self.clients if ref() is not None] + [weakref.ref(client)]

    def new(self) -> int:
        """Return the number of a new request."""
        with self.lock:
            self.attempts.append(0)
            self.states.append(_OPEN)
            return next(self.numbers)

    def count(self, what: str) -> None:
        """Count what happened."""
        with self.lock:
            self.counts[what] += 1

    def violation(self, text: str) -> None:
        """Note what must not be."""
        with self.lock:
            self.violations.append(text)

    @contextlib.contextmanager
    def attempt(self, url: str) -> Iterator[None]:
        """Note that a request is sent: not after its end, and not too often."""
        number = int(url.rpartition("/")[2])
        with self.lock:
            self.counts["attempts"] += 1
            self.attempts[number] += 1
            if self.attempts[number] > MOST_ATTEMPTS:
                self.violations.append(f"request {number} was sent {self.attempts[number]} times")
            if self.states[number] == _ENDED:
                self.violations.append(f"request {number} was sent after its end")
        yield

    def check_answer(self, url: str, response: Any) -> None:
        """See that a good answer is the one to this request."""
        if response.status_code == 200 and response.json()["path"] not in url:
            self.violation(f"{url} was given the answer to {response.json()['path']}")
        if response.status_code != 200:
            self.count(f"given a {response.status_code} after all attempts")

    @contextlib.contextmanager
    def ending(self, number: int, kind: str) -> Iterator[None]:
        """Note how a request ends. All errors but those that are to be expected pass through."""
        how, state = "answered", _ENDED
        try:
            yield
        except (CancelledError, asyncio.CancelledError):
            how = "cancelled"
        except (requests.RequestException, httpx.HTTPError) as error:
            how = f"failed ({type(error).__name__})"
        except (RuntimeError, asyncio.TimeoutError) as error:
            how = type(error).__name__
            if how not in ("RequestQueueFull", "QueueClosed", "RequestTimeout", "TimeoutError"):
                raise
            state = _TIMED_OUT if how == "RequestTimeout" else _ENDED  # then one attempt may be under way
        finally:
            with self.lock:
                self.states[number] = state
                self.counts[f"{kind}: {how}"] += 1

    def report(self, console: Console, seconds: float) -> None:
        """Print what was done."""
        total = len(self.states)
        console.print(
            f"{total:,} requests in {seconds:.0f} s, {self.server_requests:,} seen by the server, "
            f"{sum(self.attempts):,} attempts of the counted kinds"
        )
        for what, count in sorted(self.counts.items()):
            console.print(f"  {count:>9,}  {what}")

    server_requests = 0


class Rest:
    """What a process at rest has: threads, open files, memory."""

    def __init__(self) -> None:
        self.files = _open_files()
        self.threads = set(threading.enumerate())
        self.memory: list[float] = []
        self.most_threads = 0
        self.found: list[str] = []

    @contextlib.contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample the memory every few seconds."""
        done = threading.Event()

        def sample() -> None:
            while not done.wait(2):
                self.memory.append(_memory())
                self.most_threads = max(self.most_threads, threading.active_count())

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def check(self, book: Book) -> None:
        """Give everything ten seconds to come to rest; note what has not."""
        facts = book.server.facts()
        book.server_requests = facts["requests"]
        for excess in facts["excesses"]:
            book.violation(excess)
        if any(state == 0 for state in book.states):
            book.violation(f"{book.states.count(0)} requests have not ended")
        end = time.monotonic() + 10
        while (left := self._left(book)) and time.monotonic() < end:
            gc.collect()
            time.sleep(0.1)
        for what in left:
            book.violation(what)
        if growth := self._growth():
            book.violation(growth)

    def _left(self, book: Book) -> list[str]:
        left = [
            f"thread left: {thread.name}" for thread in threading.enumerate() if thread not in self.threads
        ]
        engines = sys.modules["_request_engine"].engines
        for engine in list(engines.values()):
            if engine.gate.active or engine.gate.waiting:
                left.append(f"{engine.gate.active} in flight and {engine.gate.waiting} waiting at rest")
        alive = sum(ref() is not None for ref in book.clients)
        if alive:
            left.append(f"{alive} clients were not collected")
        if (files := _open_files()) > self.files:
            left.append(f"{files - self.files} open files more than at the start")
        self.found = [
            f"open files: {self.files} before, {files} after",
            f"threads: {threading.active_count()} after",
        ]
        return left

    def _growth(self) -> str:
        """Compare the last fifth with the second one, when all connections and caches are there."""
        part = len(self.memory) // 5
        if part < 5:
            return ""
        early, late = statistics.median(self.memory[part : 2 * part]), statistics.median(self.memory[-part:])
        if late > early * 1.15 + 8 * _MEGABYTE:
            return f"memory grew from {early / _MEGABYTE:.0f} to {late / _MEGABYTE:.0f} MiB"
        return ""

    def report(self, console: Console) -> None:
        """Print what was left."""
        part = max(len(self.memory) // 5, 1)
        fifths = [
            statistics.median(self.memory[n * part : (n + 1) * part] or [0]) / _MEGABYTE for n in range(5)
        ]
        console.print(
            "memory in each fifth of the time: " + ", ".join(f"{size:.0f}" for size in fifths) + " MiB"
        )
        console.print(f"threads: at most {self.most_threads}; " + "; ".join(self.found))


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0


def _memory() -> float:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0
