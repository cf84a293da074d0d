"""Text Embeddings Inference's HTTP API (https://huggingface.github.io/text-embeddings-inference/).

Statuses and types of errors are read from its router (`router/src/http/server.rs`).
"""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request
from . import forms

KEY = "test-canary-key"
MODEL = "BAAI/bge-base-en-v1.5"
LARGEST_BATCH = 32


def error(status: int, message: str, error_type: str) -> Reply:
    """Return an answer in the format of TEI's errors."""
    return Reply(status, {"error": message, "error_type": error_type})


def app(request: Request) -> Reply:
    """Answer like a TEI server (that could do what no single model can), started with `--api-key`."""
    if request.path != "/health" and request.headers.get("authorization") != f"Bearer {KEY}":
        return Reply(401)
    return open_app(request)


def open_app(request: Request) -> Reply:
    """Answer like a TEI server that wants no key."""
    if request.path in ("/health", "/info"):
        if request.method != "GET":
            return Reply(405)
        info = {"model_id": MODEL, "model_type": {"embedding": {"pooling": "cls"}}, "version": "1.8.2"}
        return Reply(200, info if request.path == "/info" else b"")
    if request.path not in ANSWERS:
        return Reply(404)
    if request.method != "POST":
        return Reply(405)
    if not forms.is_json(request):
        return Reply(415, "Expected request with `Content-Type: application/json`")
    body = request.json()
    field = {"/rerank": "texts", "/decode": "ids", "/v1/embeddings": "input"}.get(request.path, "inputs")
    if field not in body:
        return Reply(
            422, f"Failed to deserialize the JSON body into the target type: missing field `{field}`"
        )
    if not body[field]:
        return error(400, f"`{field}` cannot be empty", "Empty")
    if isinstance(body[field], list) and len(body[field]) > LARGEST_BATCH:
        message = f"batch size {len(body[field])} > maximum allowed batch size {LARGEST_BATCH}"
        return error(413, message, "Validation")
    return ANSWERS[request.path](body)


def _texts(body: dict[str, Any]) -> list[Any]:
    return [body["inputs"]] if isinstance(body["inputs"], str) else body["inputs"]


def _embed(body: dict[str, Any]) -> Reply:
    return Reply(200, [[float(len(text))] for text in _texts(body)])


def _embed_sparse(body: dict[str, Any]) -> Reply:
    return Reply(200, [[{"index": len(text), "value": 1.0}] for text in _texts(body)])


def _rerank(body: dict[str, Any]) -> Reply:
    scores = [float(body["query"] in text) for text in body["texts"]]
    ranks = [{"index": index, "score": score} for index, score in enumerate(scores)]
    return Reply(200, sorted(ranks, key=lambda rank: -rank["score"]))


def _predict(body: dict[str, Any]) -> Reply:
    inputs = body["inputs"]
    one = isinstance(inputs, str) or (len(inputs) == 2 and all(isinstance(text, str) for text in inputs))
    predictions = [[{"score": 0.9, "label": str(text)}] for text in ([inputs] if one else inputs)]
    return Reply(200, predictions[0] if one else predictions)


def _tokenize(body: dict[str, Any]) -> Reply:
    return Reply(200, [
        [{"id": i, "text": c, "special": False, "start": i, "stop": i + 1} for i, c in enumerate(text)]
        for text in _texts(body)
    ])  # fmt: skip


def _embed_all(body: dict[str, Any]) -> Reply:
    return Reply(200, [[[float(len(word))] for word in text.split()] for text in _texts(body)])


def _similarity(body: dict[str, Any]) -> Reply:
    unknown = (body.get("parameters") or {}).keys() - {"truncate", "truncation_direction", "prompt_name"}
    if unknown or body["inputs"].keys() != {"source_sentence", "sentences"}:
        return Reply(422, "Failed to deserialize the JSON body into the target type")
    source = body["inputs"]["source_sentence"]
    return Reply(200, [float(source == sentence) for sentence in body["inputs"]["sentences"]])


def _decode(body: dict[str, Any]) -> Reply:
    texts = body["ids"] if isinstance(body["ids"][0], list) else [body["ids"]]
    return Reply(200, ["".join(map(chr, ids)) for ids in texts])


def _openai(body: dict[str, Any]) -> Reply:
    return Reply(200, forms.embedding_list(MODEL, body["input"]))


ANSWERS = {
    "/embed": _embed, "/embed_sparse": _embed_sparse, "/rerank": _rerank, "/predict": _predict,
    "/tokenize": _tokenize, "/embed_all": _embed_all, "/similarity": _similarity, "/decode": _decode,
    "/v1/embeddings": _openai,
}  # fmt: skip
