"""The Gemini API as far as the backend uses it (https://ai.google.dev/api)."""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"
MODELS = ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-embedding-001"]
LARGEST_PAGE = 2


def error(status: int, name: str, message: str) -> Reply:
    """Return an answer in the format of Google's errors."""
    return Reply(status, {"error": {"code": status, "message": message, "status": name}})


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    """Return an answer of the model, or a piece of one in a stream."""
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash"}


def app(request: Request) -> Reply:
    """Answer like the Gemini API."""
    if "x-goog-api-key" not in request.headers:
        message = "Method doesn't allow unregistered callers."
        return error(403, "PERMISSION_DENIED", message)
    if request.headers["x-goog-api-key"] != KEY:
        message = "API key not valid. Please pass a valid API key."
        return error(400, "INVALID_ARGUMENT", message)
    if (request.method, request.path) == ("GET", "/v1beta/models"):
        return _models(request)
    name, _, method = request.path.removeprefix("/v1beta/").partition(":")
    if request.method != "POST" or name.removeprefix("models/") not in MODELS:
        return error(404, "NOT_FOUND", f"{name} is not found for API version v1beta")
    body = request.json()
    if method == "embedContent":
        return Reply(200, {"embedding": _embedding(body)})
    if method == "batchEmbedContents":
        if any(item["model"] != name for item in body["requests"]):
            return error(400, "INVALID_ARGUMENT", "model in requests must match the path")
        return Reply(200, {"embeddings": [_embedding(item) for item in body["requests"]]})
    if method == "countTokens":
        texts = _texts(body["generateContentRequest"])
        return Reply(200, {"totalTokens": sum(len(text.split()) for text in texts)})
    if not body.get("contents"):
        return error(400, "INVALID_ARGUMENT", "contents is not specified")
    text = "Echo: " + _texts(body)[-1]
    if method == "generateContent":
        return Reply(200, piece(text, "STOP"))
    if method == "streamGenerateContent" and request.query == {"alt": ["sse"]}:
        *words, last = text.split()
        return sse([*(piece(word + " ") for word in words), piece(last, "STOP")], done=None)
    return error(404, "NOT_FOUND", "Method not found.")


def _texts(body: dict[str, Any]) -> list[str]:
    contents = [body.get("systemInstruction", {"parts": []}), *body["contents"]]
    return [part["text"] for content in contents for part in content["parts"]]


def _embedding(body: dict[str, Any]) -> dict[str, Any]:
    return {"values": [float(len(body["content"]["parts"][0]["text"]))]}


def _models(request: Request) -> Reply:
    first = int(request.query.get("pageToken", ["0"])[0])
    last = first + min(int(request.query.get("pageSize", ["50"])[0]), LARGEST_PAGE)
    page: dict[str, Any] = {"models": [{"name": "models/" + m} for m in MODELS[first:last]]}
    if last < len(MODELS):
        page["nextPageToken"] = str(last)
    return Reply(200, page)
