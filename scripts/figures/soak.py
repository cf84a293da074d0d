"""Callers that do all that callers do, on a server that fails in all the ways that servers fail, for minutes.

200 threads and 200 tasks share a few clients whose settings change all the time. `soak_checks.py` holds what must
be so; this module makes the trouble.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
import sys
import threading
import time
from concurrent.futures import CancelledError
from typing import Any

import httpx
import requests
from requests.adapters import HTTPAdapter
from rich.console import Console

from .retrofit import retrofitted
from .server import Behaviour, Server, running_server
from .soak_checks import Book, Rest

CLIENTS = 3
TIMEOUT = 0.5
FAULTS = Behaviour(
    seconds=0.004, unavailable=0.03, limited=0.02, retry_after=0, retry_after_ms=40, reset=0.02, stall=0.003,
    truncate=0.02, stall_seconds=5 * TIMEOUT, remember=False,
)  # fmt: skip


class _Session(requests.Session):
    """A session that tells the book of each attempt."""

    book: Book

    def get(self, url: Any, **options: Any) -> requests.Response:
        with self.book.attempt(str(url)):
            return super().get(url, **options)


class _AsyncClient(httpx.AsyncClient):
    """The same of httpx."""

    book: Book

    async def get(self, url: Any, **options: Any) -> httpx.Response:  # type: ignore[override]
        with self.book.attempt(str(url)):
            return await super().get(url, **options)


class Soak:
    """The clients, the callers, and those who disturb them."""

    def __init__(self, server: Server, book: Book, callers: int, too_many: int = 0) -> None:
        self.server, self.book, self.callers = server, book, callers
        self.end = 0.0
        self.too_many = too_many  # to be admitted beyond the limit, until that is found
        self.names = itertools.count()
        self.clients: list[tuple[str, Any]] = [self._client() for _ in range(CLIENTS)]

    def run(self, seconds: float) -> None:
        """Run for this long; then wait for all callers, up to a limit."""
        self.end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._caller, args=(n,), daemon=True) for n in range(self.callers)]
        threads.append(threading.Thread(target=lambda: asyncio.run(self._tasks()), daemon=True))
        threads.append(threading.Thread(target=self._disturb, daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(self.end - time.monotonic(), 0) + 60)
            if thread.is_alive():
                self.book.violation(f"a caller still waits a minute after the end ({thread.name})")
                break
        for _, client in self.clients:
            _let_go(client)

    def _client(self) -> tuple[str, Any]:
        """Return a new client and its name."""
        session, name = _Session(), str(next(self.names))
        session.book = self.book
        session.mount("http://", HTTPAdapter(pool_maxsize=50))
        client = retrofitted()(
            session, _AsyncClient(timeout=TIMEOUT, limits=httpx.Limits(max_connections=None))
        )
        client.client.book = self.book
        client.initial_retry_delay, client.max_retry_delay = 0.02, 0.2
        client.queue_size = 1000
        client.adaptive_concurrency_max = client.max_concurrent_requests
        self.server.allow(name, client.max_concurrent_requests - self.too_many)
        self.book.watch(client)
        return name, client

    # Callers.

    def _pick(self, chance: random.Random, kind: str = "job") -> tuple[Any, str, int]:
        name, client = chance.choice(self.clients)
        number = self.book.new()
        return client, f"{self.server.url}/{kind}/{name}/{number}", number

    def _caller(self, seed: int) -> None:
        chance = random.Random(seed)
        actions = (self._get, self._get, self._get, self._submit, self._submit, self._stream, self._post)
        while time.monotonic() < self.end:
            try:
                chance.choice(actions)(chance)
            except Exception as error:
                self.book.violation(f"a caller got {error!r}")
            if chance.random() < 0.1:
                time.sleep(chance.random() * 0.2)

    def _get(self, chance: random.Random) -> None:
        client, url, number = self._pick(chance)
        with self.book.ending(number, "get"):
            self.book.check_answer(url, client.get(url, timeout=TIMEOUT))

    def _submit(self, chance: random.Random) -> None:
        client, url, number = self._pick(chance)
        with self.book.ending(number, "submit"):
            future = client.submit(client.get, url, timeout=TIMEOUT)
            if chance.random() < 0.3:
                time.sleep(chance.choice((0, 0, 0.01, 0.1)))
                if future.cancel():
                    raise CancelledError
            self.book.check_answer(url, future.result(timeout=60))

    def _stream(self, chance: random.Random) -> None:
        client, url, number = self._pick(chance, "stream")
        with self.book.ending(number, "stream"):
            response = client.get(url, stream=True, timeout=TIMEOUT)
            what = chance.random()
            if what < 0.2:
                del response  # dropped before the first byte
            elif what < 0.4:
                next(response.iter_content(4), None)
                response.close()
            elif what < 0.6:
                next(response.iter_content(4), None)
                del response
            else:
                response.content  # noqa: B018

    def _post(self, chance: random.Random) -> None:
        client, url, number = self._pick(chance, "embeddings")
        with self.book.ending(number, "post"):
            self.book.check_answer(url, client.post(url, json={"n": number}, timeout=TIMEOUT))

    async def _tasks(self) -> None:
        await asyncio.gather(*(self._task(random.Random(-seed - 1)) for seed in range(self.callers)))
        for _, client in self.clients:
            await client.client.aclose()

    async def _task(self, chance: random.Random) -> None:
        while time.monotonic() < self.end:
            what = chance.random()
            try:
                await (self._astream(chance) if what < 0.2 else self._aget(chance, cancel=what > 0.8))
            except Exception as error:
                self.book.violation(f"a task got {error!r}")
            await asyncio.sleep(chance.choice((0, 0, 0.01, 0.1)))

    async def _aget(self, chance: random.Random, cancel: bool) -> None:
        client, url, number = self._pick(chance)
        with self.book.ending(number, "aget, cancelled" if cancel else "aget"):
            call = client.aget(url)
            if cancel:
                call = asyncio.wait_for(call, chance.random() * 0.2)
            self.book.check_answer(url, await call)

    async def _astream(self, chance: random.Random) -> None:
        client, url, number = self._pick(chance, "stream")
        parts = 1 if chance.random() < 0.4 else 1000
        with self.book.ending(number, "astream"):
            stream = client.astream(url)
            async for _ in stream:
                parts -= 1
                if not parts:
                    break
            await stream.aclose()

    # Those who disturb.

    def _disturb(self) -> None:
        chance, replaced = random.Random(0), time.monotonic()
        while time.monotonic() < self.end:
            time.sleep(0.05 + 0.3 * chance.random())
            if self.too_many and self.server.facts()["excesses"]:
                self.end = time.monotonic()
                break
            name, client = chance.choice(self.clients)
            what = chance.random()
            if what < 0.6:
                self._resize(name, client, chance.choice((0, 1, 1, 2, 3, 5, 5, 8, 12)))
            elif what < 0.7:
                client.queue_timeout = chance.choice((None, None, None, 0.2, 2))
            elif what < 0.8:
                client.total_timeout = chance.choice((None, None, None, 0.5, 5))
            elif what < 0.85:
                client.max_retries = chance.choice((0, 2, 5))
            elif what < 0.95:
                client.requests_per_minute = chance.choice((None, None, 12_000, 60_000, "auto"))
                client.tokens_per_minute = chance.choice((None, None, 60_000_000, "auto"))
                client.requests_per_day = chance.choice((None, 10_000_000))
                client.token_cost = chance.choice((None, 10, 1000))
                client.rate_burst = chance.choice((1, 3, 20))
                client.adaptive_concurrency = chance.choice((False, False, True))
            else:
                client.queue_size = chance.choice((50, 200, 1000, 1000))
            if time.monotonic() - replaced > 10:
                replaced = time.monotonic()
                self._replace(chance.randrange(CLIENTS))
        for name, client in self.clients:
            client.requests_per_minute = client.tokens_per_minute = client.requests_per_day = None
            self._resize(name, client, 5)

    def _resize(self, name: str, client: Any, limit: int) -> None:
        """Change the limit; the server hears of a lower one when as few are in flight."""
        self.book.count("resized")
        if limit > client.max_concurrent_requests:
            self.server.allow(name, limit - self.too_many)
        client.max_concurrent_requests = limit
        client.adaptive_concurrency_max = max(limit, 1)  # where it adapts, too, the server allows no more
        end = time.monotonic() + 10
        while client.current_requests > limit and time.monotonic() < end:
            time.sleep(0.002)
        if client.current_requests > limit:
            self.book.violation(
                f"ten seconds after the limit was lowered to {limit}, {client.current_requests} run"
            )
        self.server.allow(name, limit - self.too_many)
        if limit == 0:
            time.sleep(0.1)
            self._resize(name, client, 5)

    def _replace(self, place: int) -> None:
        """Close a client in the middle of its work, and put a new one in its place."""
        self.book.count("clients closed in use")
        _, old = self.clients[place]
        self.clients[place] = self._client()
        old.close()
        if old.current_requests or len(old.request_queue):
            # Streams and tasks that run are let end; they are looked at again when all is at rest.
            self.book.count("of them with streams or tasks still running")
        _let_go(old)


def _let_go(client: Any) -> None:
    client.close()
    client.session.close()


def main() -> None:
    """Soak; print the figures, and what was violated; exit with 1 if anything was."""
    parser = argparse.ArgumentParser(
        description="Run the queue under faults and disturbances; look for losses."
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--callers", type=int, default=200, help="threads, and as many tasks")
    parser.add_argument(
        "--break-limit", action="store_true", help="admit one too many, and end when it is found"
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    console = Console()
    with running_server() as server:
        server.behave(FAULTS)
        book = Book(server)
        rest = Rest()
        start = time.monotonic()
        with rest.sampling():
            soak = Soak(server, book, options.callers, int(options.break_limit))
            soak.run(60 * options.minutes)
        seconds = time.monotonic() - start
        del soak
        rest.check(book)
    book.report(console, seconds)
    rest.report(console)
    for violation in book.violations[:20]:
        console.print(f"[red]violated:[/] {violation}")
    if not book.violations:
        console.print("[green]Nothing was lost, made twice, or left over.[/]")
    sys.exit(bool(book.violations))
