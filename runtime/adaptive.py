"""How many may be in flight, by what the server's answers say: calm after a refusal (B16), and a limit that adapts (R6).

A `Window` hears of each answer and says how many starts it allows. It knows nothing of gates, failures or settings.
"""

import math
from typing import Any

from .clocks import monotonic

_CUT, _CUT_AGAIN = 0.7, 0.5
_DOUBT_CUT = 0.85  # of where it was, if nothing succeeded since
_LEAST = 0.02  # of a window
_LONGEST_SPACE, _LONGEST_PACE = (
    0.5,
    5.0,
)  # between two starts, in seconds: after that a refused request may try
_SUCCESSES, _MOST_SUCCESSES, _MOST_PACED = 20, 320, 160
_SOME_SUCCESSES = 3  # a refusal before these says that far too many were sent
_DOUBTS = 2  # then what is refused has nothing to do with how many are sent
_GROWTH = 8.0  # of the window, in as many successes as brought it back
_WEIGHT_OF_NEWEST = 0.2  # in the mean of how long answers take
# If 5 of the 20 requests accepted last had as many beside them as the refused one, the server has a rate.
_LATEST, _ALIKE = 20, 5
_CUT_OF_PACE, _CUT_OF_PACE_AGAIN = 0.95, 0.75
_SAVED_UP = 0.3  # of what was accepted soon after a hold may have been saved up meanwhile
_LATE = 2  # starts that may be made up for after a late wake-up
_HOLDS = 20  # for as long as this many holds, nothing is tried that may bring the next one
_HOLDS_UNTIL_OVER = 6
# Pacing is to bring 1.5 times as many answers until the next refusal; it may fail to twice.
_LONGER, _IN_VAIN = 1.5, 2


class Window:
    """Calm after a refusal: fewer at once, and more again as answers succeed.

    A refusal cuts the window, once for all refusals of requests that were sent before the last cut. It comes back to
    where it was, stays near there for as many answers as experience says, and goes beyond, ever faster: as TCP's CUBIC
    does (RFC 9438), counted in answers instead of seconds. Each refusal near there lets it stay for longer. After a hold
    it opens one by one (slow start, RFC 5681). Below two, starts are spaced as well: a gateway with
    a rate refuses what comes in bursts, however few are in flight.

    A server that counts what is in flight refuses only what is more than it has accepted. One that refuses a request though
    as many were in flight just before has a rate, and its bucket is empty, as it was at the refusal before. So what was
    accepted between the two, in the time that it took, is the rate; starts are spaced by it from then on.
    """

    def __init__(self, limit: float) -> None:
        self.size = self.top = limit  # now, and when something was refused last
        self.low = limit  # where it was cut to
        self.cuts = 0  # so far; what was sent before the last one says nothing about the window that is left
        self.successes = 0  # since then
        self.accepted: tuple[int, ...] = ()  # the latest of them: how many were in flight when each was sent
        self.busy = 0.0  # since then, in seconds: without holds, and without times when nobody asked
        self.doubts = 0  # how often a cut has not helped: somewhat later, something was refused again
        self.span: float = _SUCCESSES  # how many bring it back to `top`
        self.opening = math.inf  # after a hold
        self.hold = 0.0  # how long the latest one was, in seconds
        self.seconds = 0.0  # that an answer takes
        self.over_at = 0.0  # not before: each hold stops everybody, so that the next one is to come late
        self.paced = 0.0  # where the server has a rate: seconds for `size` starts
        self.unpaced = limit  # its size before that
        self.lasted, self.in_vain = (
            0,
            0,
        )  # successes until the refusal before, and how often pacing has not made them more
        self.begun_at = 0.0  # when the newest request was sent, since the latest hold
        self.next_at = 0.0  # when the next one may be, if starts are spaced

    def begin(self, slot: Any, now: float, in_flight: int) -> None:
        """Note a start.

        Args:
            in_flight: how many requests are in flight with it.
        """
        slot.cuts, slot.sent_at, slot.in_flight = self.cuts, now, in_flight
        longest = _LONGEST_PACE if self.paced else _LONGEST_SPACE
        space = min((self.paced or self.seconds) / self.size, longest)
        if self.begun_at:
            self.busy += min(now - self.begun_at, 2 * max(space, self.seconds))
        self.begun_at = now
        self.next_at = (max(self.next_at, now - _LATE * space) if self.paced else now) + space

    @property
    def room(self) -> float:
        """How many may be in flight."""
        if self.paced:
            room: float = math.ceil(self.size) + 1  # answers take somewhat longer at times
        else:
            room = math.ceil(self.size) if self.size < 2 else int(self.size)
        return max(1, min(room, self.opening))

    def due(self) -> float:
        """Return when the next one may start, if starts are spaced."""
        return self.next_at if self.paced or self.size < 2 else 0.0

    def refuse(self, slot: Any, in_flight: float, hold: float, is_doubtful: bool) -> None:
        """Note a refusal.

        Args:
            in_flight: how many requests were in flight, this one included.
            hold: how long nothing is sent from now on, in seconds, because the server asked for that.
            is_doubtful: it may be a stray one, which has nothing to do with how many there are.
        """
        if hold:
            self.opening, self.begun_at = 1, 0.0
        if slot.cuts < self.cuts:
            return
        in_flight, self.hold = slot.in_flight or in_flight, hold
        self.over_at = monotonic() + _HOLDS_UNTIL_OVER * hold
        is_new, near = self.cuts == 0, self.successes >= self.span / 2
        alike = sum(beside >= in_flight for beside in self.accepted)
        if near:
            self.doubts = max(self.doubts - 1, 0)
        elif is_doubtful and alike and self.successes >= _SOME_SUCCESSES:
            self.doubts += 1
        if self.paced:
            self.in_vain = 0 if near or self.successes > _LONGER * self.lasted else self.in_vain + 1
        self.lasted = self.successes
        rate = (self.successes + in_flight - 1) / self.busy if self.busy else 0.0
        if self.paced and self.in_vain == _IN_VAIN:
            self._unpace()
        elif rate and alike >= _ALIKE and (near or not is_doubtful) and self.in_vain < _IN_VAIN:
            self._pace(rate, near)
        else:
            self._cut(in_flight, near)
        self.size = self.low
        if is_new:
            self.opening = 1
        else:
            self._stay(rate, near)
        self.cuts, self.successes, self.accepted, self.busy = self.cuts + 1, 0, (), 0.0

    def _cut(self, in_flight: float, near: bool) -> None:
        """Let fewer be in flight."""
        is_new, reached = self.cuts == 0, min(self.size, max(in_flight, 1))
        self.paced = 0.0
        # Where nothing succeeded since the last cut, the server may have refused for a while whatever came.
        self.top = reached if is_new or self.successes else max(reached, self.top * _DOUBT_CUT)
        self.low = max(reached * (_CUT if is_new or near else _CUT_AGAIN), _LEAST)
        if self.hold and self.cuts == 1 and self.successes <= 2 * in_flight:
            self.top = self.low = max(
                reached * _CUT_AGAIN, _LEAST
            )  # far too many, and each time costs a hold

    def _pace(self, rate: float, near: bool) -> None:
        """Space the starts by a rate, in starts per second."""
        was_paced = self.paced > 0
        if not was_paced:
            self.paced, self.unpaced = self.seconds, self.size
        top = rate * self.paced * (1 - _SAVED_UP * self.hold / (self.hold + 4 * self.busy))
        if was_paced and self.hold and not near:
            top = min(top, self.size * _CUT_OF_PACE_AGAIN)
        self.top = max(min(self.size, top), self.low / 2)
        self.low = max(self.top * _CUT_OF_PACE, _LEAST)

    def _unpace(self) -> None:
        """Take back that the server has a rate: it refuses as often, however few are sent."""
        self.paced, self.size, self.top = 0.0, self.unpaced, self.unpaced
        self.low, self.span = max(self.unpaced * _CUT_AGAIN, _LEAST), _SUCCESSES

    def _stay(self, rate: float, near: bool) -> None:
        """Say for how many answers it is to stay where it was refused: the longer, the more a refusal costs."""
        hold = self.hold if self.in_vain < _IN_VAIN else 0.0
        most = max(_MOST_PACED if self.paced else _MOST_SUCCESSES, _HOLDS * rate * hold)
        self.span = min(self.span * 2, most) if near else max(self.span // 2, _SUCCESSES)
        if hold and (near or self.paced):
            self.span = max(self.span, most / (2 if self.paced else 4))

    def succeed(self, slot: Any, in_flight: float) -> None:
        """Note an answer that is not a refusal.

        Args:
            in_flight: how many requests were in flight, this one included.
        """
        seconds = monotonic() - slot.sent_at if slot.sent_at else self.seconds
        self.seconds += (seconds - self.seconds) * (_WEIGHT_OF_NEWEST if self.seconds else 1)
        is_of_now = slot.cuts == self.cuts
        if (
            is_of_now or not self.hold
        ):  # what was sent before a hold says nothing about how many may be sent after it
            self.opening += 1
        if not is_of_now:
            return
        self.successes += 1
        self.accepted = (*self.accepted, slot.in_flight)[-_LATEST:]
        back = min(self.span, _SUCCESSES) if self.paced else self.span
        if self.successes < back:
            self.size = self.top + (self.top - self.low) * (self.successes / back - 1) ** 3
        elif self.successes < 4 * self.span:
            self.size = self.top * _GROWTH ** (max(self.successes / self.span - 1, 0) ** 2)

    def is_over(self, limit: float) -> bool:
        """Return True if all is as it was before the first refusal, or if fewer are refused as often as more."""
        is_as_before = self.size >= limit and self.opening >= limit and self.successes >= 2 * self.span
        return self.doubts >= _DOUBTS or (is_as_before and monotonic() >= self.over_at)


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

    def refuse(self, slot: Any, in_flight: float, hold: float, is_doubtful: bool) -> None:
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
