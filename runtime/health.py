"""The retry budget and the circuit breaker; only where a setting asks for one of them."""

import threading

from .clocks import monotonic
from .errors import CircuitOpen
from .failures import Failure


class Health:
    """The retry budget and the circuit breaker of one engine. Invariant: all is read and changed under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.budget: int | None = None
        self.breaker: int | None = None
        self.pause = 0.0
        # Of the budget: a retry costs 1, a success gives 0.1 back (gRPC A6, retry throttling).
        self.spent = 0.0
        self.failures = 0  # in a row
        self.open_until = 0.0

    def configure(self, budget: "int | None", breaker: "int | None", pause: float) -> None:
        """Change the settings: retries in the budget, failures that open the breaker, seconds that it stays open."""
        with self.lock:
            self.budget, self.breaker, self.pause = budget, breaker, pause

    def check(self) -> None:
        """Raise CircuitOpen while the breaker is open. After its pause it lets one attempt through, a pause."""
        now = (
            monotonic()
        )  # no calls are made with the lock held: a signal handler may come in between, and wait
        with self.lock:
            if self.breaker is None or self.failures < self.breaker:
                return
            if now >= self.open_until:
                self.open_until = now + self.pause
                return
        raise CircuitOpen(
            f"The circuit breaker is open: the last {self.failures} attempts failed. "
            f"The next one is made in {self.open_until - now:.0f} s."
        )

    def note(self, failure: "Failure | None") -> None:
        """Count an attempt. One that failed because of the request, such as a 404, says nothing about the API."""
        now = monotonic()
        with self.lock:
            if failure is None:
                self.failures = 0
                self.spent = self.spent - 0.1 if self.spent > 0.1 else 0.0
            elif failure.retry:
                self.failures += 1
                if self.failures == self.breaker:
                    self.open_until = now + self.pause

    def why_no_retry(self, delay: float) -> str:
        """Return why there is to be no retry after `delay` seconds; or nothing, having taken it off the budget."""
        now = monotonic()
        with self.lock:
            is_open = self.breaker is not None and self.failures >= self.breaker
            if is_open and now + delay < self.open_until:
                return "the circuit breaker is open"
            if self.budget is not None and self.spent + 1 > self.budget:
                return "the retry budget is spent"
            self.spent += 1
            return ""
