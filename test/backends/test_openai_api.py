"""Behaviour of the OpenAI backend against a loopback server that speaks OpenAI's format."""

from __future__ import annotations

import pytest

from ..loopback import LoopbackServer, Reply
from ..vendors import openai

HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def server():
    with LoopbackServer(openai.app) as server:
        yield server


@pytest.fixture
def backend(load):
    return load("openai_api")


@pytest.fixture
def api(backend, server):
    api = backend.openai_api({}, {}, openai.KEY, server.url + "/v1")
    yield api
    api.close()


def test_chat_returns_the_completion(api, server):
    answer = api.chat("gpt-4o", HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert request.json() == {"model": "gpt-4o", "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api):
    chunks = api.stream_chat("gpt-4o", HELLO)
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == "Echo: Hello there "


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    server.script(Reply(200, iter([b'data: {"error": {"message": "overloaded"}}\n\n'])))
    with pytest.raises(backend.OpenAIError, match="overloaded"):
        list(api.stream_chat("gpt-4o", HELLO))


def test_complete(api):
    assert api.complete("gpt-3.5-turbo-instruct", "Hi")["choices"][0]["text"] == "Echo: Hi"


def test_embeddings_come_in_the_order_of_the_texts(api):
    assert api.embed("text-embedding-3-small", ["a", "bbb"]) == [[1.0], [3.0]]


def test_list_models(api):
    assert api.list_models() == ["gpt-4o", "o3"]


def test_connection(api, backend, server):
    assert api.test_connection()
    assert not backend.openai_api({}, {}, "wrong", server.url + "/v1").test_connection()


def test_base_url_from_metadata(backend, server):
    api = backend.openai_api({}, {"base_url": server.url + "/v1/"}, openai.KEY)
    assert api.list_models() == ["gpt-4o", "o3"]


def test_error_has_status_and_message_and_no_key(api, backend):
    with pytest.raises(backend.OpenAIError) as caught:
        api.chat("gpt-4o", [])
    assert caught.value.status == 400
    assert caught.value.message == "'messages' is a required property"
    assert openai.KEY not in str(caught.value) + repr(caught.value)
