"""The gates of this process that take slots from one account: who gets the spare ones, and how many wait."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from queue import SimpleQueue

from .holdings import Holdings
from .source import SharedLimit


class Gates:
    """One for each instance; those who wait in all of them stand in one order.

    Args:
        wake: lets the reporter look.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.sources: list[SharedLimit] = []
        self.all_closed = False
        self.begin()

    def begin(self) -> None:
        """Begin anew, in the child of a fork: nobody else holds the locks."""
        self.lock = threading.RLock()
        self.pumping = threading.RLock()
        self.lost: SimpleQueue[SharedLimit] = SimpleQueue()  # of gates that were collected

    def add(self, source: SharedLimit) -> None:
        with self.lock:
            self.sources.append(source)
            self.all_closed = False

    def remove(self, source: SharedLimit) -> None:
        with self.lock:
            if source in self.sources:
                self.sources.remove(source)
            self.all_closed = not self.sources

    def waiting(self, limit: float) -> dict[int, int]:
        """Return rank -> how many wait for a slot."""
        waiting: dict[int, int] = {}
        for source in list(self.sources):
            for rank, count in source.wanted(limit).items():
                waiting[rank] = waiting.get(rank, 0) + count
        return waiting

    def was_held(self) -> None:
        """Another process was told to wait."""
        for source in list(self.sources):
            source.was_held()

    def pump(self, holdings: Holdings) -> None:
        """Let the gates admit what they can."""
        with self.pumping:
            sources = list(self.sources)
            if len(sources) > 1 and holdings.alone is None:
                spare = max(holdings.spare, 0)
                heads = (head for source in sources for head in source.heads(spare))
                for _, _, source in heapq.nsmallest(spare, heads, key=lambda head: head[:2]):
                    source.credit += 1
            for source in sources:
                gate = source.gate()
                if gate is not None:
                    gate.pump()
                source.credit = 0

    def drop_lost(self) -> None:
        """Give back what collected gates held."""
        while not self.lost.empty():
            source = self.lost.get_nowait()
            for slot in list(source.slots):
                source.give(slot)
            self.remove(source)
            self.wake()
