"""What several vendors' APIs have in common: OpenAI's forms of responses, chats, completions, embeddings, lists and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email import message_from_bytes
from typing import Any

from ..loopback import Reply, Request, sse

CREATED = 1760000000


def is_json(request: Request) -> bool:
    """Return True if the request says that its body is JSON; without that, servers refuse it or do not read it."""
    return request.headers.get("content-type", "").partition(";")[0] == "application/json"


def said(body: dict[str, Any]) -> str:
    """Return the text of a chat's last message, of content in either form."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def completion(model: str, text: str, **more: Any) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}, **more,
    }  # fmt: skip


def chunk(model: str, delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a streamed chat completion."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more,
    }  # fmt: skip


def chunks(model: str, text: str) -> Iterator[dict[str, Any]]:
    """Yield a streamed chat completion: the role, a chunk a word, and why it finished."""
    yield chunk(model, {"role": "assistant", "content": ""})
    for word in text.split():
        yield chunk(model, {"content": word + " "})
    yield chunk(model, {}, "stop")


def text_completion(model: str, text: str, finish: str | None = "stop") -> dict[str, Any]:
    """Return a completion of a text, or a chunk of it."""
    return {
        "id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": model,
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}],
    }  # fmt: skip


def text_chunks(model: str, text: str) -> Iterator[dict[str, Any]]:
    """Yield a streamed completion of a text."""
    for word in text.split():
        yield text_completion(model, word + " ", None)
    yield text_completion(model, "")


def embedding_list(model: str, texts: str | list[str]) -> dict[str, Any]:
    """Return embeddings of one number each, the length of the text; the last first, as an API may."""
    rows = [
        {"object": "embedding", "index": index, "embedding": [float(len(text))]}
        for index, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return {"object": "list", "data": rows[::-1], "model": model, "usage": usage}


def model_list(names: Sequence[str], owner: str, **more: Any) -> dict[str, Any]:
    """Return a list of models."""
    models = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": owner, **more} for name in names
    ]
    return {"object": "list", "data": models}


def response(model: str, text: str | None) -> dict[str, Any]:
    """Return an answer of the Responses API; without `text`, the empty one that begins a stream."""
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    usage = {
        "input_tokens": 2, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5,
    }  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": CREATED, "model": model, "error": None,
        "status": "in_progress" if text is None else "completed", "incomplete_details": None,
        "output": [] if text is None else [item], "usage": None if text is None else usage,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip


def response_events(model: str, text: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a streamed answer of the Responses API, the typed ones that carry text among them."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    words = [{"type": "response.output_text.delta", **place, "delta": word + " "} for word in text.split()]
    events = [
        {"type": "response.created", "response": response(model, None)},
        *words,
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.completed", "response": response(model, text)},
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


def asked(body: dict[str, Any]) -> str:
    """Return the text of the input of a response: a text itself, or a list of items."""
    if isinstance(body["input"], str):
        return body["input"]
    return said({"messages": body["input"]})


def response_reply(body: dict[str, Any], done: str | None = None) -> Reply:
    """Answer a request to the Responses API. Its streams have no `[DONE]`; those of some other servers do."""
    model, text = body["model"], "Echo: " + asked(body)
    return (
        sse(response_events(model, text), done) if body.get("stream") else Reply(200, response(model, text))
    )


def form(request: Request) -> dict[str, tuple[str | None, bytes]]:
    """Return the fields of a multipart request: name to (file name, content)."""
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    fields: dict[str, tuple[str | None, bytes]] = {}
    for part in message_from_bytes(head + request.body).get_payload():
        name = str(part.get_param("name", header="content-disposition"))
        fields[name] = (part.get_filename(), part.get_payload(decode=True))
    return fields


def is_form(request: Request) -> bool:
    """Return True if the request says that its body is a multipart form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data; boundary=")


def file_object(
    file_id: str, filename: str = "in.jsonl", size: int = 2, purpose: str = "batch"
) -> dict[str, Any]:
    """Return the description of a stored file."""
    return {
        "id": file_id, "object": "file", "bytes": size, "created_at": CREATED, "filename": filename,
        "purpose": purpose, "status": "processed",
    }  # fmt: skip


def batch(batch_id: str, status: str = "completed", **more: Any) -> dict[str, Any]:
    """Return a batch of requests."""
    return {
        "id": batch_id, "object": "batch", "endpoint": "/v1/responses", "input_file_id": "file-1",
        "completion_window": "24h", "created_at": CREATED, "status": status,
        "request_counts": {"total": 1, "completed": 1, "failed": 0}, **more,
    }  # fmt: skip


def page(items: list[dict[str, Any]], request: Request, largest: int = 2) -> dict[str, Any]:
    """Return the page of `items` that a request asks for, of no more than `largest`."""
    ids = [item["id"] for item in items]
    first = ids.index(request.query["after"][0]) + 1 if "after" in request.query else 0
    last = first + min(int(request.query.get("limit", ["20"])[0]), largest)
    return {"object": "list", "data": items[first:last], "has_more": last < len(items)}


def ranks(body: dict[str, Any]) -> Reply:
    """Answer a request to rerank in Cohere's form; the documents in the order in which they came, as a server may."""
    results = [
        {"index": index, "relevance_score": float(body["query"] in text)}
        for index, text in enumerate(body["documents"])
    ]
    return Reply(200, {"model": body["model"], "results": results})
