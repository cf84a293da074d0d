"""An HTTP server on 127.0.0.1, in a process of its own, that refuses and misbehaves as asked, and counts.

Own process, so that its work is not done under the interpreter lock of those who are measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import multiprocessing
import os
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

BODY = b'{"ok": true}'

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Behaviour:
    """What the server does from now on.

    Attributes:
        seconds: how long an answer takes.
        at_once: at most this many requests in flight, the others get a 429; 0: no limit.
        per_second: at most this many requests within a second, the others get a 429; 0: no limit.
        retry_after: its `Retry-After` with a 429, in seconds; 0: it says nothing.
        bucket: the size of a token bucket, and how many tokens a second fill it: what it does not hold is a 429. A request takes one,
            or as many as the last part of its path says. (0, 0): there is none.
        says_bucket: of what the bucket's state is told in OpenAI's headers: "requests" or "tokens".
        capacity_of: (seconds, at_once), ...: `at_once` until these seconds after the first request.
        says_milliseconds: with `per_second`, say in `retry-after-ms` when there is room again, as OpenAI does.
        unavailable, limited, reset, stall, truncate: the fraction of requests that it answers with a 503, with a
            429, with a reset connection, not at all, or with half a body.
        stall_seconds: how long it does not answer, at most.
        retry_after_ms: its `retry-after-ms` with a 429.
        chunks: parts of a body that is asked for with `stream` in the path.
        remember: keep the time of each request.
    """

    seconds: float = 0.0
    at_once: int = 0
    per_second: int = 0
    retry_after: int = 1
    bucket: tuple[float, float] = (0.0, 0.0)
    says_bucket: str = ""
    capacity_of: tuple[tuple[float, int], ...] = ()
    says_milliseconds: bool = False
    unavailable: float = 0.0
    limited: float = 0.0
    reset: float = 0.0
    stall: float = 0.0
    truncate: float = 0.0
    stall_seconds: float = 1.0
    retry_after_ms: int = 0
    chunks: int = 5
    remember: bool = True


class _Server:
    """Counts and answers. It runs in one event loop, so nothing is locked."""

    def __init__(self) -> None:
        self.behave(Behaviour())

    def behave(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.random = random.Random(5)
        self.in_flight = self.most = self.requests = self.refused = 0
        self.recent: deque[float] = deque()
        self.began = self.filled_at = 0.0
        self.held = behaviour.bucket[0]
        self.events: list[
            tuple[float, int, bool]
        ] = []  # when it came, how many were in flight then, refused?
        # By the part of the path that names the client: its connections that wait for an answer, how many there
        # may be, and what was seen beyond that.
        self.waiting: dict[str, dict[_Connection, str]] = {}
        self.allowed: dict[str, float] = {}
        self.excesses: list[str] = []

    def facts(self) -> dict[str, Any]:
        names = ("requests", "refused", "most", "in_flight", "events", "excesses")
        return {name: getattr(self, name) for name in names}

    def _takes(self, units: float) -> bool:
        """Take so many out of the bucket, if it holds them."""
        now, (size, rate) = time.monotonic(), self.behaviour.bucket
        self.held = min(size, self.held + (now - self.filled_at) * rate) if self.filled_at else size
        self.filled_at = now
        if self.held < min(units, size):
            return False
        self.held -= units
        return True

    def _bucket_says(self) -> str:
        """Return the headers that tell the bucket's state."""
        (size, rate), what = self.behaviour.bucket, self.behaviour.says_bucket
        if not what:
            return ""
        values = {
            "limit": f"{size:.0f}",
            "remaining": f"{max(self.held, 0):.0f}",
            "reset": f"{(size - self.held) / rate * 1000:.2f}ms",
        }
        return "".join(f"x-ratelimit-{name}-{what}: {value}\r\n" for name, value in values.items())

    def _at_once(self) -> int:
        now = time.monotonic()
        self.began = self.began or now
        for until, at_once in self.behaviour.capacity_of:
            if now < self.began + until:
                return at_once
        return self.behaviour.at_once

    def _refusal(self, path: str) -> tuple[int, str] | None:
        """Return the status and headers with which a request is turned away now, or None."""
        behaviour, chance = self.behaviour, self.random.random()
        wait = f"Retry-After: {behaviour.retry_after}\r\n" if behaviour.retry_after else ""
        if behaviour.retry_after_ms:
            wait += f"retry-after-ms: {behaviour.retry_after_ms}\r\n"
        if (at_once := self._at_once()) and self.in_flight > at_once:
            return 429, wait
        if behaviour.bucket[1]:
            last = path.rpartition("/")[2]
            if not self._takes(float(last) if last.isdecimal() else 1.0):
                return 429, wait + self._bucket_says()
        if behaviour.per_second:
            now = time.monotonic()
            while self.recent and self.recent[0] <= now - 1:
                self.recent.popleft()
            if len(self.recent) >= behaviour.per_second:
                if behaviour.says_milliseconds:
                    wait += f"retry-after-ms: {(self.recent[0] + 1 - now) * 1000:.0f}\r\n"
                return 429, wait
            self.recent.append(now)
        if chance < behaviour.unavailable:
            return 503, ""
        if chance < behaviour.unavailable + behaviour.limited:
            return 429, wait
        return None

    def _mischief(self) -> str:
        behaviour, chance = self.behaviour, self.random.random()
        for name in ("reset", "stall", "truncate"):
            if (chance := chance - getattr(behaviour, name)) < 0:
                return name
        return "good"

    def _count_in(self, client: str, path: str, connection: _Connection) -> None:
        waiting = self.waiting.setdefault(client, {})
        waiting[connection] = f"{path} since {time.monotonic():.3f}"
        allowed = self.allowed.get(client, math.inf)
        if len(waiting) > allowed:
            alive = [what for other, what in waiting.items() if _is_open(other)]
            if len(alive) > allowed:
                self.excesses.append(f"{len(alive)} in flight, {allowed:.0f} allowed: " + ", ".join(alive))

    async def connected(self, *connection: Any) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
            while await self._request(connection):
                pass
        connection[1].close()

    async def _request(self, connection: _Connection) -> bool:
        """Answer one request; return False where the connection is to be closed."""
        reader, writer = connection
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        if (at := head.lower().find(b"content-length:")) >= 0:
            await reader.readexactly(int(head[at + 15 : head.index(b"\r\n", at)]))
        client = path.split("/")[-2]
        self.requests += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        self._count_in(client, path, connection)
        done = False

        def count_out() -> None:
            """Called before the last byte goes: who has it may send the next request at once."""
            nonlocal done
            if not done:
                done = True
                self.in_flight -= 1
                self.waiting[client].pop(connection, None)

        try:
            return await self._answer(path, writer, count_out)
        finally:
            count_out()

    async def _answer(self, path: str, writer: asyncio.StreamWriter, count_out: Callable[[], None]) -> bool:
        refusal = self._refusal(path)
        if self.behaviour.remember:
            self.events.append((time.monotonic(), self.in_flight, refusal is not None))
        if refusal is not None:
            self.refused += 1
            count_out()
            writer.write(_head(refusal[0], refusal[1], 0))
            return True
        mischief = self._mischief()
        seconds = self.behaviour.seconds if mischief != "stall" else self.behaviour.stall_seconds
        if seconds:
            await asyncio.sleep(seconds)
        if mischief == "good" and "/stream/" in path:
            return await self._stream(writer, count_out)
        count_out()
        if mischief == "good":
            last = path.rpartition("/")[2]
            answer = (
                {"path": path, "usage": {"total_tokens": int(last)}} if last.isdecimal() else {"path": path}
            )
            body = json.dumps(answer).encode()
            writer.write(
                _head(200, f"Content-Type: application/json\r\n{self._bucket_says()}", len(body)) + body
            )
            return True
        if mischief == "truncate":
            writer.write(_head(200, "", 2 * len(BODY)) + BODY)
            await writer.drain()
        elif mischief == "reset":
            writer.transport.abort()
        return False

    async def _stream(self, writer: asyncio.StreamWriter, count_out: Callable[[], None]) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(self.behaviour.chunks):
            writer.write(b"%x\r\n%s\r\n" % (len(BODY), BODY))
            await writer.drain()
            await asyncio.sleep(self.behaviour.seconds / 5)
        count_out()
        writer.write(b"0\r\n\r\n")
        return True


def _is_open(connection: _Connection) -> bool:
    """Return False where the other side has gone. The kernel is asked: its next request may be quicker to tell the loop."""
    reader, writer = connection
    if reader.at_eof() or reader.exception() or writer.is_closing():
        return False
    try:
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as same:
            return same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _head(status: int, headers: str, length: int) -> bytes:
    return f"HTTP/1.1 {status} x\r\n{headers}Content-Length: {length}\r\n\r\n".encode()


async def _serve(pipe: Connection, certificate: str | None) -> None:
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server, loop, done = _Server(), asyncio.get_running_loop(), asyncio.Event()
    listener = await asyncio.start_server(server.connected, "127.0.0.1", 0, backlog=1024, ssl=tls)

    def told() -> None:
        try:
            wish = pipe.recv()
        except EOFError:
            wish = None
        if wish is None:
            done.set()
        elif wish == "facts":
            pipe.send(server.facts())
        elif isinstance(wish, tuple):
            server.allowed[wish[0]] = wish[1]
            pipe.send(None)
        else:
            server.behave(Behaviour(**wish))
            pipe.send(None)

    loop.add_reader(pipe.fileno(), told)
    pipe.send(listener.sockets[0].getsockname()[1])
    await done.wait()
    os._exit(0)  # connections and tasks are of no interest any more


def _main(pipe: Connection, certificate: str | None) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(pipe, certificate))


class Server:
    """The server, seen from the measuring process. Attributes: `url`, `pid`."""

    def __init__(self, pipe: Connection, scheme: str, pid: int) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self.url = f"{scheme}://127.0.0.1:{pipe.recv()}"
        self.pid = pid

    def behave(self, behaviour: Behaviour) -> None:
        """Behave so from now on, and count from zero."""
        self._ask(asdict(behaviour))

    def allow(self, client: str, most: float) -> None:
        """Note an excess where more requests than `most` with /client/ before the last part of the path are in flight."""
        self._ask((client, most))

    def facts(self) -> dict[str, Any]:
        """Return what was counted: requests, refused, most (in flight at once), in_flight, events, excesses."""
        return self._ask("facts")  # type: ignore[no-any-return]

    def _ask(self, wish: Any) -> Any:
        with self._lock:
            self._pipe.send(wish)
            return self._pipe.recv()


@contextlib.contextmanager
def running_server(certificate: str | None = None) -> Iterator[Server]:
    """Run a server in a process of its own.

    Args:
        certificate: a PEM file with the key and the certificate; the server then speaks TLS.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_main, args=(theirs, certificate), daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield Server(ours, "https" if certificate else "http", process.pid or 0)
    finally:
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(5)
        process.terminate()
