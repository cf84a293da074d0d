"""Gemini: interactions, content generation, embeddings, token counts, files, caches, batches, models.

API reference: https://ai.google.dev/api (read in November 2026). Where it differs from what Google's own client sends
(google-genai 3.6), that one is followed: it goes to `/v1` now.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from ._events import sse_json
from ._http import (
    DEFAULT_TIMEOUT,
    BackendError,
    Json,
    all_pages,
    as_json,
    as_query,
    checked,
    failures_as,
    in_path,
    json_object,
    key_header,
    merged_headers,
    new_session,
    pick_base_url,
    read_json,
    succeeds,
)
from ._request_engine import RequestEngine  # retrofit:import


class GeminiError(BackendError):
    """The Gemini API returned an error, or could not be reached."""


class gemini:
    """A client of the Gemini API. A model may be named with or without `models/` before it.

    All methods take the API's own options: they go into the body of a POST, and into the query of a GET. One is not
    the API's: `extra_headers`, a dict of headers for that request alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it, and `headers`: a dict of headers for all requests, which can be changed in
            the attribute `headers`.
        api_key: sent in `x-goog-api-key`; without one, that header is not sent.
        base_url: where the API is, up to and including `/v1`.

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
        self.base_url = pick_base_url(base_url, self.metadata, "https://generativelanguage.googleapis.com/v1")
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.timeout = DEFAULT_TIMEOUT
        self.session: requests.Session = new_session()

    # Interactions: https://ai.google.dev/api/interactions-api

    def interact(self, model: str | None, input: str | list[Json], **options: Any) -> Json:
        """Return an interaction: the model's answer to `input`, a text or a list of steps, by Google's newest API.

        Args:
            model: such as `gemini-3.8-flash`; None, if `agent` is among the options.
            options: such as `system_instruction="Be brief."`, or `previous_interaction_id` to go on from there.
        """
        return json_object(self._post("/interactions", _interaction(model, input, options)), GeminiError)

    def stream_interaction(
        self, model: str | None, input: str | list[Json], **options: Any
    ) -> Iterator[Json]:
        """Yield the events of an interaction as they come, up to `interaction.completed`."""
        body = {**_interaction(model, input, options), "stream": True}
        response = self._post("/interactions", body, stream=True)
        yield from sse_json(
            response, GeminiError, lambda event: event.get("event_type") == "interaction.completed"
        )

    def get_interaction(self, interaction_id: str, **options: Any) -> Json:
        """Return an interaction that was made before, and stored."""
        path = f"/interactions/{in_path(interaction_id)}"
        return json_object(self._get(path, {"stream": "false", **options}), GeminiError)

    def cancel_interaction(self, interaction_id: str, **options: Any) -> Json:
        """Stop an interaction that is going on in the background, and return it."""
        path = f"/interactions/{in_path(interaction_id)}/cancel"
        return json_object(self._request("POST", path, as_query(options)), GeminiError)

    def delete_interaction(self, interaction_id: str, **options: Any) -> None:
        """Delete a stored interaction."""
        self._delete(f"/interactions/{in_path(interaction_id)}", options)

    # Content: https://ai.google.dev/api/generate-content, /embeddings, /tokens

    def chat(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Return the model's answer, a `GenerateContentResponse`.

        Args:
            model: such as `gemini-3.8-flash`.
            messages: in OpenAI's form with text as content, or with Gemini's own `parts` in its place.
            options: such as `generationConfig={"temperature": 0}`.
        """
        body = {**options, **_conversation(messages)}
        return json_object(self._post(f"/{_resource(model)}:generateContent", body), GeminiError)

    def stream_chat(self, model: str, messages: list[Json], **options: Any) -> Iterator[Json]:
        """Yield the pieces of the model's answer as they come; the arguments are those of `chat`."""
        body = {**options, **_conversation(messages)}
        path = f"/{_resource(model)}:streamGenerateContent?alt=sse"
        yield from sse_json(self._post(path, body, stream=True), GeminiError, _is_last)

    def embed(self, model: str, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return one embedding a text, in the order of `texts`; `options` apply to each of them."""
        name = _resource(model)
        extra = options.pop("extra_headers", None)
        items = [
            {**options, "model": name, "content": {"role": "user", "parts": [{"text": text}]}}
            for text in ([texts] if isinstance(texts, str) else texts)
        ]
        response = self._post(f"/{name}:batchEmbedContents", {"requests": items, "extra_headers": extra})
        return read_json(response, GeminiError, lambda answer: [e["values"] for e in answer["embeddings"]])

    def count_tokens(self, model: str, messages: list[Json], **options: Any) -> int:
        """Return how many input tokens a chat with the same arguments would have."""
        name = _resource(model)
        extra = options.pop("extra_headers", None)
        body = {**options, **_conversation(messages)}
        if body.keys() != {"contents"}:
            body = {"generateContentRequest": {**body, "model": name}}
        response = self._post(f"/{name}:countTokens", {**body, "extra_headers": extra})
        return read_json(response, GeminiError, lambda answer: int(answer["totalTokens"]))

    # Files: https://ai.google.dev/api/files

    def upload_file(
        self, filename: str, content: bytes, mime_type: str | None = None, **options: Any
    ) -> Json:
        """Store a file for two days, and return its description, with its `name` and `uri`.

        Args:
            mime_type: guessed from the ending of `filename`, if it is not given.
            options: fields of the description, such as `display_name`.
        """
        kind = mime_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
        start = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
            "X-Goog-Upload-Header-Content-Type": kind,
        }
        if filename.isascii() and filename.isprintable():  # No other goes into a header, and none is needed.
            start["X-Goog-Upload-File-Name"] = filename
        extra = options.pop("extra_headers", None)
        asked = as_json({"file": {**options, "mime_type": kind, "size_bytes": len(content)}})
        asked["headers"] = merged_headers(start, extra)
        host, _, version = self.base_url.rpartition("/")
        response = self._send("POST", f"{host}/upload/{version}/files", asked, self._own_headers())
        if not (url := response.headers.get("X-Goog-Upload-URL")):
            raise GeminiError(response.status_code, "the answer has no URL to upload the file to")
        # Never with the key: the URL has its own. It may be of any host, which the other headers are not for.
        at_home = urlsplit(url)[:2] == urlsplit(self.base_url)[:2]
        end = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
        sent = {"data": content, "headers": merged_headers(extra if at_home else None, end)}
        response = self._send("POST", url, sent, self.headers if at_home else {})
        return read_json(response, GeminiError, lambda answer: dict(answer["file"]))

    def list_files(self, **options: Any) -> list[Json]:
        """Return the descriptions of all stored files."""
        return self._all("/files", options, "files")

    def get_file(self, name: str, **options: Any) -> Json:
        """Return the description of a stored file; its `state` is `ACTIVE` when it can be used."""
        return json_object(self._get(_path("files", name), options), GeminiError)

    def download_file(self, name: str, **options: Any) -> bytes:
        """Return the content of a file that the API made, such as the answers of a batch."""
        return self._get(_path("files", name) + ":download", {"alt": "media", **options}).content

    def delete_file(self, name: str, **options: Any) -> None:
        """Delete a stored file."""
        self._delete(_path("files", name), options)

    # Caches: https://ai.google.dev/api/caching

    def create_cache(self, model: str, messages: list[Json], **options: Any) -> Json:
        """Store the beginning of many chats, and return the cache; its `name` goes into `cachedContent` of a chat.

        Args:
            options: such as `ttl="3600s"`, `displayName="manual"`.
        """
        body = {**options, **_conversation(messages), "model": _resource(model)}
        return json_object(self._post("/cachedContents", body), GeminiError)

    def list_caches(self, **options: Any) -> list[Json]:
        """Return all caches, without their contents."""
        return self._all("/cachedContents", options, "cachedContents")

    def get_cache(self, name: str, **options: Any) -> Json:
        """Return a cache, without its contents."""
        return json_object(self._get(_path("cachedContents", name), options), GeminiError)

    def update_cache(self, name: str, **options: Any) -> Json:
        """Change when a cache ends, by `ttl` or `expireTime`, and return it."""
        return json_object(
            self._request("PATCH", _path("cachedContents", name), as_json(options)), GeminiError
        )

    def delete_cache(self, name: str, **options: Any) -> None:
        """Delete a cache."""
        self._delete(_path("cachedContents", name), options)

    # Batches: https://ai.google.dev/api/batch-api

    def create_batch(self, model: str, requests: list[Json] | str, **options: Any) -> Json:
        """Have many requests answered within a day at half the price, and return the batch.

        Args:
            requests: what `chat` would send for each (`contents`, `generationConfig`, …), or the name of a stored file with
                a line of JSON for each.
            options: fields of the batch, such as `displayName`.
        """
        extra = options.pop("extra_headers", None)
        source: Json = {"fileName": requests}
        if not isinstance(requests, str):
            source = {"requests": {"requests": [{"request": request} for request in requests]}}
        body = {"batch": {**options, "inputConfig": source}, "extra_headers": extra}
        return json_object(self._post(f"/{_resource(model)}:batchGenerateContent", body), GeminiError)

    def list_batches(self, **options: Any) -> list[Json]:
        """Return all batches."""
        return self._all("/batches", options, "operations")

    def get_batch(self, name: str, **options: Any) -> Json:
        """Return a batch: whether it is `done`, and in its `metadata` the `state` and, at the end, the `output`."""
        return json_object(self._get(_path("batches", name), options), GeminiError)

    def cancel_batch(self, name: str, **options: Any) -> None:
        """Stop a batch."""
        self._request("POST", _path("batches", name) + ":cancel", as_query(options))

    def delete_batch(self, name: str, **options: Any) -> None:
        """Delete a batch."""
        self._delete(_path("batches", name), options)

    # Models: https://ai.google.dev/api/models

    def list_models(self, **options: Any) -> list[str]:
        """Return the names of the models, without `models/` before them."""
        query = {"pageSize": 1000, **options}
        return all_pages(self._get, "/models", query, GeminiError, _next_page, _model_names)

    def model_info(self, model: str, **options: Any) -> Json:
        """Return what the API says of `model`, such as its `inputTokenLimit`."""
        return json_object(self._get(f"/{_resource(model)}", options), GeminiError)

    def test_connection(self) -> bool:
        """Return True if the API can be reached and accepts the key."""
        return succeeds(
            lambda: json_object(self._ask("GET", "/models", as_query({})), GeminiError), GeminiError
        )

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _all(self, path: str, options: Json, items: str) -> list[Json]:
        # A page without items has no such field.
        return all_pages(self._get, path, options, GeminiError, _next_page, lambda page: page.get(items, []))

    def _get(self, path: str, options: Json) -> requests.Response:
        return self._request("GET", path, as_query(options))

    def _delete(self, path: str, options: Json) -> requests.Response:
        return self._request("DELETE", path, as_query(options))

    def _post(self, path: str, body: Json, stream: bool = False) -> requests.Response:
        return self._request("POST", path, as_json(body), stream)

    def _request(self, method: str, path: str, content: Json, stream: bool = False) -> requests.Response:
        return self._send(method, self.base_url + path, content, self._own_headers(), stream)

    def _ask(self, method: str, path: str, content: Json) -> requests.Response:
        """Send a request once: to a question whether the server is well, a failure is an answer."""
        headers = merged_headers(self._own_headers(), content.pop("headers"))
        with failures_as(GeminiError):
            # retrofit: no-retry
            response = self._queued(self.session.request, retry=False)(
                method, self.base_url + path, headers=headers, timeout=self.timeout, **content
            )
        return checked(response, GeminiError)

    def _own_headers(self) -> dict[str, str]:
        return merged_headers(key_header("x-goog-api-key", self.api_key), self.headers)

    def _send(
        self, method: str, url: str, content: Json, own: dict[str, str], stream: bool = False
    ) -> requests.Response:
        headers = merged_headers(own, content.pop("headers"))
        with failures_as(GeminiError):
            response = self._queued(self.session.request)(
                method, url, headers=headers, timeout=self.timeout, stream=stream, **content
            )
        return checked(response, GeminiError)

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

    # >>> retrofit:env_key v2 76d1a4ed1e
    api_key = RequestEngine.api_key("GOOGLE_API_KEY", "GEMINI_API_KEY", missing="")
    # <<< retrofit:env_key


def _resource(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _path(kind: str, name: str) -> str:
    """Return the path of something stored that is named with or without its kind, `files/abc` or `abc`."""
    return f"/{kind}/{in_path(name.removeprefix(kind + '/'))}"


def _model_names(page: Json) -> list[str]:
    return [model["name"].removeprefix("models/") for model in page.get("models", [])]


def _next_page(page: Json) -> Json:
    return {"pageToken": page["nextPageToken"]} if page.get("nextPageToken") else {}


def _interaction(model: str | None, input: str | list[Json], options: Json) -> Json:
    return {**options, **({"model": model} if model is not None else {}), "input": input}


def _conversation(messages: list[Json]) -> Json:
    """Return `messages` as Gemini's `contents`, and its `systemInstruction` if there is one."""
    contents: list[Json] = []
    system: list[Json] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            system += _parts(message)
        else:
            role = "model" if message["role"] in ("assistant", "model") else "user"
            contents.append({"role": role, "parts": _parts(message)})
    return {
        "contents": contents,
        **({"systemInstruction": {"role": "user", "parts": system}} if system else {}),
    }


def _parts(message: Json) -> list[Json]:
    if "parts" in message:
        return list(message["parts"])
    content = message.get("content")
    if isinstance(content, str):
        return [{"text": content}]
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        return [{"text": part["text"]} for part in content]
    raise ValueError("a message that is not text needs Gemini's own `parts`")


def _is_last(piece: Json) -> bool:
    blocked = (piece.get("promptFeedback") or {}).get("blockReason")
    return bool(blocked) or any(c.get("finishReason") for c in piece.get("candidates", []))
