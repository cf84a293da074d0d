"""Gemini: content generation, embeddings, token counts, models.

API reference: https://ai.google.dev/api
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    checked,
    failures_as,
    json_object,
    key_header,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class GeminiError(BackendError):
    """The Gemini API said no."""


class gemini:
    """A client of the Gemini API. A model may be named with or without `models/` before it.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
        api_key: sent in `x-goog-api-key`; without one, that header is not sent.
        base_url: where the API is, up to and including `/v1beta`.

    Raises:
        GeminiError: from every method, when the API answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(
            base_url, self.metadata, "https://generativelanguage.googleapis.com/v1beta"
        )
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        """Return the model's answer, a `GenerateContentResponse`.

        Args:
            model: such as `gemini-2.5-flash`.
            messages: in OpenAI's form with text as content, or with Gemini's own `parts` in its place.
            options: go into the request's body, such as `generationConfig={"temperature": 0}`.
        """
        body = {**options, **_conversation(messages)}
        return json_object(self._post(f"/{_resource(model)}:generateContent", body), GeminiError)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the pieces of the model's answer as they come; the arguments are those of `chat`."""
        body = {**options, **_conversation(messages)}
        path = f"/{_resource(model)}:streamGenerateContent?alt=sse"
        yield from sse_json(self._post(path, body, stream=True), GeminiError, _is_last)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`; `options` apply to each of them."""
        name = _resource(model)
        items = [
            {**options, "model": name, "content": {"parts": [{"text": text}]}}
            for text in ([texts] if isinstance(texts, str) else texts)
        ]
        response = self._post(f"/{name}:batchEmbedContents", {"requests": items})
        return read_json(response, GeminiError, lambda answer: [e["values"] for e in answer["embeddings"]])

    def count_tokens(self, model: str, messages: list[dict[str, Any]], **options: Any) -> int:
        """Return how many input tokens a chat with the same arguments would have."""
        name = _resource(model)
        body = {"generateContentRequest": {**options, **_conversation(messages), "model": name}}
        response = self._post(f"/{name}:countTokens", body)
        return read_json(response, GeminiError, lambda answer: int(answer["totalTokens"]))

    def list_models(self) -> list[str]:
        """Return the names of the models, without `models/` before them."""
        params: dict[str, Any] = {"pageSize": 1000}
        models: list[str] = []
        while True:
            response = self._get("/models", params)
            page = json_object(response, GeminiError)
            models += read_json(response, GeminiError, _model_names)
            if not page.get("nextPageToken"):
                return models
            params["pageToken"] = page["nextPageToken"]

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(self.list_models, GeminiError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _headers(self) -> dict[str, str]:
        return key_header("x-goog-api-key", self.api_key)

    def _get(self, path: str, params: dict[str, Any]) -> requests.Response:
        with failures_as(GeminiError):
            response = self._queued(self.session.get)(
                self.base_url + path,
                params=params,
                headers=self._headers(),
                timeout=self.timeout,
            )
        return checked(response, GeminiError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(GeminiError):
            response = self._queued(self.session.post)(
                self.base_url + path,
                json=body,
                headers=self._headers(),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, GeminiError)

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

    # >>> retrofit:env_key v1 8a55606bf0
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        metadata_names=("gemini_api_key", "google_api_key"),
        missing="",
    )
    # <<< retrofit:env_key


def _resource(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _model_names(page: dict[str, Any]) -> list[str]:
    return [model["name"].removeprefix("models/") for model in page.get("models", [])]


def _conversation(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return `messages` as Gemini's `contents`, and its `systemInstruction` if there is one."""
    contents: list[dict[str, Any]] = []
    system: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            system += _parts(message)
        else:
            role = "model" if message["role"] in ("assistant", "model") else "user"
            contents.append({"role": role, "parts": _parts(message)})
    return {"contents": contents, **({"systemInstruction": {"parts": system}} if system else {})}


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    if "parts" in message:
        return list(message["parts"])
    content = message.get("content")
    if isinstance(content, str):
        return [{"text": content}]
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        return [{"text": part["text"]} for part in content]
    raise ValueError("a message that is not text needs Gemini's own `parts`")


def _is_last(piece: dict[str, Any]) -> bool:
    blocked = (piece.get("promptFeedback") or {}).get("blockReason")
    return bool(blocked) or any(c.get("finishReason") for c in piece.get("candidates", []))
