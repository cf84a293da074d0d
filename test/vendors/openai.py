"""OpenAI's HTTP API as far as the backend uses it (https://platform.openai.com/docs/api-reference)."""

from __future__ import annotations

import re
from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
CHAT = "gpt-6-luna"
OPEN = "gpt-oss-20b"
"""A model for completions of texts, on one of the servers that speak OpenAI's API."""
MODELS = (
    CHAT, "gpt-4o", OPEN, "text-embedding-3-small", "omni-moderation-latest",
    "gpt-transcribe", "whisper-1", "gpt-4o-mini-tts", "gpt-image-2",
)  # fmt: skip
FILES = ("file-1", "file-2", "file-3")
BATCHES = ("batch-1", "batch-2", "batch-3")
ASKED = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/v1/responses": "input",
    "/v1/responses/input_tokens": "input",
    "/v1/moderations": "input",
    "/v1/audio/speech": "input",
    "/v1/images/generations": "prompt",
}
FORMS = {
    "/v1/audio/transcriptions": ("model", "file"),
    "/v1/audio/translations": ("model", "file"),
    "/v1/images/edits": ("model", "prompt", "image"),
    "/v1/files": ("purpose", "file"),
}
STORED = re.compile(
    r"/v1/(?P<kind>responses|files|batches|models)/(?P<id>[^/]+)(?P<action>/cancel|/content)?"
)


def error(status: int, message: str, code: str | None = None, kind: str = "invalid_request_error") -> Reply:
    """Return an answer in the format of OpenAI's errors."""
    return Reply(status, {"error": {"message": message, "type": kind, "param": None, "code": code}})


def app(request: Request) -> Reply:
    """Answer like OpenAI's API."""
    if refused := _refused(request):
        return refused
    if request.method == "POST" and request.path in FORMS:
        return _form(request)
    if request.method == "POST" and request.path in ASKED:
        return _answer(request.path, request.json()) if forms.is_json(request) else _no_model()
    if (request.method, request.path) == ("POST", "/v1/batches"):
        return _new_batch(request)
    if request.method == "GET" and request.path in LISTS:
        return Reply(200, LISTS[request.path](request))
    if stored := STORED.fullmatch(request.path):
        return _stored(request.method, **stored.groupdict())
    if request.path in (*ASKED, *FORMS, *LISTS):
        return error(405, f"Not allowed to {request.method} on {request.path}.", "method_not_supported")
    return error(404, f"Invalid URL ({request.method} {request.path})")


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


def _no_model() -> Reply:
    return error(400, "you must provide a model parameter")


def _unknown_model(name: Any) -> Reply | None:
    if not name:
        return _no_model()
    if name in MODELS:
        return None
    message = f"The model `{name}` does not exist or you do not have access to it."
    return error(404, message, "model_not_found")


def _answer(path: str, body: dict[str, Any]) -> Reply:
    if unknown := _unknown_model(body.get("model")):
        return unknown
    if not body.get(ASKED[path]):
        return error(400, f"Missing required parameter: '{ASKED[path]}'.", "missing_required_parameter")
    model = body["model"]
    if path == "/v1/responses":
        return forms.response_reply(body)
    if path == "/v1/responses/input_tokens":
        return Reply(200, {"object": "response.input_tokens", "input_tokens": len(forms.asked(body).split())})
    if path == "/v1/embeddings":
        return Reply(200, forms.embedding_list(model, body["input"]))
    if path == "/v1/moderations":
        return _moderation(model, body["input"])
    if path == "/v1/audio/speech":
        return _speech(body)
    if path == "/v1/images/generations":
        return Reply(200, _images())
    chat = path == "/v1/chat/completions"
    text = "Echo: " + (forms.said(body) if chat else body["prompt"])
    if body.get("stream"):
        return sse(forms.chunks(model, text) if chat else forms.text_chunks(model, text))
    return Reply(200, forms.completion(model, text) if chat else forms.text_completion(model, text))


def _moderation(model: str, texts: str | list[Any]) -> Reply:
    results = [
        {
            "flagged": "kill" in str(text), "categories": {"violence": "kill" in str(text)},
            "category_scores": {"violence": 0.5}, "category_applied_input_types": {"violence": ["text"]},
        }
        for text in ([texts] if isinstance(texts, str) else texts)
    ]  # fmt: skip
    return Reply(200, {"id": "modr-1", "model": model, "results": results})


def _speech(body: dict[str, Any]) -> Reply:
    if not body.get("voice"):
        return error(400, "Missing required parameter: 'voice'.", "missing_required_parameter")
    return Reply(200, b"\xff\xf3" + body["input"].encode(), {"Content-Type": "audio/mpeg"})


def _images() -> dict[str, Any]:
    return {"created": forms.CREATED, "data": [{"b64_json": "aGk="}], "output_format": "png"}


def _form(request: Request) -> Reply:
    if not forms.is_form(request):
        return error(400, "Invalid Content-Type header. Expected multipart/form-data.")
    fields = {name.removesuffix("[]"): value for name, value in forms.form(request).items()}
    for name in FORMS[request.path]:
        if name not in fields:
            return error(400, f"Missing required parameter: '{name}'.", "missing_required_parameter")
    if request.path == "/v1/files":
        filename, content = fields["file"]
        purpose = fields["purpose"][1].decode()
        return Reply(200, forms.file_object("file-9", str(filename), len(content), purpose))
    if unknown := _unknown_model(fields["model"][1].decode()):
        return unknown
    if request.path == "/v1/images/edits":
        return Reply(200, _images())
    return Reply(200, {"text": f"Heard {len(fields['file'][1])} bytes"})


def _new_batch(request: Request) -> Reply:
    body = request.json() if forms.is_json(request) else {}
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not body.get(name):
            return error(400, f"Missing required parameter: '{name}'.", "missing_required_parameter")
    return Reply(200, forms.batch("batch-9", "validating", **body))


LISTS = {
    "/v1/models": lambda request: forms.model_list(MODELS, "openai"),
    "/v1/files": lambda request: forms.page([forms.file_object(name) for name in FILES], request),
    "/v1/batches": lambda request: forms.page([forms.batch(name) for name in BATCHES], request),
}


def _stored(method: str, kind: str, id: str, action: str | None) -> Reply:
    known = {"responses": ("resp_1",), "files": FILES, "batches": BATCHES, "models": MODELS}[kind]
    if id not in known:
        return error(404, f"No such {kind} object: {id}", "model_not_found" if kind == "models" else None)
    if (method, kind, action) == ("GET", "files", "/content"):
        return Reply(200, b'{"custom_id": "a"}', {"Content-Type": "application/octet-stream"})
    if (method, action) == ("POST", "/cancel") and kind in ("responses", "batches"):
        stopped = forms.response(CHAT, "Stopped") if kind == "responses" else forms.batch(id, "cancelling")
        return Reply(200, stopped)
    if (method, action) == ("DELETE", None) and kind in ("responses", "files"):
        return Reply(200, {"id": id, "object": kind[:-1], "deleted": True})
    if (method, action) == ("GET", None):
        return Reply(200, {
            "responses": lambda: forms.response(CHAT, "Hello"), "files": lambda: forms.file_object(id),
            "batches": lambda: forms.batch(id), "models": lambda: forms.model_list([id], "openai")["data"][0],
        }[kind]())  # fmt: skip
    return error(405, f"Not allowed to {method} on /v1/{kind}/{id}.", "method_not_supported")
