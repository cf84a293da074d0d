"""`requests.post` over TLS from 32 threads: what keeping the connections is worth."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import trustme
from requests.adapters import HTTPAdapter

from .measuring import in_turns, median_ratio
from .retrofit import PlainClient, retrofitted
from .rows import Check, Row
from .server import Behaviour, running_server

THREADS = 32
BODY = {"input": "text"}
KEPT = "requests.Session"


def measure(quick: bool) -> Row:
    """Measure calls per second, in calls of 20 ms."""
    rounds, seconds = (1, 0.5) if quick else (15, 1.0)
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        trusted, certificate = Path(folder) / "ca.pem", Path(folder) / "server.pem"
        authority.cert_pem.write_to_path(str(trusted))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        with running_server(str(certificate)) as server:
            server.behave(Behaviour(seconds=0.020))
            url, verify = f"{server.url}/v1/embeddings", str(trusted)
            session = requests.Session()
            session.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
            plain, ours, unpooled = PlainClient(), _client(True), _client(False)
            calls: dict[str, Callable[[], Any]] = {
                "ours": lambda: ours.post(url, json=BODY, verify=verify),
                KEPT: lambda: session.post(url, json=BODY, verify=verify),
                "retrofitted, as it is": lambda: unpooled.post(url, json=BODY, verify=verify),
                "requests.post": lambda: plain.post(url, json=BODY, verify=verify),
            }
            rates = in_turns({name: _rate(call, seconds) for name, call in calls.items()}, rounds)
    # Side by side: within a round, since the two cores do not run equally fast all the time.
    to_session = median_ratio(rates["ours"], rates[KEPT])
    middle = {name: statistics.median(values) for name, values in rates.items()}
    return Row(
        "tls",
        "requests.post over TLS, 32 threads",
        "calls of 20 ms a second",
        middle,
        [Check(f"÷ {KEPT}", to_session, "≥", 0.95)],
        goal=0.95 * middle[KEPT],
    )


def _client(reuse: bool) -> Any:
    client = retrofitted()()
    client.max_concurrent_requests = THREADS
    client.reuse_connections = reuse
    return client


def _rate(call: Callable[[], Any], seconds: float) -> Callable[[], float]:
    def rate() -> float:
        """Return the calls per second of 32 threads."""
        counts = [0] * THREADS
        call()
        start = time.perf_counter()
        end = start + seconds

        def caller(number: int) -> None:
            while time.perf_counter() < end:
                call().raise_for_status()
                counts[number] += 1

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - start)

    return rate
