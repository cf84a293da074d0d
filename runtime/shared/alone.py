"""What a process may start while the server is away: its share of the limit and of the rates."""

from __future__ import annotations

import math

from .messages import Terms
from .meters import Meter, Meters

_SLACK = 0.1
"""Seconds between the first process that sees that the server is away and the last."""


class Alone:
    """The limits of a process that does not hear from the server; times in seconds of one monotonic clock.

    At first no more than was held: what the others hold is unknown, and each may have more than its share until its
    calls have ended. After as long as the longest of the latest calls took, the share of a process.

    Args:
        terms: of the account.
        limit: in force at the end.
        place, processes: this process among those that were seen last.
        held: what this process has in flight now.
        longest: how long calls took at most.
        now: when it began.
        known: the server was reached before; if it never was, nobody can tell how many share the limit.
    """

    def __init__(
        self,
        terms: Terms,
        limit: int,
        place: int,
        processes: int,
        held: int,
        longest: float,
        now: float,
        known: bool = True,
    ) -> None:
        self.since = now
        self.fallback = terms.fallback
        processes = max(processes, 1) if known else max(limit, 1)  # as many as can be, each with one
        if terms.fallback == "local":
            self.share = terms.limit
            processes = 1
        else:
            self.share = max(1, limit // processes + (place < limit % processes)) if limit else 0
        self.first = self.share
        self.settled_at = now
        if terms.fallback == "share" and known and processes > 1:
            self.first = min(self.share, held)
            self.settled_at = now + min(1.5 * longest + _SLACK, terms.lease)
        # Bursts of all processes would add up.
        self.meters = Meters(
            Meter(max(rate.interval, 0.0) * processes, max(1.0, rate.burst / processes), now)
            for rate in terms.rates
        )

    def ready_at(self, held: int, costs: list[float], now: float) -> float:
        """Return when one more may be started: `now`, later, or infinity if one has to end before."""
        if self.fallback == "wait":
            return math.inf
        ready = now
        if held >= (self.first if now < self.settled_at else self.share):
            if held >= self.share or now >= self.settled_at:
                return math.inf
            ready = self.settled_at
        return self.meters.ready_at(costs, ready)

    def pay(self, costs: list[float], now: float, times: int = 1) -> None:
        """Count a start at the rates, or take it back (`times=-1`)."""
        self.meters.pay(costs, now, times)

    def correct(self, index: int, amount: float) -> None:
        """Count what a start has cost beyond what was paid; below 0: less."""
        self.meters.correct(index, amount)
