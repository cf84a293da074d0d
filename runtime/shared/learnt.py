"""What this process has learnt of an account's rates, from the headers of the API's server (R2, R8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clocks import monotonic
from .holdings import COUNTED
from .messages import Rate, Terms

if TYPE_CHECKING:
    from ..rates import Pace

_SAME_RATE = 1.02
"""What is learnt anew counts as another rate if it differs by this factor."""


class Learnt:
    """Which of the rates -> what the API's server says of it."""

    def __init__(self) -> None:
        self.rates: dict[int, Rate] = {}

    def take(self, pace: Pace) -> None:
        """Take over what a gate has learnt."""
        for counted, known in pace.learnt().items():
            index = COUNTED.index(counted)
            before, mean = self.rates.get(index), pace.means[counted]
            if before is None or not 1 / _SAME_RATE < known.interval / before.interval < _SAME_RATE:
                used = max(0.0, min((known.paid_at - monotonic()) / known.interval, known.limit))
                # Half of what the bucket holds: it fills as evenly as we start, but what arrives is uneven.
                burst = max(1.0, known.limit / max(mean, 1.0) / 2)
                self.rates[index] = Rate(known.interval, burst, used)

    def put_into(self, terms: Terms) -> Terms:
        """Return the terms with what is learnt, where a rate is to be learnt."""
        rates = list(terms.rates)
        for index, rate in enumerate(rates):
            if rate.interval < 0:
                rates[index] = self.rates.get(index, rate)
        return terms._replace(rates=tuple(rates))
