"""Behaviour of the Gemini backend against a loopback server that speaks Gemini's format."""

from __future__ import annotations

import pytest

from ..loopback import LoopbackServer, Reply, sse
from ..vendors import gemini

HELLO = [{"role": "user", "content": "Hello there"}]
FLASH = "gemini-2.5-flash"
EMBEDDING = "gemini-embedding-001"


@pytest.fixture
def server():
    with LoopbackServer(gemini.app) as server:
        yield server


@pytest.fixture
def backend(load):
    return load("gemini")


@pytest.fixture
def api(backend, server):
    api = backend.gemini({}, {}, gemini.KEY, server.url + "/v1beta")
    yield api
    api.close()


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


def test_key_is_sent_in_a_header_only(api, server):
    api.chat(FLASH, HELLO)
    list(api.stream_chat(FLASH, HELLO))
    api.list_models()
    for request in server.requests:
        assert request.headers["x-goog-api-key"] == gemini.KEY
        assert "authorization" not in request.headers
        assert gemini.KEY not in request.path + str(request.query) + request.body.decode()


def test_without_a_key_no_key_header_is_sent(backend, server):
    with pytest.raises(backend.GeminiError, match="unregistered callers") as caught:
        backend.gemini(base_url=server.url + "/v1beta").chat(FLASH, HELLO)
    assert caught.value.status == 403
    assert "x-goog-api-key" not in server.requests[0].headers


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


def test_stream_that_ends_without_a_finish_reason_is_an_error(api, backend, server):
    server.script(sse([gemini.piece("Hel")], done=None))
    with pytest.raises(backend.GeminiError, match="ended before a finishReason"):
        list(api.stream_chat(FLASH, HELLO))


def test_blocked_prompt_ends_a_stream_without_an_error(api, server):
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    server.script(sse([blocked], done=None))
    assert list(api.stream_chat(FLASH, HELLO)) == [blocked]


def test_error_before_a_stream_has_its_status(api, backend, server):
    api.max_retries = 0  # of the enhanced backend
    server.script(gemini.error(429, "RESOURCE_EXHAUSTED", "You exceeded your quota."))
    with pytest.raises(backend.GeminiError, match="quota") as caught:
        list(api.stream_chat(FLASH, HELLO))
    assert caught.value.status == 429


def test_one_text_is_embedded_by_embed_content(api, server):
    assert api.embed(EMBEDDING, "four", taskType="RETRIEVAL_QUERY") == [[4.0]]
    (request,) = server.requests
    assert request.path == "/v1beta/models/gemini-embedding-001:embedContent"
    assert request.json() == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "four"}]},
        "taskType": "RETRIEVAL_QUERY",
    }


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


def test_connection(api, backend, server):
    assert api.test_connection()
    assert not backend.gemini({}, {}, "wrong", server.url + "/v1beta").test_connection()


def test_base_url_from_metadata(backend, server):
    api = backend.gemini({}, {"base_url": server.url + "/v1beta/"}, gemini.KEY)
    assert api.list_models() == gemini.MODELS


def test_error_has_status_and_message_and_no_key(api, backend):
    with pytest.raises(backend.GeminiError) as caught:
        api.chat(FLASH, [])
    assert caught.value.status == 400
    assert caught.value.message == "contents is not specified"
    assert gemini.KEY not in str(caught.value) + repr(caught.value)
