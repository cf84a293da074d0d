"""A generic LLM inference server with OpenAI-style paths, as vLLM answers (https://docs.vllm.ai)."""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"
MODELS = ("Qwen/Qwen3-8B", "BAAI/bge-reranker-v2-m3")


def error(status: int, message: str, kind: str = "BadRequestError") -> Reply:
    """Return an answer in the format of the server's errors."""
    return Reply(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})


def app(request: Request) -> Reply:
    """Answer like an inference server that was started with `--api-key`."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return Reply(401, {"error": "Unauthorized"})
    return open_app(request)


def open_app(request: Request) -> Reply:
    """Answer like an inference server that wants no key. It has no path for a single model."""
    if request.path not in ANSWERS and request.path != "/v1/models":
        return Reply(404, {"detail": "Not Found"})
    if request.method != ("GET" if request.path == "/v1/models" else "POST"):
        return Reply(405, {"detail": "Method Not Allowed"})
    if request.path == "/v1/models":
        return Reply(200, forms.model_list(MODELS, "vllm", max_model_len=4096))
    if not forms.is_json(request):
        return error(
            415, "Unsupported Media Type: Only 'application/json' is allowed", "Unsupported Media Type"
        )
    body = request.json()
    field, answer = ANSWERS[request.path]
    if field not in body:
        detail = f"[{{'type': 'missing', 'loc': ('body', '{field}'), 'msg': 'Field required'}}]"
        return error(400, detail, "Bad Request")
    if body.get("model") not in MODELS:
        return error(404, f"The model `{body.get('model')}` does not exist.", "NotFoundError")
    return answer(body)


def _chat(body: dict[str, Any]) -> Reply:
    model, text = body["model"], "Echo: " + forms.said(body)
    if body.get("stream"):
        return sse(forms.chunks(model, text))
    return Reply(200, forms.completion(model, text))


def _complete(body: dict[str, Any]) -> Reply:
    model, text = body["model"], "Echo: " + body["prompt"]
    if body.get("stream"):
        return sse(forms.text_chunks(model, text))
    return Reply(200, forms.text_completion(model, text))


def _embed(body: dict[str, Any]) -> Reply:
    return Reply(200, forms.embedding_list(body["model"], body["input"]))


def _tokenize(body: dict[str, Any]) -> Reply:
    return Reply(
        200, {"count": len(body["prompt"]), "max_model_len": 4096, "tokens": list(body["prompt"].encode())}
    )


ANSWERS = {
    "/v1/responses": ("input", forms.response_reply),
    "/v1/rerank": ("documents", forms.ranks),
    "/tokenize": ("prompt", _tokenize),
    "/v1/chat/completions": ("messages", _chat),
    "/v1/completions": ("prompt", _complete),
    "/v1/embeddings": ("input", _embed),
}
