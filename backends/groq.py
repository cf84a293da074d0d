"""Groq: chat, embeddings, audio, files, batches, models.

API reference: https://console.groq.com/docs/api-reference (read in November 2026, beside Groq's client 1.7)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import event_object, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    as_form,
    as_json,
    as_query,
    bearer,
    checked,
    embeddings,
    failures_as,
    in_path,
    json_object,
    merged_headers,
    model_ids,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class GroqError(BackendError):
    """Groq's API returned an error, or could not be reached."""


class groq:
    """A client of Groq's HTTP API.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
        api_key: sent as a bearer token; without one, no `Authorization` header is sent.
        base_url: where the API is, up to and including `/openai/v1`.

    Raises:
        GroqError: from every method, when the API answers with an error, or cannot be reached.
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
        self.base_url = pick_base_url(base_url, self.metadata, "https://api.groq.com/openai/v1")
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the chat completion of `messages`."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/chat/completions", body), GroqError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the chunks of a chat completion as they come.

        Raises:
            GroqError: also when a chunk says, in `x_groq`, why the stream was stopped early.
        """
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/chat/completions", body, stream=True), GroqError, decode=_chunk)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/embeddings", body), GroqError, embeddings)

    def transcribe(self, model: str, filename: str, audio: bytes, **options: Any) -> Json:
        """Return the transcription of `audio`, with its `text`.

        Args:
            model: such as `whisper-large-v3-turbo`.
            filename: only its ending counts: it tells Groq the format of `audio`.
            audio: the content of the sound file.
            options: fields of the form, such as `language`; `response_format="text"` is not supported.
        """
        form = as_form({**options, "model": model}, ("file", (filename, audio)))
        return json_object(self._request("POST", "/audio/transcriptions", form), GroqError)

    def translate(self, model: str, filename: str, audio: bytes, **options: Any) -> Json:
        """Return the English translation of `audio`, with its `text`; the arguments are those of `transcribe`."""
        form = as_form({**options, "model": model}, ("file", (filename, audio)))
        return json_object(self._request("POST", "/audio/translations", form), GroqError)

    def speak(self, model: str, text: str, voice: str, **options: Any) -> bytes:
        """Return `text` spoken by `voice`: a sound file.

        Args:
            model: such as `canopylabs/orpheus-v1-english`.
            options: such as `response_format="wav"`.
        """
        body = {**options, "model": model, "input": text, "voice": voice}
        return self._post("/audio/speech", body).content

    def upload_file(self, filename: str, content: bytes, purpose: str = "batch", **options: Any) -> Json:
        """Store a file, and return its description, with its `id`."""
        form = as_form({**options, "purpose": purpose}, ("file", (filename, content)))
        return json_object(self._request("POST", "/files", form), GroqError)

    def list_files(self, **options: Any) -> list[Json]:
        """Return the descriptions of all stored files."""
        return read_json(self._get("/files", options), GroqError, lambda answer: list(answer["data"]))

    def get_file(self, file_id: str, **options: Any) -> Json:
        """Return the description of a stored file."""
        return json_object(self._get(f"/files/{in_path(file_id)}", options), GroqError)

    def download_file(self, file_id: str, **options: Any) -> bytes:
        """Return the content of a stored file, such as the output of a batch."""
        return self._get(f"/files/{in_path(file_id)}/content", options).content

    def delete_file(self, file_id: str, **options: Any) -> None:
        """Delete a stored file."""
        self._request("DELETE", f"/files/{in_path(file_id)}", as_query(options))

    def create_batch(
        self, input_file_id: str, endpoint: str = "/v1/chat/completions", **options: Any
    ) -> Json:
        """Have the requests in a stored file answered later at half the price, and return the batch.

        Args:
            input_file_id: the file: a line of JSON for each request.
            endpoint: where they go.
            options: such as `completion_window="7d"`; a day, if it is not there.
        """
        body = {"completion_window": "24h", **options, "input_file_id": input_file_id, "endpoint": endpoint}
        return json_object(self._post("/batches", body), GroqError)

    def list_batches(self, **options: Any) -> list[Json]:
        """Return all batches."""
        return read_json(self._get("/batches", options), GroqError, lambda answer: list(answer["data"]))

    def get_batch(self, batch_id: str, **options: Any) -> Json:
        """Return a batch: its `status`, and at its end the id of the file with the answers in `output_file_id`."""
        return json_object(self._get(f"/batches/{in_path(batch_id)}", options), GroqError)

    def cancel_batch(self, batch_id: str, **options: Any) -> Json:
        """Stop a batch, and return it."""
        path = f"/batches/{in_path(batch_id)}/cancel"
        return json_object(self._request("POST", path, as_query(options)), GroqError)

    def list_models(self, **options: Any) -> list[str]:
        """Return the ids of the models that this key may use."""
        return read_json(self._get("/models", options), GroqError, model_ids)

    def model_info(self, model: str, **options: Any) -> Json:
        """Return what the API says of `model`, such as its `context_window`."""
        return json_object(self._get(f"/models/{in_path(model)}", options), GroqError)

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(
            lambda: read_json(self._ask("GET", "/models", as_query({})), GroqError, model_ids), GroqError
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
        with failures_as(GroqError):
            response = self._queued(self.session.request)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, GroqError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(GroqError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, GroqError)

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

    # >>> retrofit:env_key v2 7e662f2db6
    api_key = RequestEngine.api_key("GROQ_API_KEY", missing="")  # where none is given
    # <<< retrofit:env_key


def _chunk(data: str, response: requests.Response, error: type[BackendError]) -> Json:
    chunk = event_object(data, response, error)
    if reason := (chunk.get("x_groq") or {}).get("error"):
        raise error(None, str(reason))
    return chunk
