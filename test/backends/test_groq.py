"""Behaviour of the Groq backend against a loopback server that speaks Groq's format."""

from __future__ import annotations

import pytest

from ..loopback import sse
from ..vendors import forms, groq
from .cases import HELLO


def routes(server):
    return [(request.method, request.path) for request in server.requests]


LLAMA = "openai/gpt-oss-120b"
WHISPER = "whisper-large-v3-turbo"
NOMIC = "nomic-embed-text-v1_5"


def test_chat_returns_the_completion(api, server):
    answer = api.chat(LLAMA, HELLO, temperature=0)
    assert answer["choices"][0]["message"]["content"] == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/openai/v1/chat/completions")
    assert request.json() == {"model": LLAMA, "messages": HELLO, "temperature": 0}


def test_stream_chat_yields_the_chunks(api, server):
    chunks = list(api.stream_chat(LLAMA, HELLO))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == "Echo: Hello there "
    assert chunks[-1]["x_groq"]["usage"] == {"prompt_tokens": 2, "total_tokens": 5}
    assert server.requests[0].json()["stream"] is True


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    failed = {"error": {"message": "Failed to call a function.", "code": "tool_use_failed"}}
    server.script(sse([forms.chunk(LLAMA, {"content": "Hel"}), failed], done=None))
    with pytest.raises(backend.GroqError, match="Failed to call a function") as caught:
        list(api.stream_chat(LLAMA, HELLO))
    assert caught.value.status is None


def test_chunk_that_says_why_the_stream_stopped_early_is_raised(api, backend, server):
    stopped = forms.chunk(LLAMA, {}, x_groq={"error": "over capacity"})
    server.script(sse([forms.chunk(LLAMA, {"content": "Hel"}), stopped]))
    chunks = api.stream_chat(LLAMA, HELLO)
    assert next(chunks)["choices"][0]["delta"] == {"content": "Hel"}
    with pytest.raises(backend.GroqError, match="over capacity"):
        next(chunks)


def test_error_before_a_stream_has_its_status(api, backend, server):
    server.script(groq.error(498, "Flex tier capacity exceeded", "capacity_exceeded"))
    with pytest.raises(backend.GroqError, match="Flex tier") as caught:
        list(api.stream_chat(LLAMA, HELLO))
    assert caught.value.status == 498


def test_transcribe_sends_the_sound_as_a_form(api, server):
    answer = api.transcribe(WHISPER, "hello.wav", b"RIFF\0\1\2\3", language="en")
    assert answer["text"] == "Heard 8 bytes"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/openai/v1/audio/transcriptions")
    assert forms.form(request) == {
        "language": (None, b"en"),
        "model": (None, WHISPER.encode()),
        "file": ("hello.wav", b"RIFF\0\1\2\3"),
    }


def test_transcribe_raises_the_api_error(api, backend, server):
    server.script(groq.error(413, "Request Entity Too Large", "request_too_large"))
    with pytest.raises(backend.GroqError, match="Too Large") as caught:
        api.transcribe(WHISPER, "hello.wav", b"RIFF")
    assert caught.value.status == 413


def test_list_models(api):
    assert api.list_models() == list(groq.MODELS)


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed(NOMIC, ["a", "bbb"]) == [[1.0], [3.0]]
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/openai/v1/embeddings")
    assert request.json() == {"model": NOMIC, "input": ["a", "bbb"]}


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.GroqError) as caught:
        api.chat(LLAMA, [])
    assert caught.value.status == 400
    assert caught.value.message == "'messages' : minimum number of items is 1"


def test_translate_sends_the_sound_as_a_form(api, server):
    assert api.translate("whisper-large-v3", "hallo.wav", b"RIFF", prompt="a song")["text"] == "Heard 4 bytes"
    assert routes(server) == [("POST", "/openai/v1/audio/translations")]
    assert forms.form(server.requests[0]) == {
        "prompt": (None, b"a song"),
        "model": (None, b"whisper-large-v3"),
        "file": ("hallo.wav", b"RIFF"),
    }


def test_speak_returns_the_sound(api, server):
    assert api.speak(groq.SPEECH, "Hi", "troy", response_format="wav") == b"RIFFHi"
    assert routes(server) == [("POST", "/openai/v1/audio/speech")]
    assert server.requests[0].json() == {
        "model": groq.SPEECH, "input": "Hi", "voice": "troy", "response_format": "wav",
    }  # fmt: skip


def test_upload_file_sends_a_form(api, server):
    assert api.upload_file("in.jsonl", b"{}")["id"] == "file-9"
    assert routes(server) == [("POST", "/openai/v1/files")]
    assert forms.form(server.requests[0]) == {"purpose": (None, b"batch"), "file": ("in.jsonl", b"{}")}


def test_files_are_listed_described_read_and_deleted(api, server):
    assert [file["id"] for file in api.list_files()] == list(groq.FILES)
    assert api.get_file("file-1")["filename"] == "in.jsonl"
    assert api.download_file("file-1") == b'{"custom_id": "a"}'
    api.delete_file("file-1")
    assert routes(server) == [
        ("GET", "/openai/v1/files"),
        ("GET", "/openai/v1/files/file-1"),
        ("GET", "/openai/v1/files/file-1/content"),
        ("DELETE", "/openai/v1/files/file-1"),
    ]


def test_create_batch(api, server):
    assert api.create_batch("file-1", completion_window="7d")["status"] == "validating"
    assert routes(server) == [("POST", "/openai/v1/batches")]
    assert server.requests[0].json() == {
        "completion_window": "7d", "input_file_id": "file-1", "endpoint": "/v1/chat/completions",
    }  # fmt: skip


def test_batches_are_listed_read_and_stopped(api, server):
    assert [batch["id"] for batch in api.list_batches()] == list(groq.BATCHES)
    assert api.get_batch("batch-1")["status"] == "completed"
    assert api.cancel_batch("batch-1")["status"] == "cancelling"
    assert routes(server) == [
        ("GET", "/openai/v1/batches"),
        ("GET", "/openai/v1/batches/batch-1"),
        ("POST", "/openai/v1/batches/batch-1/cancel"),
    ]


def test_model_info_of_a_name_with_a_slash(api, server):
    assert api.model_info(groq.CHAT)["context_window"] == 131072
    assert routes(server) == [("GET", "/openai/v1/models/openai%2Fgpt-oss-120b")]
