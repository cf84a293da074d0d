"""An OPEA gateway (https://opea-project.github.io/latest/developer-guides/OPEA_API.html).

`/v1/chatqna` streams as the ChatQnA megaservice does, `/v1/chat/completions` as a text generation
microservice does.
"""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request, sse

KEY = "test-canary-key"
BEARER = f"Bearer {KEY}"


def error(status: int, detail: Any) -> Reply:
    """Return an answer in the format of the errors of FastAPI, which OPEA's services are made with."""
    return Reply(status, {"detail": detail})


def app(request: Request) -> Reply:
    """Answer like an OPEA gateway."""
    if request.headers.get("authorization", BEARER) != BEARER:
        return error(401, "Not authenticated")
    if (request.method, request.path) == ("GET", "/v1/health_check"):
        return Reply(200, {"Service Title": "ChatQnAService/MicroService", "Service Description": "OPEA"})
    if request.method != "POST":
        return error(405, "Method Not Allowed")
    body = request.json()
    if request.path == "/v1/chatqna":
        return _chat(body, "chatqna", stream=body.get("stream", True), as_bytes=True)
    if request.path == "/v1/chat/completions":
        return _chat(body, body["model"], stream=body.get("stream", False), as_bytes=False)
    if request.path == "/v1/embeddings":
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        rows = [
            {"object": "embedding", "index": i, "embedding": [float(len(t))]} for i, t in enumerate(texts)
        ]
        return Reply(200, {"object": "list", "data": rows[::-1], "model": body["model"]})
    return error(404, "Not Found")


def _chat(body: dict[str, Any], model: str, stream: bool, as_bytes: bool) -> Reply:
    if not body.get("messages"):
        # An exception in a service, which FastAPI's server tells nobody about.
        return Reply(500, "Internal Server Error", {"Content-Type": "text/plain; charset=utf-8"})
    messages = body["messages"]
    text = "Echo: " + (messages if isinstance(messages, str) else messages[-1]["content"])
    if stream and as_bytes:
        return sse(repr((word + " ").encode()) for word in text.split())
    if stream:
        return sse(
            {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word + " "}}]}
            for word in text.split()
        )
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(200, {"object": "chat.completion", "model": model, "choices": [choice]})
