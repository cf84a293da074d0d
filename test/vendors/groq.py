"""Groq's HTTP API as far as the backend uses it (https://console.groq.com/docs/api-reference)."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"


def error(status: int, message: str, code: str | None = None) -> Reply:
    """Return an answer in the format of Groq's errors."""
    detail = {"message": message, "type": "invalid_request_error"}
    return Reply(status, {"error": {**detail, **({"code": code} if code else {})}})


def chunk(content: str | None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a streamed completion."""
    choice = {"index": 0, "delta": {} if content is None else {"content": content}}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **more}


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
        names = ("llama-3.3-70b-versatile", "whisper-large-v3-turbo")
        models = [{"id": name, "object": "model", "owned_by": "Meta"} for name in names]
        return Reply(200, {"object": "list", "data": models})
    if (request.method, request.path) == ("POST", "/openai/v1/chat/completions"):
        return _chat(request.json())
    if (request.method, request.path) == ("POST", "/openai/v1/audio/transcriptions"):
        fields = form(request)
        if "file" not in fields or "model" not in fields:
            return error(400, "model and file are required")
        text = f"Heard {len(fields['file'][1])} bytes"
        return Reply(200, {"text": text, "x_groq": {"id": "req_1"}})
    message = f"Unknown request URL: {request.method} {request.path}"
    return error(404, message, "unknown_url")


def _chat(body: dict[str, Any]) -> Reply:
    if not body.get("messages"):
        return error(400, "'messages' : minimum number of items is 1")
    text = "Echo: " + body["messages"][-1]["content"]
    if body.get("stream"):
        first = chunk("", x_groq={"id": "req_1"})
        last = chunk(None, x_groq={"id": "req_1", "usage": {"total_tokens": 5}})
        return sse([first, *(chunk(word + " ") for word in text.split()), last])
    message = {"role": "assistant", "content": text}
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
        "x_groq": {"id": "req_1"},
    }
    return Reply(200, answer)
