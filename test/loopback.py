"""A real HTTP server on 127.0.0.1 that speaks a vendor's format and misbehaves on request.

    with LoopbackServer(openai_app) as server:
        server.script(Reply(503), Reply(429, headers={"Retry-After": "2"}))
        api = openai_api({}, {}, "test-key", server.url + "/v1")

The scripted replies are given first, one a request; then the app answers. Every request is recorded.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """A request as it arrived; `at` is `time.monotonic()` then, `target` the path with its query as it was sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    at: float
    target: str = ""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """An answer. A dict or list becomes JSON; an iterable of bytes is sent in chunks, as a stream."""

    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds to wait before the status line."""
    body_delay: float = 0.0
    """Seconds to wait between the headers and the body."""
    cut_after: int | None = None
    """Cut the connection after so many bytes of the body, or chunks of a stream."""


@dataclass
class Reset:
    """Cut the connection without an answer."""

    delay: float = 0.0


@dataclass
class Raw:
    """Send these bytes as they are, and cut the connection."""

    data: bytes


App = Callable[[Request], Reply]


def sse(events: Iterable[Any], done: str | None = "[DONE]") -> Reply:
    """Return a 200 reply that streams `events` as server-sent events (dicts become JSON)."""

    def chunks() -> Iterable[bytes]:
        for event in events:
            yield b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n"
        if done is not None:
            yield f"data: {done}\n\n".encode()

    return Reply(200, chunks(), {"Content-Type": "text/event-stream"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        with self.server.loopback._lock:
            self.server.loopback.connections += 1

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        loopback = self.server.loopback
        url = urlsplit(self.path)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command, url.path, parse_qs(url.query),
            {name.lower(): value for name, value in self.headers.items()}, body, time.monotonic(), self.path,
        )  # fmt: skip
        with loopback.counting(request) as counting:
            reply = counting.reply
            if isinstance(reply, Raw):
                self.wfile.write(reply.data)
                self.close_connection = True
                return
            if reply.delay:
                loopback.stopping.wait(reply.delay)
            if isinstance(reply, Reset):
                # SO_LINGER 0 turns the close into a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
                self.close_connection = True
                return
            self._send(reply, counting.done)

    def _send(self, reply: Reply, done: Callable[[], None]) -> None:
        """Send a reply; `done` is called before its last byte, lest the next request seems to overlap with it."""
        body = reply.body
        headers = dict(reply.headers)
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        self.send_response(reply.status)
        try:
            if isinstance(body, bytes):
                headers.setdefault("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                if self.command == "HEAD" or not body:
                    done()
                self.end_headers()
                self._pause(reply)
                done()
                if self.command != "HEAD":
                    self.wfile.write(body[: reply.cut_after])
                self.close_connection = self.close_connection or reply.cut_after is not None
                return
            headers["Transfer-Encoding"] = "chunked"
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self._pause(reply)
            for number, chunk in enumerate(body):
                if number == reply.cut_after:
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            done()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _pause(self, reply: Reply) -> None:
        if reply.body_delay:
            self.wfile.flush()
            self.server.loopback.stopping.wait(reply.body_delay)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    timeout = 1
    """Seconds after which `handle_request` returns, should the connection that is to end its wait not come."""
    loopback: LoopbackServer

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self.loopback.stopping.is_set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Counting:
    """Counts a request as in flight while it is answered, and knows what the answer is."""

    def __init__(self, loopback: LoopbackServer, request: Request) -> None:
        self.loopback = loopback
        self.in_flight = True
        with loopback._lock:
            loopback.requests.append(request)
            loopback.in_flight += 1
            loopback.most_in_flight = max(loopback.most_in_flight, loopback.in_flight)
            scripted = loopback._script.popleft() if loopback._script else None
        self.reply: Any = scripted if scripted is not None else loopback.app(request)

    def done(self) -> None:
        with self.loopback._lock:
            self.loopback.in_flight -= self.in_flight
            self.in_flight = False

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *exc: object) -> None:
        self.done()


class LoopbackServer:
    """A server on a free port of 127.0.0.1, in threads of its own; a context manager.

    Attributes:
        url: `http://127.0.0.1:port`, or `https://localhost:port` if it was given a TLS context
        requests: all requests that arrived, in the order of their arrival.
        in_flight, most_in_flight: how many are being answered now, and were at most.
        connections: how many were accepted.
    """

    def __init__(self, app: App | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.app: App = app or (lambda request: Reply(200, {"ok": True}))
        self.requests: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._script: deque[Reply | Reset | Raw] = deque()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.loopback = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if tls is not None:
            # The handshake is made in the connection's own thread, at its first read.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.url = f"https://localhost:{self._server.server_address[1]}"

    def script(self, *replies: Reply | Reset | Raw) -> None:
        """Give these answers to the next requests, before the app is asked again."""
        with self._lock:
            self._script.extend(replies)

    def counting(self, request: Request) -> _Counting:
        return _Counting(self, request)

    def __enter__(self) -> LoopbackServer:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def _accept(self) -> None:
        """Take connections until the server stops. `serve_forever` would notice that at its next poll only."""
        while not self.stopping.is_set():
            self._server.handle_request()

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):  # a connection of our own ends the wait for the next one
            socket.create_connection(self._server.server_address[:2], timeout=1).close()
        self._thread.join(5)
        self._server.server_close()
