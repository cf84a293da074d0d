"""A gateway in front of a real server: it counts the requests, and answers some itself if a test scripts that."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..loopback import LoopbackServer, Reply, Request

# Of one connection, not of the message (RFC 9110 section 7.6.1), or set anew by the server that passes it on.
_OF_THE_CONNECTION = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "expect", "content-length", "server", "date")
)


class Gateway(LoopbackServer):
    """Passes requests on to the server at `upstream`, a URL; all else is as with `LoopbackServer`."""

    def __init__(self, upstream: str) -> None:
        super().__init__(self._pass_on)
        self.upstream = urlsplit(upstream)

    def _pass_on(self, request: Request) -> Reply:
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=60)
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():  # among them the host, which a signature may cover
            if name not in _OF_THE_CONNECTION:
                connection.putheader(name, value)
        if request.body or request.method in ("POST", "PUT"):
            connection.putheader("content-length", str(len(request.body)))
        connection.endheaders(request.body)
        response = connection.getresponse()
        headers = {
            name: value for name, value in response.getheaders() if name.lower() not in _OF_THE_CONNECTION
        }
        if request.method == "HEAD":
            headers["Content-Length"] = response.getheader("Content-Length", "0")
        if response.chunked:
            return Reply(response.status, _chunks(connection, response), headers)
        body = response.read()
        connection.close()
        return Reply(response.status, body, headers)


def _chunks(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read1(65536):
        yield chunk
    connection.close()
