"""Runs retrofitted code against the loopback server: is it still the same class, and does it queue and retry?"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import backend_retrofit_runtime
from backend_retrofit.codemods.model import FilePlan

from ..loopback import LoopbackServer, Reply
from .check import check_transformed, planned

BOUND = 20.0
"""Seconds that a wait takes at most."""


def load(source: str, limit: int = 1, **options: Any) -> ModuleType:
    """Retrofit a source, check it in every way, and return it as a module with this limit and no delay."""
    result = check_transformed(source, **options)
    return run(result, limit, **options)


def run(result: FilePlan, limit: int = 1, **options: Any) -> ModuleType:
    """Execute a planned file, with this limit and without delays, as a user would set them in the class."""
    outside = planned(result.before, in_package=False, runtime="shared", **options)
    code = outside.after.decode()
    for setting, value in {"max_concurrent_requests": limit, "initial_retry_delay": 0}.items():
        start, found, rest = code.partition(f"{setting} = RequestEngine.setting(")
        assert found, setting
        code = start + found + str(value) + rest[rest.index(")") :]
    return module_of(code)


def module_of(code: str | bytes, name: str = "retrofitted") -> ModuleType:
    """Execute retrofitted code as a module, with the runtime that is installed."""
    module = ModuleType(name)
    sys.modules[name] = module
    sys.modules["_request_engine"] = backend_retrofit_runtime
    try:
        exec(compile(code, f"{name}.py", "exec"), module.__dict__)
    finally:
        del sys.modules["_request_engine"]
    return module


def check_runs(call: Callable[[str], Any], owner: Any, server: LoopbackServer) -> None:
    """Assert that a call goes through, that a 503 is retried, and that at a limit of 1 two calls queue.

    Args:
        call: makes one request to a URL.
        owner: the instance or class that holds the queue.
    """
    assert call(server.url) is not None
    assert len(server.requests) == 1
    server.script(Reply(503), Reply(503))
    assert call(server.url) is not None
    assert len(server.requests) == 4
    check_queues(call, owner, server)


def check_queues(call: Callable[[str], Any], owner: Any, server: LoopbackServer) -> None:
    """Assert that of two calls at once the second waits, and that both are made in the end."""
    before = len(server.requests)
    go = threading.Event()

    def hold(request: Any) -> Reply:
        go.wait(BOUND)
        return Reply(200, {"ok": True})

    server.app = hold
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(call(server.url)), daemon=True) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    waiting = backend_retrofit_runtime.RequestEngine.of(owner).waiting
    deadline = time.monotonic() + BOUND
    while not (len(waiting) == 1 and len(server.requests) == before + 1):
        assert time.monotonic() < deadline, (len(waiting), len(server.requests) - before)
        time.sleep(0.005)
    go.set()
    for thread in threads:
        thread.join(BOUND)
    assert len(answers) == 2
    assert len(server.requests) == before + 2
    assert server.most_in_flight == 1
