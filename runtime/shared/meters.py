"""Rates as buckets: how fast the processes of an account may start requests together (R8).

Generic cell rate algorithm: a bucket is kept as the time at which it is full again. All times have one unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass
class Meter:
    """The bucket of one rate."""

    interval: float
    """How long one unit takes; 0: no limit."""
    burst: float
    """How many requests may start at once."""
    full: float
    """When the bucket is full again."""

    def ready_at(self, cost: float) -> float:
        """Return when a request of this cost may start."""
        return self.full - (self.burst - 1) * cost * self.interval

    def pay(self, cost: float, now: float, times: float) -> None:
        self.full = max(self.full, now) + cost * self.interval * times

    def correct(self, amount: float) -> None:
        """Count what starts have cost beyond what was paid; below 0: less."""
        self.full += amount * self.interval


class Meters:
    """The buckets of all rates. What a request costs is given for each, in their order; what is missing costs nothing."""

    def __init__(self, each: Iterable[Meter] = ()) -> None:
        self.each = list(each)

    def configure(self, rates: Sequence[float], now: float) -> None:
        """Take over new rates. What was started under those before still counts.

        Args:
            rates: for each rate what `Rate` has; an interval below 0 leaves what is in force.
        """
        old, self.each = self.each, []
        for index, (interval, burst, used) in enumerate(
            zip(rates[::3], rates[1::3], rates[2::3], strict=True)
        ):
            before = old[index] if index < len(old) else None
            if interval < 0:
                self.each.append(before or Meter(0.0, 1.0, now))
            elif before is not None and before.interval > 0:
                self.each.append(Meter(interval, burst, before.full))
            else:
                self.each.append(Meter(interval, burst, now + used * interval))

    def are_full(self, now: float) -> bool:
        return all(meter.full <= now for meter in self.each)

    def ready_at(self, costs: Sequence[float], now: float) -> float:
        """Return when a request may start: `now`, or later."""
        ready = (meter.ready_at(cost) for meter, cost in zip(self.each, costs, strict=False))
        return max((now, *ready))

    def pay(self, costs: Sequence[float], now: float, times: float = 1) -> None:
        """Count a start, or take it back (`times=-1`)."""
        for meter, cost in zip(self.each, costs, strict=False):
            meter.pay(cost, now, times)

    def correct(self, index: int, amount: float) -> None:
        """Count what a start has cost at one rate beyond what was paid; below 0: less."""
        if index < len(self.each):
            self.each[index].correct(amount)

    def empty(self, costs: Sequence[float], now: float) -> None:
        """Allow one start at once, as if a burst had just been made."""
        for meter, cost in zip(self.each, costs, strict=False):
            meter.full = max(meter.full, now + (meter.burst - 1) * cost * meter.interval)
