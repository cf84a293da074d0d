"""OPEA (Open Platform for Enterprise AI): chat and completion by a megaservice, embeddings.

API reference: https://opea-project.github.io/latest/developer-guides/OPEA_API.html
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import requests

from ._events import event_object, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    bearer,
    checked,
    embeddings,
    failures_as,
    json_object,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)


class OPEAError(BackendError):
    """An OPEA service said no."""


class opea:
    """A client of an OPEA gateway: a megaservice such as ChatQnA, or a single microservice.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `chat_path`: the service that answers `chat` and
            `complete`, `/v1/chatqna` if it is not there. A microservice for text generation has
            `/v1/chat/completions`.
        api_key: sent as a bearer token, if a gateway in front of the services wants one.
        base_url: where the gateway is, without `/v1`.

    Raises:
        OPEAError: from every method, when the service answers with an error, or cannot be reached.
    """

    def __init__(
        self,
        resources: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        self.resources = {} if resources is None else resources
        self.metadata = {} if metadata is None else metadata
        self.api_key = api_key
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:8888")
        self.chat_path = str(self.metadata.get("chat_path") or "/v1/chatqna")
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        """Return the chat completion of `messages`; `options` go into the request's body."""
        return self._completion(model, messages, options)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a chat completion as they come, all in OpenAI's form."""
        yield from self._stream(model, messages, options)

    def complete(self, model: str, prompt: str, **options: Any) -> dict[str, Any]:
        """Return the answer to `prompt`, as a chat completion.

        OPEA has no service for this alone: its chat takes a text in place of the messages.
        """
        return self._completion(model, prompt, options)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the chunks of the answer to `prompt` as they come, all in OpenAI's form."""
        yield from self._stream(model, prompt, options)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/v1/embeddings", body), OPEAError, embeddings)

    def health(self) -> dict[str, Any]:
        """Return the title and the description of the service, which it gives while it is up."""
        return json_object(self._get("/v1/health_check"), OPEAError)

    def test_connection(self) -> bool:
        """Return True if the gateway can be reached and accepts the key."""
        return succeeds(self.health, OPEAError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _completion(self, model: str, messages: Any, options: dict[str, Any]) -> dict[str, Any]:
        # The megaservices stream unless they are told not to.
        body = {**options, "model": model, "messages": messages, "stream": False}
        return json_object(self._post(self.chat_path, body), OPEAError)

    def _stream(self, model: str, messages: Any, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post(self.chat_path, body, stream=True), OPEAError, decode=_chunk)

    def _get(self, path: str) -> requests.Response:
        with failures_as(OPEAError):
            response = self.session.get(
                self.base_url + path, headers=bearer(self.api_key), timeout=self.timeout
            )
        return checked(response, OPEAError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(OPEAError):
            response = self.session.post(
                self.base_url + path,
                json=body,
                headers=bearer(self.api_key),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, OPEAError)


def _chunk(data: str, response: requests.Response, error: type[BackendError]) -> dict[str, Any]:
    """Return the chunk of a stream in OpenAI's form, from either of the two formats that OPEA's services write.

    A text generation microservice sends OpenAI's chunks. ChatQnA and others send the text only, as
    Python writes its bytes: `data: b'Hello'`.
    """
    if not data.startswith(("b'", 'b"')):
        return event_object(data, response, error)
    choice = {"index": 0, "delta": {"content": _text(data)}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def _text(data: str) -> str:
    """Return the text in `b'…'`; as it stands where a service put it there without escaping it."""
    try:
        return bytes(ast.literal_eval(data)).decode("utf-8", "replace")
    except (SyntaxError, ValueError):
        return data[2:].removesuffix(data[1])
