"""Anthropic's HTTP API, version 2026-10-21 (https://platform.claude.com/docs/en/api/overview)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ..loopback import Reply, Request
from . import forms

KEY = "test-canary-key"
VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"]
BATCHES = ["msgbatch_1", "msgbatch_2", "msgbatch_3"]
FILES = ["file_1", "file_2", "file_3"]
LARGEST_PAGE = 2
STORED = re.compile(
    r"/v1/(?P<kind>messages/batches|files|models)/(?P<id>[^/]+)(?P<action>/cancel|/results|/content)?"
)


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
    if request.path in LISTS and request.method == "GET":
        return LISTS[request.path](request)
    if request.path in MAKES and request.method == "POST":
        return MAKES[request.path](request)
    if request.path not in COUNTED and (stored := STORED.fullmatch(request.path)):
        return _stored(request.method, **stored.groupdict())
    if request.path not in COUNTED:
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


def _page(request: Request, items: list[dict[str, Any]]) -> Reply:
    ids = [item["id"] for item in items]
    after = request.query.get("after_id")
    first = ids.index(after[0]) + 1 if after else 0
    size = min(int(request.query.get("limit", ["20"])[0]), LARGEST_PAGE)
    page = items[first : first + size]
    more = {"first_id": page[0]["id"], "last_id": page[-1]["id"], "has_more": first + size < len(items)}
    return Reply(200, {"data": page, **more})


def _model(name: str) -> dict[str, Any]:
    created = {"created_at": "2025-11-24T00:00:00Z", "lifecycle": "active"}
    return {"type": "model", "id": name, "display_name": name, **created}


def batch(batch_id: str, status: str = "ended") -> dict[str, Any]:
    """Return a batch of messages."""
    counts = {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": batch_id, "type": "message_batch", "processing_status": status, "request_counts": counts,
        "created_at": "2026-11-24T00:00:00Z", "expires_at": "2026-11-25T00:00:00Z", "ended_at": None,
        "archived_at": None, "cancel_initiated_at": None,
        "results_url": f"/v1/messages/batches/{batch_id}/results" if status == "ended" else None,
    }  # fmt: skip


def file_object(
    file_id: str, filename: str = "a.txt", size: int = 2, kind: str = "text/plain"
) -> dict[str, Any]:
    """Return the description of a stored file."""
    return {
        "id": file_id, "type": "file", "filename": filename, "mime_type": kind, "size_bytes": size,
        "created_at": "2026-11-24T00:00:00Z", "downloadable": file_id == FILES[0],
    }  # fmt: skip


def _files(request: Request) -> Reply:
    first = int(request.query.get("page", ["0"])[0])
    last = first + LARGEST_PAGE
    page = [file_object(name) for name in FILES[first:last]]
    return Reply(200, {"data": page, "next_page": str(last) if last < len(FILES) else None})


def _new_batch(request: Request) -> Reply:
    if not forms.is_json(request) or not request.json().get("requests"):
        return error(400, "invalid_request_error", "requests: Field required")
    for number, each in enumerate(request.json()["requests"]):
        if problem := _problem(each["params"], str(request.headers["anthropic-version"]), counting=False):
            return error(400, "invalid_request_error", f"requests.{number}.params.{problem}")
    return Reply(200, batch("msgbatch_9", "in_progress"))


def _new_file(request: Request) -> Reply:
    if not forms.is_form(request) or "file" not in (fields := forms.form(request)):
        return error(400, "invalid_request_error", "file: Field required")
    filename, content = fields["file"]
    return Reply(200, file_object("file_9", str(filename), len(content)))


def _stored(method: str, kind: str, id: str, action: str | None) -> Reply:
    known = {"messages/batches": BATCHES, "files": FILES, "models": MODELS}[kind]
    if id not in known:
        return error(404, "not_found_error", f"{kind}: {id}")
    found = {"messages/batches": batch, "files": file_object, "models": _model}[kind]
    if (method, action) == ("GET", None):
        return Reply(200, found(id))
    if (method, kind, action) == ("GET", "messages/batches", "/results"):
        lines = [
            {
                "custom_id": name,
                "result": {"type": "succeeded", "message": message(MODELS[0], "Echo: " + name)},
            }
            for name in ("b", "a")
        ]
        chunks = (json.dumps(line).encode() + b"\n" for line in lines)
        return Reply(200, chunks, {"Content-Type": "application/x-jsonl"})
    if (method, kind, action) == ("GET", "files", "/content"):
        return Reply(200, b"hi", {"Content-Type": "application/octet-stream"})
    if (method, kind, action) == ("POST", "messages/batches", "/cancel"):
        return Reply(200, batch(id, "canceling"))
    if method == "DELETE" and kind != "models" and action is None:
        return Reply(200, {"id": id, "type": "message_batch_deleted" if "batch" in id else "file_deleted"})
    return error(405, "invalid_request_error", "Method Not Allowed")


COUNTED = ("/v1/messages", "/v1/messages/count_tokens")
LISTS = {
    "/v1/models": lambda request: _page(request, [_model(name) for name in MODELS]),
    "/v1/messages/batches": lambda request: _page(request, [batch(name) for name in BATCHES]),
    "/v1/files": _files,
}
MAKES = {"/v1/messages/batches": _new_batch, "/v1/files": _new_file}
