"""What queue and backoff cost on a call that is not held up and succeeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import httpx
import requests

from .measuring import best, in_turns, seconds_per_call
from .others import (
    HandWritten,
    behind_async_semaphore,
    behind_semaphore,
    in_pool,
    with_backoff,
    with_stamina,
    with_tenacity,
)
from .retrofit import PlainClient, retrofitted
from .rows import Check, Row

URL = "http://127.0.0.1/"


class _Session(requests.Session):
    """A session whose answer is there already."""

    answer = requests.Response()
    answer.status_code = 200
    answer._content = b"{}"
    answer._content_consumed = True  # type: ignore[attr-defined]

    def get(self, url: Any, **options: Any) -> requests.Response:
        return self.answer


class _HandWrittenClient(PlainClient):
    """The client as its owner would put it behind a gate and a retry loop; like ours, it keeps its method."""

    def __init__(self, session: requests.Session) -> None:
        super().__init__(session)
        self.hand = HandWritten()

    def get(self, url: Any, **options: Any) -> Any:
        return self.hand.request(self.session.get, url, **options)


class _AsyncClient(httpx.AsyncClient):
    """The same of httpx."""

    answer = httpx.Response(200, content=b"{}")

    async def get(self, url: Any, **options: Any) -> httpx.Response:  # type: ignore[override]
        return self.answer


def sync(quick: bool) -> Row:
    """Measure a method that calls `session.get(url)`."""
    session = _Session()
    bare, hand, ours = PlainClient(session), _HandWrittenClient(session), retrofitted()(session)
    rounds = 3 if quick else 300
    with ThreadPoolExecutor(5) as pool:
        calls: dict[str, Callable[[], Any]] = {
            "nothing": lambda: bare.get(URL),
            "hand-written": lambda: hand.get(URL),
            "ours": lambda: ours.get(URL),
            "semaphore + tenacity": _bound(behind_semaphore(with_tenacity(session.get))),
            "semaphore + stamina": _bound(behind_semaphore(with_stamina(session.get))),
            "semaphore + backoff": _bound(behind_semaphore(with_backoff(session.get))),
            "thread pool + tenacity": _bound(in_pool(with_tenacity(session.get), pool)),
        }
        took = best(in_turns({name: _timed(call, 300) for name, call in calls.items()}, rounds))
    return _row("sync", "overhead of a call that succeeds", took, "hand-written", 2, 1 / 8)


def function(quick: bool) -> Row:
    """Measure a plain function that gives plain data, decorated as many are."""

    @wraps(_answer)
    def decorated(url: str) -> dict[str, int]:
        return _answer(url)

    return _row_of_function("function", "the same, any plain function", decorated, quick, 2.5)


def method(quick: bool) -> Row:
    """Measure a method of somebody's own class that gives an object."""
    return _row_of_function("method", "the same, a method of any class", _Api().get, quick, 2.5)


def body(quick: bool) -> Row:
    """Measure a plain function that is given a body to be sent, which may hold a file."""
    return _row_of_function(
        "body", "the same, with a body of dicts and lists", _post, quick, 2.5, {"data": _BODY}
    )


def _row_of_function(
    key: str, what: str, call: Any, quick: bool, times_hand: float, options: dict[str, Any] | None = None
) -> Row:
    hand, queued, options = HandWritten(), retrofitted()(_Session())._queued, options or {}
    tenacity = behind_semaphore(with_tenacity(call))
    calls: dict[str, Callable[[], Any]] = {
        "nothing": lambda: call(URL, **options),
        "hand-written": lambda: hand.request(call, URL, **options),
        "ours": lambda: queued(call)(URL, **options),
        "semaphore + tenacity": lambda: tenacity(URL, **options),
    }
    took = best(in_turns({name: _timed(call, 300) for name, call in calls.items()}, 3 if quick else 300))
    return _row(key, what, took, "hand-written", times_hand, 1 / 6)


class _Result:
    """What somebody's own client gives."""

    text = "hello"


class _Api:
    """A client of somebody's own."""

    answer = _Result()

    def get(self, url: str) -> _Result:
        return self.answer


_BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def _post(url: str, data: Any) -> dict[str, int]:
    return {"status": 200}


def _answer(url: str) -> dict[str, int]:
    return {"status": 200}


def openai_sdk(quick: bool) -> Row:
    """Measure a method of OpenAI's SDK whose request is answered at once, over the same without the queue."""
    import openai
    from openai.types import Model

    answer = Model(id="m", created=1, object="model", owned_by="x")

    class Client(openai.OpenAI):
        def get(self, *args: Any, **options: Any) -> Any:
            return answer

    with Client(api_key="test-key") as client:
        return _row_of_sdk(
            "openai", "a method of OpenAI's SDK, over the plain call", client.models.retrieve, "m", quick
        )


def boto3_client(quick: bool) -> Row:
    """Measure a method of a client of boto3 that is answered before it is sent, over the same without the queue."""
    import boto3

    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    answer = {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}}

    def list_buckets(self: Any, *args: Any) -> dict[str, Any]:
        return answer

    list_buckets.__module__ = type(s3).list_buckets.__module__
    type(s3).list_buckets = list_buckets  # botocore makes the class anew for each client
    return _row_of_sdk("boto3", "a method of boto3's, over the plain call", s3.list_buckets, None, quick)


def _row_of_sdk(key: str, what: str, method: Callable[..., Any], argument: Any, quick: bool) -> Row:
    queued = retrofitted()(_Session())._queued
    calls = {"nothing": lambda: method(argument), "ours": lambda: queued(method)(argument)}
    took = best(in_turns({name: _timed(call, 100) for name, call in calls.items()}, 3 if quick else 600))
    over = (took["ours"] - took["nothing"]) * 1e6
    return Row(key, what, "µs", {"ours": over}, [Check("µs", over, "≤", 5)], goal=5)


def asynchronous(quick: bool) -> Row:
    """Measure a method that awaits `client.get(url)`."""
    return asyncio.run(_asynchronous(3 if quick else 200))


async def _asynchronous(rounds: int) -> Row:
    client = _AsyncClient()
    bare, ours = PlainClient(None, client), retrofitted()(None, client)
    calls: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "nothing": bare.aget,
        "ours": ours.aget,
        "asyncio.Semaphore + tenacity": behind_async_semaphore(with_tenacity(client.get)),
        "asyncio.Semaphore + stamina": behind_async_semaphore(with_stamina(client.get)),
        "asyncio.Semaphore + backoff": behind_async_semaphore(with_backoff(client.get)),
    }
    took = {name: float("inf") for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(200):
                await call(URL)
            took[name] = min(took[name], (time.perf_counter() - start) / 200)
    await client.aclose()
    return _row("async", "the same, async def", took, None, None, 1 / 6)


def _bound(call: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: call(URL)


def _timed(call: Callable[[], Any], calls: int) -> Callable[[], float]:
    return lambda: seconds_per_call(call, calls)


def _row(
    key: str,
    what: str,
    took: dict[str, float],
    hand: str | None,
    times_hand: float | None,
    of_tenacity: float,
) -> Row:
    base = took.pop("nothing")
    over = {name: (value - base) * 1e6 for name, value in took.items()}
    tenacity = next(name for name in over if name.endswith("emaphore + tenacity"))
    checks = []
    if hand is not None and times_hand is not None:
        checks.append(Check("÷ hand-written", over["ours"] / over[hand], "≤", times_hand))
    checks.append(Check(f"÷ {tenacity}", over["ours"] / over[tenacity], "≤", of_tenacity))
    goal = over[tenacity] * of_tenacity
    if hand is not None and times_hand is not None:
        goal = min(goal, over[hand] * times_hand)
    return Row(key, what, "µs", over, checks, goal=goal)
