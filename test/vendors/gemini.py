"""The Gemini API as far as the backend uses it (https://ai.google.dev/api)."""

from __future__ import annotations

import re
from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODELS = ["gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-embedding-2"]
STORED = {
    "interactions": ["int-1"], "files": ["abc", "def", "ghi"], "cachedContents": ["abc", "def", "ghi"],
    "batches": ["abc", "def", "ghi"],
}  # fmt: skip
KEPT = re.compile(r"/v1/(?P<kind>[a-zA-Z]+)/(?P<id>[^/:]+)(?P<action>/cancel|:cancel|:download)?")
LARGEST_PAGE = 2
FIELDS = {
    "contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig", "cachedContent",
}  # fmt: skip


def error(status: int, name: str, message: str) -> Reply:
    """Return an answer in the format of Google's errors."""
    return Reply(status, {"error": {"code": status, "message": message, "status": name}})


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    """Return an answer of the model, or a piece of one in a stream."""
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 2, "candidatesTokenCount": 1, "totalTokenCount": 3}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3.8-flash"}


def app(request: Request) -> Reply:
    """Answer like the Gemini API. It takes the key in the URL too, which the backend must not use: a 404 here."""
    if "key" in request.query:
        return error(404, "NOT_FOUND", "the key stands in the URL")
    if request.path == "/upload/session":  # whose address is a secret of its own
        return _upload(request)
    if "x-goog-api-key" not in request.headers:
        message = (
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API."
        )
        return error(403, "PERMISSION_DENIED", message)
    if request.headers["x-goog-api-key"] != KEY:
        message = "API key not valid. Please pass a valid API key."
        return error(400, "INVALID_ARGUMENT", message)
    if (request.method, request.path) == ("GET", "/v1/models"):
        return _models(request)
    if found := _answer_about_stored(request):
        return found
    name, _, method = request.path.removeprefix("/v1/").partition(":")
    answers = {
        "generateContent": _generate, "streamGenerateContent": _stream, "countTokens": _count,
        "embedContent": _embed, "batchEmbedContents": _embed_all, "batchGenerateContent": _new_batch,
    }  # fmt: skip
    if request.method != "POST" or not request.path.startswith("/v1/models/") or method not in answers:
        return Reply(
            404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", {"Content-Type": "text/html"}
        )
    if name.removeprefix("models/") not in MODELS:
        message = f"{name} is not found for API version v1, or is not supported for {method}."
        return error(404, "NOT_FOUND", message)
    if not forms.is_json(request):
        return error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    return answers[method](name, request)


def _generate(name: str, request: Request) -> Reply:
    return _problem(request.json()) or Reply(200, piece("Echo: " + _texts(request.json())[-1], "STOP"))


def _stream(name: str, request: Request) -> Reply:
    """Stream events with `alt=sse`, and without it one list of JSON, as the API does."""
    if refused := _problem(request.json()):
        # Without `alt=sse` an error stands in a list as well.
        return refused if request.query == {"alt": ["sse"]} else Reply(refused.status, [refused.body])
    *words, last = ("Echo: " + _texts(request.json())[-1]).split()
    pieces = [*(piece(word + " ") for word in words), piece(last, "STOP")]
    return sse(pieces, done=None) if request.query == {"alt": ["sse"]} else Reply(200, pieces)


def _problem(body: dict[str, Any]) -> Reply | None:
    if unknown := body.keys() - FIELDS:
        message = f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
        return error(400, "INVALID_ARGUMENT", message)
    if not body.get("contents"):
        return error(
            400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified\n"
        )
    if any(content.get("role") not in ("user", "model") for content in body["contents"]):
        return error(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.")
    return None


def _count(name: str, request: Request) -> Reply:
    """Count the tokens of `contents`, or of all that a request to generate has beside them."""
    asked = request.json()
    if "generateContentRequest" in asked:
        asked = asked["generateContentRequest"]
        if asked.pop("model", None) != name:
            return error(400, "INVALID_ARGUMENT", "model in generateContentRequest must match the path")
    return _problem(asked) or Reply(200, {"totalTokens": sum(len(text.split()) for text in _texts(asked))})


def _embed(name: str, request: Request) -> Reply:
    return Reply(200, {"embedding": _embedding(request.json())})


def _embed_all(name: str, request: Request) -> Reply:
    asked = request.json()["requests"]
    if any(item["model"] != name for item in asked):
        return error(400, "INVALID_ARGUMENT", "model in requests must match the path")
    return Reply(200, {"embeddings": [_embedding(item) for item in asked]})


def _texts(body: dict[str, Any]) -> list[str]:
    contents = [body.get("systemInstruction", {"parts": []}), *body["contents"]]
    return [part["text"] for content in contents for part in content["parts"]]


def _embedding(body: dict[str, Any]) -> dict[str, Any]:
    return {"values": [float(len(body["content"]["parts"][0]["text"]))]}


def _models(request: Request) -> Reply:
    return _page(request, "models", [_model(model) for model in MODELS])


def _model(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens"]
    return {"name": "models/" + name, "inputTokenLimit": 1048576, "supportedGenerationMethods": methods}


def _page(request: Request, field: str, items: list[dict[str, Any]]) -> Reply:
    first = int(request.query.get("pageToken", ["0"])[0])
    last = first + min(int(request.query.get("pageSize", ["50"])[0]), LARGEST_PAGE)
    page: dict[str, Any] = {field: items[first:last]}
    return Reply(200, {**page, "nextPageToken": str(last)} if last < len(items) else page)


# Interactions, files, caches, batches


def interaction(text: str | None, status: str = "completed") -> dict[str, Any]:
    """Return an interaction; without `text`, the one that begins a stream."""
    steps = [{"type": "model_output", "content": [{"type": "text", "text": text}]}]
    return {
        "id": "int-1", "model": MODELS[0], "object": "interaction", "status": status,
        "created": "2026-11-24T00:00:00Z", "updated": "2026-11-24T00:00:00Z",
        "steps": [] if text is None else steps,
        "usage": {"total_input_tokens": 2, "total_output_tokens": 3, "total_tokens": 5},
    }  # fmt: skip


def interaction_events(text: str) -> list[dict[str, Any]]:
    """Return the events of a streamed interaction."""
    deltas = [
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": word + " "}}
        for word in text.split()
    ]
    return [
        {"event_type": "interaction.created", "interaction": interaction(None, "in_progress")},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        *deltas,
        {"event_type": "step.stop", "index": 0},
        {"event_type": "interaction.completed", "interaction": interaction(None)},
    ]


def file_object(name: str) -> dict[str, Any]:
    """Return the description of a stored file."""
    uri = f"https://generativelanguage.googleapis.com/v1/files/{name}"
    return {
        "name": "files/" + name,
        "mimeType": "text/plain",
        "sizeBytes": "2",
        "uri": uri,
        "state": "ACTIVE",
    }


def cache(name: str) -> dict[str, Any]:
    """Return a cache."""
    return {
        "name": "cachedContents/" + name,
        "model": "models/" + MODELS[0],
        "expireTime": "2026-11-25T00:00:00Z",
    }


def batch(name: str, state: str = "BATCH_STATE_SUCCEEDED") -> dict[str, Any]:
    """Return a batch."""
    meta: dict[str, Any] = {"name": "batches/" + name, "model": "models/" + MODELS[0], "state": state}
    done = state == "BATCH_STATE_SUCCEEDED"
    if done:
        answer = {"metadata": {"key": "a"}, "response": piece("Echo: Hello", "STOP")}
        meta["output"] = {"inlinedResponses": {"inlinedResponses": [answer]}}
    return {"name": "batches/" + name, "metadata": meta, "done": done}


def _answer_about_stored(request: Request) -> Reply | None:
    asked = (request.method, request.path)
    if asked == ("POST", "/v1/interactions"):
        return _interact(request)
    if asked == ("POST", "/v1/cachedContents"):
        body = request.json()
        if problem := _problem({name: body[name] for name in body.keys() & FIELDS}):
            return problem
        return Reply(200, {**cache("new"), "model": body["model"]})
    if asked == ("POST", "/upload/v1/files"):
        return _start_upload(request)
    if request.method == "GET" and request.path in ("/v1/files", "/v1/cachedContents", "/v1/batches"):
        kind = request.path.removeprefix("/v1/")
        items = [
            {"files": file_object, "cachedContents": cache, "batches": batch}[kind](n) for n in STORED[kind]
        ]
        return _page(request, "operations" if kind == "batches" else kind, items)
    found = KEPT.fullmatch(request.path)
    return _stored(request, **found.groupdict()) if found and found["kind"] in (*STORED, "models") else None


def _stored(request: Request, kind: str, id: str, action: str | None) -> Reply | None:
    if kind == "models":
        return Reply(200, _model(id)) if (request.method, id in MODELS) == ("GET", True) else None
    if id not in STORED[kind]:
        return error(404, "NOT_FOUND", f"{kind}/{id} is not found.")
    if (request.method, action) == ("DELETE", None):
        return Reply(200, {})
    if (request.method, kind, action) == ("GET", "files", ":download") and request.query == {
        "alt": ["media"]
    }:
        return Reply(200, b'{"key": "a"}', {"Content-Type": "application/octet-stream"})
    if (request.method, kind, action) == ("POST", "batches", ":cancel"):
        return Reply(200, {})
    if (request.method, kind, action) == ("POST", "interactions", "/cancel"):
        return Reply(200, interaction(None, "cancelled"))
    if (request.method, kind, action) == ("PATCH", "cachedContents", None):
        return Reply(200, {**cache(id), **request.json()})
    if (request.method, action) != ("GET", None):
        return None
    described = {"files": file_object, "cachedContents": cache, "batches": batch}
    return Reply(200, described[kind](id) if kind in described else interaction("Echo: Hello"))


def _interact(request: Request) -> Reply:
    if not forms.is_json(request):
        return error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    body = request.json()
    if not body.get("input") or ("model" in body) == ("agent" in body):
        return error(400, "INVALID_ARGUMENT", "input, and one of model and agent, must be set.")
    text = "Echo: " + str(
        body["input"] if isinstance(body["input"], str) else body["input"][-1]["content"][0]["text"]
    )
    return (
        sse(interaction_events(text), done="[DONE]") if body.get("stream") else Reply(200, interaction(text))
    )


def _start_upload(request: Request) -> Reply:
    said = {name.removeprefix("x-goog-upload-"): value for name, value in request.headers.items()}
    if (said.get("protocol"), said.get("command")) != ("resumable", "start"):
        return error(400, "INVALID_ARGUMENT", "Upload protocol and command are missing.")
    return Reply(
        200,
        b"",
        {"X-Goog-Upload-URL": f"http://{said['host']}/upload/session", "X-Goog-Upload-Status": "active"},
    )


def _upload(request: Request) -> Reply:
    if request.headers.get("x-goog-upload-command") != "upload, finalize":
        return error(400, "INVALID_ARGUMENT", "Upload command is missing.")
    size = {"sizeBytes": str(len(request.body))}
    return Reply(200, {"file": {**file_object("new"), **size}}, {"X-Goog-Upload-Status": "final"})


def _new_batch(name: str, request: Request) -> Reply:
    source = request.json().get("batch", {}).get("inputConfig", {})
    if not source.get("fileName") and not source.get("requests", {}).get("requests"):
        return error(400, "INVALID_ARGUMENT", "batch.input_config: is not specified")
    return Reply(200, batch("new", "BATCH_STATE_PENDING"))
