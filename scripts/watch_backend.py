"""A live view of an enhanced backend under load: what runs, what waits, what is tried again, second by second.

Unless it is told of a server, it starts one on 127.0.0.1 that speaks OpenAI's format and misbehaves as asked. At a
terminal the load and the faults can be changed while it runs; elsewhere it prints a plain line a second.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ipfs_accelerate_py.api_backends import openai_api
from ipfs_accelerate_py.api_backends._request_engine import RequestEngine
from test.loopback import LoopbackServer, Reply, Request
from test.vendors import openai

MOST_CALLERS = 200
KEYS = "+ - callers    [ ] limit    e errors    t throttling    q quit"


@dataclass
class Faults:
    """How the server of our own answers: all of it may change while it runs."""

    latency: float = 0.05
    """Seconds that an answer takes."""
    errors: float = 0.1
    """The fraction of answers that are a 503."""
    throttled: float = 0.0
    """The fraction of answers that are a 429."""
    retry_after: float = 1.0
    """Seconds that a 429 asks for."""

    def app(self, request: Request) -> Reply:
        """Answer a request."""
        luck = random.random()
        if luck < self.throttled:
            reply = openai.error(429, "Rate limit reached")
            reply.headers["Retry-After"] = f"{self.retry_after:g}"
        elif luck < self.throttled + self.errors:
            reply = openai.error(503, "Overloaded")
        else:
            reply = openai.app(request)
        reply.delay = self.latency
        return reply


class Load:
    """Threads that call the backend, one request after the other. `wanted` may change while they run."""

    def __init__(self, api: Any, wanted: int) -> None:
        self.api = api
        self.wanted = wanted
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.done = 0
        self.failed = 0
        self.threads: list[threading.Thread] = []

    def adjust(self) -> None:
        """Start threads until there are as many as are wanted; those that are too many end by themselves."""
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        for number in range(len(self.threads), self.wanted):
            thread = threading.Thread(target=self._call, args=(number,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _call(self, number: int) -> None:
        while not self.stopping.is_set() and number < self.wanted:
            try:
                self.api.chat("gpt-6-luna", [{"role": "user", "content": "Hello"}])
            except Exception:
                with self.lock:
                    self.failed += 1
                self.stopping.wait(0.05)
            else:
                with self.lock:
                    self.done += 1

    def stop(self) -> None:
        """Let the running requests end, fail those that wait, and wait for the threads."""
        self.stopping.set()
        self.api.close()
        for thread in self.threads:
            thread.join(5)


@dataclass
class Second:
    """What happened in one second, and how things stood at its end."""

    number: int
    sent: int
    done: int
    retried: int
    failed: int
    waiting: int
    running: int

    def line(self) -> str:
        """Return it as plain text."""
        return (
            f"{self.number:4} s  sent {self.sent:4}  done {self.done:4}  retried {self.retried:3}  "
            f"failed {self.failed:3}  waiting {self.waiting:3}  running {self.running:3}"
        )


@dataclass
class Meter:
    """Turns the backend's running counts into seconds."""

    api: Any
    load: Load
    seconds: deque[Second] = field(default_factory=lambda: deque(maxlen=200))
    events: deque[str] = field(default_factory=lambda: deque(maxlen=4))
    _before: dict[str, int] = field(default_factory=dict)

    def hear(self, event: dict[str, Any]) -> None:
        """Remember a retry, or that a request was given up."""
        after = "gave up" if event["delay"] is None else f"again in {event['delay']:.3g} s"
        self.events.append(f"request {event['request']} of {event['method']}: {event['why']}, {after}")

    def tick(self, number: int) -> Second:
        """Close a second."""
        now = {**self.api.queue_stats(), "done": self.load.done, "failed": self.load.failed}
        changed = {
            name: int(now[name] - self._before.get(name, 0)) for name in ("sent", "done", "retried", "failed")
        }
        self._before = now
        second = Second(number, waiting=now["waiting"], running=now["in_flight"], **changed)
        self.seconds.append(second)
        return second


def view(api: Any, meter: Meter, faults: Faults | None, left: float, height: int) -> Group:
    """Return the live view."""
    stats = api.queue_stats()
    head = Text.assemble(
        (f"{meter.load.wanted} callers", "bold"),
        f"   limit {api.max_concurrent_requests}",
        f"   running {stats['in_flight']}",
        f"   waiting {stats['waiting']}",
        f"   retried {stats['retried']} of {stats['sent']}",
        f"{_rate_in(stats)}",
        (f"   {left:.0f} s left", "dim"),
    )
    lines: list[Any] = [head]
    if faults is not None:
        lines.append(
            Text(
                f"the server: {faults.latency * 1000:.0f} ms an answer, {faults.errors:.0%} are 503, "
                f"{faults.throttled:.0%} are 429 with Retry-After: {faults.retry_after:g}",
                style="dim",
            )
        )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("second", "sent", "done", "retried", "failed"):
        table.add_column(name, justify="right")
    table.add_column("running", min_width=12)
    table.add_column("waiting", no_wrap=True, overflow="crop")
    rows = max(height - len(lines) - 8, 3)
    most = max((second.waiting for second in meter.seconds), default=0)
    for second in list(meter.seconds)[-rows:]:
        table.add_row(
            str(second.number), str(second.sent), str(second.done),
            Text(str(second.retried), style="yellow" if second.retried else "dim"),
            Text(str(second.failed), style="bold red" if second.failed else "dim"),
            Text.assemble(f"{second.running:3} ", (_bar(second.running, api.max_concurrent_requests, 8), "green")),
            Text.assemble(f"{second.waiting:3} ", (_bar(second.waiting, most, 24), "cyan")),
        )  # fmt: skip
    lines += [Text(), table, Text()]
    lines += [Text(event, style="yellow") for event in list(meter.events)] + [Text(KEYS, style="dim")]
    for line in lines:
        if isinstance(line, Text):
            line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _rate_in(stats: dict[str, Any]) -> str:
    """Return what there is to say of rates, and of the window after a refusal."""
    rates = [
        f"{number:.0f} {name.replace('_', ' ')}"
        for name, number in stats.items()
        if name.endswith(("_per_minute", "_per_day"))
    ]
    if stats.get("next_start_seconds"):
        rates.append(f"next start in {stats['next_start_seconds']:.2g} s")
    if "window" in stats:
        rates.append(f"window {stats['window']:.0f}")
    return "".join(f"   {rate}" for rate in rates)


def _bar(value: int, most: int, width: int) -> str:
    return "█" * round(width * min(value / most, 1)) if most else ""


@contextlib.contextmanager
def keyboard() -> Iterator[Any]:
    """Give a function that returns the key that was pressed within some seconds, or nothing."""
    if not sys.stdin.isatty():
        yield lambda seconds: time.sleep(seconds) or ""
        return
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)

    def key(seconds: float) -> str:
        ready, _, _ = select.select([handle], [], [], seconds)
        return os.read(handle, 1).decode("latin-1") if ready else ""

    try:
        tty.setcbreak(handle)
        yield key
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def press(key: str, api: Any, load: Load, faults: Faults | None) -> bool:
    """Do what a key stands for; False: quit."""
    if key == "+":
        load.wanted = min(load.wanted + 4, MOST_CALLERS)
    elif key == "-":
        load.wanted = max(load.wanted - 4, 0)
    elif key == "]":
        api.max_concurrent_requests += 1
    elif key == "[":
        api.max_concurrent_requests = max(api.max_concurrent_requests - 1, 0)
    elif key == "e" and faults is not None:
        faults.errors = {0.0: 0.1, 0.1: 0.3}.get(faults.errors, 0.0)
    elif key == "t" and faults is not None:
        faults.throttled = 0.05 if faults.throttled == 0 else 0.0
    return key not in ("q", "Q")


def watch(api: Any, load: Load, faults: Faults | None, seconds: float) -> None:
    """Show what goes on for some seconds, or until `q` or Ctrl-C."""
    meter = Meter(api, load)
    console = Console(highlight=False)
    start = time.monotonic()
    live = contextlib.nullcontext()
    RequestEngine.listeners.append(meter.hear)
    if console.is_terminal:
        live = Live(console=console, auto_refresh=False, screen=False, transient=False)
    try:
        with keyboard() as key, live:
            while (passed := time.monotonic() - start) < seconds:
                load.adjust()
                if not press(key(min(0.25, seconds - passed)), api, load, faults):
                    break
                passed = time.monotonic() - start
                if passed >= (meter.seconds[-1].number if meter.seconds else 0) + 1:
                    second = meter.tick(int(passed))
                    if not console.is_terminal:
                        print(second.line(), flush=True)
                if console.is_terminal:
                    live.update(view(api, meter, faults, seconds - passed, console.height), refresh=True)
    finally:
        RequestEngine.listeners.remove(meter.hear)


def summary(stats: dict[str, Any], load: Load) -> str:
    """Return what to say at the end."""
    return (
        f"{load.done} calls done, {load.failed} failed; {stats['sent']} requests sent, {stats['retried']} of them again; "
        f"{stats['waited_seconds']:.1f} s spent waiting for a slot and {stats['backoff_seconds']:.1f} s backing off, "
        "all callers together."
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(prog="scripts/watch", description=__doc__.split("\n\n")[0])
    result.add_argument("--seconds", type=float, default=30, help="how long (default: 30)")
    result.add_argument(
        "--callers", type=int, default=16, help=f"threads that call, at most {MOST_CALLERS} (default: 16)"
    )
    result.add_argument("--limit", type=int, default=5, help="max_concurrent_requests (default: 5)")
    result.add_argument("--max-retries", type=int, default=5, help="(default: 5)")
    result.add_argument("--rate", type=float, metavar="N", help="requests a minute (default: any)")
    result.add_argument(
        "--latency", type=float, default=0.05, help="seconds that an answer takes (default: 0.05)"
    )
    result.add_argument(
        "--errors", type=float, default=0.1, help="fraction of answers that are a 503 (default: 0.1)"
    )
    result.add_argument("--throttled", type=float, default=0.0, help="fraction that are a 429 (default: 0)")
    result.add_argument(
        "--retry-after", type=float, default=1.0, help="seconds that a 429 asks for (default: 1)"
    )
    result.add_argument(
        "--url", default="", help="a server that speaks OpenAI's format, in the place of our own"
    )
    return result


def main() -> int:
    """Run the load and the view; return the exit status."""
    arguments = parser().parse_args()
    # The view tells of each retry; a log line would tear it apart.
    logging.getLogger("ipfs_accelerate_py").addHandler(logging.NullHandler())
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    faults = None if arguments.url else Faults(
        arguments.latency, arguments.errors, arguments.throttled, arguments.retry_after
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        url = arguments.url
        if faults is not None:
            url = stack.enter_context(LoopbackServer(faults.app)).url + "/v1"
        api = openai_api(api_key=openai.KEY if faults else None, base_url=url)
        api.max_concurrent_requests, api.max_retries = arguments.limit, arguments.max_retries
        api.requests_per_minute = arguments.rate
        load = Load(api, min(arguments.callers, MOST_CALLERS))
        with contextlib.suppress(KeyboardInterrupt):
            watch(api, load, faults, arguments.seconds)
        stats = api.queue_stats()
        done = summary(stats, load)
        with contextlib.suppress(KeyboardInterrupt):
            load.stop()
    print(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
