"""Groq's HTTP API as far as the backend uses it (https://console.groq.com/docs/api-reference)."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODELS = ("llama-3.3-70b-versatile", "whisper-large-v3-turbo", "nomic-embed-text-v1_5")


def error(status: int, message: str, code: str | None = None) -> Reply:
    """Return an answer in the format of Groq's errors."""
    detail = {"message": message, "type": "invalid_request_error"}
    return Reply(status, {"error": {**detail, **({"code": code} if code else {})}})


def form(request: Request) -> dict[str, tuple[str | None, bytes]]:
    """Return the fields of a multipart request: name to (file name, content)."""
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    fields: dict[str, tuple[str | None, bytes]] = {}
    for part in message_from_bytes(head + request.body).get_payload():
        name = str(part.get_param("name", header="content-disposition"))
        fields[name] = (part.get_filename(), part.get_payload(decode=True))
    return fields


def app(request: Request) -> Reply:
    """Answer like Groq's API."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "Invalid API Key", "invalid_api_key")
    if (request.method, request.path) == ("GET", "/openai/v1/models"):
        return Reply(200, forms.model_list(MODELS, "Meta", active=True, context_window=131072))
    if (request.method, request.path) == ("POST", "/openai/v1/audio/transcriptions"):
        return _transcription(request)
    answers = {"/openai/v1/chat/completions": _chat, "/openai/v1/embeddings": _embeddings}
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


def _transcription(request: Request) -> Reply:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return error(400, "request Content-Type isn't multipart/form-data")
    fields = form(request)
    if "file" not in fields or "model" not in fields:
        return error(400, "model and file are required")
    return Reply(200, {"text": f"Heard {len(fields['file'][1])} bytes", "x_groq": {"id": "req_1"}})
