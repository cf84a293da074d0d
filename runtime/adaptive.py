"""How many may be in flight, by what the server's answers say: calm after a refusal (B16), and a limit that adapts (R6).

A `Window` hears of each answer and says how many starts it allows. It knows nothing of gates, failures or settings.
"""

import math
from typing import Any

from .clocks import monotonic

_CUT, _CUT_AGAIN = 0.7, 0.5
_DOUBT_CUT = 0.85  # of where it was, if nothing succeeded since
_LEAST = 0.02  # of a window
_LONGEST_SPACE = 0.5  # between two starts, in seconds: after that a refused request may try
_SUCCESSES, _MOST_SUCCESSES = 20, 320
_SOME_SUCCESSES = 3  # a refusal before these says that far too many were sent
_DOUBTS = 2  # then what is refused has nothing to do with how many are sent
_GROWTH = 8.0  # of the window, in as many successes as brought it back
_WEIGHT_OF_NEWEST = 0.2  # in the mean of how long answers take


class Window:
    """Calm after a refusal: fewer at once, and more again as answers succeed.

    A refusal cuts the window, once for all refusals of requests that were sent before the last cut. It comes back to
    where it was, stays near there for as many answers as experience says, and goes beyond, ever faster: as TCP's CUBIC
    does (RFC 9438), counted in answers instead of seconds. Each refusal near there lets it stay for longer. After a hold
    it opens one by one (slow start, RFC 5681). Below two, starts are spaced as well: a gateway with
    a rate refuses what comes in bursts, however few are in flight.
    """

    def __init__(self, limit: float) -> None:
        self.size = self.top = limit  # now, and when something was refused last
        self.low = limit  # where it was cut to
        self.cuts = 0  # so far; what was sent before the last one says nothing about the window that is left
        self.successes = 0  # since then
        self.doubts = 0  # how often a cut has not helped: somewhat later, something was refused again
        self.span = _SUCCESSES  # how many bring it back to `top`
        self.opening = math.inf  # after a hold
        self.seconds = 0.0  # that an answer takes
        self.begun_at = 0.0  # when the newest request was sent

    def begin(self, slot: Any, now: float) -> None:
        """Note a start."""
        slot.cuts, self.begun_at = self.cuts, now
        slot.sent_at = now

    @property
    def room(self) -> float:
        """How many may be in flight."""
        return max(1, min(math.ceil(self.size) if self.size < 2 else int(self.size), self.opening))

    def due(self) -> float:
        """Return when the next one may start, if starts are spaced."""
        if self.size >= 2:
            return 0.0
        return self.begun_at + min(self.seconds / self.size, _LONGEST_SPACE)

    def refuse(self, slot: Any, in_flight: float, is_held: bool, is_doubtful: bool) -> None:
        """Note a refusal.

        Args:
            in_flight: how many requests were in flight, this one included.
            is_held: nothing is sent for a while, because the server asked for that.
            is_doubtful: it may be a stray one, which has nothing to do with how many there are.
        """
        if is_held:
            self.opening = 1
        if slot.cuts < self.cuts:
            return
        is_new, near = self.cuts == 0, self.successes >= self.span / 2
        self.doubts = 0 if near else self.doubts + (is_doubtful and self.successes >= _SOME_SUCCESSES)
        reached = min(self.size, max(in_flight, 1))
        # Where nothing succeeded since the last cut, the server may have refused for a while whatever came.
        self.top = reached if is_new or self.successes else max(reached, self.top * _DOUBT_CUT)
        self.low = max(reached * (_CUT if is_new or near else _CUT_AGAIN), _LEAST)
        self.size, self.opening = self.low, 1 if is_new else self.opening
        if not is_new:
            self.span = min(self.span * 2, _MOST_SUCCESSES) if near else max(self.span // 2, _SUCCESSES)
        self.cuts, self.successes = self.cuts + 1, 0

    def succeed(self, slot: Any, in_flight: float) -> None:
        """Note an answer that is not a refusal.

        Args:
            in_flight: how many requests were in flight, this one included.
        """
        seconds = monotonic() - slot.sent_at if slot.sent_at else self.seconds
        self.seconds += (seconds - self.seconds) * (_WEIGHT_OF_NEWEST if self.seconds else 1)
        self.opening += 1
        if slot.cuts == self.cuts:
            self.successes += 1
            way = self.successes / self.span - 1
            if way < 0:
                self.size = self.top + (self.top - self.low) * way**3
            elif way < 3:
                self.size = self.top * _GROWTH ** (way**2)

    def is_over(self, limit: float) -> bool:
        """Return True if all is as it was before the first refusal, or if fewer are refused as often as more."""
        is_as_before = self.size >= limit and self.opening >= limit and self.successes >= 2 * self.span
        return is_as_before or self.doubts >= _DOUBTS


class AdaptiveWindow(Window):
    """A limit that adapts: one more for each window-full of answers, 0.7 of it after a refusal (RFC 5681, section 3.1).

    Args:
        first: where it begins.
        most: how far it goes.
    """

    def __init__(self, first: float, most: float) -> None:
        super().__init__(min(first, most))
        self.between = first, most

    def due(self) -> float:
        return 0.0

    def refuse(self, slot: Any, in_flight: float, is_held: bool, is_doubtful: bool) -> None:
        if slot.cuts >= self.cuts:
            self.size, self.cuts, self.successes = max(1.0, self.size * _CUT), self.cuts + 1, 0

    def succeed(self, slot: Any, in_flight: float) -> None:
        if in_flight < self.size / 2:
            return
        self.successes += 1
        if self.successes >= int(self.size):
            self.size, self.successes = min(self.between[1], self.size + 1), 0

    def is_over(self, limit: float) -> bool:
        return False
