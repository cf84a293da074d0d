"""OpenAI: chat, completions, embeddings, models.

API reference: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    bearer,
    checked,
    embeddings,
    failures_as,
    json_object,
    model_ids,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class OpenAIError(BackendError):
    """OpenAI's API said no."""


class openai_api:
    """A client of OpenAI's HTTP API, and of the many servers that speak it.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
        api_key: sent as a bearer token; without one, no `Authorization` header is sent.
        base_url: where the API is, up to and including `/v1`.

    Raises:
        OpenAIError: from every method, when the API answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "https://api.openai.com/v1")
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        """Return the chat completion of `messages`; `options` go into the request's body."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/chat/completions", body), OpenAIError)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/chat/completions", body, stream=True), OpenAIError)

    def complete(self, model: str, prompt: str, **options: Any) -> dict[str, Any]:
        """Return the text completion of `prompt`, which only the older, legacy models give."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/completions", body), OpenAIError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/completions", body, stream=True), OpenAIError)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/embeddings", body), OpenAIError, embeddings)

    def list_models(self) -> list[str]:
        """Return the ids of the models that this key may use."""
        return read_json(self._get("/models"), OpenAIError, model_ids)

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(self.list_models, OpenAIError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str) -> requests.Response:
        with failures_as(OpenAIError):
            response = self._queued(self.session.get)(
                self.base_url + path, headers=bearer(self.api_key), timeout=self.timeout
            )
        return checked(response, OpenAIError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(OpenAIError):
            response = self._queued(self.session.post)(
                self.base_url + path,
                json=body,
                headers=bearer(self.api_key),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, OpenAIError)

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

    # >>> retrofit:env_key v1 b06a4beb58
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "OPENAI_API_KEY",
        metadata_names=("openai_api_key",),
        missing="",
    )
    # <<< retrofit:env_key
