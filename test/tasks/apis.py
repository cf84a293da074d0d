"""Classes that workers serve, and what the workers of each engine import; where things are, the environment says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

from backend_retrofit_runtime import RequestEngine
from test.runtime.api import Api


class TaskApi(Api):
    """Its key and URL come from the environment of the process, or from whoever makes it."""

    submit_to = RequestEngine.setting(None)

    def __init__(self, api_key: str | None = None, label: str = "none", **settings: Any) -> None:
        super().__init__(api_key=api_key, **{"max_retries": 3, "initial_retry_delay": 0.01, **settings})
        self.url = os.environ.get("TASK_TEST_URL", "")
        self.label = label

    def ask(self, text: str, *, times: int = 1) -> dict[str, Any]:
        request = Request(self.url, text.encode() * times, {"Authorization": f"Bearer {self.api_key}"})
        with self._queued(urlopen)(request, timeout=20) as answer:
            return {"answer": json.loads(answer.read()), "pid": os.getpid()}

    def hang(self) -> None:
        self.ask(f"hang in {os.getpid()}")

    def name(self) -> str:
        return self.label

    async def aask(self, text: str) -> str:
        return text + "!"

    def fail(self) -> None:
        raise ValueError("no such model")

    def session(self) -> object:
        return object()

    def parts(self) -> Iterator[str]:
        yield "a"

    def _private(self) -> None:
        pass


class OtherApi(TaskApi):
    """No worker serves it."""


class NamedApi(TaskApi):
    """A worker makes it with an argument."""


def make_named() -> NamedApi:
    return NamedApi(label="made for the worker")


class LimitedApi(TaskApi):
    """All workers have one limit together."""

    shared_queue = RequestEngine.setting(None)
    shared_account = RequestEngine.setting("tasks")
    shared_lease = RequestEngine.setting(6)
    shared_timeout = RequestEngine.setting(1)
    shared_fallback = RequestEngine.setting("share")
    shared_fairness = RequestEngine.setting("fifo")

    def __init__(self, api_key: str | None = None, **settings: Any) -> None:
        where = os.environ.get("TASK_TEST_REDIS") or None
        super().__init__(api_key, **{"max_concurrent_requests": 1, "shared_queue": where, **settings})

    def where(self, _: int) -> list[Any]:
        """Return which process it is, and of how many that share the limit."""
        self.ask("limited")
        stats = self.queue_stats()
        return [os.getpid(), stats["processes"]]
