"""A generic LLM inference server: responses, chat, completions, embeddings under OpenAI's paths; reranking, tokens.

vLLM, llama.cpp's server, LMDeploy, SGLang and others speak this format.
API reference: https://platform.openai.com/docs/api-reference, and for what is not OpenAI's
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md and
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (read in November 2026)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import response_ended, response_event, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    as_json,
    as_query,
    bearer,
    by_relevance,
    checked,
    embeddings,
    failures_as,
    json_object,
    merged_headers,
    model_ids,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class LLVMError(BackendError):
    """The inference server returned an error, or could not be reached."""


class llvm:
    """A client of an inference server of one's own that has OpenAI-style paths.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
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
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def respond(self, model: str, input: str | list[Json], **options: Any) -> Json:
        """Return the model's response to `input`, a text or a list of items, by OpenAI's Responses API."""
        body = {**options, "model": model, "input": input}
        return json_object(self._post("/responses", body), LLVMError)

    def stream_response(self, model: str, input: str | list[Json], **options: Any) -> Iterator[Json]:
        """Yield the typed events of a response as they come, from `response.created` to `response.completed`.

        Raises:
            LLVMError: also for the events `error` and `response.failed`.
        """
        body = {**options, "model": model, "input": input, "stream": True}
        yield from sse_json(
            self._post("/responses", body, stream=True), LLVMError, response_ended, response_event
        )

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the chat completion of `messages`."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/chat/completions", body), LLVMError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/chat/completions", body, stream=True), LLVMError)

    def complete(self, model: str, prompt: str, **options: Any) -> Json:
        """Return the text completion of `prompt`."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/completions", body), LLVMError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[Json]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/completions", body, stream=True), LLVMError)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/embeddings", body), LLVMError, embeddings)

    def rerank(self, model: str, query: str, documents: list[str], **options: Any) -> list[Json]:
        """Return `index` (into `documents`) and `relevance_score` of each, the best answer to `query` first."""
        body = {**options, "model": model, "query": query, "documents": documents}
        return read_json(self._post("/rerank", body), LLVMError, by_relevance)

    def tokenize(self, model: str, text: str, **options: Any) -> list[int]:
        """Return the ids of the tokens of `text`. Its path is beside `/v1`, not below it."""
        # vLLM reads the text in `prompt`, llama.cpp in `content`; each ignores the other.
        body = {**options, "model": model, "prompt": text, "content": text}
        response = self._request("POST", "/tokenize", as_json(body), root=self.base_url.removesuffix("/v1"))
        return read_json(response, LLVMError, lambda answer: list(answer["tokens"]))

    def list_models(self, **options: Any) -> list[str]:
        """Return the ids of the models that the server has."""
        return read_json(self._get("/models", options), LLVMError, model_ids)

    def model_info(self, model: str, **options: Any) -> Json:
        """Return what the server says of `model`, such as its `max_model_len`.

        It is looked up in the list: vLLM and llama.cpp's server have no path for a single model.
        """
        models = read_json(
            self._get("/models", options),
            LLVMError,
            lambda answer: {each["id"]: each for each in answer["data"]},
        )
        if model not in models:
            raise LLVMError(None, f"the server has no model {model!r}, only: {', '.join(models)}")
        return dict(models[model])

    def test_connection(self) -> bool:
        """Return True if the server can be reached and lists its models to this key (llama.cpp's does so to any)."""
        return succeeds(
            lambda: read_json(self._ask("GET", "/models", as_query({})), LLVMError, model_ids), LLVMError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(body), stream)

    def _request(
        self, method: str, path: str, content: Json, stream: bool = False, root: str | None = None
    ) -> requests.Response:
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(LLVMError):
            response = self._queued(self.session.request)(
                method,
                (root or self.base_url) + path,
                headers=headers,
                timeout=self.timeout,
                stream=stream,
                **content,
            )
        return checked(response, LLVMError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(LLVMError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, LLVMError)

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

    # >>> retrofit:env_key v2 cb62f15432
    api_key = RequestEngine.api_key("LLVM_API_KEY", missing="")  # where none is given
    # <<< retrofit:env_key
