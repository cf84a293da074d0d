"""The vendors' own clients, asked the same as the backends: the same requests, and answers that both can read.

So the loopback vendors cannot just answer whatever our backends happen to send.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Iterator
from email import message_from_bytes
from typing import Any

import anthropic
import boto3
import groq as groq_sdk
import openai as openai_sdk
import pytest

from .backends.cases import HELLO, MESSAGE
from .loopback import LoopbackServer, Reply, Request
from .vendors import claude as claude_vendor
from .vendors import gemini as gemini_vendor
from .vendors import groq as groq_vendor
from .vendors import ollama as ollama_vendor
from .vendors import openai as openai_vendor

HEADERS = (
    "authorization", "x-api-key", "x-goog-api-key", "anthropic-version", "anthropic-beta", "openai-organization",
    "openai-project", "x-goog-upload-command", "x-goog-upload-offset", "x-goog-upload-file-name", "x-gateway",
    "x-goog-upload-header-content-length", "x-goog-upload-header-content-type", "idempotency-key",
    "range", "x-amz-copy-source", "x-amz-meta-made-by", "x-amz-acl", "x-amz-checksum-crc32",
)  # fmt: skip
"""The headers that an API, or a gateway before it, looks at."""

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""What is asked, by the vendor's own client and by our backend."""


@pytest.fixture(params=["plain", "enhanced"])
def load(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Return a function that gives a backend by name."""
    package = "ipfs_accelerate_py.api_backends" + (".plain" if request.param == "plain" else "")
    return lambda name: getattr(importlib.import_module(f"{package}.{name}"), name)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


def essence(request: Request) -> dict[str, Any]:
    """Return of a request what an API looks at."""
    kind = request.headers.get("content-type", "").partition(";")[0] if request.body else ""
    body: Any = request.body
    if kind == "multipart/form-data":
        body = parts(request)
    elif kind == "application/json" and not request.path.startswith("/upload/session"):
        body = request.json()
    elif request.path.startswith("/upload/session"):
        kind = ""  # Google's client says JSON of any file; its kind is told before.
    return {
        "route": (request.method, request.path, request.query),
        "headers": {name: request.headers.get(name) for name in HEADERS},
        "type": kind,
        "body": body,
    }


def parts(request: Request) -> list[tuple[Any, ...]]:
    """Return name, file name, kind and content of each part of a form, in order, files last."""
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    found = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename() or "",
            part.get_content_type() if part.get_filename() else "",
            part.get_payload(decode=True),
        )
        for part in message_from_bytes(head + request.body).get_payload()
    ]
    return sorted(found, key=lambda part: (bool(part[1]), part[0]))


def within(part: Any, whole: Any) -> bool:
    """Return True if all that is in `part` is in `whole`, which may have more: fields that are None, or unknown."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(within(value, whole.get(name)) for name, value in part.items() if value is not None)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(within(a, b) for a, b in zip(part, whole, strict=True))
    return bool(part == whole)


def check_alike(server: LoopbackServer, sdk: Any, api: Any, pair: Pair) -> None:
    """Check that both clients send the same requests, and that what ours returns is within what theirs does."""
    theirs, ours = pair
    expected = plain_data(theirs(sdk))
    requests = len(server.requests)
    assert requests
    answer = ours(api)
    assert [essence(r) for r in server.requests[requests:]] == [
        essence(r) for r in server.requests[:requests]
    ]
    if answer is not None:
        assert within(answer, expected)


def plain_data(answer: Any) -> Any:
    """Return what a vendor's client returns as plain data: models as dicts, streams and pages as lists."""
    if hasattr(answer, "model_dump") and not hasattr(answer, "has_next_page"):
        return answer.model_dump(mode="json", by_alias=True)
    if isinstance(answer, str | bytes | int | float | dict) or answer is None:
        return answer
    if hasattr(answer, "read"):
        return answer.read()
    return [plain_data(each) for each in answer]


def embeddings(answer: Any) -> list[list[float]]:
    return [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]


CHAT, INSTRUCT = openai_vendor.CHAT, openai_vendor.OPEN
CAT, HAT = ("cat.png", b"PNG"), ("hat.png", b"PNG2")
EXPIRES = {"anchor": "created_at", "seconds": 3600}
OPENAI: dict[str, Pair] = {
    "respond": (
        lambda sdk: sdk.responses.create(model=CHAT, input="Hi", instructions="Be brief."),
        lambda api: api.respond(CHAT, "Hi", instructions="Be brief."),
    ),
    "respond to items": (
        lambda sdk: sdk.responses.create(model=CHAT, input=HELLO),
        lambda api: api.respond(CHAT, HELLO),
    ),
    "stream_response": (
        lambda sdk: sdk.responses.create(model=CHAT, input="Hi", stream=True),
        lambda api: list(api.stream_response(CHAT, "Hi")),
    ),
    "get_response": (
        lambda sdk: sdk.responses.retrieve("resp_1"),
        lambda api: api.get_response("resp_1"),
    ),
    "cancel_response": (
        lambda sdk: sdk.responses.cancel("resp_1"),
        lambda api: api.cancel_response("resp_1"),
    ),
    "delete_response": (
        lambda sdk: sdk.responses.delete("resp_1"),
        lambda api: api.delete_response("resp_1"),
    ),
    "count_tokens": (
        lambda sdk: sdk.responses.input_tokens.count(model=CHAT, input="Hi").input_tokens,
        lambda api: api.count_tokens(CHAT, "Hi"),
    ),
    "chat": (
        lambda sdk: sdk.chat.completions.create(model=CHAT, messages=HELLO, temperature=0),
        lambda api: api.chat(CHAT, HELLO, temperature=0),
    ),
    "stream_chat": (
        lambda sdk: sdk.chat.completions.create(model=CHAT, messages=HELLO, stream=True),
        lambda api: list(api.stream_chat(CHAT, HELLO)),
    ),
    "complete": (
        lambda sdk: sdk.completions.create(model=INSTRUCT, prompt="Hi"),
        lambda api: api.complete(INSTRUCT, "Hi"),
    ),
    "stream_complete": (
        lambda sdk: sdk.completions.create(model=INSTRUCT, prompt="Hi", stream=True),
        lambda api: list(api.stream_complete(INSTRUCT, "Hi")),
    ),
    "embed": (
        lambda sdk: embeddings(
            sdk.embeddings.create(model="text-embedding-3-small", input=["a", "bbb"], encoding_format="float")
        ),
        lambda api: api.embed("text-embedding-3-small", ["a", "bbb"], encoding_format="float"),
    ),
    "moderate": (
        lambda sdk: sdk.moderations.create(model="omni-moderation-latest", input=["a", "b"]).results,
        lambda api: [
            {"flagged": each["flagged"]} for each in api.moderate("omni-moderation-latest", ["a", "b"])
        ],
    ),
    "transcribe": (
        lambda sdk: sdk.audio.transcriptions.create(
            model="gpt-transcribe", file=("a.wav", b"RIFF"), timestamp_granularities=["word", "segment"]
        ),
        lambda api: api.transcribe(
            "gpt-transcribe", "a.wav", b"RIFF", timestamp_granularities=["word", "segment"]
        ),
    ),
    "translate": (
        lambda sdk: sdk.audio.translations.create(
            model="whisper-1", file=("a.wav", b"RIFF"), temperature=0.5
        ),
        lambda api: api.translate("whisper-1", "a.wav", b"RIFF", temperature=0.5),
    ),
    "speak": (
        lambda sdk: sdk.audio.speech.create(model="gpt-4o-mini-tts", input="Hi", voice="alloy"),
        lambda api: api.speak("gpt-4o-mini-tts", "Hi", "alloy"),
    ),
    "draw": (
        lambda sdk: sdk.images.generate(model="gpt-image-2", prompt="a cat", n=1).data,
        lambda api: api.draw("gpt-image-2", "a cat", n=1),
    ),
    "edit_image": (
        lambda sdk: sdk.images.edit(model="gpt-image-2", prompt="a hat", image=CAT, mask=HAT).data,
        lambda api: api.edit_image("gpt-image-2", "a hat", CAT, HAT),
    ),
    "edit_image of several": (
        lambda sdk: sdk.images.edit(model="gpt-image-2", prompt="a hat", image=[CAT, HAT]).data,
        lambda api: api.edit_image("gpt-image-2", "a hat", [CAT, HAT]),
    ),
    "upload_file": (
        lambda sdk: sdk.files.create(file=("in.jsonl", b"{}"), purpose="batch", expires_after=EXPIRES),
        lambda api: api.upload_file("in.jsonl", b"{}", "batch", expires_after=EXPIRES),
    ),
    "list_files": (
        lambda sdk: sdk.files.list(purpose="batch"),
        lambda api: api.list_files(purpose="batch"),
    ),
    "get_file": (lambda sdk: sdk.files.retrieve("file-1"), lambda api: api.get_file("file-1")),
    "download_file": (lambda sdk: sdk.files.content("file-1"), lambda api: api.download_file("file-1")),
    "delete_file": (lambda sdk: sdk.files.delete("file-1"), lambda api: api.delete_file("file-1")),
    "create_batch": (
        lambda sdk: sdk.batches.create(
            input_file_id="file-1", endpoint="/v1/responses", completion_window="24h"
        ),
        lambda api: api.create_batch("file-1", "/v1/responses"),
    ),
    "list_batches": (lambda sdk: sdk.batches.list(limit=2), lambda api: api.list_batches(limit=2)),
    "get_batch": (lambda sdk: sdk.batches.retrieve("batch-1"), lambda api: api.get_batch("batch-1")),
    "cancel_batch": (lambda sdk: sdk.batches.cancel("batch-1"), lambda api: api.cancel_batch("batch-1")),
    "list_models": (lambda sdk: [model.id for model in sdk.models.list()], lambda api: api.list_models()),
    "model_info": (lambda sdk: sdk.models.retrieve(CHAT), lambda api: api.model_info(CHAT)),
    "headers of a call": (
        lambda sdk: sdk.models.retrieve(CHAT, extra_headers={"X-Gateway": "a"}),
        lambda api: api.model_info(CHAT, extra_headers={"X-Gateway": "a"}),
    ),
}


@pytest.mark.parametrize("name", OPENAI)
def test_openai(load, server, name):
    server.app = openai_vendor.app
    url = server.url + "/v1"
    headers = {"OpenAI-Organization": "org", "OpenAI-Project": "proj"}
    api = load("openai_api")({}, {"headers": headers}, openai_vendor.KEY, url)
    with openai_sdk.OpenAI(
        api_key=openai_vendor.KEY, base_url=url, max_retries=0, organization="org", project="proj"
    ) as sdk:
        check_alike(server, sdk, api, OPENAI[name])


OPUS = "claude-opus-5-5"
CLAUDE: dict[str, Pair] = {
    "chat": (
        lambda sdk: sdk.messages.create(model=OPUS, messages=HELLO, max_tokens=64, system="Be brief."),
        lambda api: api.chat(OPUS, HELLO, 64, system="Be brief."),
    ),
    "chat with betas": (
        lambda sdk: sdk.beta.messages.create(model=OPUS, messages=HELLO, max_tokens=64, betas=["a-1", "b-2"]),
        lambda api: api.chat(OPUS, HELLO, 64, betas=["a-1", "b-2"]),
    ),
    "stream_chat": (
        lambda sdk: sdk.messages.create(model=OPUS, messages=HELLO, max_tokens=64, stream=True),
        lambda api: list(api.stream_chat(OPUS, HELLO, 64)),
    ),
    "count_tokens": (
        lambda sdk: sdk.messages.count_tokens(model=OPUS, messages=HELLO).input_tokens,
        lambda api: api.count_tokens(OPUS, HELLO),
    ),
    "create_batch": (
        lambda sdk: sdk.messages.batches.create(requests=[MESSAGE]),
        lambda api: api.create_batch([MESSAGE]),
    ),
    "list_batches": (lambda sdk: sdk.messages.batches.list(), lambda api: api.list_batches()),
    "get_batch": (
        lambda sdk: sdk.messages.batches.retrieve("msgbatch_1"),
        lambda api: api.get_batch("msgbatch_1"),
    ),
    "cancel_batch": (
        lambda sdk: sdk.messages.batches.cancel("msgbatch_1"),
        lambda api: api.cancel_batch("msgbatch_1"),
    ),
    "delete_batch": (
        lambda sdk: sdk.messages.batches.delete("msgbatch_1"),
        lambda api: api.delete_batch("msgbatch_1"),
    ),
    "upload_file": (
        lambda sdk: sdk.files.upload(file=("a.txt", b"hi")),
        lambda api: api.upload_file("a.txt", b"hi"),
    ),
    "list_files": (lambda sdk: sdk.files.list(limit=2), lambda api: api.list_files(limit=2)),
    "get_file": (lambda sdk: sdk.files.retrieve_metadata("file_1"), lambda api: api.get_file("file_1")),
    "download_file": (lambda sdk: sdk.files.download("file_1"), lambda api: api.download_file("file_1")),
    "delete_file": (lambda sdk: sdk.files.delete("file_1"), lambda api: api.delete_file("file_1")),
    "list_models": (
        lambda sdk: [model.id for model in sdk.models.list(limit=1000)],
        lambda api: api.list_models(),
    ),
    "model_info": (lambda sdk: sdk.models.retrieve(OPUS), lambda api: api.model_info(OPUS)),
}


@pytest.mark.parametrize("name", CLAUDE)
def test_claude(load, server, name):
    server.app = claude_vendor.app
    api = load("claude")({}, {}, claude_vendor.KEY, server.url)
    with anthropic.Anthropic(api_key=claude_vendor.KEY, base_url=server.url, max_retries=0) as sdk:
        check_alike(server, sdk, api, CLAUDE[name])


def test_claude_batch_results_are_read_without_asking_first_where_they_are(load, server):
    """Anthropic's client asks for the batch, and then for its `results_url`, which could lead the key elsewhere."""
    server.app = claude_vendor.app
    with anthropic.Anthropic(api_key=claude_vendor.KEY, base_url=server.url, max_retries=0) as sdk:
        expected = plain_data(sdk.messages.batches.results("msgbatch_1"))
    answer = list(load("claude")({}, {}, claude_vendor.KEY, server.url).batch_results("msgbatch_1"))
    assert within(answer, expected)
    _, theirs, ours = server.requests
    assert essence(theirs) == essence(ours)


LLAMA, WHISPER, NOMIC = groq_vendor.CHAT, groq_vendor.WHISPER, groq_vendor.EMBEDDING
GROQ: dict[str, Pair] = {
    "chat": (
        lambda sdk: sdk.chat.completions.create(model=LLAMA, messages=HELLO),
        lambda api: api.chat(LLAMA, HELLO),
    ),
    "stream_chat": (
        lambda sdk: sdk.chat.completions.create(model=LLAMA, messages=HELLO, stream=True),
        lambda api: list(api.stream_chat(LLAMA, HELLO)),
    ),
    "embed": (
        lambda sdk: embeddings(sdk.embeddings.create(model=NOMIC, input=["a", "bbb"])),
        lambda api: api.embed(NOMIC, ["a", "bbb"]),
    ),
    "transcribe": (
        lambda sdk: sdk.audio.transcriptions.create(
            model=WHISPER, file=("hello.wav", b"RIFF"), language="en"
        ),
        lambda api: api.transcribe(WHISPER, "hello.wav", b"RIFF", language="en"),
    ),
    "translate": (
        lambda sdk: sdk.audio.translations.create(model="whisper-large-v3", file=("hallo.wav", b"RIFF")),
        lambda api: api.translate("whisper-large-v3", "hallo.wav", b"RIFF"),
    ),
    "speak": (
        lambda sdk: sdk.audio.speech.create(
            model=groq_vendor.SPEECH, input="Hi", voice="troy", response_format="wav"
        ),
        lambda api: api.speak(groq_vendor.SPEECH, "Hi", "troy", response_format="wav"),
    ),
    "upload_file": (
        lambda sdk: sdk.files.create(file=("in.jsonl", b"{}"), purpose="batch"),
        lambda api: api.upload_file("in.jsonl", b"{}"),
    ),
    "list_files": (lambda sdk: sdk.files.list().data, lambda api: api.list_files()),
    "get_file": (lambda sdk: sdk.files.info("file-1"), lambda api: api.get_file("file-1")),
    "download_file": (lambda sdk: sdk.files.content("file-1"), lambda api: api.download_file("file-1")),
    "delete_file": (lambda sdk: sdk.files.delete("file-1"), lambda api: api.delete_file("file-1")),
    "create_batch": (
        lambda sdk: sdk.batches.create(
            input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="7d"
        ),
        lambda api: api.create_batch("file-1", completion_window="7d"),
    ),
    "list_batches": (lambda sdk: sdk.batches.list().data, lambda api: api.list_batches()),
    "get_batch": (lambda sdk: sdk.batches.retrieve("batch-1"), lambda api: api.get_batch("batch-1")),
    "cancel_batch": (lambda sdk: sdk.batches.cancel("batch-1"), lambda api: api.cancel_batch("batch-1")),
    "list_models": (
        lambda sdk: [model.id for model in sdk.models.list().data],
        lambda api: api.list_models(),
    ),
    "model_info": (lambda sdk: sdk.models.retrieve(LLAMA), lambda api: api.model_info(LLAMA)),
}


@pytest.mark.parametrize("name", GROQ)
def test_groq(load, server, name):
    server.app = groq_vendor.app
    api = load("groq")({}, {}, groq_vendor.KEY, server.url + "/openai/v1")
    with groq_sdk.Groq(api_key=groq_vendor.KEY, base_url=server.url, max_retries=0) as sdk:
        check_alike(server, sdk, api, GROQ[name])


FLASH = "gemini-3.8-flash"
ASKED = {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]}
GEMINI: dict[str, Pair] = {
    "interact": (
        lambda sdk: sdk.interactions.create(model=FLASH, input="Hi", system_instruction="Be brief."),
        lambda api: api.interact(FLASH, "Hi", system_instruction="Be brief."),
    ),
    "stream_interaction": (
        lambda sdk: list(sdk.interactions.create(model=FLASH, input="Hi", stream=True)),
        lambda api: [{"event_type": e["event_type"]} for e in api.stream_interaction(FLASH, "Hi")],
    ),
    "get_interaction": (
        lambda sdk: sdk.interactions.get("int-1"),
        lambda api: api.get_interaction("int-1"),
    ),
    "cancel_interaction": (
        lambda sdk: sdk.interactions.cancel("int-1"),
        lambda api: api.cancel_interaction("int-1"),
    ),
    "delete_interaction": (
        lambda sdk: sdk.interactions.delete("int-1"),
        lambda api: api.delete_interaction("int-1"),
    ),
    "chat": (
        lambda sdk: sdk.models.generate_content(
            model=FLASH,
            contents="Hello there",
            config={"temperature": 0.5, "system_instruction": "Be brief."},
        ),
        lambda api: api.chat(
            FLASH,
            [{"role": "system", "content": "Be brief."}, *HELLO],
            generationConfig={"temperature": 0.5},
        ),
    ),
    "stream_chat": (
        lambda sdk: sdk.models.generate_content_stream(model=FLASH, contents="Hello there"),
        lambda api: list(api.stream_chat(FLASH, HELLO)),
    ),
    "count_tokens": (
        lambda sdk: sdk.models.count_tokens(model=FLASH, contents="Hello there").total_tokens,
        lambda api: api.count_tokens(FLASH, HELLO),
    ),
    "embed": (
        lambda sdk: [
            embedding.values
            for embedding in sdk.models.embed_content(model="gemini-embedding-2", contents="a").embeddings
        ],
        lambda api: api.embed("gemini-embedding-2", "a"),
    ),
    "list_files": (lambda sdk: sdk.files.list(), lambda api: api.list_files()),
    "get_file": (lambda sdk: sdk.files.get(name="files/abc"), lambda api: api.get_file("files/abc")),
    "download_file": (
        lambda sdk: sdk.files.download(file="files/abc"),
        lambda api: api.download_file("files/abc"),
    ),
    "delete_file": (lambda sdk: sdk.files.delete(name="files/abc"), lambda api: api.delete_file("files/abc")),
    "create_cache": (
        lambda sdk: sdk.caches.create(model=FLASH, config={"contents": "Hello there", "ttl": "60s"}),
        lambda api: api.create_cache(FLASH, HELLO, ttl="60s"),
    ),
    "list_caches": (lambda sdk: sdk.caches.list(), lambda api: api.list_caches()),
    "get_cache": (
        lambda sdk: sdk.caches.get(name="cachedContents/abc"),
        lambda api: api.get_cache("cachedContents/abc"),
    ),
    "update_cache": (
        lambda sdk: sdk.caches.update(name="cachedContents/abc", config={"ttl": "60s"}),
        lambda api: api.update_cache("cachedContents/abc", ttl="60s"),
    ),
    "delete_cache": (
        lambda sdk: sdk.caches.delete(name="cachedContents/abc"),
        lambda api: api.delete_cache("cachedContents/abc"),
    ),
    "create_batch": (
        lambda sdk: sdk.batches.create(model=FLASH, src=[ASKED], config={"display_name": "nightly"}),
        lambda api: api.create_batch(FLASH, [ASKED], displayName="nightly"),
    ),
    "create_batch of a file": (
        lambda sdk: sdk.batches.create(model=FLASH, src="files/abc"),
        lambda api: api.create_batch(FLASH, "files/abc"),
    ),
    "list_batches": (lambda sdk: sdk.batches.list(), lambda api: api.list_batches()),
    "get_batch": (lambda sdk: sdk.batches.get(name="batches/abc"), lambda api: api.get_batch("batches/abc")),
    "cancel_batch": (
        lambda sdk: sdk.batches.cancel(name="batches/abc"),
        lambda api: api.cancel_batch("batches/abc"),
    ),
    "delete_batch": (
        lambda sdk: sdk.batches.delete(name="batches/abc"),
        lambda api: api.delete_batch("batches/abc"),
    ),
    "list_models": (
        lambda sdk: [
            model.name.removeprefix("models/") for model in sdk.models.list(config={"page_size": 1000})
        ],
        lambda api: api.list_models(),
    ),
    "model_info": (lambda sdk: sdk.models.get(model=FLASH), lambda api: api.model_info(FLASH)),
}


def genai(server: LoopbackServer) -> Any:
    client = pytest.importorskip("google.genai", reason="Google's client needs Python 3.11")
    options = client.types.HttpOptions(base_url=server.url)
    return client.Client(api_key=gemini_vendor.KEY, http_options=options)


@pytest.mark.parametrize("name", GEMINI)
def test_gemini(load, server, name, monkeypatch):
    """The requests alone: what Google's client returns is another form of the answers."""
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    server.app = gemini_vendor.app
    theirs, ours = GEMINI[name]
    api = load("gemini")({}, {}, gemini_vendor.KEY, server.url + "/v1")
    check_alike(server, genai(server), api, (theirs, lambda api: ours(api) and None))


def test_gemini_reads_what_googles_client_reads(load, server):
    server.app = gemini_vendor.app
    sdk, api = genai(server), load("gemini")({}, {}, gemini_vendor.KEY, server.url + "/v1")
    text = sdk.models.generate_content(model=FLASH, contents="Hello there").text
    assert text == api.chat(FLASH, HELLO)["candidates"][0]["content"]["parts"][0]["text"]
    assert [file.name for file in sdk.files.list()] == [file["name"] for file in api.list_files()]
    assert [batch.name for batch in sdk.batches.list()] == [batch["name"] for batch in api.list_batches()]
    answers = sdk.batches.get(name="batches/abc").dest.inlined_responses
    assert answers[0].response.text == "Echo: Hello"
    events = sdk.interactions.create(model=FLASH, input="Hi", stream=True)
    assert [event.event_type for event in events] == [
        event["event_type"] for event in api.stream_interaction(FLASH, "Hi")
    ]


def test_gemini_uploads_as_googles_client_does(load, server, tmp_path):
    server.app = gemini_vendor.app
    (tmp_path / "a.txt").write_bytes(b"hi")
    sdk = genai(server)
    theirs = sdk.files.upload(file=str(tmp_path / "a.txt"), config={"display_name": "A"})
    ours = load("gemini")({}, {}, gemini_vendor.KEY, server.url + "/v1").upload_file(
        "a.txt", b"hi", display_name="A"
    )
    assert ours["name"] == theirs.name
    first, second, *own = map(essence, server.requests)
    for request in (first, second, *own):
        if request["route"][1] == "/upload/session":  # Google's client repeats there what it said before.
            del request["headers"]["x-goog-upload-file-name"]
            del request["headers"]["x-goog-upload-header-content-length"]
            del request["headers"]["x-goog-upload-header-content-type"]
    assert [first, second] == own


OLLAMA: dict[str, Pair] = {
    "chat": (
        lambda sdk: sdk.chat("llama3.2", HELLO, options={"temperature": 0.5}),
        lambda api: api.chat("llama3.2", HELLO, options={"temperature": 0.5}),
    ),
    "stream_chat": (
        lambda sdk: sdk.chat("llama3.2", HELLO, stream=True),
        lambda api: list(api.stream_chat("llama3.2", HELLO)),
    ),
    "complete": (lambda sdk: sdk.generate("llama3.2", "Hi"), lambda api: api.complete("llama3.2", "Hi")),
    "stream_complete": (
        lambda sdk: sdk.generate("llama3.2", "Hi", stream=True),
        lambda api: list(api.stream_complete("llama3.2", "Hi")),
    ),
    "embed": (
        lambda sdk: [list(each) for each in sdk.embed("all-minilm", ["a", "bbb"]).embeddings],
        lambda api: api.embed("all-minilm", ["a", "bbb"]),
    ),
    "pull": (lambda sdk: sdk.pull("gemma3", stream=True), lambda api: list(api.pull("gemma3"))),
    "create": (
        lambda sdk: sdk.create("short", from_="llama3.2", system="Be brief.", stream=True),
        lambda api: list(api.create("short", from_="llama3.2", system="Be brief.")),
    ),
    "copy": (lambda sdk: sdk.copy("llama3.2", "second"), lambda api: api.copy("llama3.2", "second")),
    "delete": (lambda sdk: sdk.delete("llama3.2"), lambda api: api.delete("llama3.2")),
    "show": (
        lambda sdk: sdk.show("llama3.2").capabilities,
        lambda api: api.show("llama3.2")["capabilities"],
    ),
    "ps": (
        lambda sdk: [model.name for model in sdk.ps().models],
        lambda api: [m["name"] for m in api.ps()],
    ),
    "list_models": (
        lambda sdk: [model.model for model in sdk.list().models],
        lambda api: api.list_models(),
    ),
}
UNSET = {"tools": [], "insecure": False}
"""What Ollama's client sends though nobody asked for it."""


@pytest.mark.parametrize("name", OLLAMA)
def test_ollama(load, server, name, monkeypatch):
    client = pytest.importorskip("ollama", reason="Ollama's client is installed for Python 3.11 and later")
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    server.app = ollama_vendor.app
    sdk = client.Client(server.url, headers={"Authorization": f"Bearer {ollama_vendor.KEY}"})
    theirs, ours = OLLAMA[name]

    def forget_unset(api: Any) -> Any:
        for request in server.requests:
            if request.body:
                body = {
                    name: value for name, value in request.json().items() if UNSET.get(name, ...) != value
                }
                request.body = json.dumps(body).encode()
        return ours(api)

    check_alike(server, sdk, load("ollama")({}, {}, ollama_vendor.KEY, server.url), (theirs, forget_unset))


LISTED = "<ListBucketResult><Contents><Key>data/a</Key><Size>5</Size></Contents></ListBucketResult>"
DELETION = {"Objects": [{"Key": "data/a"}], "Quiet": True}
S3: dict[str, Pair] = {
    "upload_bytes": (
        lambda sdk: sdk.put_object(Bucket="b", Key="a b", Body=b"x", Metadata={"made-by": "us"}),
        lambda api: api.upload_bytes(b"x", "b", "a b", Metadata={"made-by": "us"}),
    ),
    "upload_stream": (
        lambda sdk: sdk.upload_fileobj(io.BytesIO(b"x"), "b", "a", ExtraArgs={"ACL": "private"}),
        lambda api: api.upload_stream(io.BytesIO(b"x"), "b", "a", ACL="private"),
    ),
    "download_bytes": (
        lambda sdk: sdk.get_object(Bucket="b", Key="a", Range="bytes=0-1")["Body"].read(),
        lambda api: api.download_bytes("b", "a", Range="bytes=0-1"),
    ),
    "head": (
        lambda sdk: sdk.head_object(Bucket="b", Key="a", VersionId="7"),
        lambda api: api.head("b", "a", VersionId="7"),
    ),
    "list_objects": (
        lambda sdk: sdk.list_objects_v2(Bucket="b", Prefix="data/", StartAfter="data")["Contents"],
        lambda api: api.list_objects("b", "data/", StartAfter="data"),
    ),
    "copy_file": (
        lambda sdk: sdk.copy({"Bucket": "b", "Key": "a"}, "c", "d"),
        lambda api: api.copy_file("b", "a", "c", "d"),
    ),
    "delete_file": (
        lambda sdk: sdk.delete_object(Bucket="b", Key="a"),
        lambda api: api.delete_file("b", "a"),
    ),
    "delete_folder": (
        lambda sdk: (sdk.list_objects_v2(Bucket="b", Prefix="data/"), sdk.delete_objects(Bucket="b", Delete=DELETION))
        and ["data/a"],
        lambda api: api.delete_folder("b", "data"),
    ),
    "list_buckets": (
        lambda sdk: [bucket["Name"] for bucket in sdk.list_buckets(MaxBuckets=5)["Buckets"]],
        lambda api: api.list_buckets(MaxBuckets=5),
    ),
    "presigned_url": (
        lambda sdk: sdk.list_buckets()
        and sdk.generate_presigned_url("get_object", {"Bucket": "b", "Key": "a"}, ExpiresIn=60).partition("?")[0],
        lambda api: api.list_buckets() and api.presigned_url("b", "a", 60).partition("?")[0],
    ),
}  # fmt: skip


def s3_app(request: Request) -> Reply:
    """Answer what S3 answers, each time the same."""
    if request.path == "/":
        return Reply(
            200,
            "<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>",
        )
    if request.method == "GET" and request.path == "/b":
        return Reply(200, LISTED)
    if request.method in ("GET", "HEAD"):
        return Reply(200, b"al", {"ETag": '"1"', "Content-Type": "text/plain"})
    if "x-amz-copy-source" in request.headers:
        return Reply(200, '<CopyObjectResult><ETag>"1"</ETag></CopyObjectResult>')
    if request.method == "POST":
        return Reply(200, "<DeleteResult></DeleteResult>")
    return Reply(204 if request.method == "DELETE" else 200, b"", {"ETag": '"1"'})


@pytest.mark.parametrize("name", S3)
def test_s3(load, server, name, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server.app = s3_app

    def without_signature(answer: Any) -> Any:
        for request in server.requests:
            request.headers.pop("authorization", None)  # It has the time in it.
        return answer

    theirs, ours = S3[name]
    sdk = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1")
    api = load("s3_kit")({}, {"region": "us-east-1"}, None, server.url)
    check_alike(
        server,
        sdk,
        api,
        (lambda sdk: without_signature(theirs(sdk)), lambda api: without_signature(ours(api))),
    )


def test_errors_are_in_a_form_that_the_vendors_clients_read(server):
    cases = [
        (
            openai_vendor,
            openai_sdk.AuthenticationError,
            lambda: openai_sdk.OpenAI(
                api_key="wrong", base_url=server.url + "/v1", max_retries=0
            ).models.list(),
            lambda error: (error.code, error.type),
            ("invalid_api_key", "invalid_request_error"),
        ),
        (
            claude_vendor,
            anthropic.AuthenticationError,
            lambda: anthropic.Anthropic(api_key="wrong", base_url=server.url, max_retries=0).models.list(),
            lambda error: error.body["error"]["type"],
            "authentication_error",
        ),
        (
            groq_vendor,
            groq_sdk.AuthenticationError,
            lambda: groq_sdk.Groq(api_key="wrong", base_url=server.url, max_retries=0).models.list(),
            lambda error: error.body["error"]["code"],
            "invalid_api_key",
        ),
    ]
    for vendor, error, call, read, expected in cases:
        server.app = vendor.app
        with pytest.raises(error) as caught:
            call()
        assert read(caught.value) == expected
