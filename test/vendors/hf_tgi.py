"""Text Generation Inference's HTTP API (https://huggingface.github.io/text-generation-inference/)."""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"
BEARER = f"Bearer {KEY}"
MODEL = "bigscience/bloom-560m"
OPEN_PATHS = ("/health", "/info", "/v1/models")
"""What TGI answers without a key, also where it was started with one."""


def error(status: int, message: str, error_type: str) -> Reply:
    """Return an answer in the format of TGI's errors."""
    return Reply(status, {"error": message, "error_type": error_type})


def token(index: int, text: str, **more: Any) -> dict[str, Any]:
    """Return an event of `/generate_stream`."""
    detail = {"id": index, "text": text, "logprob": -0.5, "special": False}
    return {"index": index, "token": detail, "generated_text": None, "details": None, **more}


def app(request: Request) -> Reply:
    """Answer like a TGI server."""
    if request.path not in OPEN_PATHS and request.headers.get("authorization", BEARER) != BEARER:
        return Reply(401)
    if request.method == "GET":
        return _get(request.path)
    body = request.json()
    if request.path == "/v1/chat/completions":
        return _chat(body)
    if not body.get("inputs"):
        return error(422, "Input validation error: `inputs` cannot be empty", "validation")
    if request.path == "/tokenize":
        return Reply(
            200, [{"id": i, "text": c, "start": i, "stop": i + 1} for i, c in enumerate(body["inputs"])]
        )
    text = "Echo: " + body["inputs"]
    if request.path == "/generate":
        return Reply(200, {"generated_text": text})
    if request.path == "/generate_stream":
        words = text.split()
        events = [token(i, word + " ") for i, word in enumerate(words, 1)]
        return sse([*events[:-1], {**events[-1], "generated_text": text}], done=None)
    return Reply(404)


def _get(path: str) -> Reply:
    if path == "/health":
        return Reply(200)
    if path == "/info":
        return Reply(200, {"model_id": MODEL, "version": "3.3.5", "max_concurrent_requests": 128})
    if path == "/v1/models":
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}
        return Reply(200, {"object": "list", "data": [model]})
    return Reply(404)


def _chat(body: dict[str, Any]) -> Reply:
    if not body.get("messages"):
        return error(422, "Input validation error: `inputs` cannot be empty", "validation")
    text = "Echo: " + body["messages"][-1]["content"]
    if body.get("stream"):
        return sse(
            {
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": word + " "}}],
            }
            for word in text.split()
        )
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(200, {"object": "chat.completion", "model": MODEL, "choices": [choice]})
