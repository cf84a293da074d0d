"""A generic LLM inference server: models, completions, chat and embeddings under OpenAI's paths.

vLLM, llama.cpp's server, LMDeploy, SGLang and others speak this format.
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


class LLVMError(BackendError):
    """The inference server said no."""


class llvm:
    """A client of an inference server of one's own that has OpenAI-style paths.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
        api_key: sent as a bearer token, if the server wants one.
        base_url: where the API is, up to and including `/v1`.

    Raises:
        LLVMError: from every method, when the server answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:8000/v1")
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        """Return the chat completion of `messages`; `options` go into the request's body."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/chat/completions", body), LLVMError)

    def stream_chat(
        self, model: str, messages: list[dict[str, Any]], **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/chat/completions", body, stream=True), LLVMError)

    def complete(self, model: str, prompt: str, **options: Any) -> dict[str, Any]:
        """Return the text completion of `prompt`."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/completions", body), LLVMError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/completions", body, stream=True), LLVMError)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/embeddings", body), LLVMError, embeddings)

    def list_models(self) -> list[str]:
        """Return the ids of the models that the server has."""
        return read_json(self._get("/models"), LLVMError, model_ids)

    def model_info(self, model: str) -> dict[str, Any]:
        """Return what the server says of `model`, such as its `max_model_len`.

        It is looked up in the list: vLLM and llama.cpp's server have no path for a single model.
        """
        models = read_json(
            self._get("/models"), LLVMError, lambda answer: {each["id"]: each for each in answer["data"]}
        )
        if model not in models:
            raise LLVMError(None, f"the server has no model {model!r}, only: {', '.join(models)}")
        return dict(models[model])

    def test_connection(self) -> bool:
        """Return True if the server can be reached and lists its models to this key (llama.cpp's does so to any)."""
        return succeeds(self.list_models, LLVMError)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str) -> requests.Response:
        with failures_as(LLVMError):
            response = self._queued(self.session.get)(
                self.base_url + path, headers=bearer(self.api_key), timeout=self.timeout
            )
        return checked(response, LLVMError)

    def _post(self, path: str, body: dict[str, Any], stream: bool = False) -> requests.Response:
        with failures_as(LLVMError):
            response = self._queued(self.session.post)(
                self.base_url + path,
                json=body,
                headers=bearer(self.api_key),
                timeout=self.timeout,
                stream=stream,
            )
        return checked(response, LLVMError)

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

    # >>> retrofit:env_key v1 89c7cd2677
    # The API key: as given to the constructor, else from `metadata`, the environment, or `.env`.
    api_key = RequestEngine.api_key(
        "LLVM_API_KEY",
        metadata_names=("llvm_api_key",),
        missing="",
    )
    # <<< retrofit:env_key
