"""What the plain backends share: a session, headers, the parts of a request, errors, and the reading of answers.

No request is made here; each backend makes its own. Streams are read in `_events`, connections kept in `_connections`.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from ._connections import KeptConnections

T = TypeVar("T")
Json = dict[str, Any]
"""A JSON object."""

File = tuple[str, bytes]
"""The name of a file, whose ending tells its format, and its content."""

DEFAULT_TIMEOUT = (10.0, 300.0)
"""Seconds to wait for a connection, and between two reads of an answer."""

KEY_HEADER = re.compile(r"auth|key$|token$|secret", re.IGNORECASE)
"""Matches the names of headers whose values are not for others: a vendor's, or a gateway's."""


class BackendError(Exception):
    """The API returned an error, or could not be reached; each backend has a subclass of its own.

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
    adapter = KeptConnections(pool_connections=4, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _headers_as_they_are(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def pick_base_url(base_url: str | None, metadata: Mapping[str, Any], default: str) -> str:
    """Return the first of: the argument, `metadata["base_url"]`, the vendor's own; no slash at its end."""
    return str(base_url or metadata.get("base_url") or default).rstrip("/")


def key_header(name: str, api_key: str | None, scheme: str = "") -> dict[str, str]:
    """Return the header that carries the key, or none without a key. Spaces around the key are dropped.

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


def merged_headers(*parts: Mapping[str, str] | None) -> dict[str, str]:
    """Return all headers of `parts`, a later one in place of an earlier one of its name in any case.

    Spaces around a value are dropped.

    Raises:
        ValueError: a value that no header can carry. requests would say so too, and show it.
    """
    merged: dict[str, tuple[str, str]] = {}
    for name, value in (header for part in parts for header in (part or {}).items()):
        if not (isinstance(value, str) and value.isascii() and value.strip().isprintable()):
            raise ValueError(f"the header {name!r} must be an ASCII string without line breaks")
        merged[name.lower()] = (name, value.strip())
    return dict(merged.values())


def as_query(options: Mapping[str, Any]) -> Json:
    """Return what a request without a body is made of: `extra_headers`, and all other options as its query."""
    return {
        "params": {name: value for name, value in options.items() if name != "extra_headers"},
        **_extra(options),
    }


def as_json(body: Mapping[str, Any]) -> Json:
    """Return what a request with JSON is made of: `extra_headers`, and all else as its body."""
    return {"json": {name: value for name, value in body.items() if name != "extra_headers"}, **_extra(body)}


def as_form(fields: Mapping[str, Any], *files: tuple[str, File]) -> Json:
    """Return what a request with a form is made of (multipart/form-data).

    Args:
        fields: `extra_headers`, and all other fields. A list is sent as `name[]`, a dict as `name[key]`, each as often as
            it has elements, as the vendors' own clients do; True and False in small letters.
        files: the name of a field, and the file in it.
    """
    parts: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if name != "extra_headers" and value is not None:
            parts += [(field, (None, text)) for field, text in _fields(name, value)]
    for name, (filename, content) in files:
        kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        parts.append((name, (filename, content, kind)))
    return {"files": parts, **_extra(fields)}


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _fields(f"{name}[{key}]", each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _fields(f"{name}[]", each)
    else:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _extra(options: Mapping[str, Any]) -> Json:
    return {"headers": options.get("extra_headers")}


def in_path(part: str) -> str:
    """Return an id as one part of a path, whatever is in it."""
    return quote(part, safe="")


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
        raise error(response.status_code, without_key(_error_message(response), response))


def read_json(
    response: requests.Response,
    error: type[BackendError],
    read: Callable[[Any], T],
) -> T:
    """Return what `read` makes of the JSON in the body; raise `error` where it is not what the API documents."""
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
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


def all_pages(
    get: Callable[[str, Json], requests.Response],
    path: str,
    options: Mapping[str, Any],
    error: type[BackendError],
    next_page: Callable[[Json], Json],
    items: Callable[[Json], list[Any]] = lambda page: page["data"],
) -> list[Any]:
    """Return the items of a list that the API gives page by page.

    Args:
        get: makes the request for the page of a path and a query.
        options: the query of the first page; that of the others has it too.
        next_page: what to add to the query for the page after the given one; nothing after the last.
        items: the items of a page.
    """
    found: list[Any] = []
    query = dict(options)
    seen: list[Json] = []
    while True:
        here, more = read_json(get(path, query), error, lambda page: (list(items(page)), next_page(page)))
        found += here
        if not more:
            return found
        if more in seen:
            raise error(None, "the list never ends: its pages come again")
        seen.append(more)
        query.update(more)


def after_last(page: Json) -> Json:
    """Return the query for the page after `page`, in OpenAI's form; nothing after the last one."""
    return {"after": page["data"][-1]["id"]} if page.get("has_more") and page["data"] else {}


def model_ids(answer: Any) -> list[str]:
    """Return the ids in a list of models in OpenAI's form."""
    return [model["id"] for model in answer["data"]]


def embeddings(answer: Any) -> list[list[float]]:
    """Return the embeddings in an answer in OpenAI's form, in the order of the texts."""
    return [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]


def by_relevance(answer: Any) -> list[Json]:
    """Return the results of a reranking in Cohere's form, the most relevant one first."""
    return sorted(answer["results"], key=lambda result: -result["relevance_score"])


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
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()[:500] or nothing


def without_key(message: str, response: requests.Response) -> str:
    """Return `message` with the API key masked.

    OpenAI's 401 repeats the key: a short one whole, of a longer one the ends around asterisks.
    """
    for name, sent in response.request.headers.items():
        if KEY_HEADER.search(name) and (key := str(sent).removeprefix("Bearer ")):
            message = message.replace(key, "***")
    return re.sub(r"[^\s\"',;:.]+", lambda word: "***" if "****" in word[0] else word[0], message).strip()
