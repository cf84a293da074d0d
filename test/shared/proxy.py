"""A proxy that can be told to go silent, to cut, or to delay."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Any


class Proxy:
    """Passes on what comes to `port`, unless told otherwise.

    Attributes:
        silent: take everything, pass on nothing.
        delay: seconds that each piece takes.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.silent = False
        self.delay = 0.0
        self.writers: set[Any] = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()

        self.loop.create_task(serve())
        self.loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, far_writer}
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        writer.close()

    def cut(self) -> None:
        """Reset all connections."""

        def abort() -> None:
            for writer in self.writers:
                writer.transport.abort()
            self.writers.clear()

        self.loop.call_soon_threadsafe(abort)

    def __enter__(self) -> Proxy:
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
