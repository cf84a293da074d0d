"""Claude: messages, streaming, token counts, models. Anthropic has no embeddings.

API reference: https://platform.claude.com/docs/en/api/overview
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
    failures_as,
    json_object,
    model_ids,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import

API_VERSION = "2026-10-21"
"""https://platform.claude.com/docs/en/api/versioning; it refuses `temperature`, `top_p` and `top_k`."""


class ClaudeError(BackendError):
    """Anthropic's API said no."""


class claude:
    """A client of Anthropic's HTTP API.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
        api_key: sent as a bearer token; without one, no `Authorization` header is sent.
        base_url: where the API is, without `/v1`.

    Raises:
        ClaudeError: from every method, when the API answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "https://api.anthropic.com")
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(
        self, model: str, messages: list[dict[str, Any]], max_tokens: int = 4096, **options: Any
    ) -> dict[str, Any]:
        """Return Claude's answer to `messages`; `options` (`system`, …) go into the request's body."""
        body = {**options, "model": model, "messages": messages, "max_tokens": max_tokens}
        return json_object(self._post("/v1/messages", body), ClaudeError)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], max_tokens: int = 4096, **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of an answer as they come, from `message_start` to `message_stop`, without pings."""
        body = {**options, "model": model, "messages": messages, "max_tokens": max_tokens, "stream": True}
        response = self._post("/v1/messages", body, stream=True)
        for event in sse_json(response, ClaudeError, lambda event: event.get("type") == "message_stop"):
            if event.get("type") != "ping":
                yield event

    def count_tokens(self, model: str, messages: list[dict[str, Any]], **options: Any) -> int:
        """Return how many input tokens a chat with the same arguments would have."""
        body = {**options, "model": model, "messages": messages}
        response = self._post("/v1/messages/count_tokens", body)
        return read_json(response, ClaudeError, lambda answer: int(answer["input_tokens"]))

    def list_models(self) -> list[str]:
        """Return the ids of the models that this key may use, newest first; none that is retired."""
        params: dict[str, Any] = {"limit": 1000}
        models: list[str] = []
        while True:
            response = self._get("/v1/models", params)
            models += read_json(response, ClaudeError, model_ids)
            if not json_object(response, ClaudeError).get("has_more"):
                return models
            params["after_id"] = models[-1]

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(self.list_models, ClaudeError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _headers(self) -> dict[str, str]:
        return {"anthropic-version": API_VERSION, **bearer(self.api_key)}

    def _get(self, path: str, params: dict[str, Any]) -> requests.Response:
        with failures_as(ClaudeError):
            response = self._queued(self.session.get)(
                self.base_url + path,
                params=params,
                headers=self._headers(),
                timeout=self.timeout,
            )
        return checked(response, ClaudeError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(ClaudeError):
            response = self._queued(self.session.post)(
                self.base_url + path,
                json=body,
                headers=self._headers(),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, ClaudeError)

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

    # >>> retrofit:env_key v1 3e00b31286
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "ANTHROPIC_API_KEY",
        "CLAUDE_API_KEY",
        metadata_names=("claude_api_key", "anthropic_api_key"),
        missing="",
    )
    # <<< retrofit:env_key
