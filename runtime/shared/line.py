"""The line of an account: who waits for a slot, in which order.

One entry for each slot that a process waits for. Requests of one flow are first in, first out; flows take turns by
start-time fair queueing (https://doi.org/10.1109/90.649569).
"""

from __future__ import annotations

import bisect

from .members import Member, Run
from .messages import RANK, Report


class Line:
    """The entries, lowest score first: by rank, then by the tag of their flow."""

    def __init__(self) -> None:
        self.virtual = 0.0  # tag of the newest grant
        self.flows: dict[str, float] = {}  # flow -> tag of its next request
        self.entries: list[tuple[float, str, int, int]] = []  # score, process, rank, number
        self.scores: dict[tuple[str, int, int], float] = {}

    def take(self, report: Report, member: Member) -> None:
        """Let as many entries of a process stand in line as it waits for, beyond what it was granted and has not seen."""
        name = report.id
        if member.flow != report.flow:
            self.drop(name, member)
            member.flow = report.flow
        on_their_way = member.granted - member.seen
        # One that is alone goes on starting until it hears from us: what it holds then, only its next report says.
        words = [] if report.back else report.waiting.split()
        wanted: dict[int, int] = {}
        for word, number in zip(words[::2], words[1::2], strict=True):
            wanted[int(word)] = max(0, int(number) - on_their_way)
            on_their_way = max(0, on_their_way - int(number))
        for run in member.runs:
            self._set_run(name, member, run, wanted.pop(run.rank, 0))
        for rank, count in wanted.items():
            run = Run(rank, 1, 0)
            self._set_run(name, member, run, count)
            member.runs.append(run)
        member.runs = [run for run in member.runs if run.last >= run.first]
        self.tidy(member)

    def _set_run(self, name: str, member: Member, run: Run, count: int) -> None:
        while run.last - run.first + 1 < count:
            run.last += 1
            tag = max(self.virtual, self.flows.get(member.flow, 0.0))
            self.flows[member.flow] = tag + 1
            self.scores[name, run.rank, run.last] = run.rank * RANK + tag
            bisect.insort(self.entries, (run.rank * RANK + tag, name, run.rank, run.last))
        while run.last - run.first + 1 > count:
            tag = self.remove(name, run.rank, run.last) - run.rank * RANK
            if self.flows.get(member.flow) == tag + 1:
                self.flows[member.flow] = tag
            run.last -= 1

    def remove(self, name: str, rank: int, number: int) -> float:
        score = self.scores.pop((name, rank, number))
        del self.entries[bisect.bisect_left(self.entries, (score, name, rank, number))]
        return score

    def drop(self, name: str, member: Member) -> None:
        for run in member.runs:
            self._set_run(name, member, run, 0)
        member.runs = []
        self.tidy(member)

    def tidy(self, member: Member) -> None:
        if member.flow and not member.runs and self.flows.get(member.flow, 0.0) <= self.virtual + 1:
            self.flows.pop(member.flow, None)
