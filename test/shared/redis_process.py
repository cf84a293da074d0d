"""A real redis-server on a free port of 127.0.0.1, for the tests that need one."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

redis: Any
try:
    import redis
except ImportError:
    redis = None

MISSING = "needs redis-py, and redis-server or valkey-server"
SERVER = os.environ.get("TEST_REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
SERVER = SERVER if redis else None
needs_redis = pytest.mark.skipif(SERVER is None, reason=MISSING)


def free_port() -> int:
    """Return a port that nobody uses; low enough for a cluster's bus, which is 10,000 above it and free as well."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, socket.socket() as bus, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port


class RedisProcess:
    """The server; it can be killed, stopped, and started again on the same port.

    Args:
        options: of redis-server, as on its command line without the dashes.
    """

    def __init__(self, *options: str, tls: bool = False) -> None:
        self.port = free_port()
        self.options = options
        self.tls = tls
        self.folder = Path(tempfile.mkdtemp(prefix="redis-test-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisProcess:
        """Return once it takes connections; the first time on another port, where somebody was quicker."""
        is_first = self.process is None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._starts(deadline):
                return self
            if "in use" not in self._log.read_text(errors="replace"):
                break
            if is_first:
                self.port = free_port()
            time.sleep(0.1)  # else who was there before may still be about to end
        raise AssertionError(f"redis-server does not listen: {self._log.read_text()[-2000:]}")

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _starts(self, deadline: float) -> bool:
        """Return False if it ends at once: its port is taken."""
        assert SERVER is not None
        port = ["--port", "0", "--tls-port", str(self.port)] if self.tls else ["--port", str(self.port)]
        fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        with self._log.open(
            "wb"
        ) as log:  # which says that it is this one that listens, not another on its port
            self.process = subprocess.Popen(
                [SERVER, *port, *fixed, *self.options], stdout=log, stderr=subprocess.STDOUT
            )
        while time.monotonic() < deadline and self.process.poll() is None:
            if "Ready to accept connections" in self._log.read_text(errors="replace"):
                return True
            time.sleep(0.01)
        return False

    def client(self, **options: Any) -> Any:
        """A client of the test's own."""
        return redis.Redis(
            host="127.0.0.1", port=self.port, decode_responses=True, socket_timeout=10, **options
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> RedisProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.resume()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
