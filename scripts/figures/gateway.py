"""Behind nginx that says nothing but 503: how long it takes, how much is refused, whether anybody fails."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai

from .rates import ours
from .rows import Check, Row, shown
from .server import Behaviour, running_server
from .storms import Call

SECONDS, RATE, BURST, AT_ONCE = 0.05, 20, 5, 3
CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error crit;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    limit_req_zone $server_name zone=rate:1m rate={rate}r/s;
    limit_conn_zone $server_name zone=many:1m;
    upstream server {{ server {upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port}; server_name gateway;
        location / {{ {limit}; proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(upstream: str, limit: str) -> Iterator[tuple[str, Path]]:
    """Run nginx before a server; yield its URL and its log."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        config = Path(folder, "config")
        config.write_text(CONFIG.format(folder=folder, port=port, upstream=upstream, limit=limit, rate=RATE))
        with subprocess.Popen(
            ["nginx", "-c", str(config), "-p", folder], stderr=subprocess.DEVNULL
        ) as process:
            try:
                for _ in range(200):
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    time.sleep(0.05)
                time.sleep(1)  # its bucket is full
                yield f"http://127.0.0.1:{port}", Path(folder, "access")
            finally:
                process.terminate()


def _sdk(url: str, retries: int) -> Call:
    client = openai.OpenAI(api_key="test-key", base_url=url, max_retries=retries)
    return lambda url: client.get(url, cast_to=object)


def _measured(limit: str, call: Any, threads: int, each: int) -> tuple[float, int, int]:
    """Return the seconds that it took, how many calls failed, and how many requests were refused."""
    failed: list[Any] = []
    with running_server() as server:
        server.behave(Behaviour(seconds=SECONDS))
        with nginx(server.url.partition("//")[2], limit) as (url, log):
            made = call(url)

            def caller() -> None:
                for _ in range(each):
                    try:
                        answer = made(f"{url}/v1/models/x")
                        if getattr(answer, "status_code", 200) >= 400:
                            failed.append(answer.status_code)
                    except openai.OpenAIError as error:
                        failed.append(error)

            callers = [threading.Thread(target=caller) for _ in range(threads)]
            start = time.perf_counter()
            for thread in callers:
                thread.start()
            for thread in callers:
                thread.join()
            seconds = time.perf_counter() - start
            statuses = Counter(line.split('" ')[1][:3] for line in log.read_text().splitlines())
            return seconds, len(failed), sum(statuses.values()) - statuses["200"]


def _row(key: str, what: str, limit: str, ideal: float, count: int, most: float, most_refused: float) -> Row:
    ways = {
        "ours": lambda url: ours(max_concurrent_requests=5),
        "ours, rate set": lambda url: ours(max_concurrent_requests=5, requests_per_minute=RATE * 60),
        "openai SDK, 2 retries": lambda url: _sdk(url, 2),
        "openai SDK, 8 retries": lambda url: _sdk(url, 8),
    }
    if "conn" in limit:
        del ways["ours, rate set"]
    values, notes, found = {}, {}, {}
    for name, way in ways.items():
        seconds, failed, refused = found[name] = _measured(limit, way, 32, count // 32)
        values[name] = seconds / ideal
        notes[name] = f"{shown(100 * refused / count)} % refused, {failed} failed"
    _, failed, refused = found["ours"]
    checks = [
        Check("time ÷ ideal", values["ours"], "≤", most),
        Check("failed", failed, "=", 0),
        Check("refused, %", 100 * refused / count, "≤", most_refused),
    ]
    if "ours, rate set" in found:
        checks += [
            Check("rate set: time ÷ ideal", values["ours, rate set"], "≤", 1.05),
            Check("rate set: refused, %", 100 * found["ours, rate set"][2] / count, "≤", 1),
        ]
    return Row(key, what, "time ÷ ideal", values, checks, notes, goal=most)


def _needs_nginx() -> None:
    if shutil.which("nginx") is None:
        raise SystemExit("this row needs nginx: apt-get install nginx-light")


def requests_a_second(quick: bool) -> Row:
    """Measure `limit_req`: 20 a second, a burst of 5."""
    _needs_nginx()
    count = 128 if quick else 320
    limit = f"limit_req zone=rate burst={BURST} nodelay"
    ideal = (count - BURST - 1) / RATE
    return _row("gateway", "nginx limit_req 20/s, burst 5", limit, ideal, count, 1.25, 10)


def at_once(quick: bool) -> Row:
    """Measure `limit_conn`: three at once."""
    _needs_nginx()
    count = 128 if quick else 320
    ideal = count * SECONDS / AT_ONCE
    return _row("gateway-at-once", "nginx limit_conn 3", f"limit_conn many {AT_ONCE}", ideal, count, 1.3, 100)
