"""A generic LLM inference server with OpenAI-style paths, as vLLM answers (https://docs.vllm.ai)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"
BEARER = f"Bearer {KEY}"
MODELS = ("llama-3", "mistralai/Mistral-7B")


def error(status: int, message: str, kind: str = "BadRequestError") -> Reply:
    """Return an answer in the format of the server's errors."""
    return Reply(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})


def app(request: Request) -> Reply:
    """Answer like an inference server."""
    if request.headers.get("authorization", BEARER) != BEARER:
        return Reply(401, {"error": "Unauthorized"})
    models = {
        name: {"id": name, "object": "model", "owned_by": "vllm", "max_model_len": 4096} for name in MODELS
    }
    if (request.method, request.path) == ("GET", "/v1/models"):
        return Reply(200, {"object": "list", "data": list(models.values())})
    if request.method == "GET" and request.path.startswith("/v1/models/"):
        name = unquote(request.path.removeprefix("/v1/models/"))
        return Reply(200, models[name]) if name in models else _no_model(name)
    if (request.method, request.path) == ("POST", "/v1/chat/completions"):
        return _chat(request.json())
    if (request.method, request.path) == ("POST", "/v1/completions"):
        return _complete(request.json())
    return Reply(404, {"detail": "Not Found"})


def _no_model(name: str) -> Reply:
    return error(404, f"The model `{name}` does not exist.", "NotFoundError")


def _chat(body: dict[str, Any]) -> Reply:
    if body["model"] not in MODELS:
        return _no_model(body["model"])
    text = "Echo: " + body["messages"][-1]["content"]
    if body.get("stream"):
        return sse(
            {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word + " "}}]}
            for word in text.split()
        )
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(200, {"object": "chat.completion", "model": body["model"], "choices": [choice]})


def _complete(body: dict[str, Any]) -> Reply:
    text = "Echo: " + body["prompt"]
    if body.get("stream"):
        return sse(
            {"object": "text_completion", "choices": [{"index": 0, "text": word + " "}]}
            for word in text.split()
        )
    return Reply(200, {"object": "text_completion", "choices": [{"index": 0, "text": text}]})
