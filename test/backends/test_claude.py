"""Behaviour of the Claude backend against a loopback server that speaks Anthropic's format."""

from __future__ import annotations

import pytest

from ..loopback import Reply
from ..vendors import claude, forms
from .cases import HELLO, MESSAGE


def routes(server):
    return [(request.method, request.path) for request in server.requests]


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"code": 500, "message": "out of memory", "type": "server_error"}', "out of memory"),
        (b"out of memory", "out of memory"),
        (b"{}", "error in the stream"),
    ],
    ids=["llama.cpp", "text", "no message"],
)
def test_event_named_error_is_raised_whatever_its_data_looks_like(api, backend, server, data, message):
    server.script(Reply(200, iter([b"event: error\ndata: " + data + b"\n\n"])))
    with pytest.raises(backend.ClaudeError) as caught:
        list(api.stream_chat("claude-opus-5-5", HELLO))
    assert (caught.value.status, caught.value.message) == (None, message)


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


def test_betas_of_a_call_go_into_their_header(api, server):
    api.chat("claude-opus-5-5", HELLO, betas=["fast-mode-2026-02-01", "other-2026-01-01"])
    (request,) = server.requests
    assert request.headers["anthropic-beta"] == "fast-mode-2026-02-01,other-2026-01-01"
    assert "betas" not in request.json()


@pytest.mark.parametrize(
    "call",
    [
        lambda api, **betas: list(api.stream_chat("claude-opus-5-5", HELLO, **betas)),
        lambda api, **betas: api.count_tokens("claude-opus-5-5", HELLO, **betas),
        lambda api, **betas: api.upload_file("a.txt", b"hi", **betas),
        lambda api, **betas: api.list_files(**betas),
        lambda api, **betas: list(api.batch_results("msgbatch_1", **betas)),
        lambda api, **betas: api.delete_file("file_1", **betas),
    ],
)
def test_all_methods_take_betas(api, server, call):
    call(api, betas=["a-2026-01-01"])
    assert {request.headers["anthropic-beta"] for request in server.requests} == {"a-2026-01-01"}
    assert not any("betas" in request.query for request in server.requests)


def test_betas_of_an_instance_are_among_its_headers(api, server):
    api.headers["anthropic-beta"] = "a-2026-01-01"
    api.chat("claude-opus-5-5", HELLO)
    assert server.requests[0].headers["anthropic-beta"] == "a-2026-01-01"


def test_create_batch(api, server):
    assert api.create_batch([MESSAGE])["processing_status"] == "in_progress"
    assert routes(server) == [("POST", "/v1/messages/batches")]
    assert server.requests[0].json() == {"requests": [MESSAGE]}


def test_batches_are_listed_read_stopped_and_deleted(api, server):
    assert [batch["id"] for batch in api.list_batches()] == claude.BATCHES
    assert api.get_batch("msgbatch_1")["processing_status"] == "ended"
    assert api.cancel_batch("msgbatch_1")["processing_status"] == "canceling"
    api.delete_batch("msgbatch_1")
    assert server.requests[1].query == {"after_id": ["msgbatch_2"]}
    assert routes(server)[2:] == [
        ("GET", "/v1/messages/batches/msgbatch_1"),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel"),
        ("DELETE", "/v1/messages/batches/msgbatch_1"),
    ]


def test_batch_results_yields_each_result(api, server):
    results = list(api.batch_results("msgbatch_1"))
    assert [result["custom_id"] for result in results] == ["b", "a"]
    assert results[0]["result"]["message"]["content"][0]["text"] == "Echo: b"
    assert routes(server) == [("GET", "/v1/messages/batches/msgbatch_1/results")]


def test_upload_file_sends_the_kind_of_its_content(api, server):
    assert api.upload_file("a.txt", b"hi")["size_bytes"] == 2
    (request,) = server.requests
    assert routes(server) == [("POST", "/v1/files")]
    assert forms.form(request) == {"file": ("a.txt", b"hi")}
    assert b"Content-Type: text/plain" in request.body


def test_files_are_listed_described_read_and_deleted(api, server):
    assert [file["id"] for file in api.list_files()] == claude.FILES
    assert server.requests[1].query == {"page": ["2"]}
    assert api.get_file("file_1")["filename"] == "a.txt"
    assert api.download_file("file_1") == b"hi"
    api.delete_file("file_1")
    assert routes(server)[2:] == [
        ("GET", "/v1/files/file_1"),
        ("GET", "/v1/files/file_1/content"),
        ("DELETE", "/v1/files/file_1"),
    ]


def test_model_info(api, server):
    assert api.model_info("claude-opus-5-5")["display_name"] == "claude-opus-5-5"
    assert routes(server) == [("GET", "/v1/models/claude-opus-5-5")]
