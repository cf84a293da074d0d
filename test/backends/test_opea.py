"""Behaviour of the OPEA backend against a loopback server that speaks the formats of OPEA's services."""

from __future__ import annotations

import pytest

from ..loopback import Reply, sse
from ..vendors import opea
from .cases import HELLO

LLAMA = "meta-llama/Meta-Llama-3-8B-Instruct"


@pytest.fixture
def microservice(backend, server):
    api = backend.opea({}, {"chat_path": "/v1/chat/completions"}, opea.KEY, server.url)
    yield api
    api.close()


def text_of(chunks):
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def test_chat_returns_the_completion(api, server):
    answer = api.chat(LLAMA, HELLO, top_n=3)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chatqna")
    assert request.json() == {"model": LLAMA, "messages": HELLO, "top_n": 3, "stream": False}


def test_chat_with_a_microservice(microservice, server):
    answer = microservice.chat(LLAMA, HELLO)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    assert server.requests[0].path == "/v1/chat/completions"


def test_stream_chat_turns_the_text_of_a_megaservice_into_chunks(api, server):
    hello = [{"role": "user", "content": "it's 5 °C"}]
    assert text_of(api.stream_chat(LLAMA, hello)) == "Echo: it's 5 °C "
    assert server.requests[0].json() == {"model": LLAMA, "messages": hello, "stream": True}


def test_stream_chat_yields_the_chunks_of_a_microservice(microservice):
    assert text_of(microservice.stream_chat(LLAMA, HELLO)) == "Echo: Hello there "


def test_text_that_a_service_did_not_escape_comes_as_it_stands(api, server):
    server.script(sse(["b'it's °C'"]))
    assert text_of(api.stream_chat(LLAMA, HELLO)) == "it's °C"


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    server.script(sse(["b'Hel'", {"error": {"message": "the LLM is gone"}}]))
    chunks = api.stream_chat(LLAMA, HELLO)
    assert text_of([next(chunks)]) == "Hel"
    with pytest.raises(backend.OPEAError, match=r"^the LLM is gone$") as caught:
        next(chunks)
    assert caught.value.status is None


def test_error_before_a_stream_has_its_status(api, backend, server):
    server.script(opea.error(400, "Guardrails: the question is not allowed"))
    with pytest.raises(backend.OPEAError) as caught:
        list(api.stream_chat(LLAMA, HELLO))
    assert (caught.value.status, caught.value.message) == (400, "Guardrails: the question is not allowed")


def test_stream_of_a_service_that_failed_is_empty_and_an_error(api, backend, server):
    """The orchestrator passes nothing on from a model server that answered with an error."""
    server.script(Reply(200, iter(()), {"Content-Type": "text/event-stream"}))
    with pytest.raises(backend.OPEAError, match="ended before the answer was complete"):
        list(api.stream_chat(LLAMA, HELLO))


def test_complete_sends_the_prompt_in_place_of_the_messages(api, server):
    assert api.complete(LLAMA, "Hi")["choices"][0]["message"]["content"] == "Echo: Hi"
    (request,) = server.requests
    assert request.path == "/v1/chatqna"
    assert request.json() == {"model": LLAMA, "messages": "Hi", "stream": False}


def test_stream_complete_yields_the_chunks(api, server):
    assert text_of(api.stream_complete(LLAMA, "Hi")) == "Echo: Hi "
    assert server.requests[0].json() == {"model": LLAMA, "messages": "Hi", "stream": True}


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed("BAAI/bge-base-en-v1.5", ["a", "bbb"]) == [[1.0], [3.0]]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.json() == {"model": "BAAI/bge-base-en-v1.5", "input": ["a", "bbb"]}


def test_health_tells_which_service_it_is(api, server):
    assert api.health()["Service Title"] == "ChatQnAService/MicroService"
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/health_check")


def test_error_has_its_status_and_message(backend, server):
    with pytest.raises(backend.OPEAError) as caught:
        backend.opea({}, {}, "wrong-canary", server.url).chat(LLAMA, HELLO)
    assert (caught.value.status, caught.value.message) == (401, "Not authenticated")
    assert "wrong-canary" not in str(caught.value) + repr(caught.value)


def test_failure_in_a_service_has_its_status(api, backend):
    with pytest.raises(backend.OPEAError) as caught:
        api.chat(LLAMA, [])
    assert (caught.value.status, caught.value.message) == (500, "Internal Server Error")
