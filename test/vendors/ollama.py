"""Ollama's HTTP API as far as the backend uses it (https://docs.ollama.com/api)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..loopback import Reply, Request

KEY = "test-canary-key"
MODELS = ["llama3.2:latest", "all-minilm:latest"]
STAMP = {"model": "llama3.2", "created_at": "2026-01-01T00:00:00.000000Z"}


def error(status: int, message: str) -> Reply:
    """Return an answer in the format of Ollama's errors."""
    return Reply(status, {"error": message})


def lines(objects: Iterable[dict[str, Any]]) -> Reply:
    """Return a stream of JSON objects, one a line."""
    chunks = (json.dumps(each).encode() + b"\n" for each in objects)
    return Reply(200, chunks, {"Content-Type": "application/x-ndjson"})


def piece(text: str, done: bool = False) -> dict[str, Any]:
    """Return an answer of the model in a chat, or a piece of one in a stream."""
    return {**STAMP, "message": {"role": "assistant", "content": text}, "done": done}


def app(request: Request) -> Reply:
    """Answer like ollama.com, which wants a key."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "unauthorized")
    return local_app(request)


def local_app(request: Request) -> Reply:
    """Answer like a server on one's own machine, which wants no key. Like it, streams unless told not to."""
    if (request.method, request.path) == ("GET", "/api/tags"):
        models = [{"name": name, "model": name, "size": 1} for name in MODELS]
        return Reply(200, {"models": models})
    if (request.method, request.path) == ("GET", "/api/version"):
        return Reply(200, {"version": "0.13.0"})
    if request.method != "POST":
        return Reply(404, "404 page not found")
    body = request.json()
    if request.path == "/api/pull":
        layer = {"digest": "sha256:1", "total": 2}
        return lines(
            [
                {"status": "pulling manifest"},
                {"status": "pulling 1", **layer, "completed": 1},
                {"status": "success"},
            ]
        )
    if body.get("model", "") not in {*MODELS, *(name.removesuffix(":latest") for name in MODELS)}:
        return error(404, f"model '{body.get('model', '')}' not found")
    if request.path == "/api/embed":
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        return Reply(200, {"model": body["model"], "embeddings": [[float(len(t))] for t in texts]})
    if request.path == "/api/chat":
        text = "Echo: " + body["messages"][-1]["content"]
        if body.get("stream", True):
            words = [piece(word + " ") for word in text.split()]
            return lines([*words, {**piece("", done=True), "done_reason": "stop"}])
        return Reply(200, {**piece(text, done=True), "done_reason": "stop"})
    if request.path == "/api/generate":
        answer = {**STAMP, "response": "Echo: " + body["prompt"], "done": True}
        return lines([answer]) if body.get("stream", True) else Reply(200, answer)
    return Reply(404, "404 page not found")
