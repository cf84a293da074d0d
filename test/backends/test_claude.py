"""Behaviour of the Claude backend against a loopback server that speaks Anthropic's format."""

from __future__ import annotations

import pytest

from ..loopback import LoopbackServer
from ..vendors import claude

HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def server():
    with LoopbackServer(claude.app) as server:
        yield server


@pytest.fixture
def backend(load):
    return load("claude")


@pytest.fixture
def api(backend, server):
    api = backend.claude({}, {}, claude.KEY, server.url)
    yield api
    api.close()


def test_chat_returns_the_message(api, server):
    answer = api.chat("claude-opus-4-5", HELLO, max_tokens=64, system="Be brief.")
    assert answer["content"] == [{"type": "text", "text": "Echo: Hello there"}]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.json() == {
        "model": "claude-opus-4-5",
        "messages": HELLO,
        "max_tokens": 64,
        "system": "Be brief.",
    }


def test_max_tokens_is_always_sent(api, server):
    api.chat("claude-opus-4-5", HELLO)
    assert server.requests[0].json()["max_tokens"] == 4096


def test_key_and_version_are_sent_in_headers_only(api, server):
    api.chat("claude-opus-4-5", HELLO)
    api.list_models()
    for request in server.requests:
        assert request.headers["x-api-key"] == claude.KEY
        assert request.headers["anthropic-version"] == "2026-10-21"
        assert "authorization" not in request.headers
        assert claude.KEY not in request.path + str(request.query) + request.body.decode()


def test_without_a_key_no_key_header_is_sent(backend, server):
    with pytest.raises(backend.ClaudeError, match="invalid x-api-key"):
        backend.claude(base_url=server.url).chat("claude-opus-4-5", HELLO)
    assert "x-api-key" not in server.requests[0].headers


def test_stream_chat_yields_the_events_without_pings(api, server):
    events = list(api.stream_chat("claude-opus-4-5", HELLO))
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert "ping" not in kinds
    deltas = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(deltas) == "Echo: Hello there "
    assert server.requests[0].json()["stream"] is True


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    server.script(claude.stream([claude.start(), claude.delta("Hel"), overloaded]))
    events = api.stream_chat("claude-opus-4-5", HELLO)
    assert [next(events)["type"], next(events)["type"]] == ["message_start", "content_block_delta"]
    with pytest.raises(backend.ClaudeError, match="Overloaded") as caught:
        next(events)
    assert caught.value.status is None


def test_stream_that_ends_without_message_stop_is_an_error(api, backend, server):
    server.script(claude.stream([claude.start(), claude.delta("Hel")]))
    with pytest.raises(backend.ClaudeError, match="ended before message_stop"):
        list(api.stream_chat("claude-opus-4-5", HELLO))


def test_error_before_a_stream_has_its_status(api, backend, server):
    api.max_retries = 0  # of the enhanced backend
    server.script(claude.error(529, "overloaded_error", "Overloaded"))
    with pytest.raises(backend.ClaudeError, match="Overloaded") as caught:
        list(api.stream_chat("claude-opus-4-5", HELLO))
    assert caught.value.status == 529


def test_count_tokens(api, server):
    assert api.count_tokens("claude-opus-4-5", HELLO) == 2
    assert server.requests[0].path == "/v1/messages/count_tokens"


def test_list_models_reads_all_pages(api, server):
    assert api.list_models() == claude.MODELS
    assert [request.query.get("after_id") for request in server.requests] == [
        None,
        ["claude-sonnet-4-5"],
    ]


def test_connection(api, backend, server):
    assert api.test_connection()
    assert not backend.claude({}, {}, "wrong", server.url).test_connection()


def test_base_url_from_metadata(backend, server):
    api = backend.claude({}, {"base_url": server.url + "/"}, claude.KEY)
    assert api.list_models() == claude.MODELS


def test_error_has_status_and_message_and_no_key(api, backend):
    with pytest.raises(backend.ClaudeError) as caught:
        api.chat("claude-opus-4-5", [])
    assert caught.value.status == 400
    assert caught.value.message == "messages: at least one message is required"
    assert claude.KEY not in str(caught.value) + repr(caught.value)
