"""Anthropic's HTTP API, version 2026-10-21 (https://platform.claude.com/docs/en/api/overview)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..loopback import Reply, Request
from . import forms

KEY = "test-canary-key"
VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"]
LARGEST_PAGE = 2


def error(status: int, kind: str, message: str) -> Reply:
    """Return an answer in the format of Anthropic's errors."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return Reply(status, body)


def stream(events: Iterable[dict[str, Any]]) -> Reply:
    """Return a stream of `events`, each named by its `type`, with no `[DONE]` at its end."""
    chunks = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    return Reply(200, chunks, {"Content-Type": "text/event-stream; charset=utf-8"})


def message(model: str, text: str | None = None) -> dict[str, Any]:
    """Return Claude's answer; without `text`, the empty one that begins a stream."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [] if text is None else [{"type": "text", "text": text}],
        "stop_reason": None if text is None else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 2, "output_tokens": 1 if text is None else 3},
    }


def start(model: str = MODELS[0]) -> dict[str, Any]:
    """Return the first event of a stream."""
    return {"type": "message_start", "message": message(model)}


def delta(text: str) -> dict[str, Any]:
    """Return the event that carries a piece of text."""
    return {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }


def app(request: Request) -> Reply:
    """Answer like Anthropic's API. It takes the key as a bearer token, and in `x-api-key` as it always did."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key")
    if key != KEY:
        return error(
            401, "authentication_error", "invalid x-api-key" if key else "x-api-key header is required"
        )
    if (version := request.headers.get("anthropic-version")) not in VERSIONS:
        problem = f'"{version}" is not a valid version' if version else "header is required"
        return error(400, "invalid_request_error", f"anthropic-version: {problem}")
    if request.path == "/v1/models" and request.method == "GET":
        return _models(request)
    if request.path not in ("/v1/messages", "/v1/messages/count_tokens"):
        return error(404, "not_found_error", "Not found")
    if request.method != "POST":
        return error(405, "invalid_request_error", "Method Not Allowed")
    if not forms.is_json(request):
        return error(400, "invalid_request_error", "Content-Type: must be application/json")
    body = request.json()
    if problem := _problem(body, version, counting=request.path.endswith("count_tokens")):
        return error(400, "invalid_request_error", problem)
    if body["model"] not in MODELS:
        return error(404, "not_found_error", f"model: {body['model']}")
    if request.path == "/v1/messages":
        return _message(body)
    texts = [message["content"] for message in body["messages"]] + [body.get("system", "")]
    return Reply(200, {"input_tokens": sum(len(text.split()) for text in texts)})


def _problem(body: dict[str, Any], version: str, counting: bool) -> str:
    """Return what is wrong with a request's body, or nothing."""
    if counting and "max_tokens" in body:
        return "max_tokens: Extra inputs are not permitted"
    for field in ("model", "messages", *(() if counting else ("max_tokens",))):
        if field not in body:
            return f"{field}: Field required"
    if not body["messages"]:
        return "messages: at least one message is required"
    for field in ("temperature", "top_p", "top_k"):
        if field in body and version == "2026-10-21":
            return f"{field}: Extra inputs are not permitted"
    return ""


def _message(body: dict[str, Any]) -> Reply:
    text = "Echo: " + body["messages"][-1]["content"]
    if body.get("stream"):
        block = {"type": "text", "text": ""}
        ending = {"stop_reason": "end_turn", "stop_sequence": None}
        return stream(
            [
                start(body["model"]),
                {"type": "content_block_start", "index": 0, "content_block": block},
                {"type": "ping"},
                *(delta(word + " ") for word in text.split()),
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 3}},
                {"type": "message_stop"},
            ]
        )
    return Reply(200, message(body["model"], text))


def _models(request: Request) -> Reply:
    after = request.query.get("after_id")
    first = MODELS.index(after[0]) + 1 if after else 0
    size = min(int(request.query.get("limit", ["20"])[0]), LARGEST_PAGE)
    ids = MODELS[first : first + size]
    body = {
        "data": [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2025-11-24T00:00:00Z",
                "lifecycle": "active",
            }
            for name in ids
        ],
        "first_id": ids[0],
        "last_id": ids[-1],
        "has_more": first + size < len(MODELS),
    }
    return Reply(200, body)
