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
        return succeeds(self.list_models, OllamaError)

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

    # >>> retrofit:queue v1 01fe5a9ed2
    # Request queue: so many API requests are in flight at once; the others wait in line.
    queue_enabled = RequestEngine.setting(True)
    max_concurrent_requests = RequestEngine.setting(5)
    queue_size = RequestEngine.setting(100)
    queue_full = RequestEngine.setting("raise")
    queue_execution = RequestEngine.setting("caller")
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

    def map(
        self, call: RequestEngine.Call, items: RequestEngine.Items, progress: RequestEngine.Progress = None
    ) -> RequestEngine.Results:
        """Yield `call(item)` for each item, in their order; each goes through the queue."""
        return RequestEngine.of(self).map(call, items, progress)

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

    # >>> retrofit:backoff v1 1d38217359
    # Exponential backoff: a failed request is tried again after 1, 2, 4, 8, 16 s, or when the server says.
    max_retries = RequestEngine.setting(5)
    initial_retry_delay = RequestEngine.setting(1)
    backoff_factor = RequestEngine.setting(2)
    max_retry_delay = RequestEngine.setting(60)
    max_retry_after = RequestEngine.setting(120)
    retry_jitter = RequestEngine.setting(0.1)
    retry_budget = RequestEngine.setting(None)
    circuit_breaker = RequestEngine.setting(None)
    retry_if = RequestEngine.setting(None)
    # <<< retrofit:backoff

    # >>> retrofit:env_key v1 1e851e07bb
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "OLLAMA_API_KEY",
        metadata_names=("ollama_api_key",),
        missing="",
    )
    # <<< retrofit:env_key


def _is_done(piece: Json) -> bool:
    return bool(piece.get("done"))


def _is_success(report: Json) -> bool:
    return report.get("status") == "success"
