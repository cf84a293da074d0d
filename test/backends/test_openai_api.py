"""Behaviour of the OpenAI backend against a loopback server that speaks OpenAI's format."""

from __future__ import annotations

import pytest

from ..loopback import sse
from ..vendors import forms, openai
from .cases import HELLO


def test_chat_returns_the_completion(api, server):
    answer = api.chat("gpt-4o", HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json() == {"model": "gpt-4o", "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = list(api.stream_chat("gpt-4o", HELLO, stream_options={"include_usage": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "Echo: Hello there "
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert server.requests[0].json() == {
        "model": "gpt-4o",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_chunk_of_usage_without_choices_is_yielded_too(api, server):
    usage = {"choices": [], "usage": {"total_tokens": 5}}
    server.script(sse([*forms.chunks("gpt-4o", "Hi"), usage]))
    assert list(api.stream_chat("gpt-4o", HELLO))[-1] == usage


def test_stream_of_a_server_that_sends_no_done_is_complete_with_its_finish_reason(api, server):
    server.script(sse(forms.chunks("gpt-4o", "Hi"), done=None))
    assert len(list(api.stream_chat("gpt-4o", HELLO))) == 3


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    failed = {"error": {"message": "The server had an error.", "type": "server_error", "code": None}}
    server.script(sse([forms.chunk("gpt-4o", {"content": "Hel"}), failed], done=None))
    chunks = api.stream_chat("gpt-4o", HELLO)
    assert next(chunks)["choices"][0]["delta"] == {"content": "Hel"}
    with pytest.raises(backend.OpenAIError, match=r"^The server had an error\.$"):
        next(chunks)


def test_complete(api, server):
    assert api.complete("gpt-3.5-turbo-instruct", "Hi", n=1)["choices"][0]["text"] == "Echo: Hi"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/completions")
    assert request.json() == {"model": "gpt-3.5-turbo-instruct", "prompt": "Hi", "n": 1}


def test_stream_complete_yields_the_chunks(api):
    chunks = api.stream_complete("gpt-3.5-turbo-instruct", "Hi")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Echo: Hi "


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed("text-embedding-3-small", ["a", "bbb"], dimensions=1) == [[1.0], [3.0]]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.json() == {"model": "text-embedding-3-small", "input": ["a", "bbb"], "dimensions": 1}


def test_list_models(api):
    assert api.list_models() == list(openai.MODELS)


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.OpenAIError) as caught:
        api.chat("gpt-4o", [])
    assert caught.value.status == 400
    assert caught.value.message == "Missing required parameter: 'messages'."


@pytest.mark.parametrize(
    "key", ["sk-proj-****************************************wxyz", "your-ope*******-key", '"sk-RoCv****ABM"']
)
def test_ends_of_a_key_that_openai_shows_are_not_shown(api, backend, server, key):
    server.script(
        openai.error(401, f"Incorrect API key provided: {key}. You can find your API key at https://x.")
    )
    with pytest.raises(backend.OpenAIError) as caught:
        api.list_models()
    assert caught.value.message.replace('"', "") == (
        "Incorrect API key provided: ***. You can find your API key at https://x."
    )


def test_message_of_a_megabyte_is_read_in_no_time(api, backend, server):
    server.script(openai.error(400, "x" * 1_000_000 + "*" * 1_000_000))
    with pytest.raises(backend.OpenAIError, match=r"^HTTP 400: \*\*\*$"):
        api.chat("gpt-4o", HELLO)


def test_quota_that_is_used_up_is_told(api, backend, server):
    message = "You exceeded your current quota, please check your plan and billing details."
    server.script(openai.error(429, message, "insufficient_quota", "insufficient_quota"))
    with pytest.raises(backend.OpenAIError) as caught:
        api.chat("gpt-4o", HELLO)
    assert (caught.value.status, caught.value.message) == (429, message)
