"""What `api_server.Worker` runs: `python -m test.shared.worker '[port, threads, waits, settings]'`."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import threading
import time
from typing import Any

from backend_retrofit_runtime import RequestEngine

from .apis import SharedApi
from .history import History


def main() -> None:
    port, threads, waits, settings = json.loads(sys.argv[1])
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
        usage = {"usage": {"total_tokens": used}} if used else {}
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
        print("ready", flush=True)
        sys.stdin.readline()
    for worker in workers:
        worker.start()
    for line in sys.stdin:
        if line.strip() == "history" and history:
            print(json.dumps(history.lines()), flush=True)
            continue
        print(json.dumps({**api.queue_stats(), **counts, "kinds": sorted(kinds)}), flush=True)
        if line.strip() == "stop":
            break
    stop.set()
    for worker in workers:
        worker.join()
    print(json.dumps({**api.queue_stats(), **counts, "kinds": sorted(kinds)}), flush=True)
    api.close()


if __name__ == "__main__":
    main()
