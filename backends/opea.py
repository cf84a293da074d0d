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
from ._request_engine import RequestEngine  # retrofit:import


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
            response = self._queued(self.session.get)(
                self.base_url + path, headers=bearer(self.api_key), timeout=self.timeout
            )
        return checked(response, OPEAError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(OPEAError):
            response = self._queued(self.session.post)(
                self.base_url + path,
                json=body,
                headers=bearer(self.api_key),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, OPEAError)

    # >>> retrofit:queue v1 2fb6b1c4ed
    # Request queue: so many API requests are in flight at once; the others wait in line.
    queue_enabled = RequestEngine.setting(True)
    max_concurrent_requests = RequestEngine.setting(5)
    queue_size = RequestEngine.setting(100)
    queue_timeout = RequestEngine.setting(None)
    total_timeout = RequestEngine.setting(None)
    reuse_connections = RequestEngine.setting(False)

    @property
    def request_queue(self) -> RequestEngine.Waiting:
        """The requests that wait, oldest first."""
        return RequestEngine.of(self).waiting

    @property
    def current_requests(self) -> int:
        """How many requests are in flight."""
        return RequestEngine.of(self).in_flight

    def submit(
        self, call: RequestEngine.Call, /, *args: object, **kwargs: object
    ) -> RequestEngine.Result:
        """Queue `call(*args, **kwargs)` and return its `concurrent.futures.Future` at once."""
        return RequestEngine.of(self).submit(call, *args, **kwargs)

    def priority(self, level: str | int) -> RequestEngine.Block:
        """In a `with` block: let requests wait before ("high") or behind ("low") the others."""
        return RequestEngine.of(self).priority(level)

    def queue_stats(self) -> dict[str, float]:
        """Return a dict of counts: requests, sent, retried, failed, waiting, seconds waited, ..."""
        return RequestEngine.of(self).stats()

    __enter__ = RequestEngine.entered

    def __exit__(self, *exc: object) -> None:
        self.close()

    close = RequestEngine.closing(close)
    _queued = RequestEngine.entry_point()  # self._queued(function)(...): in turn, and retried
    # <<< retrofit:queue

    # >>> retrofit:backoff v1 be28e6e28c
    # Exponential backoff: a failed request is tried again after 1, 2, 4, 8, 16 s, or when the server says.
    max_retries = RequestEngine.setting(5)
    initial_retry_delay = RequestEngine.setting(1)
    backoff_factor = RequestEngine.setting(2)
    max_retry_delay = RequestEngine.setting(60)
    max_retry_after = RequestEngine.setting(120)
    retry_jitter = RequestEngine.setting(0.1)
    retry_budget = RequestEngine.setting(None)
    circuit_breaker = RequestEngine.setting(None)
    # <<< retrofit:backoff

    # >>> retrofit:env_key v1 db6c9d4459
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "OPEA_API_KEY",
        metadata_names=("opea_api_key",),
        missing="",
    )
    # <<< retrofit:env_key


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
