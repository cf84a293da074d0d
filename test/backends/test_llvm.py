"""Behaviour of the generic inference server's backend against a loopback server with OpenAI-style paths."""

from __future__ import annotations

import pytest

from ..loopback import LoopbackServer, Reply, sse
from ..vendors import llvm

HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def server():
    with LoopbackServer(llvm.app) as server:
        yield server


@pytest.fixture
def backend(load):
    return load("llvm")


@pytest.fixture
def api(backend, server):
    api = backend.llvm({}, {}, llvm.KEY, server.url + "/v1")
    yield api
    api.close()


def test_chat_returns_the_completion(api, server):
    answer = api.chat("llama-3", HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json() == {"model": "llama-3", "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = api.stream_chat("llama-3", HELLO)
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": "llama-3", "messages": HELLO, "stream": True}


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    first = {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}
    server.script(sse([first, {"error": {"message": "engine died", "code": 500}}]))
    chunks = api.stream_chat("llama-3", HELLO)
    assert next(chunks) == first
    with pytest.raises(backend.LLVMError, match=r"^engine died$") as caught:
        next(chunks)
    assert caught.value.status is None


def test_error_before_a_stream_has_its_status(api, backend):
    with pytest.raises(backend.LLVMError) as caught:
        list(api.stream_chat("gone", HELLO))
    assert (caught.value.status, caught.value.message) == (404, "The model `gone` does not exist.")


def test_complete(api, server):
    assert api.complete("llama-3", "Hi", max_tokens=5)["choices"][0]["text"] == "Echo: Hi"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/completions")
    assert request.json() == {"model": "llama-3", "prompt": "Hi", "max_tokens": 5}


def test_stream_complete_yields_the_chunks(api, server):
    chunks = api.stream_complete("llama-3", "Hi")
    assert "".join(c["choices"][0]["text"] for c in chunks) == "Echo: Hi "
    assert server.requests[0].json() == {"model": "llama-3", "prompt": "Hi", "stream": True}


def test_list_models(api, server):
    assert api.list_models() == list(llvm.MODELS)
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")


def test_model_info(api, server):
    assert api.model_info("llama-3")["max_model_len"] == 4096
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models/llama-3")


def test_model_name_with_a_slash_stays_one_part_of_the_path(api, server):
    assert api.model_info("mistralai/Mistral-7B")["id"] == "mistralai/Mistral-7B"
    assert server.requests[0].path == "/v1/models/mistralai%2FMistral-7B"


def test_connection(api, backend, server):
    assert api.test_connection()
    assert not backend.llvm({}, {}, "wrong", server.url + "/v1").test_connection()


def test_base_url_from_metadata(backend, server):
    assert backend.llvm({}, {"base_url": server.url + "/v1/"}).list_models() == list(llvm.MODELS)


def test_default_base_url(backend):
    assert backend.llvm().base_url == "http://localhost:8000/v1"


def test_key_is_sent_in_a_header_only(api, server):
    api.chat("llama-3", HELLO)
    api.list_models()
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {llvm.KEY}"
        assert llvm.KEY not in request.path + str(request.query) + request.body.decode()


def test_without_a_key_no_key_header_is_sent(backend, server):
    backend.llvm({}, {}, "", server.url + "/v1").list_models()
    assert "authorization" not in server.requests[0].headers


def test_error_has_status_and_message_and_no_key(api, backend):
    with pytest.raises(backend.LLVMError) as caught:
        api.chat("gone", HELLO)
    assert (caught.value.status, caught.value.message) == (404, "The model `gone` does not exist.")
    assert llvm.KEY not in str(caught.value) + repr(caught.value)


def test_answer_that_is_not_json_is_refused(api, backend, server):
    server.script(Reply(200, "<html>"))
    with pytest.raises(backend.LLVMError, match="not JSON"):
        api.chat("llama-3", HELLO)
