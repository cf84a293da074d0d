"""scripts/watch --shared shows all processes of an account, whoever asks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from .apis import SharedApi
from .redis_process import RedisProcess, needs_redis
from .watching import until

ROOT = Path(__file__).resolve().parents[2]
WATCH = [sys.executable, str(ROOT / "scripts" / "watch_shared.py")]

pytestmark = [
    needs_redis,
    pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="this is not a checkout"),
]


def test_it_prints_what_all_processes_of_an_account_run_and_wait_for(make: Callable[..., SharedApi]) -> None:
    with RedisProcess() as server:
        api = make(
            shared_queue=server.url, shared_account="watched", max_concurrent_requests=2, shared_lease=3
        )
        gate = threading.Event()
        futures = [api.submit(gate.wait) for _ in range(5)]
        until(lambda: api.queue_stats()["in_flight"] == 2)
        shown = ""

        def shows_all() -> bool:
            nonlocal shown
            command = [*WATCH, server.url, "--seconds", "0"]
            shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
            return "limit    2  running    2  waiting    3  hold 0.0 s  processes 1" in shown

        until(shows_all, 60)
        assert len(shown.splitlines()) == 1
        assert "watched" not in shown
        gate.set()
        for future in futures:
            future.result(10)


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    command = [*WATCH, "redis://:canary-4711@127.0.0.1:1/0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be read (ConnectionError)" in done.stderr
    assert "4711" not in done.stderr
