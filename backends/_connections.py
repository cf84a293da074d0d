"""Kept connections as servers treat them: closed without notice, and cut in the middle of an answer.

Servers close connections that they promised to keep, and a request may be on its way just then. Browsers, Go and curl
send it once more at once on a fresh connection (RFC 9112 section 9.3.1); requests fails. And `http.client` takes the
end of the connection for the end of an answer's headers: the answer then looks like a whole one without a body.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""What may be sent twice whatever it asks for (RFC 9110 section 9.2.2)."""

HARMLESS = frozenset(
    "chat chatqna completions messages responses interactions generate generate_stream predict infer"
    " embed embed_all embed_sparse embeddings similarity rerank reranking retrieval moderations"
    " transcriptions translations speech generations edits"
    " tokenize detokenize chat_tokenize decode count_tokens input_tokens show get delete"
    " generateContent streamGenerateContent countTokens embedContent batchEmbedContents".split()
)
"""The last words of the paths whose POSTs make nothing that stays: they ask a model for something, or read or delete."""

ENDED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What a connection that the other side has ended raises; `http.client.RemoteDisconnected` is a `ConnectionError`."""


class KeptConnections(requests.adapters.HTTPAdapter):
    """Sends requests as requests' own adapter does, over connections that get along with real servers.

    Through a proxy, connections are urllib3's own.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}


class _CutInHeaders(http.client.IncompleteRead):
    def __init__(self) -> None:
        super().__init__(b"")

    def __repr__(self) -> str:
        return "the answer ended inside its headers"

    __str__ = __repr__


class _Lines:
    """What `http.client` reads the headers from; it remembers whether a line came, and whether the last one did."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.begun = self.last = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.file.readline(limit)
        self.last = bool(line)
        self.begun = self.begun or self.last
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _Answer(http.client.HTTPResponse):
    """An answer whose headers end with an empty line, as they must."""

    def begin(self) -> None:
        if self.headers is not None:  # It has begun.
            return
        lines: Any = _Lines(self.fp)
        self.fp = lines
        try:
            super().begin()
        except ConnectionError:
            if lines.begun:
                raise _CutInHeaders from None
            raise
        finally:
            if self.fp is lines:
                self.fp = lines.file
        if not lines.last:
            raise _CutInHeaders


class _Kept:
    """A connection that sends a request once more, on a fresh socket, if a kept one ended before it was answered."""

    sock: Any
    timeout: Any

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        self._again: Any = None
        if self.sock is not None and _may_be_sent_twice(method, url, body, headers or {}):
            self._again = (self.timeout, (method, url, body, headers), options)
        try:
            super().request(method, url, body, headers, **options)  # type: ignore[misc]
        except ENDED:
            if self._again is None:
                raise
            self._send_again()

    def getresponse(self) -> Any:
        try:
            return super().getresponse()  # type: ignore[misc]
        except ENDED:
            if self._again is None:
                raise
            timeout = self.timeout
            self._send_again()
            self.timeout = timeout
        finally:
            self._again = None  # The body, and what else is in it, is not kept.
        return super().getresponse()  # type: ignore[misc]

    def _send_again(self) -> None:
        (self.timeout, request, options), self._again = self._again, None
        self.close()  # type: ignore[attr-defined]
        super().request(*request, **options)  # type: ignore[misc]  # which connects first


# With the names of urllib3's own, which stand in its messages.


class HTTPConnection(_Kept, urllib3.connection.HTTPConnection):
    response_class = _Answer


class HTTPSConnection(_Kept, urllib3.connection.HTTPSConnection):
    response_class = _Answer


class HTTPConnectionPool(urllib3.HTTPConnectionPool):
    ConnectionCls = HTTPConnection


class HTTPSConnectionPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = HTTPSConnection


def _may_be_sent_twice(method: str, url: str, body: Any, headers: Mapping[str, Any]) -> bool:
    if not (body is None or isinstance(body, bytes | str)):
        return False  # it has been read
    if method.upper() in IDEMPOTENT or any(name.lower() == "idempotency-key" for name in headers):
        return True
    return re.split("[/:]", url.partition("?")[0])[-1] in HARMLESS
