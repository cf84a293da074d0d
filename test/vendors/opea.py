"""An OPEA gateway (https://opea-project.github.io/latest/developer-guides/OPEA_API.html).

`/v1/chatqna` streams as the ChatQnA megaservice does, `/v1/chat/completions` as a text generation
microservice does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..loopback import Reply, Request, sse
from . import forms

KEY = "test-canary-key"


def error(status: int, detail: Any) -> Reply:
    """Return an answer in the format of the errors of FastAPI, which OPEA's services are made with."""
    return Reply(status, {"detail": detail})


def app(request: Request) -> Reply:
    """Answer like an OPEA gateway behind something that wants a key."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return error(401, "Not authenticated")
    return open_app(request)


def open_app(request: Request) -> Reply:
    """Answer like an OPEA gateway, which wants no key of its own."""
    paths = {
        "/v1/health_check": "GET",
        "/v1/chatqna": "POST",
        "/v1/chat/completions": "POST",
        "/v1/embeddings": "POST",
        **dict.fromkeys(SERVICES, "POST"),
    }
    if request.path not in paths:
        return error(404, "Not Found")
    if request.method != paths[request.path]:
        return error(405, "Method Not Allowed")
    if request.path == "/v1/health_check":
        return Reply(200, {"Service Title": "ChatQnAService/MicroService", "Service Description": "OPEA"})
    if request.path == "/v1/dataprep/ingest":
        return _ingest(request)
    if request.path != "/v1/chatqna" and not forms.is_json(request):
        # ChatQnA reads the body whatever its type is; where FastAPI reads it, the type counts.
        return error(
            422,
            [{"type": "model_attributes_type", "loc": ["body"], "msg": "Input should be a valid dictionary"}],
        )
    body = request.json()
    if request.path in SERVICES:
        field, answer = SERVICES[request.path]
        if field and field not in body:
            return error(422, [{"type": "missing", "loc": ["body", field], "msg": "Field required"}])
        return answer(body)
    if request.path == "/v1/embeddings":
        return Reply(200, forms.embedding_list(body["model"], body["input"]))
    chatqna = request.path == "/v1/chatqna"
    if not body.get("messages"):
        # An exception in a service, which FastAPI's server tells nobody about.
        return Reply(500, "Internal Server Error", {"Content-Type": "text/plain; charset=utf-8"})
    messages = body["messages"]
    text = "Echo: " + (messages if isinstance(messages, str) else forms.said(body))
    if body.get("stream", chatqna):
        return sse(as_bytes(text) if chatqna else forms.chunks(body["model"], text))
    return Reply(200, forms.completion("chatqna" if chatqna else body["model"], text))


def as_bytes(text: str) -> Iterator[str]:
    """Yield what ChatQnA streams: each piece as Python shows its bytes; an empty one for the service's `[DONE]`."""
    for word in text.split():
        yield repr((word + " ").encode())
    yield repr(b"")


def _ingest(request: Request) -> Reply:
    """Take files, or links in a field of the form that is a list in JSON."""
    fields = forms.form(request) if forms.is_form(request) else {}
    if fields.keys() & {"files", "link_list"}:
        return Reply(200, {"status": 200, "message": "Data preparation succeeded"})
    return error(400, "Must provide either a file or a string list.")


def _rerank(body: dict[str, Any]) -> Reply:
    """Answer a `RerankingRequest`, the form of the two that has scores; `top_n` is 1 unless it is given."""
    documents = [
        {"text": each["text"], "score": float(body["input"] in each["text"])}
        for each in body["retrieved_docs"]
    ]
    documents.sort(key=lambda document: -document["score"])
    return Reply(200, {"reranked_docs": documents[: body.get("top_n", 1)]})


def _retrieve(body: dict[str, Any]) -> Reply:
    if not isinstance(body.get("embedding"), list):
        return error(422, [{"type": "missing", "loc": ["body", "embedding"], "msg": "Field required"}])
    documents = [
        {"id": str(number), "text": f"{number} about {body['text']}"} for number in range(body.get("k", 4))
    ]
    return Reply(200, {"retrieved_docs": documents, "initial_query": body["text"], "top_n": 1})


def _list(body: dict[str, Any]) -> Reply:
    return Reply(200, [{"name": "a.txt", "id": "a.txt", "type": "File", "parent": ""}])


def _delete(body: dict[str, Any]) -> Reply:
    return Reply(200, {"status": True})


SERVICES: dict[str, Any] = {
    "/v1/reranking": ("input", _rerank),
    "/v1/retrieval": ("text", _retrieve),
    "/v1/dataprep/ingest": (None, _ingest),
    "/v1/dataprep/get": (None, _list),
    "/v1/dataprep/delete": ("file_path", _delete),
}
