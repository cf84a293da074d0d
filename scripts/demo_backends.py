"""The first half minute: a plain client and its enhanced form make the same calls, each to a server that refuses and fails.

The servers run on 127.0.0.1 and speak OpenAI's format. At a terminal every call is a cell of a live view; elsewhere a plain
line comes every second. At the end: what was lost, the lines of code that make the difference, and where to look next.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ipfs_accelerate_py.api_backends import openai_api as enhanced
from ipfs_accelerate_py.api_backends.plain.openai_api import openai_api as plain
from test.loopback import LoopbackServer, Reply, Request
from test.vendors import openai

ROOT = Path(__file__).resolve().parent.parent
CALLERS = 20
AT_ONCE = 5
FAILS_EACH = 12
CELLS = {"": ("·", "dim"), "called": ("▪", "cyan"), "done": ("■", "green"), "lost": ("✗", "bold red")}
ACROSS = 20


class Side:
    """One of the two clients, its server, and how its calls stand.

    Args:
        title: what it is called.
        client: its class.
        calls: how many calls it makes.
        latency: seconds that an answer takes.
    """

    def __init__(self, title: str, client: Any, calls: int, latency: float) -> None:
        self.title = title
        self.states = [""] * calls
        self.reasons: Counter[str] = Counter()
        self.latency = latency
        self.server = LoopbackServer(self._answer)
        self.api = client({}, {}, openai.KEY, self.server.url + "/v1")
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def _answer(self, request: Request) -> Reply:
        if self.server.in_flight > AT_ONCE:
            reply = openai.error(429, "Rate limit reached")
            reply.headers["Retry-After"] = "1"
        elif len(self.server.requests) % FAILS_EACH == 0:
            reply = openai.error(503, "Overloaded")
        else:
            reply = openai.app(request)
            reply.delay = self.latency
        return reply

    def call(self, number: int) -> None:
        """Make one of the calls, and remember what came of it."""
        if self.stopping.is_set():
            return
        self.states[number] = "called"
        try:
            self.api.chat("gpt-6-luna", [{"role": "user", "content": f"Question {number}"}])
        except Exception as error:
            with self._lock:
                self.reasons[f"HTTP {error.status}" if getattr(error, "status", 0) else str(error)] += 1
            self.states[number] = "lost"
        else:
            self.states[number] = "done"

    def run(self) -> None:
        """Make all calls, from many threads, as a program does that knows of no limit."""
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(self.call, range(len(self.states))))

    def stop(self) -> None:
        """Make no further calls, and let those that wait fail."""
        self.stopping.set()
        self.api.close()

    def count(self, state: str) -> int:
        """Return how many calls are in this state."""
        return self.states.count(state)

    def line(self) -> str:
        """Return how it stands as plain text."""
        return f"{self.title:8}  done {self.count('done'):4}  lost {self.count('lost'):4}  requests {len(self.server.requests):4}"

    def losses(self) -> str:
        """Return why calls were lost, most frequent first."""
        return (
            ", ".join(f"{number} × {reason}" for reason, number in self.reasons.most_common(3)) or "none lost"
        )

    def panel(self) -> Panel:
        """Return how it stands as a part of the live view."""
        cells = Text()
        for number, state in enumerate(list(self.states)):
            mark, style = CELLS[state]
            cells.append(mark + ("\n" if (number + 1) % ACROSS == 0 else " "), style)
        below = Text(f"{self.count('done')} done, {self.count('lost')} lost")
        sent = Text(f"{len(self.server.requests)} requests sent", "dim")
        return Panel(
            Group(cells, below, sent, Text(self.losses(), "dim")), title=self.title, width=2 * ACROSS + 3
        )


def what_changed() -> Iterator[str]:
    """Yield the diff of the lines of code that the retrofit changed and added, without the blocks at the end of the class."""
    before, after = (
        (ROOT / "backends" / name).read_text(encoding="utf-8").splitlines()
        for name in ("plain/openai_api.py", "openai_api.py")
    )
    blocks = next(number for number, line in enumerate(after) if ">>> retrofit:" in line)
    while not after[blocks - 1].strip():
        blocks -= 1
    names = ("backends/plain/openai_api.py", "backends/openai_api.py")
    yield from difflib.unified_diff(before, after[:blocks], *names, n=1, lineterm="")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=160, help="calls that each client makes (160)")
    parser.add_argument("--latency", type=float, default=0.4, help="seconds that an answer takes (0.4)")
    return parser


def show(console: Console, sides: list[Side], threads: list[threading.Thread]) -> None:
    """Show how the sides stand until all their calls have ended."""
    if not console.is_terminal:
        second = 0
        while any(thread.is_alive() for thread in threads):
            second += 1
            end = time.monotonic() + 1
            for thread in threads:
                thread.join(max(end - time.monotonic(), 0))
            for side in sides:
                print(f"{second:3} s  {side.line()}\n", end="", flush=True)  # whole, whenever Ctrl-C comes
        return
    with Live(console=console, refresh_per_second=10, get_renderable=lambda: view(sides, threads)):
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)


def view(sides: list[Side], threads: list[threading.Thread]) -> Group:
    """Return the live view."""
    hint = "Ctrl-C ends it" if any(thread.is_alive() for thread in threads) else ""
    return Group(Columns([side.panel() for side in sides]), Text(hint, "dim"))


def main() -> int:
    """Run the demonstration; return the exit status."""
    options = parser().parse_args()
    logging.getLogger("ipfs_accelerate_py").addHandler(logging.NullHandler())
    logging.getLogger("ipfs_accelerate_py").propagate = False
    console = Console()
    sides = [
        Side("plain", plain, options.calls, options.latency),
        Side("enhanced", enhanced, options.calls, options.latency),
    ]
    print(
        f"{options.calls} calls from {CALLERS} threads, by two clients. Their server answers {AT_ONCE} at once;\n"
        f"more are refused (429), and every {FAILS_EACH}th request fails (503).",
        flush=True,
    )
    stopped = False
    with contextlib.ExitStack() as stack:
        for side in sides:
            stack.enter_context(side.server)
        threads = [threading.Thread(target=side.run, daemon=True) for side in sides]
        for thread in threads:
            thread.start()
        try:
            show(console, sides, threads)
        except KeyboardInterrupt:
            stopped = True
        with contextlib.suppress(KeyboardInterrupt):
            for side in sides:
                side.stop()
            for thread in threads:
                thread.join(10)
    if stopped:
        print("Stopped.")
        return 0
    print()
    for side in sides:
        print(f"{side.line()}  ({side.losses()})")
    print("\nWhat the codemod changed, beside three marked blocks at the end of the class:\n")
    diff = "\n".join(what_changed())
    if console.is_terminal:
        console.print(Syntax(diff, "diff", background_color="default", word_wrap=True))
    else:
        print(diff)
    print(
        "\nNext:\n"
        "  scripts/enhance --api openai_api --diff     all of that diff\n"
        "  scripts/enhance path/to/your/code --diff    the same for your own code; nothing is written\n"
        "  docs/start.md                               five minutes with a file to try it on\n"
        "  scripts/watch                               a backend under load that you change with keys"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
