"""Futures for results that an engine keeps until they are asked for: one thread asks for all of them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_SHORTEST, _LONGEST = 0.005, 0.1
"""Seconds between two looks: short after each result, then longer and longer."""
_AT_ONCE = 64
"""How many results are asked for in one look; in turn, as some may never come."""

Ask = Callable[[], tuple[Any, BaseException | None] | None]
"""Returns result and error, or None while there is neither."""


class Waiter:
    """The thread, which runs while something is waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Future[Any], Ask] = {}
        self._news = threading.Event()
        self._runs = False

    def future(self, ask: Ask, cancel: Callable[[], object]) -> Future[Any]:
        """Return the future of a result.

        Args:
            cancel: called when the future is cancelled.
        """
        future: Future[Any] = Future()
        with self._lock:
            self._waiting[future] = ask
            starts, self._runs = not self._runs, True
        future.add_done_callback(lambda done: cancel() if done.cancelled() else None)
        self._news.set()
        if starts:
            threading.Thread(target=self._look, name="request-queue-results", daemon=True).start()
        return future

    def _look(self) -> None:
        pause = _SHORTEST
        while True:
            with self._lock:
                some = list(itertools.islice(self._waiting.items(), _AT_ONCE))
                if not some:
                    self._runs = False
                    return
            ended = {future for future, ask in some if self._settle(future, ask)}
            with self._lock:
                for future, ask in some:
                    del self._waiting[future]
                    if future not in ended:
                        self._waiting[future] = ask  # behind those that were not asked for
            pause = _SHORTEST if ended else min(2 * pause, _LONGEST)
            if self._news.wait(pause):
                self._news.clear()
                pause = _SHORTEST

    def _settle(self, future: Future[Any], ask: Ask) -> bool:
        if future.cancelled():
            future.set_running_or_notify_cancel()
            return True
        try:
            outcome = ask()
        except Exception as lost:  # the engine's store of results is away for good: it has retried
            outcome = None, lost
        if outcome is None:
            return False
        if future.set_running_or_notify_cancel():
            result, error = outcome
            future.set_exception(error) if error is not None else future.set_result(result)
        return True
