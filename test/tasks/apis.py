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

    def __init__(self, api_key: str | None = None, **settings: Any) -> None:
        super().__init__(api_key=api_key, **{"max_retries": 3, "initial_retry_delay": 0.01, **settings})
        self.url = os.environ.get("TASK_TEST_URL", "")

    def ask(self, text: str, *, times: int = 1) -> dict[str, Any]:
        request = Request(self.url, text.encode() * times, {"Authorization": f"Bearer {self.api_key}"})
        with self._queued(urlopen)(request, timeout=20) as answer:
            return {"answer": json.loads(answer.read()), "pid": os.getpid()}

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
