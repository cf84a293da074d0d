"""`"machine"`: one limit for all processes of this user on this machine, with no server to run.

The first process of an account serves the others, over a Unix socket that only this user can open; a lock on a file
says which one. When it ends, another takes its place, and each process tells it what it holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from ..clocks import monotonic
from .account import Account
from .messages import Reply, Report

_POLL_SECONDS = 0.5
_ELECTION_SECONDS = 0.01
_MOST_UNSENT = 1 << 20
"""Bytes that a process which reads nothing may leave unsent, before it is taken for gone."""


def _folder() -> Path:
    """Return a folder of this user's, which nobody else can write to."""
    home = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(home, f"request-queue-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError("the folder for the queue's sockets can be written to by others")
    return folder


class _Peer:
    """A process that is connected to the one that serves."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.name = ""
        self.received = b""
        self.unsent = b""


class _Service:
    """Serves an account, in a thread of one of its processes, until no process is connected."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self.lock = path, lock
        self.account = Account()
        self.peers: dict[str, _Peer] = {}
        self.selector = selectors.DefaultSelector()
        path.unlink(missing_ok=True)
        self.ended = False
        self.thread = threading.Thread(target=self._run, name="request-queue-service", daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)  # only this user may connect, from the first moment
        try:
            self.listener.bind(str(path))
        finally:
            os.umask(before)
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        """Hang up on all, so that they need not find out."""
        self.ended = True
        for connection in (self.listener, *(peer.connection for peer in list(self.peers.values()))):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self.thread.ident is not None:
            self.thread.join(2 * _POLL_SECONDS)

    def abandon(self) -> None:
        """In the child of a fork: the service is the parent's."""
        with contextlib.suppress(Exception):
            self.selector.close()
        for peer in self.peers.values():
            peer.connection.close()
        self.listener.close()
        os.close(self.lock)

    def _run(self) -> None:
        opened = monotonic()
        while not self.ended and (
            len(self.selector.get_map()) > 1 or monotonic() < opened + 2 * _POLL_SECONDS
        ):
            for key, events in self.selector.select(_POLL_SECONDS):
                if key.data is None:
                    self._accept()
                else:
                    self._serve(key.data, events)
        self.selector.close()
        for peer in list(self.peers.values()):
            peer.connection.close()
        self.path.unlink(missing_ok=True)
        self.listener.close()
        os.close(self.lock)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, _Peer(connection))

    def _serve(self, peer: _Peer, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(peer, b"")
            if events & selectors.EVENT_READ:
                data = peer.connection.recv(1 << 16)
                if not data:
                    raise ConnectionResetError
                *lines, peer.received = (peer.received + data).split(b"\n")
                for line in lines:
                    self._take(peer, json.loads(line))
        except BlockingIOError:
            pass
        except (OSError, ValueError, TypeError):  # gone, or none of ours
            self._drop(peer)

    def _take(self, peer: _Peer, said: list[str | int]) -> None:
        if len(said) == 1:
            peer.name = str(said[0])
            self.peers[peer.name] = peer
            return
        report = Report(*said)  # type: ignore[arg-type]
        if report.bye and self.peers.get(peer.name) is peer:
            del self.peers[peer.name]  # it listens no longer
        reply = self.account.step(report, monotonic() * 1000, self._publish)
        self._send(peer, b"r " + " ".join(map(str, reply)).encode() + b"\n")

    def _publish(self, name: str, message: str) -> int:
        peers = list(self.peers.values()) if not name else [self.peers[name]] if name in self.peers else []
        for peer in peers:
            self._send(peer, b"m " + message.encode() + b"\n")
        return len(peers)

    def _send(self, peer: _Peer, data: bytes) -> None:
        peer.unsent += data
        try:
            peer.unsent = peer.unsent[peer.connection.send(peer.unsent) :] if peer.unsent else b""
        except BlockingIOError:
            pass
        except OSError:
            peer.unsent = b""  # its end is read next
        if len(peer.unsent) > _MOST_UNSENT:
            peer.unsent = b""
            peer.connection.shutdown(socket.SHUT_RDWR)
        write = selectors.EVENT_WRITE if peer.unsent else 0
        with contextlib.suppress(KeyError, ValueError):
            self.selector.modify(peer.connection, selectors.EVENT_READ | write, peer)

    def _drop(self, peer: _Peer) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(peer.connection)
        peer.connection.close()
        if self.peers.get(peer.name) is peer:
            del self.peers[peer.name]
            self.account.gone(peer.name, monotonic() * 1000, self._publish)


class MachineServer:
    """The connection to the process that serves an account; this one, if no other does.

    Args:
        account: a hash that names the account.
        timeout: seconds that an answer may take.
    """

    trust = True
    publish = "PUBLISH"
    channel = ""
    elects = True

    def __init__(self, account: str, timeout: float) -> None:
        if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
            raise ValueError('shared_queue="machine" needs Unix sockets, which this system does not have')
        self.account, self.timeout = account, timeout
        self._begin()

    def _begin(self) -> None:
        self.closed = threading.Event()
        self.connection: socket.socket | None = None
        self.replies: SimpleQueue[Reply | None] = SimpleQueue()
        self.service: _Service | None = None

    def step(self, report: Report) -> Reply:
        """Make a step; raise OSError where it is not answered in time."""
        connection = self.connection
        if connection is None:
            raise ConnectionError("not connected")
        try:
            connection.sendall(json.dumps(report).encode() + b"\n")
        except OSError:
            raise ConnectionError("the process that served has ended") from None
        deadline = monotonic() + self.timeout
        try:
            while (reply := self.replies.get(timeout=max(0.0, deadline - monotonic()))) is not None:
                if reply.seq == report.seq:
                    return reply  # others are late answers to those before
        except Empty:
            raise TimeoutError("no answer") from None
        raise ConnectionError("the process that served has ended")

    def listen(self, name: str, told: Callable[[str], None], listening: Callable[[], None]) -> None:
        """Pass on the messages for a process, until `close`; raise OSError when the connection ends."""
        connection = self._connect()
        try:
            connection.sendall(json.dumps([name]).encode() + b"\n")
            connection.settimeout(_POLL_SECONDS)
            self.replies = SimpleQueue()
            self.connection = connection
            listening()
            received = b""
            while not self.closed.is_set():
                try:
                    data = connection.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    raise ConnectionResetError("the process that served has ended")
                *lines, received = (received + data).split(b"\n")
                for line in lines:
                    kind, _, text = line.decode().partition(" ")
                    if kind == "r":
                        self.replies.put(Reply(*map(int, text.split())))
                    else:
                        told(text)
        finally:
            self.connection = None
            self.replies.put(None)
            connection.close()

    def _connect(self) -> socket.socket:
        path = _folder() / f"{self.account[:32]}.sock"
        deadline = monotonic() + self.timeout
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self.timeout)
            try:
                connection.connect(str(path))
                return connection
            except OSError:  # nobody serves
                connection.close()
                if not self._serve(path) and monotonic() >= deadline:
                    raise
                time.sleep(_ELECTION_SECONDS)

    def _serve(self, path: Path) -> bool:
        """Serve the account, unless another process does or is about to."""
        import fcntl

        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.service = _Service(path, lock)
        except OSError:
            os.close(lock)
            return False
        self.service.start()
        return True

    def hang_up(self) -> None:
        """The same connection takes the good-bye, and stops listening after it."""

    def close(self) -> None:
        """End the connection, within half a second. What this process serves to others goes on."""
        self.closed.set()

    def end(self) -> None:
        """The interpreter ends: let another process serve at once."""
        self.close()
        if self.service is not None:
            self.service.end()

    def after_fork(self) -> None:
        """In the child of a fork: connection and service are the parent's."""
        if self.connection is not None:
            self.connection.close()
        if self.service is not None:
            self.service.abandon()
        self._begin()
