"""Text Generation Inference's HTTP API (https://huggingface.github.io/text-generation-inference/).

Its ways, read from its router (`router/src/server.rs`): a refused key is a 401 without a body; a body of the wrong form
is refused in plain text; once a stream was asked for, all else that goes wrong comes inside it, with status 200.
"""

from __future__ import annotations

import json
from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODEL = "bigscience/bloom-560m"
EMPTY = "Input validation error: `inputs` cannot be empty"


def error(status: int, message: str, error_type: str) -> Reply:
    """Return an answer in the format of TGI's errors."""
    return Reply(status, {"error": message, "error_type": error_type})


def event(index: int, text: str, **more: Any) -> dict[str, Any]:
    """Return an event of `/generate_stream`."""
    detail = {"id": index, "text": text, "logprob": -0.5, "special": False}
    return {"index": index, "token": detail, "generated_text": None, "details": None, **more}


def stream(*events: dict[str, Any], done: str | None = None) -> Reply:
    """Return a stream of events, with a comment in it as TGI sends it every 15 s."""
    chunks = (b"data:" + json.dumps(each).encode() + b"\n\n" for each in events)
    last = [b"data: [DONE]\n\n"] if done else []
    return Reply(200, iter([b":\n\n", *chunks, *last]), {"Content-Type": "text/event-stream"})


def app(request: Request) -> Reply:
    """Answer like a TGI server that was started with `--api-key`."""
    answers_all = request.path in INFO
    if not answers_all and request.headers.get("authorization", "").lower() != f"bearer {KEY}".lower():
        return Reply(401)
    return open_app(request)


def open_app(request: Request) -> Reply:
    """Answer like a TGI server that wants no key."""
    if request.path not in INFO and request.path not in POSTS:
        return Reply(404)
    if request.method != ("GET" if request.path in INFO else "POST"):
        return Reply(405)
    if request.path in INFO:
        return Reply(200, INFO[request.path])
    if not forms.is_json(request):
        return Reply(415, "Expected request with `Content-Type: application/json`")
    field = "messages" if "chat" in request.path else "prompt" if "/v1/" in request.path else "inputs"
    if field not in request.json():
        return Reply(
            422, f"Failed to deserialize the JSON body into the target type: missing field `{field}`"
        )
    return POSTS[request.path](request.json())


def _generate(body: dict[str, Any]) -> Reply:
    if not body["inputs"]:
        return error(422, EMPTY, "validation")
    return Reply(200, {"generated_text": "Echo: " + body["inputs"]})


def _generate_stream(body: dict[str, Any]) -> Reply:
    if not body["inputs"]:
        return stream({"error": EMPTY, "error_type": "validation"})
    text = "Echo: " + body["inputs"]
    *events, last = (event(i, word + " ") for i, word in enumerate(text.split(), 1))
    return stream(*events, {**last, "generated_text": text})


def _tokenize(body: dict[str, Any]) -> Reply:
    return Reply(200, [{"id": i, "text": c, "start": i, "stop": i + 1} for i, c in enumerate(body["inputs"])])


def _chat(body: dict[str, Any]) -> Reply:
    if not body["messages"]:
        return error(422, EMPTY, "validation")
    text = "Echo: " + forms.said(body)
    if body.get("stream"):
        return sse(forms.chunks(MODEL, text))
    return Reply(200, forms.completion(MODEL, text, system_fingerprint="3.3.5-native"))


def _complete(body: dict[str, Any]) -> Reply:
    text = "Echo: " + body["prompt"]
    return (
        sse(forms.text_chunks(MODEL, text))
        if body.get("stream")
        else Reply(200, forms.text_completion(MODEL, text))
    )


def _chat_tokenize(body: dict[str, Any]) -> Reply:
    prompt = "<user>" + forms.said(body)
    tokens = [{"id": i, "text": c, "start": i, "stop": i + 1} for i, c in enumerate(prompt)]
    return Reply(200, {"tokenize_response": tokens, "templated_text": prompt})


POSTS = {
    "/generate": _generate,
    "/generate_stream": _generate_stream,
    "/tokenize": _tokenize,
    "/v1/chat/completions": _chat,
    "/v1/completions": _complete,
    "/chat_tokenize": _chat_tokenize,
}
INFO: dict[str, Any] = {
    "/health": b"",
    "/info": {"model_id": MODEL, "version": "3.3.5", "max_concurrent_requests": 128},
    "/v1/models": forms.model_list([MODEL], MODEL),
}
"""What TGI answers without a key, also where it was started with one."""
