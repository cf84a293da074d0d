"""Hugging Face Text Generation Inference (TGI): generation, chat, completions, tokens.

API reference: https://huggingface.github.io/text-generation-inference/ (read in November 2026; TGI is only maintained now)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    as_json,
    as_query,
    bearer,
    checked,
    failures_as,
    json_list,
    json_object,
    merged_headers,
    model_ids,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)


class TGIError(BackendError):
    """A TGI server returned an error, or could not be reached."""


class hf_tgi:
    """A client of a Text Generation Inference server, which serves one model.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
        api_key: sent as a bearer token, which a server started with `--api-key` or a Hugging Face
            endpoint wants.
        base_url: where the server is, without `/v1`.

    Raises:
        TGIError: from every method, when the server answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "http://localhost:8080")
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the chat completion of `messages`.

        `model` is `"tgi"`, or the name of one of the server's LoRA adapters.
        """
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/v1/chat/completions", body), TGIError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/v1/chat/completions", body, stream=True), TGIError)

    def complete(self, model: str, prompt: str, **options: Any) -> Json:
        """Return the text completion of `prompt`, in OpenAI's form."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/v1/completions", body), TGIError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[Json]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/v1/completions", body, stream=True), TGIError)

    def generate(self, prompt: str, extra_headers: dict[str, str] | None = None, **parameters: Any) -> Json:
        """Return what the model writes after `prompt`, in `generated_text`.

        `parameters` are TGI's, such as `max_new_tokens=20` or `details=True`.
        """
        body = {"inputs": prompt, "parameters": parameters, "extra_headers": extra_headers}
        return json_object(self._post("/generate", body), TGIError)

    def stream_generate(
        self, prompt: str, extra_headers: dict[str, str] | None = None, **parameters: Any
    ) -> Iterator[Json]:
        """Yield each token as it comes; the last event has the whole `generated_text` too.

        All errors but a refused key come inside the stream, with status 200: `Model is overloaded`, too.
        """
        body = {"inputs": prompt, "parameters": parameters, "extra_headers": extra_headers}
        response = self._post("/generate_stream", body, stream=True)
        yield from sse_json(response, TGIError, lambda event: event.get("generated_text") is not None)

    def tokenize(self, text: str, **options: Any) -> list[Json]:
        """Return the tokens of `text`: `id`, `text`, `start` and `stop` of each."""
        return json_list(self._post("/tokenize", {**options, "inputs": text}), TGIError)

    def chat_tokenize(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the prompt that a chat is for the model, in `templated_text`, and its tokens, in `tokenize_response`."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/chat_tokenize", body), TGIError)

    def list_models(self, **options: Any) -> list[str]:
        """Return the id of the one model that the server has."""
        return read_json(self._get("/v1/models", options), TGIError, model_ids)

    def info(self, **options: Any) -> Json:
        """Return the server's version, its model and its limits."""
        return json_object(self._get("/info", options), TGIError)

    def health(self, **options: Any) -> bool:
        """Return True if the server can generate, False if it says that it cannot."""
        return succeeds(lambda: self._ask("GET", "/health", as_query(options)), TGIError, no={503})

    def test_connection(self) -> bool:
        """Return True if the server can be reached and accepts the key.

        A text is tokenized for that, because `/health` and `/info` answer without a key.
        """
        return succeeds(
            lambda: read_json(self._ask("POST", "/tokenize", as_json({"inputs": "Hello"})), TGIError, list),
            TGIError,
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
        with failures_as(TGIError):
            response = self.session.request(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, TGIError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(TGIError):
            # retrofit: no-retry
            response = self.session.request(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, TGIError)
