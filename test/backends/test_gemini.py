"""Behaviour of the Gemini backend against a loopback server that speaks Gemini's format."""

from __future__ import annotations

import pytest

from ..loopback import Reply, sse
from ..vendors import gemini
from .cases import HELLO

FLASH = "gemini-2.5-flash"
EMBEDDING = "gemini-embedding-001"


def text_of(answer):
    return answer["candidates"][0]["content"]["parts"][0]["text"]


def test_chat_returns_the_answer(api, server):
    answer = api.chat(FLASH, HELLO, generationConfig={"temperature": 0})
    assert text_of(answer) == "Echo: Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == (
        "POST",
        "/v1beta/models/gemini-2.5-flash:generateContent",
    )
    assert request.json() == {
        "contents": [{"role": "user", "parts": [{"text": "Hello there"}]}],
        "generationConfig": {"temperature": 0},
    }


def test_model_may_be_named_with_its_collection(api, server):
    api.chat("models/gemini-2.5-flash", HELLO)
    assert server.requests[0].path == "/v1beta/models/gemini-2.5-flash:generateContent"


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
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
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
    assert request.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
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
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "four"}]},
        "taskType": "RETRIEVAL_QUERY",
    }
    assert server.requests[0].json() == {"requests": [asked]}


def test_embeddings_come_in_the_order_of_the_texts(api, server):
    assert api.embed(EMBEDDING, ["a", "bbb"], outputDimensionality=1) == [[1.0], [3.0]]
    (request,) = server.requests
    assert request.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert [item["outputDimensionality"] for item in request.json()["requests"]] == [1, 1]


def test_count_tokens_counts_the_system_instruction_too(api, server):
    assert api.count_tokens(FLASH, [{"role": "system", "content": "Be brief."}, *HELLO]) == 4
    (request,) = server.requests
    assert request.path == "/v1beta/models/gemini-2.5-flash:countTokens"
    assert list(request.json()) == ["generateContentRequest"]
    assert request.json()["generateContentRequest"]["model"] == "models/gemini-2.5-flash"


def test_list_models_reads_all_pages(api, server):
    assert api.list_models() == gemini.MODELS
    assert [request.query.get("pageToken") for request in server.requests] == [None, ["2"]]


def test_error_has_its_status_and_message(api, backend):
    with pytest.raises(backend.GeminiError) as caught:
        api.chat(FLASH, [])
    assert caught.value.status == 400
    assert caught.value.message == "* GenerateContentRequest.contents: contents is not specified"
