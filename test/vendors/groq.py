"""Groq's HTTP API as far as the backend uses it (https://console.groq.com/docs/api-reference)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
CHAT, WHISPER, EMBEDDING = "openai/gpt-oss-120b", "whisper-large-v3-turbo", "nomic-embed-text-v1_5"
SPEECH = "canopylabs/orpheus-v1-english"
MODELS = (CHAT, WHISPER, EMBEDDING, "whisper-large-v3", SPEECH)
FILES = ("file-1", "file-2", "file-3")
BATCHES = ("batch-1", "batch-2", "batch-3")
STORED = re.compile(r"/openai/v1/(?P<kind>files|batches|models)/(?P<id>[^/]+)(?P<action>/cancel|/content)?")


def error(status: int, message: str, code: str | None = None) -> Reply:
    """Return an answer in the format of Groq's errors."""
    detail = {"message": message, "type": "invalid_request_error"}
    return Reply(status, {"error": {**detail, **({"code": code} if code else {})}})


def app(request: Request) -> Reply:
    """Answer like Groq's API."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "Invalid API Key", "invalid_api_key")
    if (request.method, request.path) == ("GET", "/openai/v1/models"):
        return Reply(200, forms.model_list(MODELS, "Meta", active=True, context_window=131072))
    if (request.method, request.path) == ("GET", "/openai/v1/files"):
        return Reply(200, {"object": "list", "data": [forms.file_object(name) for name in FILES]})
    if (request.method, request.path) == ("GET", "/openai/v1/batches"):
        return Reply(200, {"object": "list", "data": [forms.batch(name) for name in BATCHES]})
    if request.method == "POST" and request.path.rpartition("/")[2] in (
        "transcriptions",
        "translations",
        "files",
    ):
        return _form(request)
    if (request.method, request.path) == ("POST", "/openai/v1/batches"):
        return _new_batch(request)
    if stored := STORED.fullmatch(request.path):
        return _stored(request.method, **stored.groupdict())
    answers = {
        "/openai/v1/chat/completions": _chat, "/openai/v1/embeddings": _embeddings,
        "/openai/v1/audio/speech": _speech,
    }  # fmt: skip
    if request.method == "POST" and request.path in answers:
        if not forms.is_json(request):
            return error(400, "request body is not JSON")
        body = request.json()
        if body.get("model") not in MODELS:
            message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
            return error(404, message, "model_not_found")
        return answers[request.path](body)
    message = f"Unknown request URL: {request.method} {request.path}. Please check the URL for typos."
    return error(404, message, "unknown_url")


def _chat(body: dict[str, Any]) -> Reply:
    if not body.get("messages"):
        return error(400, "'messages' : minimum number of items is 1")
    model, text = body["model"], "Echo: " + forms.said(body)
    if not body.get("stream"):
        return Reply(200, forms.completion(model, text, x_groq={"id": "req_1"}))
    first, *more = forms.chunks(model, text)
    first["x_groq"] = {"id": "req_1"}
    more[-1]["x_groq"] = {"id": "req_1", "usage": {"prompt_tokens": 2, "total_tokens": 5}}
    return sse([first, *more])


def _embeddings(body: dict[str, Any]) -> Reply:
    if not body.get("input"):
        return error(400, "'input' : property 'input' is missing")
    return Reply(200, forms.embedding_list(body["model"], body["input"]))


def _speech(body: dict[str, Any]) -> Reply:
    if not body.get("input") or not body.get("voice"):
        return error(400, "'input' and 'voice' are required")
    return Reply(200, b"RIFF" + body["input"].encode(), {"Content-Type": "audio/wav"})


def _form(request: Request) -> Reply:
    if not forms.is_form(request):
        return error(400, "request Content-Type isn't multipart/form-data")
    fields = forms.form(request)
    if request.path == "/openai/v1/files":
        if "file" not in fields or "purpose" not in fields:
            return error(400, "purpose and file are required")
        filename, content = fields["file"]
        return Reply(200, forms.file_object("file-9", str(filename), len(content)))
    if "file" not in fields or "model" not in fields:
        return error(400, "model and file are required")
    return Reply(200, {"text": f"Heard {len(fields['file'][1])} bytes", "x_groq": {"id": "req_1"}})


def _new_batch(request: Request) -> Reply:
    body = request.json() if forms.is_json(request) else {}
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not body.get(name):
            return error(400, f"'{name}' : property '{name}' is missing")
    return Reply(200, forms.batch("batch-9", "validating", **body))


def _stored(method: str, kind: str, id: str, action: str | None) -> Reply:
    known = {"files": FILES, "batches": BATCHES, "models": MODELS}[kind]
    if unquote(id) not in known:
        return error(404, f"The {kind} object `{id}` does not exist.", "not_found")
    if (method, kind, action) == ("GET", "files", "/content"):
        return Reply(200, b'{"custom_id": "a"}', {"Content-Type": "application/octet-stream"})
    if (method, kind, action) == ("POST", "batches", "/cancel"):
        return Reply(200, forms.batch(id, "cancelling"))
    if (method, kind, action) == ("DELETE", "files", None):
        return Reply(200, {"id": id, "object": "file", "deleted": True})
    if (method, action) != ("GET", None):
        return error(405, "Method Not Allowed")
    if kind == "models":
        return Reply(200, forms.model_list([unquote(id)], "OpenAI", context_window=131072)["data"][0])
    return Reply(200, forms.file_object(id) if kind == "files" else forms.batch(id))
