"""Behaviour of the TGI backend against a loopback server that speaks Text Generation Inference's format."""

from __future__ import annotations

import pytest

from ..loopback import LoopbackServer, Reply, sse
from ..vendors import hf_tgi

HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def server():
    with LoopbackServer(hf_tgi.app) as server:
        yield server


@pytest.fixture
def backend(load):
    return load("hf_tgi")


@pytest.fixture
def api(backend, server):
    api = backend.hf_tgi({}, {}, hf_tgi.KEY, server.url)
    yield api
    api.close()


def test_chat_returns_the_completion(api, server):
    answer = api.chat("tgi", HELLO, temperature=0.5)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json() == {"model": "tgi", "messages": HELLO, "temperature": 0.5}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = api.stream_chat("tgi", HELLO)
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == "Echo: Hello there "
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
    server.script(sse([hf_tgi.token(1, "Hel"), failed], done=None))
    events = api.stream_generate("Hi")
    assert next(events)["token"]["text"] == "Hel"
    with pytest.raises(backend.TGIError, match="Request failed during generation") as caught:
        next(events)
    assert caught.value.status is None


def test_error_event_inside_a_chat_stream_is_raised(api, backend, server):
    server.script(sse([{"error": {"message": "Incomplete generation", "http_status_code": 500}}]))
    with pytest.raises(backend.TGIError, match=r"^Incomplete generation$"):
        list(api.stream_chat("tgi", HELLO))


def test_overloaded_before_a_stream_has_its_status(api, backend, server):
    server.script(hf_tgi.error(429, "Model is overloaded", "overloaded"))
    api.max_retries = 0  # Nothing to a plain backend; one attempt to an enhanced one.
    with pytest.raises(backend.TGIError) as caught:
        list(api.stream_generate("Hi"))
    assert (caught.value.status, caught.value.message) == (429, "Model is overloaded")


def test_tokenize(api, server):
    assert [token["text"] for token in api.tokenize("Hi")] == ["H", "i"]
    assert (server.requests[0].path, server.requests[0].json()) == ("/tokenize", {"inputs": "Hi"})


def test_tokens_that_are_no_list_are_refused(api, backend, server):
    server.script(Reply(200, {"tokens": []}), Reply(200, "<html>"))
    with pytest.raises(backend.TGIError, match="not a JSON list"):
        api.tokenize("Hi")
    with pytest.raises(backend.TGIError, match="not JSON"):
        api.tokenize("Hi")


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
    api.max_retries = 0
    server.script(hf_tgi.error(503, "unhealthy", "healthcheck"))
    assert api.health() is False


def test_connection(api, backend, server):
    assert api.test_connection()
    assert not backend.hf_tgi({}, {}, "wrong", server.url).test_connection()


def test_base_url_from_metadata(backend, server):
    assert backend.hf_tgi({}, {"base_url": server.url + "/"}).list_models() == [hf_tgi.MODEL]


def test_default_base_url(backend):
    assert backend.hf_tgi().base_url == "http://localhost:8080"


def test_key_is_sent_in_a_header_only(api, server):
    api.chat("tgi", HELLO)
    api.info()
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {hf_tgi.KEY}"
        assert hf_tgi.KEY not in request.path + str(request.query) + request.body.decode()


def test_without_a_key_no_key_header_is_sent(backend, server):
    backend.hf_tgi({}, {}, "", server.url).generate("Hi")
    assert "authorization" not in server.requests[0].headers


def test_error_has_status_and_message_and_no_key(api, backend):
    with pytest.raises(backend.TGIError) as caught:
        api.generate("")
    assert caught.value.status == 422
    assert caught.value.message == "Input validation error: `inputs` cannot be empty"
    assert hf_tgi.KEY not in str(caught.value) + repr(caught.value)


def test_refused_key_is_an_error_although_the_body_is_empty(backend, server):
    with pytest.raises(backend.TGIError) as caught:
        backend.hf_tgi({}, {}, "wrong-canary", server.url).generate("Hi")
    assert (caught.value.status, caught.value.message) == (401, "Unauthorized")
    assert "wrong-canary" not in str(caught.value) + repr(caught.value)
