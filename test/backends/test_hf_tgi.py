"""Behaviour of the TGI backend against a loopback server that speaks Text Generation Inference's format."""

from __future__ import annotations

import pytest

from ..loopback import sse
from ..vendors import hf_tgi
from .cases import HELLO


def test_chat_returns_the_completion(api, server):
    answer = api.chat("tgi", HELLO, temperature=0.5)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json() == {"model": "tgi", "messages": HELLO, "temperature": 0.5}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = api.stream_chat("tgi", HELLO)
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": "tgi", "messages": HELLO, "stream": True}


def test_generate_sends_inputs_and_parameters(api, server):
    assert api.generate("Hi", max_new_tokens=5) == {"generated_text": "Echo: Hi"}
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/generate")
    assert request.json() == {"inputs": "Hi", "parameters": {"max_new_tokens": 5}}


def test_stream_generate_yields_tokens_and_the_whole_text_at_the_end(api, server):
    events = list(api.stream_generate("Hi", max_new_tokens=5))
    assert [event["token"]["text"] for event in events] == ["Echo: ", "Hi "]
    assert [event["generated_text"] for event in events] == [None, "Echo: Hi"]
    (request,) = server.requests
    assert request.path == "/generate_stream"
    assert request.json() == {"inputs": "Hi", "parameters": {"max_new_tokens": 5}}


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    failed = {"error": "Request failed during generation: out of memory", "error_type": "generation"}
    server.script(sse([hf_tgi.event(1, "Hel"), failed], done=None))
    events = api.stream_generate("Hi")
    assert next(events)["token"]["text"] == "Hel"
    with pytest.raises(backend.TGIError, match="Request failed during generation") as caught:
        next(events)
    assert caught.value.status is None


def test_error_event_inside_a_chat_stream_is_raised(api, backend, server):
    server.script(sse([{"error": {"message": "Incomplete generation", "http_status_code": 500}}]))
    with pytest.raises(backend.TGIError, match=r"^Incomplete generation$"):
        list(api.stream_chat("tgi", HELLO))


def test_overload_is_told_inside_the_stream_before_its_first_token(api, backend, server):
    server.script(hf_tgi.stream({"error": "Model is overloaded", "error_type": "overloaded"}))
    with pytest.raises(backend.TGIError, match=r"^Model is overloaded$") as caught:
        next(api.stream_generate("Hi"))
    assert caught.value.status is None


def test_empty_prompt_is_refused_inside_the_stream(api, backend):
    with pytest.raises(backend.TGIError, match="`inputs` cannot be empty"):
        list(api.stream_generate(""))


def test_overload_has_its_status_where_nothing_is_streamed(api, backend, server):
    server.script(hf_tgi.error(429, "Model is overloaded", "overloaded"))
    with pytest.raises(backend.TGIError) as caught:
        api.generate("Hi")
    assert (caught.value.status, caught.value.message) == (429, "Model is overloaded")


def test_refused_key_is_an_error_although_the_body_is_empty(case, backend, server):
    with pytest.raises(backend.TGIError, match=r"^HTTP 401: Unauthorized$"):
        list(case.make(backend, server, "wrong").stream_generate("Hi"))


def test_tokenize(api, server):
    assert [token["text"] for token in api.tokenize("Hi")] == ["H", "i"]
    assert (server.requests[0].path, server.requests[0].json()) == ("/tokenize", {"inputs": "Hi"})


def test_list_models(api, server):
    assert api.list_models() == [hf_tgi.MODEL]
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")


def test_info(api, server):
    assert api.info()["model_id"] == hf_tgi.MODEL
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/info")


def test_health_is_true_of_a_healthy_server(api, server):
    assert api.health() is True
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/health")


def test_health_is_false_of_an_unhealthy_server(api, server):
    server.script(hf_tgi.error(503, "unhealthy", "healthcheck"))
    assert api.health() is False


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.TGIError) as caught:
        api.generate("")
    assert caught.value.status == 422
    assert caught.value.message == "Input validation error: `inputs` cannot be empty"


def test_complete(api, server):
    assert api.complete("tgi", "Hi", max_tokens=5)["choices"][0]["text"] == "Echo: Hi"
    assert server.requests[0].path == "/v1/completions"
    assert server.requests[0].json() == {"model": "tgi", "prompt": "Hi", "max_tokens": 5}


def test_stream_complete_yields_the_chunks(api, server):
    chunks = api.stream_complete("tgi", "Hi")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Echo: Hi "
    assert server.requests[0].json() == {"model": "tgi", "prompt": "Hi", "stream": True}


def test_chat_tokenize_returns_the_prompt_and_its_tokens(api, server):
    answer = api.chat_tokenize("tgi", HELLO)
    assert answer["templated_text"] == "<user>Hello there"
    assert answer["tokenize_response"][0] == {"id": 0, "text": "<", "start": 0, "stop": 1}
    assert server.requests[0].path == "/chat_tokenize"
    assert server.requests[0].json() == {"model": "tgi", "messages": HELLO}
