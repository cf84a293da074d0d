"""An API that counts for itself how many requests it has in flight, and a process that calls it without pause."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import threading
import time
from collections import deque
from types import TracebackType
from typing import Any

from . import worker


class ApiServer:
    """Answers each line after `seconds`. It says who sends it, how many tokens it uses, and whatever else.

    Attributes:
        peak: the most that were in flight at once.
        above: how many arrived while `limit` others were in flight.
        exceeded: when, and what was in flight: when each arrived, and what its process said of itself.
        too_fast: how many came faster than `rate` a second, with `burst` at once.
        starts: when each arrived, and from which process.
        tokens: how many all requests have used, as they say.
        ended: the latest: when each arrived, when it ended, and what its process said.
    """

    def __init__(self, limit: int, seconds: float = 0.05, rate: float = 0, burst: int = 10) -> None:
        self.rate, self.burst = rate, burst
        self.bucket, self.filled_at, self.too_fast = float(burst), 0.0, 0
        self.limit, self.seconds, self.tokens = limit, seconds, 0
        self.now = self.peak = self.above = 0
        self.exceeded: list[tuple[float, list[tuple[float, str]]]] = []
        self.ended: deque[tuple[float, float, str]] = deque(maxlen=200)
        self.flying: dict[object, tuple[float, str]] = {}
        self.starts: list[tuple[float, str]] = []
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()

        self.loop.create_task(serve())
        self.loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading: asyncio.Future[bytes] | None = None
        try:
            line = await reader.readline()
            while line:
                self.now += 1
                self.peak = max(self.peak, self.now)
                at, said = time.monotonic(), line.decode().strip()
                self.flying[writer] = at, said
                if self.now > self.limit:
                    self.above += 1
                    self.exceeded.append((at, list(self.flying.values())))
                self._refill()
                sender, used, *_ = [*said.split(), "0", "0"]
                self.starts.append((at, sender))
                self.tokens += int(used)
                reading = asyncio.ensure_future(reader.readline())
                try:
                    await asyncio.wait([reading], timeout=self.seconds)  # its caller may die
                finally:
                    self.now -= 1
                    del self.flying[writer]
                    self.ended.append((at, time.monotonic(), said))
                writer.write(f"ok {self._says()}\n".encode())
                await writer.drain()
                line = await reading
        except OSError:
            pass
        finally:
            writer.close()

    def _refill(self) -> None:
        """Count who comes faster than the bucket fills; as a server that refuses would, take nothing for those."""
        if self.rate:
            now = time.monotonic()
            self.bucket = min(self.burst, self.bucket + (now - self.filled_at) * self.rate)
            self.filled_at = now
            if self.bucket >= 1:
                self.bucket -= 1
            else:
                self.too_fast += 1

    def _says(self) -> str:
        """Return the headers of an answer, as a server says its rate that has a bucket."""
        if not self.rate:
            return "{}"
        reset = (self.burst - self.bucket) / self.rate
        values = {"limit": self.burst, "remaining": int(self.bucket), "reset": f"{reset * 1000:.0f}ms"}
        return json.dumps({f"x-ratelimit-{name}-requests": str(value) for name, value in values.items()})

    def starts_between(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at, _ in self.starts)

    def forget(self) -> None:
        """Count anew."""
        self.peak = self.now
        self.above = 0

    def __enter__(self) -> ApiServer:
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def end() -> None:
            serving = asyncio.all_tasks() - {asyncio.current_task()}
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(10)


# A process that has imported what takes time is copied; each would take a fifth of a second for that by itself.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["backend_retrofit_runtime.shared", "redis"])


class Worker:
    """A process whose threads call the API in a loop, through an instance with these settings.

    Args:
        waits: it is up, and does nothing until `go`.
    """

    def __init__(self, server: ApiServer, threads: int = 16, waits: bool = False, **settings: Any) -> None:
        self.pipe, other = _processes.Pipe()
        self.process = _processes.Process(
            target=worker.main, args=(other, server.port, threads, waits, settings), daemon=True
        )
        self.process.start()
        other.close()
        self.results: dict[str, Any] = {}
        if waits:
            assert self._heard() == "ready"

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def lives(self) -> bool:
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def go(self) -> None:
        """Let one that `waits` begin."""
        self.pipe.send("go")

    def ask(self) -> dict[str, Any]:
        """Return `queue_stats()`, with `failed_calls` and `done`."""
        return dict(self._answer_to("stats"))

    def history(self) -> list[tuple[float, str]]:
        """Return when, and what, it said to the server of the queue and heard from it; one that `remembers`."""
        return [(at, what) for at, what in self._answer_to("history")]

    def _answer_to(self, question: str) -> Any:
        self.pipe.send(question)
        return self._heard()

    def _heard(self) -> Any:
        assert self.pipe.poll(60), "the process does not answer"
        return self.pipe.recv()

    def stop(self) -> dict[str, Any]:
        """Let it end after the calls that are under way; return what `ask` does."""
        self.results = self._answer_to("stop")
        self.process.join(60)
        assert self.process.exitcode == 0
        return self.results

    def kill(self) -> None:
        self.process.kill()
        self.process.join(20)
        self.pipe.close()
