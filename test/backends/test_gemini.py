"""Behaviour of the Gemini backend against a loopback server that speaks Gemini's format."""

from __future__ import annotations

import pytest

from ..loopback import LoopbackServer, Reply, sse
from ..vendors import gemini
from .cases import HELLO

FLASH = "gemini-3.8-flash"
EMBEDDING = "gemini-embedding-2"


def routes(server):
    return [(request.method, request.path) for request in server.requests]


def text_of(answer):
    return answer["candidates"][0]["content"]["parts"][0]["text"]


def test_chat_returns_the_answer(api, server):
    answer = api.chat(FLASH, HELLO, generationConfig={"temperature": 0})
    assert text_of(answer) == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == (
        "POST",
        "/v1/models/gemini-3.8-flash:generateContent",
    )
    assert request.json() == {
        "contents": [{"role": "user", "parts": [{"text": "Hello there"}]}],
        "generationConfig": {"temperature": 0},
    }


def test_model_may_be_named_with_its_collection(api, server):
    api.chat("models/gemini-3.8-flash", HELLO)
    assert server.requests[0].path == "/v1/models/gemini-3.8-flash:generateContent"


def test_openai_roles_become_gemini_roles(api, server):
    api.chat(
        FLASH,
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
        ],
    )
    assert server.requests[0].json() == {
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
        ],
    }


def test_gemini_parts_are_sent_as_they_are(api, server):
    parts = [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"text": "What is it?"}]
    server.script(Reply(200, gemini.piece("A dot.", "STOP")))
    assert text_of(api.chat(FLASH, [{"role": "user", "parts": parts}])) == "A dot."
    assert server.requests[0].json()["contents"] == [{"role": "user", "parts": parts}]


@pytest.mark.parametrize("content", [None, [{"type": "image_url", "image_url": {"url": "x"}}]])
def test_content_that_is_not_text_is_refused_and_not_dropped(api, server, content):
    with pytest.raises(ValueError, match="Gemini's own `parts`"):
        api.chat(FLASH, [{"role": "user", "content": content}])
    assert server.requests == []


def test_stream_chat_yields_the_pieces(api, server):
    pieces = list(api.stream_chat(FLASH, HELLO))
    assert [text_of(piece) for piece in pieces] == ["Echo: ", "Hello ", "there"]
    (request,) = server.requests
    assert request.path == "/v1/models/gemini-3.8-flash:streamGenerateContent"
    assert request.query == {"alt": ["sse"]}


def test_error_event_inside_a_stream_is_raised(api, backend, server):
    full = gemini.error(503, "UNAVAILABLE", "The model is overloaded.").body
    server.script(sse([gemini.piece("Hel"), full], done=None))
    pieces = api.stream_chat(FLASH, HELLO)
    assert text_of(next(pieces)) == "Hel"
    with pytest.raises(backend.GeminiError, match="overloaded") as caught:
        next(pieces)
    assert caught.value.status is None


def test_blocked_prompt_ends_a_stream_without_an_error(api, server):
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    server.script(sse([blocked], done=None))
    assert list(api.stream_chat(FLASH, HELLO)) == [blocked]


def test_error_before_a_stream_has_its_status(api, backend, server):
    server.script(gemini.error(429, "RESOURCE_EXHAUSTED", "You exceeded your quota."))
    with pytest.raises(backend.GeminiError, match="quota") as caught:
        list(api.stream_chat(FLASH, HELLO))
    assert caught.value.status == 429


def test_one_text_has_one_embedding(api, server):
    assert api.embed(EMBEDDING, "four", taskType="RETRIEVAL_QUERY") == [[4.0]]
    asked = {
        "model": "models/gemini-embedding-2",
        "content": {"role": "user", "parts": [{"text": "four"}]},
        "taskType": "RETRIEVAL_QUERY",
    }
    assert server.requests[0].json() == {"requests": [asked]}


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed(EMBEDDING, ["a", "bbb"], outputDimensionality=1) == [[1.0], [3.0]]
    (request,) = server.requests
    assert request.path == "/v1/models/gemini-embedding-2:batchEmbedContents"
    assert [item["outputDimensionality"] for item in request.json()["requests"]] == [1, 1]


def test_count_tokens_counts_the_system_instruction_too(api, server):
    assert api.count_tokens(FLASH, [{"role": "system", "content": "Be brief."}, *HELLO]) == 4
    (request,) = server.requests
    assert request.path == "/v1/models/gemini-3.8-flash:countTokens"
    assert list(request.json()) == ["generateContentRequest"]
    assert request.json()["generateContentRequest"]["model"] == "models/gemini-3.8-flash"


def test_list_models_reads_all_pages(api, server):
    assert api.list_models() == gemini.MODELS
    assert [request.query.get("pageToken") for request in server.requests] == [None, ["2"]]


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.GeminiError) as caught:
        api.chat(FLASH, [])
    assert caught.value.status == 400
    assert caught.value.message == "* GenerateContentRequest.contents: contents is not specified"


def test_interact_returns_the_interaction(api, server):
    answer = api.interact(FLASH, "Hello there", system_instruction="Be brief.")
    assert answer["steps"][0]["content"][0]["text"] == "Echo: Hello there"
    assert routes(server) == [("POST", "/v1/interactions")]
    body = {"model": FLASH, "input": "Hello there", "system_instruction": "Be brief."}
    assert server.requests[0].json() == body


def test_interact_with_an_agent_in_place_of_a_model(api, server):
    api.interact(None, "Hello there", agent="deep-research", background=True)
    assert server.requests[0].json() == {"input": "Hello there", "agent": "deep-research", "background": True}


def test_stream_interaction_yields_the_events(api, server):
    events = list(api.stream_interaction(FLASH, "Hello there"))
    assert [event["event_type"] for event in events] == [
        "interaction.created", "step.start", *["step.delta"] * 3, "step.stop", "interaction.completed",
    ]  # fmt: skip
    assert server.requests[0].json() == {"model": FLASH, "input": "Hello there", "stream": True}


def test_error_event_of_an_interaction_is_raised(api, backend, server):
    failed = {"event_type": "error", "error": {"code": "internal", "message": "Out of order."}}
    server.script(sse([*gemini.interaction_events("Hi")[:2], failed], done=None))
    events = api.stream_interaction(FLASH, "Hi")
    assert [next(events)["event_type"] for _ in range(2)] == ["interaction.created", "step.start"]
    with pytest.raises(backend.GeminiError, match=r"^Out of order\.$"):
        next(events)


def test_stored_interaction_is_read_stopped_and_deleted(api, server):
    assert api.get_interaction("int-1")["id"] == "int-1"
    assert api.cancel_interaction("int-1")["status"] == "cancelled"
    api.delete_interaction("int-1")
    assert server.requests[0].query == {"stream": ["false"]}
    assert routes(server) == [
        ("GET", "/v1/interactions/int-1"),
        ("POST", "/v1/interactions/int-1/cancel"),
        ("DELETE", "/v1/interactions/int-1"),
    ]


def test_upload_file_asks_for_an_address_and_sends_the_content_there_without_the_key(api, server):
    stored = api.upload_file("a.txt", b"hi", display_name="A")
    assert (stored["name"], stored["sizeBytes"]) == ("files/new", "2")
    start, upload = server.requests
    assert (start.path, start.json()) == (
        "/upload/v1/files", {"file": {"display_name": "A", "mime_type": "text/plain", "size_bytes": 2}},
    )  # fmt: skip
    assert start.headers["x-goog-upload-header-content-length"] == "2"
    assert start.headers["x-goog-upload-header-content-type"] == "text/plain"
    assert start.headers["x-goog-upload-file-name"] == "a.txt"
    assert (upload.path, upload.body) == ("/upload/session", b"hi")
    assert upload.headers["x-goog-upload-offset"] == "0"
    assert "x-goog-api-key" not in upload.headers


def test_upload_to_another_host_takes_no_headers_there_that_are_not_for_it(api, server):
    with LoopbackServer(lambda request: Reply(200, {"file": {"name": "files/new"}})) as elsewhere:
        server.script(Reply(200, b"", {"X-Goog-Upload-URL": elsewhere.url + "/upload/session"}))
        api.headers["X-Gateway-Key"] = "of-instance"
        api.upload_file("a.txt", b"hi", extra_headers={"X-Other-Key": "of-call"})
        (request,) = elsewhere.requests
    assert request.body == b"hi"
    assert not {"x-goog-api-key", "x-gateway-key", "x-other-key"} & set(request.headers)
    assert server.requests[0].headers["x-other-key"] == "of-call"


def test_upload_of_a_file_whose_name_no_header_can_carry(api, server):
    api.upload_file("Grüße.txt", b"hi", display_name="Grüße")
    assert "x-goog-upload-file-name" not in server.requests[0].headers
    assert server.requests[0].json()["file"]["display_name"] == "Grüße"


def test_upload_that_is_given_no_address_is_an_error(api, backend, server):
    server.app = lambda request: Reply(200, {})
    with pytest.raises(backend.GeminiError, match="no URL"):
        api.upload_file("a.txt", b"hi")


def test_files_are_listed_described_read_and_deleted(api, server):
    assert [file["name"] for file in api.list_files()] == ["files/abc", "files/def", "files/ghi"]
    assert server.requests[1].query == {"pageToken": ["2"]}
    assert api.get_file("files/abc") == api.get_file("abc")
    assert api.download_file("abc") == b'{"key": "a"}'
    api.delete_file("abc")
    assert routes(server)[3:] == [
        ("GET", "/v1/files/abc"),
        ("GET", "/v1/files/abc:download"),
        ("DELETE", "/v1/files/abc"),
    ]


def test_list_without_items_is_empty(api, server):
    server.app = lambda request: Reply(200, {})
    assert api.list_files() == []


def test_create_cache(api, server):
    messages = [{"role": "system", "content": "The manual."}, *HELLO]
    assert api.create_cache(FLASH, messages, ttl="60s")["name"] == "cachedContents/new"
    assert routes(server) == [("POST", "/v1/cachedContents")]
    assert server.requests[0].json() == {
        "model": "models/" + FLASH,
        "ttl": "60s",
        "contents": [{"role": "user", "parts": [{"text": "Hello there"}]}],
        "systemInstruction": {"role": "user", "parts": [{"text": "The manual."}]},
    }


def test_caches_are_listed_read_changed_and_deleted(api, server):
    assert [cache["name"] for cache in api.list_caches()] == [
        f"cachedContents/{n}" for n in ("abc", "def", "ghi")
    ]
    assert api.get_cache("abc")["model"] == "models/" + FLASH
    assert api.update_cache("cachedContents/abc", ttl="60s")["ttl"] == "60s"
    api.delete_cache("abc")
    assert routes(server)[2:] == [
        ("GET", "/v1/cachedContents/abc"),
        ("PATCH", "/v1/cachedContents/abc"),
        ("DELETE", "/v1/cachedContents/abc"),
    ]


def test_create_batch_of_requests(api, server):
    request = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert api.create_batch(FLASH, [request], displayName="nightly")["name"] == "batches/new"
    assert routes(server) == [("POST", f"/v1/models/{FLASH}:batchGenerateContent")]
    assert server.requests[0].json() == {
        "batch": {"displayName": "nightly", "inputConfig": {"requests": {"requests": [{"request": request}]}}}
    }


def test_create_batch_of_a_file(api, server):
    api.create_batch(FLASH, "files/abc")
    assert server.requests[0].json() == {"batch": {"inputConfig": {"fileName": "files/abc"}}}


def test_batches_are_listed_read_stopped_and_deleted(api, server):
    assert [batch["name"] for batch in api.list_batches()] == ["batches/abc", "batches/def", "batches/ghi"]
    assert api.get_batch("abc")["done"] is True
    api.cancel_batch("abc")
    api.delete_batch("batches/abc")
    assert routes(server)[2:] == [
        ("GET", "/v1/batches/abc"),
        ("POST", "/v1/batches/abc:cancel"),
        ("DELETE", "/v1/batches/abc"),
    ]


def test_model_info(api, server):
    assert api.model_info(FLASH)["inputTokenLimit"] == 1048576
    assert routes(server) == [("GET", "/v1/models/" + FLASH)]
