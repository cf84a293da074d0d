"""What an account knows of its processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from .messages import Report


@dataclass
class Run:
    """Entries of one process and rank in the line, numbered without a gap."""

    rank: int
    first: int
    last: int


@dataclass
class Member:
    """What the account knows of a process."""

    place: int
    life: int = 0
    seq: int = 0
    granted: int = 0
    seen: int = 0
    returned: int = 0
    unused: int = 0
    lease: int = 0
    config: str = ""
    flow: str = ""
    costs: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    at: float = 0.0  # its latest report
    round: int = 0
    joined: int = 0  # the question to all that was open when it came as one that nobody knew
    asked: float = 0.0  # since when it was asked to confirm its grants; 0: it was not
    runs: list[Run] = field(default_factory=list)

    @property
    def held(self) -> int:
        return self.granted - self.returned

    def take(self, report: Report, now: float) -> list[float]:
        """Keep what a report says; return how much more its starts have cost at each rate than was known."""
        costs, spent = numbers(report.costs), numbers(report.spent)
        unused = report.unused - self.unused
        more = [new - old - cost * unused for cost, new, old in zip(costs, spent, self.spent, strict=False)]
        if self.life != report.life:  # it begins anew
            self.granted, more = report.seen, []
        # It has seen more than it was granted only where the server lost its latest steps.
        self.granted = max(self.granted, report.seen)
        self.life, self.seq, self.seen, self.returned = report.life, report.seq, report.seen, report.returned
        self.unused, self.lease, self.config = report.unused, report.lease, report.config
        self.costs, self.spent, self.at, self.asked = costs, spent, now, 0.0
        return more


def numbers(text: str) -> list[float]:
    """Return the numbers of a text."""
    return [float(word) for word in text.split()]
