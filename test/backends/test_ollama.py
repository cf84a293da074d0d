"""Behaviour of the Ollama backend against a loopback server that speaks Ollama's format."""

from __future__ import annotations

import json

import pytest

from ..loopback import Reply
from ..vendors import ollama
from .cases import HELLO


def routes(server):
    return [(request.method, request.path) for request in server.requests]


def test_chat_returns_the_answer(api, server):
    answer = api.chat("llama3.2", HELLO, options={"temperature": 0})
    assert answer["message"] == {"role": "assistant", "content": "Echo: Hello there"}
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/api/chat")
    assert request.json() == {
        "model": "llama3.2",
        "messages": HELLO,
        "stream": False,
        "options": {"temperature": 0},
    }


def test_stream_chat_yields_the_pieces(api, server):
    pieces = list(api.stream_chat("llama3.2", HELLO))
    assert "".join(piece["message"]["content"] for piece in pieces) == "Echo: Hello there "
    assert [piece["done"] for piece in pieces] == [False, False, False, True]
    assert server.requests[0].json()["stream"] is True


def test_error_line_inside_a_stream_is_raised(api, backend, server):
    server.script(ollama.lines([ollama.piece("Hel"), {"error": "llama runner terminated"}]))
    pieces = api.stream_chat("llama3.2", HELLO)
    assert next(pieces)["message"]["content"] == "Hel"
    with pytest.raises(backend.OllamaError, match="llama runner terminated") as caught:
        next(pieces)
    assert caught.value.status is None


def test_error_before_a_stream_has_its_status(api, backend, server):
    server.script(ollama.error(503, "server busy, please try again"))
    with pytest.raises(backend.OllamaError, match="server busy") as caught:
        list(api.stream_chat("llama3.2", HELLO))
    assert caught.value.status == 503


def test_complete(api, server):
    assert api.complete("llama3.2", "Hi")["response"] == "Echo: Hi"
    (request,) = server.requests
    assert request.path == "/api/generate"
    assert request.json() == {"model": "llama3.2", "prompt": "Hi", "stream": False}


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed("all-minilm", ["a", "bbb"], truncate=False) == [[1.0], [3.0]]
    (request,) = server.requests
    assert request.path == "/api/embed"
    assert request.json() == {"model": "all-minilm", "input": ["a", "bbb"], "truncate": False}


def test_one_text_has_one_embedding(api):
    assert api.embed("all-minilm", "four") == [[4.0]]


def test_stream_complete_yields_the_pieces(api, server):
    pieces = list(api.stream_complete("llama3.2", "Hi"))
    assert "".join(piece["response"] for piece in pieces) == "Echo: Hi "
    assert pieces[-1]["eval_count"] == 3
    assert server.requests[0].json() == {"model": "llama3.2", "prompt": "Hi", "stream": True}


def test_letters_that_split_lines_elsewhere_split_none_here(api, server):
    text = "one\u2028two\x85three"
    whole = json.dumps(ollama.piece(text, done=True), ensure_ascii=False).encode() + b"\n"
    server.script(Reply(200, iter([whole[:70], whole[70:]])))
    (piece,) = api.stream_chat("llama3.2", HELLO)
    assert piece["message"]["content"] == text


def test_list_models(api):
    assert api.list_models() == ollama.MODELS


def test_pull_yields_the_progress(api, server):
    reports = list(api.pull("llama3.2"))
    assert [report["status"] for report in reports] == [
        "pulling manifest",
        "pulling 1",
        "verifying sha256 digest",
        "success",
    ]
    (request,) = server.requests
    assert request.path == "/api/pull"
    assert request.json() == {"model": "llama3.2", "stream": True}


def test_pull_that_fails_raises_the_error_line(api, backend, server):
    message = "pull model manifest: file does not exist"
    server.script(ollama.lines([{"status": "pulling manifest"}, {"error": message}]))
    with pytest.raises(backend.OllamaError, match=message):
        list(api.pull("no-such-model"))


def test_version(api, server):
    assert api.version() == "0.13.0"
    assert server.requests[0].path == "/api/version"


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.OllamaError) as caught:
        api.chat("no-such-model", HELLO)
    assert caught.value.status == 404
    assert caught.value.message == "model 'no-such-model' not found"


def test_ps(api, server):
    assert [model["name"] for model in api.ps()] == ["llama3.2:latest"]
    assert routes(server) == [("GET", "/api/ps")]


def test_show(api, server):
    assert api.show("llama3.2", verbose=True)["capabilities"] == ["completion"]
    assert routes(server) == [("POST", "/api/show")]
    assert server.requests[0].json() == {"model": "llama3.2", "verbose": True}


def test_create_yields_the_progress(api, server):
    reports = list(api.create("short", from_="llama3.2", system="Be brief."))
    assert [report["status"] for report in reports] == ["creating new layer", "writing manifest", "success"]
    assert routes(server) == [("POST", "/api/create")]
    body = {"model": "short", "from": "llama3.2", "system": "Be brief.", "stream": True}
    assert server.requests[0].json() == body


def test_copy(api, server):
    assert api.copy("llama3.2", "second") is None
    assert routes(server) == [("POST", "/api/copy")]
    assert server.requests[0].json() == {"source": "llama3.2", "destination": "second"}


def test_delete(api, backend, server):
    assert api.delete("llama3.2") is None
    assert routes(server) == [("DELETE", "/api/delete")]
    assert server.requests[0].json() == {"model": "llama3.2"}
    with pytest.raises(backend.OllamaError, match="'gone' not found"):
        api.delete("gone")
