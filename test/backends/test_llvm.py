"""Behaviour of the generic inference server's backend against a loopback server with OpenAI-style paths."""

from __future__ import annotations

import json

import pytest

from ..loopback import Reply, sse
from ..vendors import forms, llvm
from .cases import HELLO, QWEN


def test_chat_returns_the_completion(api, server):
    answer = api.chat(QWEN, HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json() == {"model": QWEN, "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = api.stream_chat(QWEN, HELLO)
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": QWEN, "messages": HELLO, "stream": True}


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    first = {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}
    server.script(sse([first, {"error": {"message": "engine died", "code": 500}}]))
    chunks = api.stream_chat(QWEN, HELLO)
    assert next(chunks) == first
    with pytest.raises(backend.LLVMError, match=r"^engine died$") as caught:
        next(chunks)
    assert caught.value.status is None


def test_error_before_a_stream_has_its_status(api, backend):
    with pytest.raises(backend.LLVMError) as caught:
        list(api.stream_chat("gone", HELLO))
    assert (caught.value.status, caught.value.message) == (404, "The model `gone` does not exist.")


def test_complete(api, server):
    assert api.complete(QWEN, "Hi", max_tokens=5)["choices"][0]["text"] == "Echo: Hi"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/completions")
    assert request.json() == {"model": QWEN, "prompt": "Hi", "max_tokens": 5}


def test_stream_complete_yields_the_chunks(api, server):
    chunks = api.stream_complete(QWEN, "Hi")
    assert "".join(c["choices"][0]["text"] for c in chunks) == "Echo: Hi "
    assert server.requests[0].json() == {"model": QWEN, "prompt": "Hi", "stream": True}


def test_list_models(api, server):
    assert api.list_models() == list(llvm.MODELS)
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")


def test_model_info_is_found_in_the_list(api, server):
    assert api.model_info(QWEN)["max_model_len"] == 4096
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/v1/models")]


def test_model_that_is_not_there(api, backend):
    with pytest.raises(
        backend.LLVMError, match="no model 'gone', only: Qwen/Qwen3-8B, BAAI/bge-reranker-v2-m3"
    ):
        api.model_info("gone")


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed(QWEN, ["a", "bbb"]) == [[1.0], [3.0]]
    assert server.requests[0].json() == {"model": QWEN, "input": ["a", "bbb"]}


def test_stream_of_llama_cpp_ends_without_an_empty_line(api, server):
    first, *_ = forms.chunks(QWEN, "Hi")
    server.script(Reply(200, iter([f"data: {json.dumps(first)}\n\n".encode(), b"data: [DONE]"])))
    assert list(api.stream_chat(QWEN, HELLO)) == [first]


def test_error_of_llama_cpp_in_a_field_of_its_own_is_raised(api, backend, server):
    failed = b'error: {"code":400,"message":"the request exceeds the available context size","type":"x"}\n\n'
    server.script(Reply(200, iter([failed, b"data: [DONE]\n\n"])))
    with pytest.raises(backend.LLVMError, match=r"^the request exceeds the available context size$"):
        list(api.stream_chat(QWEN, HELLO))


def test_error_in_the_form_that_vllm_had_before(api, backend, server):
    server.script(
        Reply(400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400})
    )
    with pytest.raises(backend.LLVMError, match=r"^HTTP 400: too long$"):
        api.chat(QWEN, HELLO)


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.LLVMError) as caught:
        api.chat("gone", HELLO)
    assert (caught.value.status, caught.value.message) == (404, "The model `gone` does not exist.")


def test_respond_returns_the_response(api, server):
    answer = api.respond(QWEN, "Hello there", temperature=0)
    assert answer["output"][0]["content"][0]["text"] == "Echo: Hello there"
    assert server.requests[0].path == "/v1/responses"
    assert server.requests[0].json() == {"model": QWEN, "input": "Hello there", "temperature": 0}


def test_stream_response_yields_the_typed_events(api, server):
    events = list(api.stream_response(QWEN, "Hello there"))
    assert events[-1]["type"] == "response.completed"
    assert "".join(event.get("delta", "") for event in events) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": QWEN, "input": "Hello there", "stream": True}


def test_event_of_a_failed_response_is_raised(api, backend, server):
    server.script(sse([{"type": "response.failed", "response": {"error": {"message": "out of memory"}}}]))
    with pytest.raises(backend.LLVMError, match=r"^out of memory$"):
        list(api.stream_response(QWEN, "Hi"))


def test_rerank_returns_the_best_document_first(api, server):
    ranks = api.rerank("BAAI/bge-reranker-v2-m3", "sky", ["blue", "the sky"], top_n=2)
    assert [(rank["index"], rank["relevance_score"]) for rank in ranks] == [(1, 1.0), (0, 0.0)]
    assert server.requests[0].path == "/v1/rerank"
    assert server.requests[0].json() == {
        "model": "BAAI/bge-reranker-v2-m3", "query": "sky", "documents": ["blue", "the sky"], "top_n": 2,
    }  # fmt: skip


def test_tokenize_is_beside_the_openai_style_paths_and_readable_by_vllm_and_llama_cpp(api, server):
    assert api.tokenize(QWEN, "abc", add_special=False) == [97, 98, 99]
    assert server.requests[0].path == "/tokenize"
    assert server.requests[0].json() == {
        "model": QWEN, "prompt": "abc", "content": "abc", "add_special": False,
    }  # fmt: skip
