"""OpenAI's HTTP API as far as the backend uses it (https://developers.openai.com/api/reference)."""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODELS = ("gpt-4o", "o3", "gpt-3.5-turbo-instruct", "text-embedding-3-small")
PATHS = {
    "/v1/models": "GET",
    "/v1/chat/completions": "POST",
    "/v1/completions": "POST",
    "/v1/embeddings": "POST",
}


def error(status: int, message: str, code: str | None = None, kind: str = "invalid_request_error") -> Reply:
    """Return an answer in the format of OpenAI's errors."""
    return Reply(status, {"error": {"message": message, "type": kind, "param": None, "code": code}})


def app(request: Request) -> Reply:
    """Answer like OpenAI's API."""
    if request.path not in PATHS:
        return error(404, f"Invalid URL ({request.method} {request.path})")
    if refused := _refused(request):
        return refused
    if request.method != PATHS[request.path]:
        return error(405, f"Not allowed to {request.method} on {request.path}.", "method_not_supported")
    if request.path == "/v1/models":
        return Reply(200, forms.model_list(MODELS, "openai"))
    if not forms.is_json(request):
        return error(400, "you must provide a model parameter")
    return _answer(request.path, request.json())


def _refused(request: Request) -> Reply | None:
    """Return the 401 for a request without the right key; it repeats a short key (help.openai.com 6882433)."""
    sent = request.headers.get("authorization", "")
    if sent == f"Bearer {KEY}":
        return None
    if not sent.startswith("Bearer "):
        return error(
            401, "You didn't provide an API key. You need to provide your API key in an Authorization header."
        )
    key = sent.removeprefix("Bearer ")
    return error(
        401,
        f"Incorrect API key provided: {key}. You can find your API key at https://platform.openai.com/account/api-keys.",
        "invalid_api_key",
    )


def _answer(path: str, body: dict[str, Any]) -> Reply:
    if not body.get("model"):
        return error(400, "you must provide a model parameter")
    if body["model"] not in MODELS:
        message = f"The model `{body['model']}` does not exist or you do not have access to it."
        return error(404, message, "model_not_found")
    field = {"/v1/chat/completions": "messages", "/v1/completions": "prompt"}.get(path, "input")
    if not body.get(field):
        return error(400, f"Missing required parameter: '{field}'.", "missing_required_parameter")
    model = body["model"]
    if path == "/v1/embeddings":
        return Reply(200, forms.embedding_list(model, body["input"]))
    chat = path == "/v1/chat/completions"
    text = "Echo: " + (forms.said(body) if chat else body["prompt"])
    if body.get("stream"):
        return sse(forms.chunks(model, text) if chat else forms.text_chunks(model, text))
    return Reply(200, forms.completion(model, text) if chat else forms.text_completion(model, text))
