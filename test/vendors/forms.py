"""What several vendors' APIs have in common: OpenAI's forms of chats, completions, embeddings and model lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..loopback import Request

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
