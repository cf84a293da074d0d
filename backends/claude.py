"""Claude: messages, token counts, batches, files, models. Anthropic has no embeddings.

API reference: https://platform.claude.com/docs/en/api/overview (read in November 2026, beside Anthropic's client 2.14)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from ._events import json_lines, sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    all_pages,
    as_form,
    as_json,
    as_query,
    bearer,
    checked,
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

API_VERSION = "2026-10-21"
"""https://platform.claude.com/docs/en/api/versioning; it refuses `temperature`, `top_p` and `top_k`."""


class ClaudeError(BackendError):
    """Anthropic's API returned an error, or could not be reached."""


class claude:
    """A client of Anthropic's HTTP API.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone; and
    `betas`, a list of the features to try with it, sent in `anthropic-beta`
    (https://platform.claude.com/docs/en/api/beta-headers).

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
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
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    # Messages: https://platform.claude.com/docs/en/api/messages

    def chat(self, model: str, messages: list[Json], max_tokens: int = 4096, **options: Any) -> Json:
        """Return Claude's answer to `messages`; `options` (`system`, …) go into the request's body."""
        body = {**options, "model": model, "messages": messages, "max_tokens": max_tokens}
        return json_object(self._post("/v1/messages", body), ClaudeError)

    def stream_chat(
        self, model: str, messages: list[Json], max_tokens: int = 4096, **options: Any
    ) -> Iterator[Json]:
        """Yield the events of an answer as they come, from `message_start` to `message_stop`, without pings."""
        body = {**options, "model": model, "messages": messages, "max_tokens": max_tokens, "stream": True}
        response = self._post("/v1/messages", body, stream=True)
        for event in sse_json(response, ClaudeError, lambda event: event.get("type") == "message_stop"):
            if event.get("type") != "ping":
                yield event

    def count_tokens(self, model: str, messages: list[Json], **options: Any) -> int:
        """Return how many input tokens a chat with the same arguments would have."""
        body = {**options, "model": model, "messages": messages}
        response = self._post("/v1/messages/count_tokens", body)
        return read_json(response, ClaudeError, lambda answer: int(answer["input_tokens"]))

    # Batches: https://platform.claude.com/docs/en/api/messages/batches

    def create_batch(self, requests: list[Json], **options: Any) -> Json:
        """Have many messages answered within a day at half the price, and return the batch.

        Args:
            requests: a `custom_id` for each, and in `params` the body of a message, with `model` and `max_tokens`.
        """
        return json_object(self._post("/v1/messages/batches", {**options, "requests": requests}), ClaudeError)

    def list_batches(self, **options: Any) -> list[Json]:
        """Return all batches, the newest first."""
        return all_pages(self._get, "/v1/messages/batches", options, ClaudeError, _after_last)

    def get_batch(self, batch_id: str, **options: Any) -> Json:
        """Return a batch; it has ended when its `processing_status` is `ended`."""
        return json_object(self._get(_batch(batch_id), options), ClaudeError)

    def batch_results(self, batch_id: str, **options: Any) -> Iterator[Json]:
        """Yield the `custom_id` and the `result` of each request of a batch that has ended, in no order."""
        response = self._request("GET", _batch(batch_id) + "/results", _as_query(options), stream=True)
        yield from json_lines(response, ClaudeError, lambda line: True)

    def cancel_batch(self, batch_id: str, **options: Any) -> Json:
        """Stop a batch, and return it."""
        return json_object(
            self._request("POST", _batch(batch_id) + "/cancel", _as_query(options)), ClaudeError
        )

    def delete_batch(self, batch_id: str, **options: Any) -> None:
        """Delete a batch that has ended."""
        self._request("DELETE", _batch(batch_id), _as_query(options))

    # Files: https://platform.claude.com/docs/en/api/files

    def upload_file(self, filename: str, content: bytes, **options: Any) -> Json:
        """Store a file for use in messages, and return its description, with its `id`."""
        form = as_form(_with_betas(options), ("file", (filename, content)))
        return json_object(self._request("POST", "/v1/files", form), ClaudeError)

    def list_files(self, **options: Any) -> list[Json]:
        """Return the descriptions of all stored files."""
        return all_pages(self._get, "/v1/files", options, ClaudeError, _next_page)

    def get_file(self, file_id: str, **options: Any) -> Json:
        """Return the description of a stored file."""
        return json_object(self._get(f"/v1/files/{in_path(file_id)}", options), ClaudeError)

    def download_file(self, file_id: str, **options: Any) -> bytes:
        """Return the content of a file that Claude made; files that were uploaded cannot be downloaded."""
        return self._get(f"/v1/files/{in_path(file_id)}/content", options).content

    def delete_file(self, file_id: str, **options: Any) -> None:
        """Delete a stored file."""
        self._request("DELETE", f"/v1/files/{in_path(file_id)}", _as_query(options))

    # Models: https://platform.claude.com/docs/en/api/models

    def list_models(self, **options: Any) -> list[str]:
        """Return the ids of the models that this key may use, newest first; none that is retired."""
        query = {"limit": 1000, **options}
        return all_pages(self._get, "/v1/models", query, ClaudeError, _after_last, model_ids)

    def model_info(self, model: str, **options: Any) -> Json:
        """Return what the API says of `model`, such as its `display_name`."""
        return json_object(self._get(f"/v1/models/{in_path(model)}", options), ClaudeError)

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(
            lambda: json_object(self._ask("GET", "/v1/models", as_query({})), ClaudeError), ClaudeError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, _as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(_with_betas(body)), stream)

    def _request(self, method: str, path: str, content: Json, stream: bool = False) -> requests.Response:
        headers = merged_headers(self._own_headers(), content.pop("headers"))
        with failures_as(ClaudeError):
            response = self._queued(self.session.request)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, ClaudeError)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(self._own_headers(), content.pop("headers"))
        with failures_as(ClaudeError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, ClaudeError)

    def _own_headers(self) -> dict[str, str]:
        own = {"anthropic-version": API_VERSION, **bearer(self.api_key)}
        return merged_headers(own, self.headers)

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

    # >>> retrofit:env_key v2 c7198cf3ab
    api_key = RequestEngine.api_key("ANTHROPIC_API_KEY", "CLAUDE_API_KEY", missing="")
    # <<< retrofit:env_key


def _as_query(options: Json) -> Json:
    return as_query(_with_betas(options))


def _with_betas(options: Json) -> Json:
    """Return `options` with the header for `betas` in place of them."""
    if "betas" not in options:
        return options
    rest = {name: value for name, value in options.items() if name != "betas"}
    beta = {"anthropic-beta": ",".join(options["betas"])}
    return {**rest, "extra_headers": {**beta, **(options.get("extra_headers") or {})}}


def _batch(batch_id: str) -> str:
    return f"/v1/messages/batches/{in_path(batch_id)}"


def _after_last(page: Json) -> Json:
    return {"after_id": page["last_id"]} if page.get("has_more") else {}


def _next_page(page: Json) -> Json:
    return {"page": page["next_page"]} if page.get("next_page") else {}
