"""Ollama: chat, completions, embeddings, and the models that it keeps, on one's own machine or on ollama.com.

API reference: https://docs.ollama.com/api (read in November 2026, beside Ollama's client 0.6)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import json_lines
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    as_json,
    as_query,
    bearer,
    checked,
    failures_as,
    json_object,
    merged_headers,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class OllamaError(BackendError):
    """Ollama's API returned an error, or could not be reached."""


class ollama:
    """A client of Ollama's HTTP API.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
        api_key: sent as a bearer token, which ollama.com wants and a server of one's own does not.
        base_url: where the API is, without `/api`; `https://ollama.com` for Ollama's cloud.

    Raises:
        OllamaError: from every method, when the API answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:11434")
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the model's answer to `messages`.

        Some options: `options={"temperature": 0}`, `keep_alive="5m"`.
        """
        body = {**options, "model": model, "messages": messages, "stream": False}
        return json_object(self._post("/api/chat", body), OllamaError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the pieces of the model's answer as they come; the last one has `done` and the counts of tokens."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from json_lines(self._post("/api/chat", body, stream=True), OllamaError, _is_done)

    def complete(self, model: str, prompt: str, **options: Any) -> Json:
        """Return the text that the model generates after `prompt`."""
        body = {**options, "model": model, "prompt": prompt, "stream": False}
        return json_object(self._post("/api/generate", body), OllamaError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[Json]:
        """Yield the pieces of the text that the model generates after `prompt`, as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from json_lines(self._post("/api/generate", body, stream=True), OllamaError, _is_done)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(
            self._post("/api/embed", body), OllamaError, lambda answer: list(answer["embeddings"])
        )

    def list_models(self, **options: Any) -> list[str]:
        """Return the names of the models that the server has."""
        response = self._get("/api/tags", options)
        return read_json(response, OllamaError, lambda answer: [model["name"] for model in answer["models"]])

    def ps(self, **options: Any) -> list[Json]:
        """Return the models that are in memory: `name`, `size_vram`, `expires_at` and more of each."""
        return read_json(self._get("/api/ps", options), OllamaError, lambda answer: list(answer["models"]))

    def show(self, model: str, **options: Any) -> Json:
        """Return what the server knows of `model`: its `details`, `capabilities`, `parameters`, `template` and more."""
        return json_object(self._post("/api/show", {**options, "model": model}), OllamaError)

    def pull(self, model: str, **options: Any) -> Iterator[Json]:
        """Have the server download `model`, and yield its reports of progress up to `success`."""
        body = {**options, "model": model, "stream": True}
        yield from json_lines(self._post("/api/pull", body, stream=True), OllamaError, _is_success)

    def create(self, model: str, **options: Any) -> Iterator[Json]:
        """Have the server make `model` of another, and yield its reports of progress up to `success`.

        Some options: `system="Be brief."`, `parameters={"temperature": 0}`, `quantize="q4_K_M"`, and the other model in
        `from`, a word that Python keeps for itself: `**{"from": "llama3.2"}`, or `from_="llama3.2"`.
        """
        body = {("from" if name == "from_" else name): value for name, value in options.items()}
        response = self._post("/api/create", {**body, "model": model, "stream": True}, stream=True)
        yield from json_lines(response, OllamaError, _is_success)

    def copy(self, source: str, destination: str, **options: Any) -> None:
        """Give the model `source` a second name."""
        self._post("/api/copy", {**options, "source": source, "destination": destination})

    def delete(self, model: str, **options: Any) -> None:
        """Delete `model` from the server."""
        self._request("DELETE", "/api/delete", as_json({**options, "model": model}))

    def version(self, **options: Any) -> str:
        """Return the version of the server."""
        return read_json(
            self._get("/api/version", options), OllamaError, lambda answer: str(answer["version"])
        )

    def test_connection(self) -> bool:
        """Return True if the API can be reached. ollama.com lists its models to all, whatever their key."""
        return succeeds(
            lambda: json_object(self._ask("GET", "/api/tags", as_query({})), OllamaError), OllamaError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(body), stream)

    def _request(self, method: str, path: str, content: Json, stream: bool = False) -> requests.Response:
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OllamaError):
            response = self._queued(self.session.request)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, OllamaError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OllamaError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, OllamaError)

    # >>> retrofit:queue v2 886b9fbe70
    queue_enabled = RequestEngine.setting(True)  # first in, first out
    max_concurrent_requests = RequestEngine.setting(5)  # run at once; the rest wait
    queue_size = RequestEngine.setting(100)  # may wait; one more is refused
    queue_full = queue_timeout = total_timeout = RequestEngine.setting()
    request_queue, current_requests = RequestEngine.views()
    submit, map, priority, queue_stats = RequestEngine.methods()
    __enter__, __exit__, close = RequestEngine.context(close)
    _queued = RequestEngine.entry_point()  # self._queued(function)(...): in turn, and retried
    # <<< retrofit:queue

    # >>> retrofit:backoff v2 2575cb89e0
    max_retries = RequestEngine.setting(5)  # of a request that failed
    initial_retry_delay = RequestEngine.setting(1)  # seconds, unless the server says
    backoff_factor = RequestEngine.setting(2)  # each delay is the last one times this
    max_retry_delay = RequestEngine.setting(60)  # longest delay, in seconds
    max_retry_after = retry_if = circuit_breaker = RequestEngine.setting()
    # <<< retrofit:backoff

    # >>> retrofit:env_key v2 e100f1fbc4
    api_key = RequestEngine.api_key("OLLAMA_API_KEY", missing="")  # where none is given
    # <<< retrofit:env_key


def _is_done(piece: Json) -> bool:
    return bool(piece.get("done"))


def _is_success(report: Json) -> bool:
    return report.get("status") == "success"
