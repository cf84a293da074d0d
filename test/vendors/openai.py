"""OpenAI's HTTP API as far as the backend uses it (https://platform.openai.com/docs/api-reference)."""

from __future__ import annotations

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"


def error(status: int, message: str, code: str | None = None) -> Reply:
    """Return an answer in the format of OpenAI's errors."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Reply(status, body)


def app(request: Request) -> Reply:
    """Answer like OpenAI's API."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "Incorrect API key provided.", "invalid_api_key")
    if (request.method, request.path) == ("GET", "/v1/models"):
        models = [
            {"id": name, "object": "model", "created": 1, "owned_by": "openai"} for name in ("gpt-4o", "o3")
        ]
        return Reply(200, {"object": "list", "data": models})
    if request.method != "POST":
        return error(404, f"Unknown request URL: {request.method} {request.path}", "unknown_url")
    body = request.json()
    if request.path == "/v1/chat/completions":
        if not body.get("messages"):
            return error(400, "'messages' is a required property")
        text = "Echo: " + body["messages"][-1]["content"]
        if body.get("stream"):
            return sse(
                {
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"content": word + " "}}],
                }
                for word in text.split()
            )
        message = {"role": "assistant", "content": text}
        return Reply(200, {
            "id": "chatcmpl-1", "object": "chat.completion", "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        })  # fmt: skip
    if request.path == "/v1/completions":
        return Reply(
            200, {"object": "text_completion", "choices": [{"text": "Echo: " + body["prompt"], "index": 0}]}
        )
    if request.path == "/v1/embeddings":
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        rows = [
            {"object": "embedding", "index": i, "embedding": [float(len(t))]} for i, t in enumerate(texts)
        ]
        return Reply(200, {"object": "list", "data": rows[::-1], "model": body["model"]})
    return error(404, f"Unknown request URL: POST {request.path}", "unknown_url")
