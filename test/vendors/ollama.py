"""Ollama's HTTP API as far as the backend uses it (https://docs.ollama.com/api)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..loopback import Reply, Request

KEY = "test-canary-key"
MODELS = ["llama3.2:latest", "all-minilm:latest"]
COUNTS = {"total_duration": 5, "prompt_eval_count": 2, "eval_count": 3}
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
    """Answer like ollama.com, which wants a key for all but the list of models."""
    if request.path != "/api/tags" and request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "unauthorized")
    return open_app(request)


def open_app(request: Request) -> Reply:
    """Answer like a server on one's own machine, which wants no key. Like it, streams unless told not to."""
    if (request.method, request.path) == ("GET", "/api/tags"):
        models = [{"name": name, "model": name, "size": 1, "details": {"format": "gguf"}} for name in MODELS]
        return Reply(200, {"models": models})
    if (request.method, request.path) == ("GET", "/api/version"):
        return Reply(200, {"version": "0.13.0"})
    if (request.method, request.path) == ("GET", "/api/ps"):
        model = {"name": MODELS[0], "model": MODELS[0], "size_vram": 1, "expires_at": STAMP["created_at"]}
        return Reply(200, {"models": [model]})
    if request.path not in ANSWERS:
        return Reply(404, "404 page not found", {"Content-Type": "text/plain"})
    if request.method != ("DELETE" if request.path == "/api/delete" else "POST"):
        return Reply(405, "405 method not allowed", {"Content-Type": "text/plain"})
    if not request.body:
        return error(400, "missing request body")
    body = request.json()
    known = {*MODELS, *(name.removesuffix(":latest") for name in MODELS)}
    name = body.get("source" if request.path == "/api/copy" else "model", "")
    if request.path not in ("/api/pull", "/api/create") and name not in known:
        return error(404, f"model '{name}' not found")
    return ANSWERS[request.path](body)


def _chat(body: dict[str, Any]) -> Reply:
    text = "Echo: " + body["messages"][-1]["content"]
    last = {**COUNTS, "done_reason": "stop"}
    if not body.get("stream", True):
        return Reply(200, {**piece(text, done=True), **last})
    return lines([*(piece(word + " ") for word in text.split()), {**piece("", done=True), **last}])


def _generate(body: dict[str, Any]) -> Reply:
    text = "Echo: " + body["prompt"]
    last = {"done": True, "done_reason": "stop", **COUNTS}
    if not body.get("stream", True):
        return Reply(200, {**STAMP, "response": text, **last})
    words = [{**STAMP, "response": word + " ", "done": False} for word in text.split()]
    return lines([*words, {**STAMP, "response": "", **last}])


def _embed(body: dict[str, Any]) -> Reply:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    embeddings = [[float(len(text))] for text in texts]
    return Reply(200, {"model": body["model"], "embeddings": embeddings, "prompt_eval_count": len(texts)})


def _show(body: dict[str, Any]) -> Reply:
    details = {"format": "gguf", "family": "llama", "quantization_level": "Q4_K_M"}
    return Reply(200, {"details": details, "capabilities": ["completion"], "template": "", "model_info": {}})


def _create(body: dict[str, Any]) -> Reply:
    if "from" not in body and "files" not in body:
        return error(400, "neither 'from' or 'files' was specified")
    reports = [{"status": "creating new layer"}, {"status": "writing manifest"}, {"status": "success"}]
    return lines(reports) if body.get("stream", True) else Reply(200, reports[-1])


def _copy(body: dict[str, Any]) -> Reply:
    return Reply(200) if body.get("destination") else error(400, "invalid destination")


def _delete(body: dict[str, Any]) -> Reply:
    return Reply(200)


def _pull(body: dict[str, Any]) -> Reply:
    layer = {"digest": "sha256:1", "total": 2}
    reports: list[dict[str, Any]] = [
        {"status": "pulling manifest"},
        {"status": "pulling 1", **layer, "completed": 1},
        {"status": "verifying sha256 digest"},
        {"status": "success"},
    ]
    return lines(reports) if body.get("stream", True) else Reply(200, reports[-1])


ANSWERS = {
    "/api/chat": _chat, "/api/generate": _generate, "/api/embed": _embed, "/api/pull": _pull, "/api/show": _show,
    "/api/create": _create, "/api/copy": _copy, "/api/delete": _delete,
}  # fmt: skip
