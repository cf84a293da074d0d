"""Text Embeddings Inference's HTTP API (https://huggingface.github.io/text-embeddings-inference/)."""

from __future__ import annotations

from typing import Any

from ..loopback import Reply, Request

KEY = "test-canary-key"
BEARER = f"Bearer {KEY}"
MODEL = "BAAI/bge-base-en-v1.5"


def error(status: int, message: str, error_type: str) -> Reply:
    """Return an answer in the format of TEI's errors."""
    return Reply(status, {"error": message, "error_type": error_type})


def app(request: Request) -> Reply:
    """Answer like a TEI server (one that could do what no single model of TEI's can)."""
    if request.headers.get("authorization", BEARER) != BEARER:
        return Reply(401)
    if (request.method, request.path) == ("GET", "/health"):
        return Reply(200)
    if (request.method, request.path) == ("GET", "/info"):
        return Reply(
            200, {"model_id": MODEL, "model_type": {"embedding": {"pooling": "cls"}}, "version": "1.8.2"}
        )
    answers = {
        "/embed": _embed, "/embed_sparse": _embed_sparse, "/rerank": _rerank, "/predict": _predict,
        "/tokenize": _tokenize,
    }  # fmt: skip
    if request.method != "POST" or request.path not in answers:
        return Reply(404)
    return answers[request.path](request.json())


def _texts(body: dict[str, Any]) -> list[Any]:
    return [body["inputs"]] if isinstance(body["inputs"], str) else body["inputs"]


def _embed(body: dict[str, Any]) -> Reply:
    texts = _texts(body)
    if not texts:
        return error(413, "`inputs` cannot be empty", "Validation")
    return Reply(200, [[float(len(text))] for text in texts])


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
