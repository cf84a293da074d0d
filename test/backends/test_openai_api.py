"""Behaviour of the OpenAI backend against a loopback server that speaks OpenAI's format."""

from __future__ import annotations

import pytest

from ..loopback import Reply, sse
from ..vendors import forms, openai
from .cases import HELLO


def test_respond_returns_the_response(api, server):
    answer = api.respond("gpt-6-luna", "Hello there", instructions="Be brief.")
    assert answer["output"][0]["content"][0]["text"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/responses")
    assert request.json() == {"model": "gpt-6-luna", "input": "Hello there", "instructions": "Be brief."}


def test_respond_takes_a_list_of_items(api):
    assert api.respond("gpt-6-luna", HELLO)["output"][0]["content"][0]["text"] == "Echo: Hello there"


def test_stream_response_yields_the_typed_events(api, server):
    events = list(api.stream_response("gpt-6-luna", "Hello there"))
    assert [event["type"] for event in events] == [
        "response.created",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.completed",
    ]
    assert "".join(event.get("delta", "") for event in events) == "Echo: Hello there "
    assert server.requests[0].json() == {"model": "gpt-6-luna", "input": "Hello there", "stream": True}


def test_response_that_is_cut_short_by_its_limits_is_complete(api, server):
    incomplete = {"type": "response.incomplete", "response": {"status": "incomplete"}}
    server.script(sse([incomplete], done=None))
    assert list(api.stream_response("gpt-6-luna", "Hi")) == [incomplete]


@pytest.mark.parametrize(
    "failed",
    [
        {"type": "error", "code": "server_error", "message": "Out of order.", "param": None},
        {"type": "response.failed", "response": {"status": "failed", "error": {"message": "Out of order."}}},
    ],
    ids=lambda event: event["type"],
)
def test_event_of_a_failed_response_is_raised(api, backend, server, failed):
    server.script(sse([{"type": "response.created", "response": {"error": None}}, failed], done=None))
    events = api.stream_response("gpt-6-luna", "Hi")
    assert next(events)["type"] == "response.created"
    with pytest.raises(backend.OpenAIError, match=r"^Out of order\.$"):
        next(events)


def test_stored_response_is_read_stopped_and_deleted(api, server):
    assert api.get_response("resp_1", include=["usage"])["id"] == "resp_1"
    assert api.cancel_response("resp_1")["status"] == "completed"
    api.delete_response("resp_1")
    assert [(r.method, r.path, r.query) for r in server.requests] == [
        ("GET", "/v1/responses/resp_1", {"include": ["usage"]}),
        ("POST", "/v1/responses/resp_1/cancel", {}),
        ("DELETE", "/v1/responses/resp_1", {}),
    ]


def test_count_tokens(api, server):
    assert api.count_tokens("gpt-6-luna", "Hello there") == 2
    assert (server.requests[0].method, server.requests[0].path) == ("POST", "/v1/responses/input_tokens")


def test_moderate_returns_a_verdict_for_each_text(api, server):
    verdicts = api.moderate("omni-moderation-latest", ["kill", "kiss"])
    assert [verdict["flagged"] for verdict in verdicts] == [True, False]
    assert server.requests[0].path == "/v1/moderations"


def test_transcribe_sends_a_form(api, server):
    answer = api.transcribe(
        "gpt-transcribe", "a.wav", b"RIFF", language="en", timestamp_granularities=["word", "segment"]
    )
    assert answer == {"text": "Heard 4 bytes"}
    (request,) = server.requests
    assert request.path == "/v1/audio/transcriptions"
    assert forms.form(request) == {
        "model": (None, b"gpt-transcribe"),
        "language": (None, b"en"),
        "timestamp_granularities[]": (None, b"segment"),  # the last of both
        "file": ("a.wav", b"RIFF"),
    }


def test_translate_sends_a_form(api, server):
    assert api.translate("whisper-1", "a.wav", b"RIFF") == {"text": "Heard 4 bytes"}
    assert server.requests[0].path == "/v1/audio/translations"


def test_speak_returns_the_sound(api, server):
    assert api.speak("gpt-4o-mini-tts", "Hi", "alloy", response_format="mp3") == b"\xff\xf3Hi"
    (request,) = server.requests
    assert request.path == "/v1/audio/speech"
    assert request.json() == {
        "model": "gpt-4o-mini-tts", "input": "Hi", "voice": "alloy", "response_format": "mp3",
    }  # fmt: skip


def test_draw_returns_the_images(api, server):
    assert api.draw("gpt-image-2", "a cat", n=1) == [{"b64_json": "aGk="}]
    assert server.requests[0].path == "/v1/images/generations"
    assert server.requests[0].json() == {"model": "gpt-image-2", "prompt": "a cat", "n": 1}


def test_edit_image_sends_one_image_or_several_and_a_mask(api, server):
    cat, mask = ("cat.png", b"PNG"), ("mask.png", b"PNG2")
    assert api.edit_image("gpt-image-2", "a hat", cat, mask) == [{"b64_json": "aGk="}]
    api.edit_image("gpt-image-2", "a hat", [cat, mask])
    one, several = map(forms.form, server.requests)
    assert (one["image"], one["mask"]) == (cat, mask)
    assert several["image[]"] == mask  # the last of both
    assert server.requests[0].path == "/v1/images/edits"


def test_upload_file_sends_a_form(api, server):
    stored = api.upload_file(
        "in.jsonl", b"{}", "batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (stored["id"], stored["filename"], stored["purpose"]) == ("file-9", "in.jsonl", "batch")
    assert forms.form(server.requests[0]) == {
        "purpose": (None, b"batch"),
        "expires_after[anchor]": (None, b"created_at"),
        "expires_after[seconds]": (None, b"3600"),
        "file": ("in.jsonl", b"{}"),
    }


def test_list_files_reads_all_pages(api, server):
    assert [file["id"] for file in api.list_files(purpose="batch")] == list(openai.FILES)
    assert [r.query for r in server.requests] == [
        {"purpose": ["batch"]},
        {"purpose": ["batch"], "after": ["file-2"]},
    ]


@pytest.mark.parametrize("last", [{"file-1": "file-1"}, {"file-1": "file-2", "file-2": "file-1"}])
def test_list_whose_pages_come_again_is_an_error(api, backend, server, last):
    """Where the page after the last one is that page itself, or the one before it."""

    def app(request):
        after = request.query.get("after", ["file-1"])[0]
        return Reply(200, {"data": [{"id": last[after]}], "has_more": True})

    server.app = app
    with pytest.raises(backend.OpenAIError, match="never ends"):
        api.list_files()
    assert len(server.requests) == len(last) + 1


def test_stored_file_is_described_read_and_deleted(api, server):
    assert api.get_file("file-1")["filename"] == "in.jsonl"
    assert api.download_file("file-1") == b'{"custom_id": "a"}'
    api.delete_file("file-1")
    assert [(r.method, r.path) for r in server.requests] == [
        ("GET", "/v1/files/file-1"),
        ("GET", "/v1/files/file-1/content"),
        ("DELETE", "/v1/files/file-1"),
    ]


def test_id_stays_one_part_of_the_path(api, backend, server):
    with pytest.raises(backend.OpenAIError, match="No such files object"):
        api.get_file("../models")
    assert server.requests[0].path == "/v1/files/..%2Fmodels"


def test_create_batch(api, server):
    assert api.create_batch("file-1", "/v1/responses", metadata={"job": "7"})["status"] == "validating"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/batches")
    assert request.json() == {
        "completion_window": "24h", "input_file_id": "file-1", "endpoint": "/v1/responses", "metadata": {"job": "7"},
    }  # fmt: skip


def test_batches_are_listed_read_and_stopped(api, server):
    assert [batch["id"] for batch in api.list_batches()] == list(openai.BATCHES)
    assert api.get_batch("batch-1")["status"] == "completed"
    assert api.cancel_batch("batch-1")["status"] == "cancelling"
    assert [(r.method, r.path) for r in server.requests[-2:]] == [
        ("GET", "/v1/batches/batch-1"),
        ("POST", "/v1/batches/batch-1/cancel"),
    ]


def test_model_info(api, server):
    assert api.model_info("gpt-6-luna")["id"] == "gpt-6-luna"
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models/gpt-6-luna")


def test_chat_returns_the_completion(api, server):
    answer = api.chat("gpt-6-luna", HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json() == {"model": "gpt-6-luna", "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = list(api.stream_chat("gpt-6-luna", HELLO, stream_options={"include_usage": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "Echo: Hello there "
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert server.requests[0].json() == {
        "model": "gpt-6-luna",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_chunk_of_usage_without_choices_is_yielded_too(api, server):
    usage = {"choices": [], "usage": {"total_tokens": 5}}
    server.script(sse([*forms.chunks("gpt-6-luna", "Hi"), usage]))
    assert list(api.stream_chat("gpt-6-luna", HELLO))[-1] == usage


def test_stream_of_a_server_that_sends_no_done_is_complete_with_its_finish_reason(api, server):
    server.script(sse(forms.chunks("gpt-6-luna", "Hi"), done=None))
    assert len(list(api.stream_chat("gpt-6-luna", HELLO))) == 3


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    failed = {"error": {"message": "The server had an error.", "type": "server_error", "code": None}}
    server.script(sse([forms.chunk("gpt-6-luna", {"content": "Hel"}), failed], done=None))
    chunks = api.stream_chat("gpt-6-luna", HELLO)
    assert next(chunks)["choices"][0]["delta"] == {"content": "Hel"}
    with pytest.raises(backend.OpenAIError, match=r"^The server had an error\.$"):
        next(chunks)


def test_complete(api, server):
    assert api.complete("gpt-oss-20b", "Hi", n=1)["choices"][0]["text"] == "Echo: Hi"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/completions")
    assert request.json() == {"model": "gpt-oss-20b", "prompt": "Hi", "n": 1}


def test_stream_complete_yields_the_chunks(api):
    chunks = api.stream_complete("gpt-oss-20b", "Hi")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Echo: Hi "


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed("text-embedding-3-small", ["a", "bbb"], dimensions=1) == [[1.0], [3.0]]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.json() == {"model": "text-embedding-3-small", "input": ["a", "bbb"], "dimensions": 1}


def test_list_models(api):
    assert api.list_models() == list(openai.MODELS)


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.OpenAIError) as caught:
        api.chat("gpt-6-luna", [])
    assert caught.value.status == 400
    assert caught.value.message == "Missing required parameter: 'messages'."


@pytest.mark.parametrize(
    "key", ["sk-proj-****************************************wxyz", "your-ope*******-key", '"sk-RoCv****ABM"']
)
def test_ends_of_a_key_that_openai_shows_are_not_shown(api, backend, server, key):
    server.script(
        openai.error(401, f"Incorrect API key provided: {key}. You can find your API key at https://x.")
    )
    with pytest.raises(backend.OpenAIError) as caught:
        api.list_models()
    assert caught.value.message.replace('"', "") == (
        "Incorrect API key provided: ***. You can find your API key at https://x."
    )


def test_message_of_a_megabyte_is_read_in_no_time(api, backend, server):
    server.script(openai.error(400, "x" * 1_000_000 + "*" * 1_000_000))
    with pytest.raises(backend.OpenAIError, match=r"^HTTP 400: \*\*\*$"):
        api.chat("gpt-6-luna", HELLO)


def test_quota_that_is_used_up_is_told(api, backend, server):
    message = "You exceeded your current quota, please check your plan and billing details."
    server.script(openai.error(429, message, "insufficient_quota", "insufficient_quota"))
    with pytest.raises(backend.OpenAIError) as caught:
        api.chat("gpt-6-luna", HELLO)
    assert (caught.value.status, caught.value.message) == (429, message)
