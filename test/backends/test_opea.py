"""Behaviour of the OPEA backend against a loopback server that speaks the formats of OPEA's services."""

from __future__ import annotations

import pytest

from ..loopback import Reply, sse
from ..vendors import forms, opea
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


def test_rerank_returns_the_best_text_first(api, server):
    assert api.rerank("sky", ["blue", "the sky"], top_n=2) == [
        {"text": "the sky", "score": 1.0},
        {"text": "blue", "score": 0.0},
    ]
    assert server.requests[0].path == "/v1/reranking"
    assert server.requests[0].json() == {
        "input": "sky", "retrieved_docs": [{"text": "blue"}, {"text": "the sky"}], "top_n": 2,
    }  # fmt: skip


def test_retrieve_returns_the_nearest_documents(api, server):
    documents = api.retrieve("the sky", [0.5, 0.25], k=2)
    assert [document["text"] for document in documents] == ["0 about the sky", "1 about the sky"]
    assert server.requests[0].path == "/v1/retrieval"
    assert server.requests[0].json() == {"text": "the sky", "embedding": [0.5, 0.25], "k": 2}


def test_ingest_sends_files_and_links_as_a_form(api, server):
    answer = api.ingest([("a.txt", b"hi")], ["https://example.org"], chunk_size=500, process_table=True)
    assert answer["message"] == "Data preparation succeeded"
    assert server.requests[0].path == "/v1/dataprep/ingest"
    assert forms.form(server.requests[0]) == {
        "chunk_size": (None, b"500"),
        "process_table": (None, b"true"),
        "link_list": (None, b'["https://example.org"]'),
        "files": ("a.txt", b"hi"),
    }


def test_ingest_sends_each_file_in_a_field_of_the_same_name(api, server):
    api.ingest([("a.txt", b"hi"), ("b.txt", b"ho")])
    assert server.requests[0].body.count(b'name="files"; filename=') == 2


def test_ingested_files_are_listed_and_deleted(api, server):
    assert [file["name"] for file in api.list_files()] == ["a.txt"]
    assert api.delete_file("all") == {"status": True}
    assert [(request.method, request.path, request.json()) for request in server.requests] == [
        ("POST", "/v1/dataprep/get", {}),
        ("POST", "/v1/dataprep/delete", {"file_path": "all"}),
    ]
