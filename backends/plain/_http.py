"""What every plain backend needs to speak HTTP: a session, a base URL, errors, and streams of events.

No request is made here; each backend makes its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter

DEFAULT_TIMEOUT = (10.0, 300.0)
"""Seconds to wait for a connection, and between two reads of an answer."""


class BackendError(Exception):
    """An answer of the API that says no.

    Attributes:
        status: the HTTP status, or None where the failure came inside a stream that began with 200.
        message: what the vendor said about it.
    """

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}" if status is not None else message)
        self.status = status
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.message)


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


def checked(response: requests.Response, error: type[BackendError]) -> requests.Response:
    """Return `response` if its status says that all is well; raise `error` with the vendor's message if not."""
    if response.status_code < 400:
        return response
    with response:
        raise error(response.status_code, error_message(response))


def error_message(response: requests.Response) -> str:
    """Return what the vendor says went wrong, read from any of the usual shapes of an error body."""
    try:
        body = response.json()
    except ValueError:
        return response.text.strip()[:500] or response.reason or "no message"
    return message_in(body) or response.reason or "no message"


def message_in(body: Any) -> str:
    """Return the message inside a decoded error body, or an empty string."""
    if isinstance(body, list) and body:
        return message_in(body[0])
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "msg", "error_message"):
            if body.get(name):
                return message_in(body[name])
        return ""
    return body if isinstance(body, str) else ""


def json_object(response: requests.Response, error: type[BackendError]) -> dict[str, Any]:
    """Return the JSON object in the body; raise `error` where the body is something else."""
    body = _json(response, error)
    if not isinstance(body, dict):
        raise error(response.status_code, "the answer is not a JSON object")
    return body


def json_list(response: requests.Response, error: type[BackendError]) -> list[Any]:
    """Return the JSON list in the body; raise `error` where the body is something else."""
    body = _json(response, error)
    if not isinstance(body, list):
        raise error(response.status_code, "the answer is not a JSON list")
    return body


def _json(response: requests.Response, error: type[BackendError]) -> Any:
    try:
        return response.json()
    except ValueError:
        raise error(response.status_code, "the answer is not JSON") from None


def sse_data(response: requests.Response) -> Iterator[str]:
    """Yield the data of each server-sent event, and close the response at the end.

    An event that was cut off is not yielded. Source of the format:
    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    with response:
        data: list[str] = []
        for raw in response.iter_lines():
            line = raw.decode("utf-8")
            if not line:
                if data:
                    yield "\n".join(data)
                data = []
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))


def sse_json(response: requests.Response, error: type[BackendError]) -> Iterator[dict[str, Any]]:
    """Yield each event's JSON object; raise `error` for an error event inside the stream.

    The stream is read on after `[DONE]`, so that its connection can be used again.
    """
    for data in sse_data(response):
        if data != "[DONE]":
            yield event_object(data, error)


def json_lines(response: requests.Response, error: type[BackendError]) -> Iterator[dict[str, Any]]:
    """Yield the JSON object in each line, and close the response at the end; raise `error` for an error line."""
    with response:
        for line in response.iter_lines():
            if line:
                yield event_object(line, error)


def event_object(data: str | bytes, error: type[BackendError]) -> dict[str, Any]:
    """Return the JSON object of one event of a stream; raise `error` if it is an error, or no JSON object."""
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise error(None, "an event of the stream is not a JSON object")
    if event.get("error"):
        raise error(None, message_in(event) or "error in the stream")
    return event
