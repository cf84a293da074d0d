"""What the plain backends share: a session, the key's header, errors, and the reading of answers and streams.

No request is made here; each backend makes its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

T = TypeVar("T")

DEFAULT_TIMEOUT = (10.0, 300.0)
"""Seconds to wait for a connection, and between two reads of an answer."""

KEY_HEADERS = ("Authorization", "x-goog-api-key")
"""The headers in which a vendor takes the key."""


class BackendError(Exception):
    """The API said no, or could not be reached; each backend has a subclass of its own.

    Attributes:
        status: the HTTP status, or None where there is none to blame: no answer came, or the failure came inside a
            stream that began with 200.
        message: what the vendor said about it, without the key.
    """

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}" if status is not None else message)
        self.status = status
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.message)


# Requests ------------------------------------------------------------------------------------------------------


def new_session(connections: int = 16) -> requests.Session:
    """Return a session that keeps up to `connections` connections to a host open.

    It follows no redirects, which would carry a key in a header of the vendor's own to another host; and it takes no
    password from `.netrc`, which would replace the key.
    """
    session = requests.Session()
    session.max_redirects = 0
    session.auth = _headers_as_they_are
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _headers_as_they_are(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def pick_base_url(base_url: str | None, metadata: Mapping[str, Any], default: str) -> str:
    """Return the first of: the argument, `metadata["base_url"]`, the vendor's own; no slash at its end."""
    return str(base_url or metadata.get("base_url") or default).rstrip("/")


def key_header(name: str, api_key: str | None, scheme: str = "") -> dict[str, str]:
    """Return the header that carries the key, or none without a key. Space around the key is no part of it.

    Raises:
        ValueError: the key has something in it that no header can carry, such as a line break. requests would say so
            too, and show the key.
    """
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the API key has a line break in it, or a letter that is not ASCII")
    return {name: scheme + key} if key else {}


def bearer(api_key: str | None) -> dict[str, str]:
    """Return the header that carries the key as a bearer token (RFC 6750), or none without a key."""
    return key_header("Authorization", api_key, "Bearer ")


@contextmanager
def failures_as(error: type[BackendError]) -> Iterator[None]:
    """Turn what requests raises inside (no connection, a timeout, an answer cut off) into an `error`."""
    try:
        yield
    except requests.RequestException as failure:
        status = None if failure.response is None else failure.response.status_code
        failure.request = failure.response = None  # They hold the headers, and the key with them.
        raise error(status, f"{type(failure).__name__}: {failure}") from failure


# Answers -------------------------------------------------------------------------------------------------------


def checked(response: requests.Response, error: type[BackendError]) -> requests.Response:
    """Return `response` if its status says that all is well; raise `error` with the vendor's message if not."""
    if response.status_code < 400:
        return response
    with response:
        raise error(response.status_code, _without_key(_error_message(response), response))


def read_json(
    response: requests.Response,
    error: type[BackendError],
    read: Callable[[Any], T],
) -> T:
    """Return what `read` makes of the JSON in the body; raise `error` where it is not what the API documents."""
    try:
        answer = json.loads(response.content)
    except ValueError:
        raise error(response.status_code, "the answer is not JSON") from None
    try:
        return read(answer)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise error(response.status_code, "the answer has not the form that the API documents") from None


def json_object(response: requests.Response, error: type[BackendError]) -> dict[str, Any]:
    """Return the JSON object in the body; raise `error` where the body is something else."""
    return read_json(response, error, _a(dict))


def json_list(response: requests.Response, error: type[BackendError]) -> list[Any]:
    """Return the JSON list in the body; raise `error` where the body is something else."""
    return read_json(response, error, _a(list))


def _a(kind: type[T]) -> Callable[[Any], T]:
    def read(answer: Any) -> T:
        if not isinstance(answer, kind):
            raise TypeError
        return answer

    return read


def model_ids(answer: Any) -> list[str]:
    """Return the ids in a list of models in OpenAI's form."""
    return [model["id"] for model in answer["data"]]


def embeddings(answer: Any) -> list[list[float]]:
    """Return the embeddings in an answer in OpenAI's form, in the order of the texts."""
    return [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]


def succeeds(
    request: Callable[[], Any],
    error: type[BackendError],
    no: Collection[int | None] | None = None,
) -> bool:
    """Return whether `request` succeeds, rather than raise `error`.

    Args:
        no: the statuses that mean no; with others, `error` is raised after all. None: any failure means no.
    """
    try:
        request()
    except error as failure:
        if no is not None and failure.status not in no:
            raise
        return False
    return True


# Streams -------------------------------------------------------------------------------------------------------


def finished(chunk: dict[str, Any]) -> bool:
    """Return True for a chunk in OpenAI's form with which a choice ends."""
    return any(choice.get("finish_reason") for choice in chunk.get("choices") or ())


def sse_json(
    response: requests.Response,
    error: type[BackendError],
    is_last: Callable[[dict[str, Any]], Any] = finished,
    decode: Callable[[str, requests.Response, type[BackendError]], dict[str, Any]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each server-sent event.

    The stream is read on to its end, so that its connection can be used again.

    Args:
        is_last: tells an event with which the answer is complete. `[DONE]` says so as well.
        decode: makes an event of its data, where that is more than JSON; None for `event_object`.

    Raises:
        error: for an error event, and when the stream ends before the answer is complete.
    """
    ended = False
    for data in sse_data(response, error):
        if data == "[DONE]":
            ended = True
            continue
        event = (decode or event_object)(data, response, error)
        ended = ended or bool(is_last(event))
        yield event
    if not ended:
        raise error(None, "the stream ended before the answer was complete")


def sse_data(response: requests.Response, error: type[BackendError]) -> Iterator[str]:
    """Yield the data of each server-sent event, and close the response at the end.

    Source of the format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Three things are taken that
    are not in it: a last event without the empty line after it (llama.cpp's `[DONE]`), a field `error` (llama.cpp
    until 2025, https://github.com/ggml-org/llama.cpp/pull/16109), and a bare JSON object (an error of OVMS).
    """
    data: list[str] = []
    for raw in _lines(response, error):
        line = raw.decode("utf-8", "replace")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("error:"):
            yield f'{{"error": {line[6:]}}}'
        elif line.startswith("{"):
            yield line
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def json_lines(
    response: requests.Response, error: type[BackendError], is_last: Callable[[dict[str, Any]], Any]
) -> Iterator[dict[str, Any]]:
    """Yield the JSON object in each line, and close the response at the end.

    Raises:
        error: for an error line, and when the stream ends before the answer is complete.
    """
    ended = False
    for line in _lines(response, error):
        if line:
            event = event_object(line, response, error)
            ended = ended or bool(is_last(event))
            yield event
    if not ended:
        raise error(None, "the stream ended before the answer was complete")


def _lines(response: requests.Response, error: type[BackendError]) -> Iterator[bytes]:
    with response:
        lines = response.iter_lines()
        while True:
            # Not around the `yield`: what the caller of a stream raises is no failure of it.
            with failures_as(error):
                line = next(lines, None)
            if line is None:
                return
            yield line


def event_object(data: str | bytes, response: requests.Response, error: type[BackendError]) -> dict[str, Any]:
    """Return the JSON object of one event of a stream; raise `error` if it is an error, or no JSON object."""
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise error(None, "an event of the stream is not a JSON object")
    if event.get("error"):
        raise error(None, _without_key(message_in(event) or "error in the stream", response))
    return event


# What went wrong -----------------------------------------------------------------------------------------------


def message_in(body: Any) -> str:
    """Return the message inside a decoded error body, in any of the vendors' forms, or an empty string."""
    if isinstance(body, list) and body:
        return message_in(body[0])
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "msg", "error_message"):
            if message := message_in(body.get(name)):
                return message
    return body if isinstance(body, str) else ""


def _error_message(response: requests.Response) -> str:
    nothing = response.reason or "no message"
    try:
        body = response.content
    except requests.RequestException:  # It was to be streamed, and was cut off.
        return nothing
    try:
        return message_in(json.loads(body)) or nothing
    except ValueError:
        return body.decode("utf-8", "replace").strip()[:500] or nothing


def _without_key(message: str, response: requests.Response) -> str:
    """Return `message` with the key blotted out that was sent.

    OpenAI's 401 repeats the key: a short one whole, of a longer one the ends around asterisks.
    """
    for name in KEY_HEADERS:
        sent = response.request.headers.get(name)
        if key := str(sent or "").removeprefix("Bearer "):
            message = message.replace(key, "***")
    return re.sub(r"[^\s\"']*\*{4,}[^\s\"',;.]*", "***", message).strip()
