"""Reads the streams of the plain backends: server-sent events, and lines of JSON.

A stream that ends before its answer is complete is an error, since it cannot be told from a whole one otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import requests

from ._http import BackendError, failures_as, message_in, without_key

Decode = Callable[[str, requests.Response, type[BackendError]], dict[str, Any]]
"""Makes an event of its data; raises the error if it is none, or tells of one."""

IsLast = Callable[[dict[str, Any]], Any]
"""Tells whether an event completes the answer."""


def event_object(data: str, response: requests.Response, error: type[BackendError]) -> dict[str, Any]:
    """Return the JSON object of one event of a stream; raise `error` if it is an error, or no JSON object."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise error(None, "an event of the stream is not a JSON object")
    if event.get("error"):
        raise error(None, without_key(message_in(event) or "error in the stream", response))
    return event


def finished(chunk: dict[str, Any]) -> bool:
    """Return True for a chunk in OpenAI's form with which a choice ends."""
    return any(choice.get("finish_reason") for choice in chunk.get("choices") or ())


def response_event(data: str, response: requests.Response, error: type[BackendError]) -> dict[str, Any]:
    """Return one event of a streamed answer of OpenAI's Responses API; raise `error` if it tells of a failure.

    Source: https://platform.openai.com/docs/api-reference/responses-streaming
    """
    event = event_object(data, response, error)
    if event.get("type") in ("error", "response.failed"):
        said = message_in(event) or message_in(event.get("response"))
        raise error(None, without_key(said or "the response failed", response))
    return event


def response_ended(event: dict[str, Any]) -> bool:
    """Return True for the event that ends a streamed answer of OpenAI's Responses API."""
    return event.get("type") in ("response.completed", "response.incomplete")


def sse_json(
    response: requests.Response,
    error: type[BackendError],
    is_last: IsLast = finished,
    decode: Decode = event_object,
) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each server-sent event, and close the response at the end.

    The stream is read on to its end, so that its connection can be used again.

    Args:
        is_last: for a stream that does not end with `[DONE]`.
        decode: where the data of an event is not JSON, or can be an error in a way of the vendor's own.

    Raises:
        error: for an error event, and when the stream ends before the answer is complete.
    """
    return _checked_events(_sse_data(response, error), response, error, is_last, decode)


def json_lines(
    response: requests.Response, error: type[BackendError], is_last: IsLast
) -> Iterator[dict[str, Any]]:
    """Yield the JSON object in each line, and close the response at the end; raises what `sse_json` raises."""
    lines = (line for line in _lines(response, error) if line)
    return _checked_events(lines, response, error, is_last, event_object)


def _checked_events(
    texts: Iterator[str],
    response: requests.Response,
    error: type[BackendError],
    is_last: IsLast,
    decode: Decode,
) -> Iterator[dict[str, Any]]:
    complete = False
    with response:
        for data in texts:
            if data == "[DONE]":
                complete = True
                continue
            try:
                event = decode(data, response, error)
                complete = bool(is_last(event)) or complete
            except (AttributeError, LookupError, TypeError):
                raise error(None, "an event of the stream has not the form that the API documents") from None
            yield event
    if not complete:
        raise error(None, "the stream ended before the answer was complete")


def _sse_data(response: requests.Response, error: type[BackendError]) -> Iterator[str]:
    """Yield the data of each server-sent event.

    Source of the format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Three things are taken that
    are not in it: a last event without the empty line after it (llama.cpp's `[DONE]`), a field `error` (llama.cpp
    until 2025, https://github.com/ggml-org/llama.cpp/pull/16109), and a bare JSON object (an error of OVMS). An event
    named `error` is one, whatever its data looks like.
    """
    data: list[str] = []
    name = ""
    for line in chain(_lines(response, error), [""]):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("error:"):
            yield _an_error(line[6:])
        elif line.startswith("{"):
            yield line
        elif not line and data:
            event = "\n".join(data)
            yield _an_error(event) if name == "error" else event
            data, name = [], ""


def _an_error(data: str) -> str:
    """Return the data of an event that is an error by its name, in a form that says so as well."""
    try:
        said = message_in(json.loads(data))
    except (ValueError, RecursionError):
        said = data.strip()
    return json.dumps({"error": said or "error in the stream"})


def _lines(response: requests.Response, error: type[BackendError]) -> Iterator[str]:
    lines = response.iter_lines()
    while True:
        # Not around the `yield`: what the caller of a stream raises is no failure of it.
        with failures_as(error):
            line = next(lines, None)
        if line is None:
            return
        yield line.decode("utf-8", "replace")
