"""OpenAI: responses, chat, embeddings, audio, images, moderations, files, batches, models.

API reference: https://platform.openai.com/docs/api-reference (read in November 2026, beside OpenAI's client 3.3)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import response_ended, response_event, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    File,
    Json,
    after_last,
    all_pages,
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


class OpenAIError(BackendError):
    """OpenAI's API returned an error, or could not be reached."""


class openai_api:
    """A client of OpenAI's HTTP API, and of the many servers that speak it.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, such as
            `OpenAI-Organization` and `OpenAI-Project`. They can be changed in the attribute `headers`.
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
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    # Text: https://platform.openai.com/docs/api-reference/responses, /chat, /completions, /embeddings

    def respond(self, model: str, input: str | list[Json], **options: Any) -> Json:
        """Return the model's response to `input`, a text or a list of items, by the API that OpenAI recommends.

        Args:
            model: such as `gpt-6-luna`.
            options: such as `instructions="Be brief."`, `tools=[…]`, or `previous_response_id` to go on from there.
        """
        body = {**options, "model": model, "input": input}
        return json_object(self._post("/responses", body), OpenAIError)

    def stream_response(self, model: str, input: str | list[Json], **options: Any) -> Iterator[Json]:
        """Yield the typed events of a response as they come, from `response.created` to `response.completed`.

        Raises:
            OpenAIError: also for the events `error` and `response.failed`.
        """
        body = {**options, "model": model, "input": input, "stream": True}
        response = self._post("/responses", body, stream=True)
        yield from sse_json(response, OpenAIError, response_ended, response_event)

    def get_response(self, response_id: str, **options: Any) -> Json:
        """Return a response that was made before, and stored."""
        return json_object(self._get(f"/responses/{in_path(response_id)}", options), OpenAIError)

    def cancel_response(self, response_id: str, **options: Any) -> Json:
        """Stop a response that is being made with `background=True`, and return it."""
        return json_object(self._act(f"/responses/{in_path(response_id)}/cancel", options), OpenAIError)

    def delete_response(self, response_id: str, **options: Any) -> None:
        """Delete a stored response."""
        self._delete(f"/responses/{in_path(response_id)}", options)

    def count_tokens(self, model: str, input: str | list[Json], **options: Any) -> int:
        """Return how many input tokens a response with the same arguments would have."""
        response = self._post("/responses/input_tokens", {**options, "model": model, "input": input})
        return read_json(response, OpenAIError, lambda answer: int(answer["input_tokens"]))

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the chat completion of `messages`."""
        body = {**options, "model": model, "messages": messages}
        return json_object(self._post("/chat/completions", body), OpenAIError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the chunks of a chat completion as they come."""
        body = {**options, "model": model, "messages": messages, "stream": True}
        yield from sse_json(self._post("/chat/completions", body, stream=True), OpenAIError)

    def complete(self, model: str, prompt: str, **options: Any) -> Json:
        """Return the text completion of `prompt`. OpenAI's own models for it have ended; other servers have some."""
        body = {**options, "model": model, "prompt": prompt}
        return json_object(self._post("/completions", body), OpenAIError)

    def stream_complete(self, model: str, prompt: str, **options: Any) -> Iterator[Json]:
        """Yield the chunks of a text completion as they come."""
        body = {**options, "model": model, "prompt": prompt, "stream": True}
        yield from sse_json(self._post("/completions", body, stream=True), OpenAIError)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`."""
        body = {**options, "model": model, "input": texts}
        return read_json(self._post("/embeddings", body), OpenAIError, embeddings)

    def moderate(self, model: str, input: str | list[Any], **options: Any) -> list[Json]:
        """Return, for each text or image, whether it is `flagged`, with its `categories` and `category_scores`."""
        body = {**options, "model": model, "input": input}
        return read_json(
            self._post("/moderations", body), OpenAIError, lambda answer: list(answer["results"])
        )

    # Sound and images: https://platform.openai.com/docs/api-reference/audio, /images

    def transcribe(self, model: str, filename: str, audio: bytes, **options: Any) -> Json:
        """Return the transcription of `audio`, with its `text`.

        Args:
            model: such as `gpt-transcribe`.
            filename: only its ending counts: it tells the format of `audio`.
            audio: the content of the sound file.
            options: such as `language="en"`; a `response_format` that is not JSON is not supported.
        """
        form = as_form({**options, "model": model}, ("file", (filename, audio)))
        return json_object(self._request("POST", "/audio/transcriptions", form), OpenAIError)

    def translate(self, model: str, filename: str, audio: bytes, **options: Any) -> Json:
        """Return the English translation of `audio`, with its `text`; the arguments are those of `transcribe`."""
        form = as_form({**options, "model": model}, ("file", (filename, audio)))
        return json_object(self._request("POST", "/audio/translations", form), OpenAIError)

    def speak(self, model: str, text: str, voice: str, **options: Any) -> bytes:
        """Return `text` spoken by `voice`: a sound file, MP3 unless `response_format` says otherwise."""
        body = {**options, "model": model, "input": text, "voice": voice}
        return self._post("/audio/speech", body).content

    def draw(self, model: str, prompt: str, **options: Any) -> list[Json]:
        """Return images of `prompt`, each in base64 in its `b64_json`."""
        body = {**options, "model": model, "prompt": prompt}
        return read_json(
            self._post("/images/generations", body), OpenAIError, lambda answer: list(answer["data"])
        )

    def edit_image(
        self, model: str, prompt: str, images: File | list[File], mask: File | None = None, **options: Any
    ) -> list[Json]:
        """Return images that are made of others, each in base64 in its `b64_json`.

        Args:
            images: one, or several: the name of its file, whose ending tells the format, and its content.
            mask: an image that is transparent where `images` may be changed.
        """
        several = images if isinstance(images, list) else None
        files = [("image", images)] if several is None else [("image[]", image) for image in several]
        files += [] if mask is None else [("mask", mask)]
        form = as_form({**options, "model": model, "prompt": prompt}, *files)
        response = self._request("POST", "/images/edits", form)
        return read_json(response, OpenAIError, lambda answer: list(answer["data"]))

    # Files and batches: https://platform.openai.com/docs/api-reference/files, /batch

    def upload_file(self, filename: str, content: bytes, purpose: str, **options: Any) -> Json:
        """Store a file, of `purpose` `batch` or `user_data`, say, and return its description, with its `id`."""
        form = as_form({**options, "purpose": purpose}, ("file", (filename, content)))
        return json_object(self._request("POST", "/files", form), OpenAIError)

    def list_files(self, **options: Any) -> list[Json]:
        """Return the descriptions of all stored files; `purpose="batch"` returns only those for batches."""
        return all_pages(self._get, "/files", options, OpenAIError, after_last)

    def get_file(self, file_id: str, **options: Any) -> Json:
        """Return the description of a stored file."""
        return json_object(self._get(f"/files/{in_path(file_id)}", options), OpenAIError)

    def download_file(self, file_id: str, **options: Any) -> bytes:
        """Return the content of a stored file, such as the output of a batch."""
        return self._get(f"/files/{in_path(file_id)}/content", options).content

    def delete_file(self, file_id: str, **options: Any) -> None:
        """Delete a stored file."""
        self._delete(f"/files/{in_path(file_id)}", options)

    def create_batch(self, input_file_id: str, endpoint: str, **options: Any) -> Json:
        """Have the requests in a stored file answered within a day at half the price, and return the batch.

        Args:
            input_file_id: the file: a line of JSON for each request.
            endpoint: where they go, such as `/v1/responses`.
        """
        body = {"completion_window": "24h", **options, "input_file_id": input_file_id, "endpoint": endpoint}
        return json_object(self._post("/batches", body), OpenAIError)

    def list_batches(self, **options: Any) -> list[Json]:
        """Return all batches, the newest first."""
        return all_pages(self._get, "/batches", options, OpenAIError, after_last)

    def get_batch(self, batch_id: str, **options: Any) -> Json:
        """Return a batch: its `status`, and at its end the id of the file with the answers in `output_file_id`."""
        return json_object(self._get(f"/batches/{in_path(batch_id)}", options), OpenAIError)

    def cancel_batch(self, batch_id: str, **options: Any) -> Json:
        """Stop a batch, and return it."""
        return json_object(self._act(f"/batches/{in_path(batch_id)}/cancel", options), OpenAIError)

    # Models: https://platform.openai.com/docs/api-reference/models

    def list_models(self, **options: Any) -> list[str]:
        """Return the ids of the models that this key may use."""
        return read_json(self._get("/models", options), OpenAIError, model_ids)

    def model_info(self, model: str, **options: Any) -> Json:
        """Return what the API says of `model`: its owner, and the `shutdown_date` if it has one."""
        return json_object(self._get(f"/models/{in_path(model)}", options), OpenAIError)

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(
            lambda: read_json(self._ask("GET", "/models", as_query({})), OpenAIError, model_ids), OpenAIError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _delete(self, path: str, options: Json) -> requests.Response:
        return self._request("DELETE", path, as_query(options))

    def _act(self, path: str, options: Json) -> requests.Response:
        return self._request("POST", path, as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(body), stream)

    def _request(self, method: str, path: str, content: Json, stream: bool = False) -> requests.Response:
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OpenAIError):
            response = self._queued(self.session.request)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, OpenAIError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(bearer(self.api_key), self.headers, content.pop("headers"))
        with failures_as(OpenAIError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, OpenAIError)

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

    # >>> retrofit:env_key v2 564d1edf9b
    api_key = RequestEngine.api_key("OPENAI_API_KEY", missing="")  # where none is given
    # <<< retrofit:env_key
