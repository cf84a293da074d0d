"""What the processes of an account said to its server and heard from it, for whoever asks why one too many was in flight."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from backend_retrofit_runtime.shared.client import Client
from backend_retrofit_runtime.shared.messages import Reply, Report


class History:
    """The latest events of one process. All processes of a machine have one monotonic clock.

    Args:
        client: of the account; its methods are wrapped.
        length: of the memory, in events.
    """

    def __init__(self, client: Client, length: int = 4000) -> None:
        self.holdings = client.holdings
        self.events: deque[tuple[float, str, Any]] = deque(maxlen=length)
        server: Any = client.server
        server.step = self._step(server.step)
        for name in ("lost", "told", "answered"):
            setattr(self.holdings, name, self._call(name, getattr(self.holdings, name)))

    def _step(self, step: Callable[[Report], Reply]) -> Callable[[Report], Reply]:
        def recorded(report: Report) -> Reply:
            self.events.append((time.monotonic(), "report", report))
            try:
                reply = step(report)
            except BaseException as error:
                self.events.append((time.monotonic(), "no reply", repr(error)))
                raise
            self.events.append((time.monotonic(), "reply", reply))
            return reply

        return recorded

    def _call(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any) -> Any:
            result = method(*args)
            said = args[0] if name == "told" else ""
            self.events.append((time.monotonic(), name, f"{said} -> {result}; {self.now()}"))
            return result

        return recorded

    def now(self) -> str:
        """Return what the process holds; without a lock, for the sake of what is measured."""
        it, alone = self.holdings, self.holdings.alone
        said = f"life {it.life} granted {it.granted} returned {it.returned} held {it.held}"
        if alone is not None:
            said += f" alone: first {alone.first} share {alone.share} settled {alone.settled_at:.3f}"
        return said

    def lines(self) -> list[tuple[float, str]]:
        """Return when, and what, oldest first."""
        return [(at, f"{what} {_said(thing)}") for at, what, thing in list(self.events)]


def _said(thing: Any) -> str:
    if isinstance(thing, Report):
        return (
            f"{thing.seq}: life {thing.life} seen {thing.seen} returned {thing.returned} unused {thing.unused} "
            f"born {thing.born} of {thing.processes} back {thing.back} round {thing.round} waiting {thing.waiting!r} bye {thing.bye}"
        )
    if isinstance(thing, Reply):
        return (
            f"{thing.seq}: born {thing.born} granted {thing.granted} of {thing.processes} place {thing.place} "
            f"round {thing.round} wake {thing.wake}"
        )
    return str(thing)
