"""The vendors' own clients, asked the same as the backends: the loopback vendors must satisfy them, and the requests be alike.

So the loopback vendors cannot just answer whatever our backends happen to send.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import groq as groq_sdk
import openai as openai_sdk
import pytest

from ipfs_accelerate_py.api_backends.plain import claude, groq, openai_api

from .backends.cases import HELLO
from .loopback import LoopbackServer, Request
from .vendors import claude as claude_vendor
from .vendors import groq as groq_vendor
from .vendors import openai as openai_vendor


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


def essence(request: Request) -> dict[str, Any]:
    """Return of a request what an API looks at."""
    names = ("authorization", "x-api-key", "anthropic-version")
    form = request.headers.get("content-type", "").partition(";")[0]
    body = request.json() if form == "application/json" and request.body else None
    return {
        "route": (request.method, request.path, request.query),
        "headers": {name: request.headers.get(name) for name in names},
        "type": form if request.body else "",
        "body": body,
    }


# What is asked, by the vendor's own client and by our backend.

OPENAI = {
    "chat": (
        lambda sdk: sdk.chat.completions.create(model="gpt-4o", messages=HELLO, temperature=0).model_dump(),
        lambda api: api.chat("gpt-4o", HELLO, temperature=0),
    ),
    "complete": (
        lambda sdk: sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi").model_dump(),
        lambda api: api.complete("gpt-3.5-turbo-instruct", "Hi"),
    ),
    "embed": (
        lambda sdk: [
            row.embedding
            for row in sorted(
                sdk.embeddings.create(
                    model="text-embedding-3-small", input=["a", "bbb"], encoding_format="float"
                ).data,
                key=lambda row: row.index,
            )
        ],
        lambda api: api.embed("text-embedding-3-small", ["a", "bbb"], encoding_format="float"),
    ),
    "models": (lambda sdk: [model.id for model in sdk.models.list()], lambda api: api.list_models()),
    "stream_chat": (
        lambda sdk: [
            c.model_dump() for c in sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        ],
        lambda api: list(api.stream_chat("gpt-4o", HELLO)),
    ),
    "stream_complete": (
        lambda sdk: [
            c.model_dump()
            for c in sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi", stream=True)
        ],
        lambda api: list(api.stream_complete("gpt-3.5-turbo-instruct", "Hi")),
    ),
}

CLAUDE = {
    "chat": (
        lambda sdk: sdk.messages.create(
            model="claude-opus-5-5", messages=HELLO, max_tokens=64, system="Be brief."
        ).model_dump(),
        lambda api: api.chat("claude-opus-5-5", HELLO, 64, system="Be brief."),
    ),
    "stream_chat": (
        lambda sdk: [
            event.model_dump()
            for event in sdk.messages.create(
                model="claude-opus-5-5", messages=HELLO, max_tokens=64, stream=True
            )
        ],
        lambda api: list(api.stream_chat("claude-opus-5-5", HELLO, 64)),
    ),
    "count_tokens": (
        lambda sdk: sdk.messages.count_tokens(model="claude-opus-5-5", messages=HELLO).input_tokens,
        lambda api: api.count_tokens("claude-opus-5-5", HELLO),
    ),
    "models": (
        lambda sdk: [model.id for model in sdk.models.list(limit=1000)],
        lambda api: api.list_models(),
    ),
}

LLAMA, WHISPER, NOMIC = groq_vendor.MODELS
GROQ = {
    "chat": (
        lambda sdk: sdk.chat.completions.create(model=LLAMA, messages=HELLO).model_dump(),
        lambda api: api.chat(LLAMA, HELLO),
    ),
    "stream_chat": (
        lambda sdk: [
            c.model_dump() for c in sdk.chat.completions.create(model=LLAMA, messages=HELLO, stream=True)
        ],
        lambda api: list(api.stream_chat(LLAMA, HELLO)),
    ),
    "embed": (
        lambda sdk: [
            row.embedding
            for row in sorted(
                sdk.embeddings.create(model=NOMIC, input=["a", "bbb"]).data, key=lambda r: r.index
            )
        ],
        lambda api: api.embed(NOMIC, ["a", "bbb"]),
    ),
    "transcribe": (
        lambda sdk: sdk.audio.transcriptions.create(model=WHISPER, file=("hello.wav", b"RIFF")).text,
        lambda api: api.transcribe(WHISPER, "hello.wav", b"RIFF")["text"],
    ),
    "models": (lambda sdk: [model.id for model in sdk.models.list().data], lambda api: api.list_models()),
}


def within(part: Any, whole: Any) -> bool:
    """Return True if all that is in `part` is in `whole`, which may have more: fields that are None, or unknown."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(within(value, whole.get(name)) for name, value in part.items() if value is not None)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(within(a, b) for a, b in zip(part, whole, strict=True))
    return bool(part == whole)


@pytest.mark.parametrize("name", OPENAI)
def test_openai(server, name):
    server.app = openai_vendor.app
    theirs, ours = OPENAI[name]
    with openai_sdk.OpenAI(api_key=openai_vendor.KEY, base_url=server.url + "/v1", max_retries=0) as sdk:
        expected = theirs(sdk)
    answer = ours(openai_api({}, {}, openai_vendor.KEY, server.url + "/v1"))
    assert within(answer, expected)
    assert essence(server.requests[1]) == essence(server.requests[0])


@pytest.mark.parametrize("name", CLAUDE)
def test_claude(server, name):
    server.app = claude_vendor.app
    theirs, ours = CLAUDE[name]
    with anthropic.Anthropic(api_key=claude_vendor.KEY, base_url=server.url, max_retries=0) as sdk:
        expected = theirs(sdk)
    requests = len(server.requests)
    answer = ours(claude({}, {}, claude_vendor.KEY, server.url))
    assert within(answer, expected)
    assert [essence(r) for r in server.requests[requests:]] == [
        essence(r) for r in server.requests[:requests]
    ]


@pytest.mark.parametrize("name", GROQ)
def test_groq(server, name):
    server.app = groq_vendor.app
    theirs, ours = GROQ[name]
    with groq_sdk.Groq(api_key=groq_vendor.KEY, base_url=server.url, max_retries=0) as sdk:
        expected = theirs(sdk)
    answer = ours(groq({}, {}, groq_vendor.KEY, server.url + "/openai/v1"))
    assert within(answer, expected)
    assert essence(server.requests[1]) == essence(server.requests[0])


def test_errors_are_in_a_form_that_the_vendors_clients_read(server):
    cases = [
        (
            openai_vendor,
            openai_sdk.AuthenticationError,
            lambda: openai_sdk.OpenAI(
                api_key="wrong", base_url=server.url + "/v1", max_retries=0
            ).models.list(),
            lambda error: (error.code, error.type),
            ("invalid_api_key", "invalid_request_error"),
        ),
        (
            claude_vendor,
            anthropic.AuthenticationError,
            lambda: anthropic.Anthropic(api_key="wrong", base_url=server.url, max_retries=0).models.list(),
            lambda error: error.body["error"]["type"],
            "authentication_error",
        ),
        (
            groq_vendor,
            groq_sdk.AuthenticationError,
            lambda: groq_sdk.Groq(api_key="wrong", base_url=server.url, max_retries=0).models.list(),
            lambda error: error.body["error"]["code"],
            "invalid_api_key",
        ),
    ]
    for vendor, error, call, read, expected in cases:
        server.app = vendor.app
        with pytest.raises(error) as caught:
            call()
        assert read(caught.value) == expected
