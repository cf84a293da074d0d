"""Each SDK of the table beside those of `test_one_layer`: one layer of retries (B10), the server's word (B4), streams (S1)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from test.loopback import LoopbackServer, Reply, Reset, sse
from test.runtime.conftest import Api, assert_at_rest, caller

MESSAGES = [{"role": "user", "content": "hello"}]


class Sdk(NamedTuple):
    """An SDK: how its clients are made, told to retry by themselves where they can be; a call, and a call that streams.

    Each call is a function of a client that gives the method and its arguments.
    """

    module: str
    client: Callable[[Any, str], Any]
    async_client: Callable[[Any, str], Any]
    chat: Callable[[Any], tuple[Callable[..., Any], dict[str, Any]]]
    achat: Callable[[Any], tuple[Callable[..., Any], dict[str, Any]]]
    stream: Callable[[Any], tuple[Callable[..., Any], dict[str, Any]]]
    astream: Callable[[Any], tuple[Callable[..., Any], dict[str, Any]]]
    parts: Callable[[], Reply]
    awaited: bool = True
    """The async call that streams is awaited before it is iterated."""


def _cohere(asynchronous: bool) -> Callable[[Any, str], Any]:
    name = "AsyncClientV2" if asynchronous else "ClientV2"
    return lambda sdk, url: getattr(sdk, name)("test-key", base_url=url, max_retries=3)


def _mistral(sdk: Any, url: str) -> Any:
    return sdk.Mistral(api_key="test-key", server_url=url)


def _genai(sdk: Any, url: str) -> Any:
    return sdk.Client(api_key="test-key", http_options={"base_url": url, "retry_options": {"attempts": 3}})


def _lines(*parts: Any) -> Reply:
    return Reply(200, iter([json.dumps(part).encode() + b"\n" for part in parts]))


def _chunk(text: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _candidate(text: str) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}


CHAT = {"model": "m", "messages": MESSAGES}
GENERATE = {"model": "m", "contents": "hello"}
SDKS = {
    "cohere": Sdk(
        "cohere",
        _cohere(False),
        _cohere(True),
        chat=lambda client: (client.chat, CHAT),
        achat=lambda client: (client.chat, CHAT),
        stream=lambda client: (client.chat_stream, CHAT),
        astream=lambda client: (client.chat_stream, CHAT),
        parts=lambda: sse([{"type": "message-start", "id": "1"}, {"type": "message-end", "id": "1"}], None),
        awaited=False,
    ),
    "mistral": Sdk(
        "mistralai.client",
        _mistral,
        _mistral,
        chat=lambda client: (client.chat.complete, CHAT),
        achat=lambda client: (client.chat.complete_async, CHAT),
        stream=lambda client: (client.chat.stream, CHAT),
        astream=lambda client: (client.chat.stream_async, CHAT),
        parts=lambda: sse([_chunk("he"), _chunk("llo")]),
    ),
    "ollama": Sdk(
        "ollama",
        lambda sdk, url: sdk.Client(host=url),
        lambda sdk, url: sdk.AsyncClient(host=url),
        chat=lambda client: (client.chat, CHAT),
        achat=lambda client: (client.chat, CHAT),
        stream=lambda client: (client.chat, {**CHAT, "stream": True}),
        astream=lambda client: (client.chat, {**CHAT, "stream": True}),
        parts=lambda: _lines(*({"message": {"role": "assistant", "content": text}} for text in ("he", "llo"))),
    ),
    "huggingface_hub": Sdk(
        "huggingface_hub",
        lambda sdk, url: sdk.InferenceClient(base_url=url, token="test-token"),
        lambda sdk, url: sdk.AsyncInferenceClient(base_url=url, token="test-token"),
        chat=lambda client: (client.chat_completion, {"messages": MESSAGES}),
        achat=lambda client: (client.chat.completions.create, {"messages": MESSAGES}),
        stream=lambda client: (client.chat_completion, {"messages": MESSAGES, "stream": True}),
        astream=lambda client: (client.chat_completion, {"messages": MESSAGES, "stream": True}),
        parts=lambda: sse([_chunk("he"), _chunk("llo")]),
    ),
    "genai": Sdk(
        "google.genai",
        _genai,
        _genai,
        chat=lambda client: (client.models.generate_content, GENERATE),
        achat=lambda client: (client.aio.models.generate_content, GENERATE),
        stream=lambda client: (client.chats.create(model="m").send_message_stream, {"message": "hello"}),
        astream=lambda client: (client.aio.models.generate_content_stream, GENERATE),
        parts=lambda: sse([_candidate("he"), _candidate("llo")], None),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=SDKS)
def sdk(request: pytest.FixtureRequest) -> tuple[Sdk, Any]:
    """An SDK and its module, if it is installed."""
    found = SDKS[request.param]
    return found, pytest.importorskip(found.module)


@pytest.fixture
def unavailable() -> Iterator[LoopbackServer]:
    body = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}, "message": "overloaded"}
    with LoopbackServer(lambda request: Reply(503, body)) as server:
        yield server


@pytest.fixture
def api(delays: list[float]) -> Iterator[Api]:
    api = Api()
    yield api
    assert_at_rest(api)


def status_of(error: BaseException) -> Any:
    response = getattr(error, "response", None)
    statuses = [getattr(thing, name, None) for thing in (error, response) for name in ("status_code", "code")]
    return next(status for status in statuses if isinstance(status, int))


def test_B10_always_503_counts_six_requests(sdk, api, unavailable, delays):
    sdk, module = sdk
    client = sdk.client(module, unavailable.url)  # google-genai closes a client that is dropped
    call, arguments = sdk.chat(client)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each has its own
        api.call(call, **arguments)
    assert status_of(caught.value) == 503
    assert len(unavailable.requests) == 6
    assert delays == [1, 2, 4, 8, 16]


def test_B10_async(sdk, api, unavailable, delays):
    sdk, module = sdk

    async def go():
        client = sdk.async_client(module, unavailable.url)
        call, arguments = sdk.achat(client)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await api.acall(call, **arguments)
        assert status_of(caught.value) == 503

    caller(asyncio.run, go()).result(20)
    assert len(unavailable.requests) == 6
    assert delays == [1, 2, 4, 8, 16]


def test_B10_lost_connections(sdk, api, server, delays):
    sdk, module = sdk
    api.max_retries = 2
    server.app = lambda request: Reset()

    async def go():
        client = sdk.async_client(module, server.url)
        call, arguments = sdk.achat(client)
        with pytest.raises(Exception):  # noqa: B017, PT011
            await api.acall(call, **arguments)

    caller(asyncio.run, go()).result(20)
    assert len(server.requests) == 3


def test_S1_a_stream_keeps_its_slot_and_is_retried_before_its_first_item(sdk, api, server, delays):
    sdk, module = sdk
    server.script(Reply(429, {"message": "slow down"}, {"Retry-After": "7"}), sdk.parts())
    client = sdk.client(module, server.url)
    call, arguments = sdk.stream(client)
    held = [api.current_requests for _ in api.call(call, **arguments)]
    assert held == [1, 1]
    assert len(server.requests) == 2
    assert delays == [7]


def test_S1_async(sdk, api, server, delays):
    sdk, module = sdk
    server.script(Reply(429, {"message": "slow down"}, {"Retry-After": "7"}), sdk.parts())

    async def go():
        client = sdk.async_client(module, server.url)
        call, arguments = sdk.astream(client)
        stream = api._queued(call)(**arguments)
        return [api.current_requests async for _ in (await stream if sdk.awaited else stream)]

    assert caller(asyncio.run, go()).result(20) == [1, 1]
    assert len(server.requests) == 2
    assert delays == [7]


def test_a_dropped_stream_of_events_gives_its_slot_back(api, server):
    """Mistral's stream is an iterator over a response, and was asked for without `stream=True`."""
    module = pytest.importorskip("mistralai.client")
    server.script(SDKS["mistral"].parts())
    with api.call(_mistral(module, server.url).chat.stream, **CHAT) as events:
        next(events)
        assert api.current_requests == 1
    assert api.current_requests == 0


def test_B4_RetryInfo_in_an_error_of_google_genai(api, server, delays):
    module = pytest.importorskip("google.genai")
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9s"}
    server.script(Reply(429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]}}))
    server.app = lambda request: Reply(200, _candidate("hello"))
    client = _genai(module, server.url)
    assert api.call(client.models.generate_content, **GENERATE).text == "hello"
    assert delays == [9]


def test_B10_httpx2(api, unavailable, delays):
    """The fork of httpx that the SDKs use: its transport's retries are turned off like those of httpx."""
    httpx2 = pytest.importorskip("httpx2")
    with httpx2.Client(transport=httpx2.HTTPTransport(retries=3)) as client:
        assert api.call(client.get, unavailable.url).status_code == 503
        assert len(unavailable.requests) == 6
        with pytest.raises(httpx2.ConnectError):
            api.call(client.get, "http://127.0.0.1:9/")
    assert delays == [1, 2, 4, 8, 16] * 2


def test_B11_httpx2(server):
    httpx2 = pytest.importorskip("httpx2")
    api = Api(reuse_connections=True)
    assert [api.call(httpx2.get, server.url).status_code for _ in range(3)] == [200] * 3
    assert server.connections == 1
    api.close()
