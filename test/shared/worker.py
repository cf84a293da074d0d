"""What `api_server.Worker` runs: `python -m test.shared.worker '[port, threads, waits, settings]'`."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from typing import Any

from .apis import SharedApi


def main() -> None:
    port, threads, waits, settings = json.loads(sys.argv[1])
    rest = settings.pop("rest", 0.0)
    if off := settings.pop("clock", 0):  # seconds by which the clock of this machine is off
        right = time.time
        time.time = lambda: right() + off
    api = SharedApi(queue_size=100_000, **settings)
    stop = threading.Event()
    lock = threading.Lock()
    counts = {"done": 0, "failed_calls": 0}
    kinds: set[str] = set()

    def send(connection: Any) -> None:
        connection.write(f"{id(api)}\n".encode())
        connection.flush()
        if connection.readline() != b"ok\n":
            raise ConnectionError

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
