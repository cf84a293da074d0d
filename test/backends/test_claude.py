"""Behaviour of the Claude backend against a loopback server that speaks Anthropic's format."""

from __future__ import annotations

import pytest

from ..vendors import claude
from .cases import HELLO


def test_chat_returns_the_message(api, server):
    answer = api.chat("claude-opus-5-5", HELLO, max_tokens=64, system="Be brief.")
    assert answer["content"] == [{"type": "text", "text": "Echo: Hello there"}]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.json() == {
        "model": "claude-opus-5-5",
        "messages": HELLO,
        "max_tokens": 64,
        "system": "Be brief.",
    }


def test_max_tokens_is_always_sent(api, server):
    api.chat("claude-opus-5-5", HELLO)
    assert server.requests[0].json()["max_tokens"] == 4096


def test_version_is_sent_with_every_request(api, server):
    api.chat("claude-opus-5-5", HELLO)
    api.list_models()
    for request in server.requests:
        assert request.headers["anthropic-version"] == "2026-10-21"
        assert "x-api-key" not in request.headers


def test_version_is_that_of_anthropics_own_client(backend):
    from anthropic._constants import ANTHROPIC_API_VERSION

    assert backend.API_VERSION == ANTHROPIC_API_VERSION


def test_sampling_parameters_that_the_version_has_no_more_are_refused(api, backend):
    with pytest.raises(backend.ClaudeError, match=r"^HTTP 400: temperature: Extra inputs are not permitted$"):
        api.chat("claude-opus-5-5", HELLO, temperature=0.5)


def test_system_message_among_the_messages_is_sent_as_it_is(api, server):
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    api.chat("claude-opus-5-5", messages)
    assert server.requests[0].json()["messages"] == messages


def test_stream_chat_yields_the_events_without_pings(api, server):
    events = list(api.stream_chat("claude-opus-5-5", HELLO))
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
    events = api.stream_chat("claude-opus-5-5", HELLO)
    assert [next(events)["type"], next(events)["type"]] == ["message_start", "content_block_delta"]
    with pytest.raises(backend.ClaudeError, match="Overloaded") as caught:
        next(events)
    assert caught.value.status is None


def test_error_before_a_stream_has_its_status(api, backend, server):
    server.script(claude.error(529, "overloaded_error", "Overloaded"))
    with pytest.raises(backend.ClaudeError, match="Overloaded") as caught:
        list(api.stream_chat("claude-opus-5-5", HELLO))
    assert caught.value.status == 529


def test_count_tokens_counts_the_system_prompt_too(api):
    assert api.count_tokens("claude-opus-5-5", HELLO, system="Be brief.") == 4


def test_count_tokens(api, server):
    assert api.count_tokens("claude-opus-5-5", HELLO) == 2
    assert server.requests[0].path == "/v1/messages/count_tokens"


def test_list_models_reads_all_pages(api, server):
    assert api.list_models() == claude.MODELS
    assert [request.query.get("after_id") for request in server.requests] == [
        None,
        ["claude-sonnet-5-5"],
    ]


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.ClaudeError) as caught:
        api.chat("claude-opus-5-5", [])
    assert caught.value.status == 400
    assert caught.value.message == "messages: at least one message is required"
