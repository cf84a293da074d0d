"""What a process of `api_server.Worker` runs."""

from __future__ import annotations

import atexit
import json
import os
import random
import socket
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from backend_retrofit_runtime import RequestEngine

from .apis import SharedApi
from .history import History


def main(pipe: Connection, port: int, threads: int, waits: bool, settings: dict[str, Any]) -> None:
    """Call the API in so many threads; answer what the pipe asks, until it says `stop`."""
    rest, remembers = settings.pop("rest", 0.0), settings.pop("remembers", False)
    tokens = settings.pop("tokens", [0, 0])  # that a request uses at least, and at most
    if off := settings.pop("clock", 0):  # seconds by which the clock of this machine is off
        right = time.time
        time.time = lambda: right() + off
    api = SharedApi(queue_size=100_000, **settings)
    stop = threading.Event()
    lock = threading.Lock()
    counts = {"done": 0, "failed_calls": 0}
    kinds: set[str] = set()
    history = History(RequestEngine.of(api).gate.source.client) if remembers else None

    def send(connection: Any) -> dict[str, Any]:
        used = random.randint(*tokens)
        said = f"sent {time.monotonic():.4f}; {history.now()}" if history else ""
        connection.write(f"{os.getpid()} {used} {said}\n".encode())
        connection.flush()
        ok, _, headers = connection.readline().partition(b" ")
        if ok != b"ok":
            raise ConnectionError
        kinds_of_tokens = ("prompt_tokens", "completion_tokens", "total_tokens")
        usage = {"usage": dict.fromkeys(kinds_of_tokens, used)} if used else {}
        return {**usage, "ResponseMetadata": {"HTTPHeaders": json.loads(headers)}}

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rwb") as connection:
            while not stop.wait(rest):
                try:
                    api.call(send, connection)
                    what = "done"
                except Exception as error:
                    kinds.add(repr(error))
                    what = "failed_calls"
                with lock:
                    counts[what] += 1

    workers = [threading.Thread(target=work) for _ in range(threads)]
    if waits:
        pipe.send("ready")
        pipe.recv()
    for worker in workers:
        worker.start()
    while (question := pipe.recv()) != "stop":
        pipe.send(
            history.lines()
            if question == "history" and history
            else {**api.queue_stats(), **counts, "kinds": sorted(kinds)}
        )
    stop.set()
    for worker in workers:
        worker.join()
    pipe.send({**api.queue_stats(), **counts, "kinds": sorted(kinds)})
    api.close()
    atexit._run_exitfuncs()  # as a process ends that is no copy of another
