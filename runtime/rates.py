"""Rates: when the next request may start, so that no more do in a minute or a day than may (R1, R4, R5).

What is said here is arithmetic: no lock, no clock that runs, no thread. The gate asks before each start, and its alarm
wakes it in time. What is learnt from a server's headers is in `learnt_rates`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from .adaptive import Window
from .clocks import monotonic
from .learnt_rates import Known, LearntRate, Reading
from .slots import Slot
from .testing_mode import TestingMode

_MINUTE, _DAY = 60.0, 86400.0
# Setting -> what it counts.
COUNTED_BY = {
    "requests_per_minute": "requests",
    "tokens_per_minute": "tokens",
    "input_tokens_per_minute": "input tokens",
    "output_tokens_per_minute": "output tokens",
}
TOKENS = ("tokens", "input tokens", "output tokens")
_A_DAY = "requests a day"
# What is learnt with it, from a vendor that counts input and output apart.
_LEARNT_WITH = {"tokens": TOKENS}
# What a request costs until a first answer has said it.
FIRST_MEANS = {"requests": 1.0, _A_DAY: 1.0, "tokens": 1000.0, "input tokens": 750.0, "output tokens": 250.0}
_SHARE_OF_NEWEST = 0.1  # in the mean of what requests cost
_PARTS_OF_DAY = 100
_UNTIL_KNOWN = 4  # requests in flight, at most, until the first answer has said the rate


Part = tuple[float, float, float]  # of a day: begin, end, and how many were started between them


class Rate(Protocol):
    """One rate. It keeps no state: a level goes in, and what becomes of it comes out, to be stored in one step.

    So whatever interrupts a change, a signal handler or Ctrl-C, finds it made or not made.
    """

    counts: str
    start: Any  # the level at which nothing was started yet

    def due(self, level: Any, cost: float, mean: float) -> float:
        """Return when a request of this cost may start, in seconds of the monotonic clock; `mean` is what others cost."""

    def charge(self, level: Any, cost: float, now: float) -> Any:
        """Return the level after a start; or after a correction, if the cost is below 0."""

    def take_back(self, level: Any, paid: Any, cost: float, now: float) -> Any:
        """Return the level after a start that was not made, after which it was `paid`; what was refilled since is not taken back."""


class MeteredRate(NamedTuple):
    """A rate whose starts are spread evenly: GCRA, the generic cell rate algorithm (ITU-T I.371).

    The level is the "theoretical arrival time": when all that was started is paid for. A start may be early by what `burst`
    requests take, so that a late wake-up is made good. What costs more than those starts when all is paid for.
    """

    counts: str
    interval: float  # seconds for one unit
    burst: float
    start: float = 0.0

    def due(self, level: float, cost: float, mean: float) -> float:
        return level - max(self.burst * mean - cost, 0.0) * self.interval

    def charge(self, level: float, cost: float, now: float) -> float:
        return (max(level, now) if cost > 0 else level) + cost * self.interval

    def take_back(self, level: float, paid: float, cost: float, now: float) -> float:
        return level - min(max(paid - now, 0.0), cost * self.interval)


class DailyRate(NamedTuple):
    """A quota for any 24 hours. Starts are made as soon as they are asked for: it is not spread over the day.

    The level is a tuple of (begin, end, count): what was started in each hundredth of a day.
    """

    counts: str
    most: float
    start: tuple[Part, ...] = ()

    def due(self, level: tuple[Part, ...], cost: float, mean: float) -> float:
        over = sum(count for _, _, count in level) + cost - self.most
        for _, end, count in level:
            if over <= 0:
                break
            over -= count
            due = end + _DAY
            if over <= 0:
                return due
        return 0.0

    def charge(self, level: tuple[Part, ...], cost: float, now: float) -> tuple[Part, ...]:
        level = tuple(part for part in level if part[1] + _DAY > now)
        if level and now - level[-1][0] < _DAY / _PARTS_OF_DAY:
            begin, _, count = level[-1]
            return (*level[:-1], (begin, now, count + cost))
        return (*level, (now, now, cost))

    def take_back(
        self, level: tuple[Part, ...], paid: tuple[Part, ...], cost: float, now: float
    ) -> tuple[Part, ...]:
        begun = paid[-1][0]
        return tuple((begin, end, count - cost * (begin == begun)) for begin, end, count in level)


class SharedRate(NamedTuple):
    """A rate that all processes of an account have together: it is seen to where their limit is (R8)."""

    counts: str
    interval: float
    start: tuple[()] = ()

    def due(self, level: Any, cost: float, mean: float) -> float:
        return 0.0

    def charge(self, level: Any, cost: float, now: float) -> Any:
        return level

    def take_back(self, level: Any, paid: Any, cost: float, now: float) -> Any:
        return level


class Fee(NamedTuple):
    """What a start has paid: what for, and how much of each."""

    rates: tuple[Any, ...]
    costs: tuple[float, ...]
    levels: tuple[Any, ...]  # after that
    begun: Mapping[str, float]  # what was started until then, this start included


class Pace:
    """What a gate asks before each start: the rates that are set or learnt, and the window of `adaptive`.

    All is called with the gate's lock held. `levels` and `slot.fee` change together, by adjacent assignments.
    """

    def __init__(self) -> None:
        self.rates: tuple[Any, ...] = ()
        self.levels: tuple[Any, ...] = ()
        self.window: Window | None = None
        self.means = dict(FIRST_MEANS)  # what requests have cost lately
        self.are_known: set[str] = set()  # whose first value was replaced
        self.learns = self.counts_tokens = False
        self.has_answer = False  # the server was heard of its rates, or says nothing
        self.begun: dict[str, float] = {}  # what was started so far

    def configure(self, settings: "Mapping[str, Any] | None", is_shared: bool = False) -> None:
        """Take over the settings, or none; what was started under those before still counts.

        Args:
            is_shared: all processes of an account have the rates together.
        """
        rates: dict[str, Any] = {}
        for setting, counted in COUNTED_BY.items():
            per_minute = None if settings is None else settings[setting]
            if per_minute == "auto":
                for each in _LEARNT_WITH.get(counted, (counted,)):
                    rates.setdefault(each, LearntRate(each))
            elif settings is not None and per_minute is not None:
                interval = _MINUTE / per_minute
                rates[counted] = (
                    SharedRate(counted, interval)
                    if is_shared
                    else MeteredRate(counted, interval, settings["rate_burst"])
                )
        if settings is not None and settings["requests_per_day"] is not None:
            rates[_A_DAY] = DailyRate(_A_DAY, settings["requests_per_day"])
        together = zip(self.rates, self.levels, strict=True)
        before = {(type(rate), rate.counts): level for rate, level in together}
        levels = tuple(before.get((type(rate), rate.counts), rate.start) for rate in rates.values())
        self.learns = any(isinstance(rate, LearntRate) for rate in rates.values())
        self.counts_tokens = any(rate.counts in TOKENS for rate in rates.values())
        self.rates, self.levels = tuple(rates.values()), levels

    def _costs(self, slot: Slot) -> tuple[float, ...]:
        """Return what a request costs of each rate, as far as it can be known beforehand."""
        tokens = slot.tokens
        return tuple(
            self.means[rate.counts] if tokens is None or rate.counts in ("requests", _A_DAY) else tokens
            for rate in self.rates
        )

    def room(self) -> float:
        """Return how many may be in flight."""
        room = math.inf if self.window is None else self.window.room
        return min(room, _UNTIL_KNOWN) if self.learns and not self.has_answer else room

    def due(self, slot: Slot, others: int = 0) -> float:
        """Return when a request may start, or 0 if it may start now.

        Args:
            others: how many requests start before it.
        """
        if slot.fee is not None or not TestingMode.waits:
            return 0.0
        now, due = monotonic(), 0.0 if self.window is None else self.window.due()
        for rate, level, cost in zip(self.rates, self.levels, self._costs(slot), strict=True):
            mean = self.means[rate.counts]
            if others:
                level = rate.charge(level, others * mean, now)
            due = max(due, rate.due(level, cost, mean))
        return due if due > now else 0.0

    def begin(self, slot: Slot, in_flight: int) -> None:
        """Pay for a start; `in_flight` counts it, too."""
        if slot.fee is not None:
            return
        now, rates, costs = monotonic(), self.rates, self._costs(slot)
        levels = self._charged(rates, costs, now)
        begun = {**self.begun}
        for rate, cost in zip(rates, costs, strict=True):
            begun[rate.counts] = begun.get(rate.counts, 0.0) + cost
        fee = Fee(rates, costs, levels, begun)
        if self.window is not None:
            self.window.begin(slot, now, in_flight)
        self.levels, self.begun, slot.fee = levels, begun, fee

    def _charged(self, rates: tuple[Any, ...], costs: Iterable[float], now: float) -> tuple[Any, ...]:
        """Return the levels after these costs, which were those of these rates."""
        if rates != self.rates:
            return self.levels
        together = zip(rates, self.levels, costs, strict=True)
        return tuple(rate.charge(level, cost, now) if cost else level for rate, level, cost in together)

    def pay_back(self, slot: Slot) -> None:
        """Give back what was paid for a start that was not made."""
        fee, levels = slot.fee, self.levels
        if fee is not None and fee.rates == self.rates:
            now = monotonic()
            together = zip(self.rates, levels, fee.levels, fee.costs, strict=True)
            levels = tuple(rate.take_back(level, paid, cost, now) for rate, level, paid, cost in together)
        self.levels, slot.fee = levels, None

    def settle(self, fee: Fee, used: Mapping[str, float]) -> None:
        """Correct what was paid when the answer says what was used: counted -> how much (R4)."""
        costs = [
            used[rate.counts] - cost if rate.counts in used else 0.0
            for rate, cost in zip(fee.rates, fee.costs, strict=True)
        ]
        self.levels = self._charged(fee.rates, costs, monotonic())

    def note_costs(self, used: Mapping[str, float]) -> None:
        """Take what a request has used into the means."""
        for counted, cost in used.items():
            weight = _SHARE_OF_NEWEST if counted in self.are_known else 1.0
            self.are_known.add(counted)
            self.means[counted] += (cost - self.means[counted]) * weight

    def learn(self, fee: Fee, readings: list[Reading], longest: float) -> None:
        """Take what an answer's headers say into the rates that are learnt (R2, R3).

        Args:
            longest: the longest wait, in seconds, that the headers may ask for.
        """
        now, levels = monotonic(), []
        for rate, level in zip(self.rates, self.levels, strict=True):
            if isinstance(rate, LearntRate):
                since = self.begun.get(rate.counts, 0.0) - fee.begun.get(rate.counts, 0.0)
                level = rate.learn(level, readings, since, now, longest)
            levels.append(level)
        self.levels = tuple(levels)
        self.has_answer = True

    def learnt(self) -> dict[str, Known]:
        """Return what the server has said of buckets: counted -> the smallest one. Windows are not spread, so they are not told."""
        found = {}
        for rate, level in zip(self.rates, self.levels, strict=True):
            buckets = [
                known
                for known in level
                if isinstance(known, Known) and known.interval and not known.is_window
            ]
            if buckets:
                found[rate.counts] = min(buckets, key=lambda known: known.limit)
        return found

    def stats(self) -> dict[str, Any]:
        """Return what `queue_stats()` says of rates: a minute each, and seconds until the next start."""
        shown: dict[str, Any] = {}
        for rate, level in zip(self.rates, self.levels, strict=True):
            name = rate.counts.replace(" ", "_")
            if isinstance(rate, MeteredRate | SharedRate):
                shown[f"{name}_per_minute"] = _MINUTE / rate.interval
            elif isinstance(rate, DailyRate):
                shown["requests_per_day"] = rate.most
            elif level:
                shown[f"learnt_{name}_per_minute"] = min(known.per_minute for known in level)
        due = self.due(Slot())
        return {**shown, "next_start_seconds": max(due - monotonic(), 0.0) if due else 0.0}
