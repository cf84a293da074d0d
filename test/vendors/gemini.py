"""The Gemini API as far as the backend uses it (https://ai.google.dev/api)."""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODELS = ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-embedding-001"]
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
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


def app(request: Request) -> Reply:
    """Answer like the Gemini API. It takes the key in the URL too, which the backend must not use: a 404 here."""
    if "key" in request.query:
        return error(404, "NOT_FOUND", "the key stands in the URL")
    if "x-goog-api-key" not in request.headers:
        message = (
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API."
        )
        return error(403, "PERMISSION_DENIED", message)
    if request.headers["x-goog-api-key"] != KEY:
        message = "API key not valid. Please pass a valid API key."
        return error(400, "INVALID_ARGUMENT", message)
    if (request.method, request.path) == ("GET", "/v1beta/models"):
        return _models(request)
    name, _, method = request.path.removeprefix("/v1beta/").partition(":")
    answers = {
        "generateContent": _generate, "streamGenerateContent": _stream, "countTokens": _count,
        "embedContent": _embed, "batchEmbedContents": _embed_all,
    }  # fmt: skip
    if request.method != "POST" or not request.path.startswith("/v1beta/models/") or method not in answers:
        return Reply(
            404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", {"Content-Type": "text/html"}
        )
    if name.removeprefix("models/") not in MODELS:
        message = f"{name} is not found for API version v1beta, or is not supported for {method}."
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
    first = int(request.query.get("pageToken", ["0"])[0])
    last = first + min(int(request.query.get("pageSize", ["50"])[0]), LARGEST_PAGE)
    names = ["models/" + model for model in MODELS[first:last]]
    methods = ["generateContent", "countTokens"]
    page: dict[str, Any] = {
        "models": [{"name": name, "supportedGenerationMethods": methods} for name in names]
    }
    if last < len(MODELS):
        page["nextPageToken"] = str(last)
    return Reply(200, page)
