"""What a process and the server say to each other: reports, replies, and the terms that a process asks for.

A report says everything that a process holds and waits for, in counters that only grow, never a change. So a report
may be lost, doubled or late: the next one says all of it again.
"""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """How fast the processes of an account may start requests together."""

    interval: float = 0.0
    """Seconds that one unit takes; 0: as many as they like; below 0: what others have learnt is in force."""
    burst: float = 1.0
    """How many requests may start at once."""
    used: float = 0.0
    """Units that were used up when it was learnt."""


class Terms(NamedTuple):
    """What the processes of an account agree on; times in seconds."""

    limit: int
    """Attempts in flight, in all processes together."""
    rates: tuple[Rate, ...] = ()
    """Of requests, tokens, input tokens and output tokens, as far as there are any."""
    lease: float = 15.0
    timeout: float = 1.0
    fallback: str = "share"
    flow: str = ""
    """Requests of one flow are first in, first out; flows take turns. "" is the flow of all who share none of their own."""

    @property
    def config(self) -> str:
        """Limit and rates as the server keeps them: the limit, then for each rate what `Rate` has, in milliseconds."""
        rates = (f"{rate.interval * 1000!r} {rate.burst!r} {rate.used!r}" for rate in self.rates)
        return " ".join([str(self.limit), *rates])

    @property
    def longest_retry(self) -> float:
        """After how many seconds the server is tried again at the latest; it counts on that (`Account.young`)."""
        return min(LONGEST_RETRY_MS / 1000, self.lease / 3)


class Report(NamedTuple):
    """All that one process says of itself in a step; times in milliseconds."""

    id: str
    life: int
    """Goes up whenever the server may have given up this process, or the process the server: grants of before are void."""
    seq: int
    """Number of the report; the server ignores one that is not newer than the newest."""
    seen: int
    """Slots that it was granted, as far as it knows; its alone starts count too."""
    returned: int
    unused: int
    """Of the returned ones, those under which nothing was started."""
    config: str
    lease: int
    born: int
    """The state of the server that it knew last; 0: none yet."""
    processes: int
    back: int
    """1: it started requests without the server."""
    longest: int
    """How long the longest of its latest calls took."""
    hold: int
    """The server of the API asked all to wait for so long; 0: no news."""
    flow: str
    bye: int
    trust: int
    """1: PUBLISH says how many listen (a single node)."""
    publish: str
    """PUBLISH, or SPUBLISH in a cluster."""
    channel: str
    """Prefix of the channels: that of a process ends in its id, that of all in nothing."""
    costs: str = ""
    """What a request costs at each rate."""
    spent: str = ""
    """By how much the costs so far were too low, in all, at each rate."""
    timeout: int = 0
    """How long it waits for an answer before it goes on alone."""
    round: int = 0
    """The latest question to all that it knows of: it holds nothing that was granted before and that it does not report."""
    waiting: str = ""
    """Pairs of rank and count of those who wait for a slot, lower ranks first."""

    def arguments(self) -> list[str | int]:
        """Return the fields as the arguments of the script."""
        return list(self)


class Reply(NamedTuple):
    """What the server answers; times in microseconds."""

    seq: int
    born: int
    """Names the state: another number than before means that the server forgot everything."""
    granted: int
    limit: int
    processes: int
    place: int
    """Number of this process among them, from 0."""
    hold: int
    """How long nothing may be started."""
    wake: int
    """When this process is to report again, to hand on what is due then; -1: somebody else does."""
    longest: int
    """Milliseconds that the longest of the latest calls of all processes took."""
    round: int
    """Number of the latest question to all."""


CONFIRM_MS = 50
"""How long a process that has not confirmed half of the limit may take to do so before it is passed by."""
QUIET_MS = 500
"""When not everything is known, nothing is granted for so long, or until all processes have reported: those that have
not may hold more than a share. It takes milliseconds, but where the machine is busy a process may stand still for longer."""
SILENCE_MS = 1000
"""While others wait, a process that says nothing for so long (or a quarter of its lease) is looked for: without a subscription it is forgotten.
One that lives reports twice as often, and subscribes anew at once; where the machine is busy, both may take a while."""
SILENCE_MS_EACH = 2
"""With many processes, for each of them, so that looking costs the same."""
LONGEST_RETRY_MS = 5000
"""A process that is alone tries again after no more than this, or a third of its lease."""
START_MS = 1000
"""A server says in whole seconds how long it runs."""
RANK = 2**40
"""Scores of one rank; those of higher ranks lie above them."""
