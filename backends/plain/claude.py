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
            response = self.session.get(
                self.base_url + path,
                params=params,
                headers=self._headers(),
                timeout=self.timeout,
            )
        return checked(response, ClaudeError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(ClaudeError):
            response = self.session.post(
                self.base_url + path,
                json=body,
                headers=self._headers(),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, ClaudeError)
