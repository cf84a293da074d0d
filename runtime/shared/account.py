"""The step of the protocol in Python: what `"machine"` runs, and what the Lua script is compared with.

`script.LUA` is the same, line by line: change both together. Why each rule is there: docs/sharing.md.

Invariants after every step: `total` is the sum of what the known processes hold; each entry of the line is one slot
that its process waits for; nothing is granted beyond `limit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .line import Line
from .members import Member, Run, numbers
from .messages import (
    CONFIRM_MS,
    LONGEST_RETRY_MS,
    QUIET_MS,
    RANK,
    SILENCE_MS,
    SILENCE_MS_EACH,
    START_MS,
    Reply,
    Report,
)
from .meters import Meters

Publish = Callable[[str, str], int]
"""Sends a message to a process, "" for all, and returns how many listen."""


class Account:
    """The state of one account, and the step that changes it.

    Args:
        started: when its server was started, in milliseconds of its clock.
    """

    def __init__(self, started: float = -math.inf) -> None:
        self.started = started
        self.born = 0
        self.clear(0.0)

    def clear(self, now: float) -> None:
        """Forget everything."""
        self.born = max(self.born + 1, int(now * 1000))
        self.config = ""
        self.limit = 0
        self.meters = Meters()
        self.total = 0
        self.hold = 0.0
        self.fresh = 0.0  # until then nobody gets more than its share, as not everybody may have reported
        self.quiet = 0.0  # until then nobody gets anything: those who hear the question are about to report
        self.was = 0  # processes that are to report before that
        self.heard = 0
        self.claimed = 0  # as many there were before, say those who were there
        self.told = 0  # of these have reported
        self.young = 0.0  # until then those who were there before may still have to find the server again
        self.round = 0
        self.stepped_at = now
        self.longest = 0
        self.longest_at = 0.0
        self.waker = ""
        self.wake_at = 0.0
        self.members: dict[str, Member] = {}
        self.places: list[str] = []
        self.line = Line()
        self.checks: dict[str, float] = {}  # process -> when it is looked for

    def step(self, report: Report, now: float, publish: Publish) -> Reply:
        """Take a report, hand out what is free, and answer.

        Args:
            now: milliseconds, by the server's clock.
        """
        newborn = not self.members and now >= self.hold and self.meters.are_full(now)
        if newborn:
            self.clear(now)
        self.now, self.publish, self.report = now, publish, report
        self.due = math.inf
        busy = len(self.checks) > 1 and (self.total > 0 or self.line.entries)
        if busy and now > self.stepped_at + report.timeout:
            self._be_careful()  # we stood still, so that some may have gone on alone, and what comes first may be old
        self.stepped_at = now
        member = self.members.get(report.id)
        if member is not None and (report.life, report.seq) <= (member.life, member.seq):
            return self._reply(member, -1)  # late, or doubled
        if report.bye:
            if member is not None:
                self._forget(report.id, member)
            self._look_for_silent()
            self._hand_out()
            return self._reply(None, -1)
        member = self._register(member, newborn)
        self._look_for_silent()
        self._hand_out()
        return self._reply(member, self._wake())

    def gone(self, name: str, now: float, publish: Publish) -> None:
        """A process has ended: hand on what it held."""
        member = self.members.get(name)
        if member is not None:
            self.step(self.report._replace(id=name, life=member.life + 1, bye=1), now, publish)

    def _register(self, member: Member | None, newborn: bool) -> Member:
        report, now = self.report, self.now
        joins = member is None
        if member is None:
            member = self.members[report.id] = Member(len(self.places))
            self.places.append(report.id)
            if len(self.places) <= self.limit:
                self.publish("", "?")  # their shares are smaller now
        if report.config != member.config:
            self._configure(report.config)
        held = member.held
        for index, amount in enumerate(member.take(report, now)):
            self.meters.correct(index, amount)
        self.total += member.held - held
        if report.hold:
            self.hold = max(self.hold, now + report.hold)
            self.publish("", f"h {report.hold}")
        if report.longest >= self.longest or now - self.longest_at > 2 * report.lease:
            self.longest, self.longest_at = report.longest, now
        lost = report.born not in (0, self.born)
        if newborn and report.born == 0:
            self._look_for_others()
        if lost or report.back:
            self._be_careful()
        if joins and not lost:
            member.joined = self.round
        # Who does not know of this question yet may still start what was granted before, or have started it alone.
        if member.round != self.round and (report.born == 0 or (not lost and report.round == self.round)):
            member.round = self.round
            self.heard += 1
            self.told += member.joined != self.round
        if self.heard >= self.was and self.told >= self.claimed and (self.claimed > 0 or self.young <= now):
            self.fresh = 0.0
        self.line.take(report, member)
        busy = member.held > 0 or member.runs
        self.checks[report.id] = now + (self._silence(report.lease) if busy else report.lease)
        return member

    def _silence(self, lease: int) -> float:
        """Return after how long a process is looked for; in a cluster only its lease says anything."""
        silence = max(min(SILENCE_MS, lease / 4), SILENCE_MS_EACH * len(self.checks))
        return min(lease, silence) if self.report.trust else lease

    def _configure(self, config: str) -> None:
        """The newest change of the limit or of a rate is in force for all."""
        self.config = config
        limit, *rates = numbers(config)
        self.limit = int(limit)
        self.meters.configure(rates, self.now)

    def _look_for_others(self) -> None:
        """The first process is one that nobody knew: others may have been there before the server forgot them."""
        report = self.report
        back_in = min(LONGEST_RETRY_MS, report.lease / 3) + report.timeout
        self.young = max(0.0, self.started + back_in + START_MS)
        if self.young > self.now or (report.trust and self.publish("", ".") > 1):
            self._be_careful()

    def _be_careful(self) -> None:
        """Not all that is in flight may be known: until all have reported, nobody gets more than its share."""
        if self.fresh <= self.now:
            self.round += 1
            self.heard = self.told = self.claimed = 0
            self.quiet = self.now + QUIET_MS
            self.was = self.publish("", f"? {self.round}")
        self.fresh = max(self.now + self.report.lease / 2, self.young)
        if self.report.born not in (0, self.born):  # it was there before
            self.claimed = max(self.claimed, self.report.processes)
        else:
            self.was = max(self.was, self.report.processes)
        self.meters.empty(numbers(self.report.costs), self.now)

    def _forget(self, name: str, member: Member) -> None:
        self.total -= member.held
        if member.round == self.round > 0:
            self.heard -= 1  # it may report again
            self.told -= member.joined != self.round
        self.line.drop(name, member)
        del self.members[name]
        self.checks.pop(name, None)
        last = self.places.pop()
        if last != name:  # the last one takes the place that is free
            self.places[member.place] = last
            self.members[last].place = member.place

    def _look_for_silent(self) -> None:
        """Forget whose lease is over, or who is silent and no longer listens."""
        late = sorted((at, name) for name, at in self.checks.items() if at <= self.now)[:8]
        for _, name in late:
            member = self.members[name]
            if self.now >= member.at + member.lease or (self.report.trust and self.publish(name, ".") == 0):
                self._forget(name, member)
            else:
                self.checks[name] = min(self.now + self._silence(member.lease), member.at + member.lease)

    def _hand_out(self) -> None:
        """Grant what is free, in the order of the line."""
        if self.line.entries and self.hold > self.now:
            self.due = self.hold
            return
        index = 0
        if self.line.entries and self.total >= self.limit > 0:
            self.due = min(self.checks.values(), default=math.inf)
        while self.total < self.limit and index < len(self.line.entries):
            score, name, rank, _ = self.line.entries[index]
            member = self.members[name]
            verdict = self._verdict(name, member)
            if verdict == "stop":
                return
            if verdict == "skip":
                index += 1
            else:
                self._grant(name, member, next(run for run in member.runs if run.rank == rank), score)

    def _verdict(self, name: str, member: Member) -> str:
        now = self.now
        if self.fresh > now:
            if self.quiet > now:
                self.due = min(self.due, self.quiet)
                return "stop"
            if self.claimed == 0 and self.young > now:
                self.due = min(self.due, self.young)
                return "stop"
            unheard = max(0, self.claimed - self.told)
            theirs = unheard * math.ceil(self.limit / max(self.claimed, 1))
            share = max(1, self.limit // max(self._expected(), len(self.checks)))
            if member.held >= share or self.total + theirs >= self.limit:
                self.due = min(self.due, self.fresh)
                return "skip"
        ready = self.meters.ready_at(member.costs, now)
        if ready > now:
            self.due = min(self.due, ready)
            return "stop"
        if name != self.report.id and member.granted - member.seen >= math.ceil(self.limit / 2):
            if not member.asked:
                member.asked = now
                self.publish(name, "?")
            if now < member.asked + CONFIRM_MS:
                self.due = min(self.due, member.asked + CONFIRM_MS)
                return "stop"
            return "skip"
        return "grant"

    def _grant(self, name: str, member: Member, run: Run, score: float) -> None:
        self.line.remove(name, run.rank, run.first)
        run.first += 1
        member.runs = [run for run in member.runs if run.last >= run.first]
        member.granted += 1
        if name != self.report.id:
            listening = self.publish(name, f"{self.born} {member.life} {member.granted}")
            if listening == 0 and self.report.trust:  # nobody is there to start it
                member.granted -= 1
                self.line.drop(name, member)
                return
        self.total += 1
        self.line.virtual = max(self.line.virtual, score - run.rank * RANK)
        self.line.tidy(member)
        # Those that have not reported yet go on alone, each with its share of the rate.
        shares = max(1.0, self._expected() / max(self.heard, 1)) if self.fresh > self.now else 1.0
        self.meters.pay(member.costs, self.now, shares)

    def _wake(self) -> int:
        """Choose who reports when something is due: one process, for all."""
        if math.isinf(self.due):
            if self.waker == self.report.id:
                self.waker = ""
            return -1
        known = self.waker != self.report.id and self.waker in self.members
        if known and self.now <= self.wake_at <= self.due + 1:
            return -1
        self.waker, self.wake_at = self.report.id, self.due
        return math.ceil((self.due - self.now) * 1000)

    def _expected(self) -> int:
        """Return how many are to report: that listen, or that there were before."""
        return max(self.was, self.claimed)

    def _place(self, member: Member | None) -> int:
        if member is None or self.fresh > self.now:
            return len(self.checks) + self._expected()  # who has not reported may have its place
        return member.place

    def _reply(self, member: Member | None, wake: int) -> Reply:
        return Reply(
            self.report.seq,
            self.born,
            member.granted if member is not None else 0,
            self.limit,
            max(len(self.checks), self._expected() if self.fresh > self.now else 0),
            self._place(member),
            math.ceil(max(0.0, self.hold - self.now) * 1000),
            wake,
            self.longest,
            self.round,
        )
