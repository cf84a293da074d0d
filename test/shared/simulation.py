"""Processes, a network and a server in simulated time: the real counters, the real step, no threads."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from backend_retrofit_runtime.shared.account import Account
from backend_retrofit_runtime.shared.holdings import Holdings
from backend_retrofit_runtime.shared.messages import Reply, Report, Terms


@dataclass
class Network:
    """Chances that a message is lost or doubled, and how long one takes at most, in seconds."""

    lost: float = 0.0
    doubled: float = 0.0
    delay: float = 0.002
    straggle: float = 0.0  # chance of taking up to ten timeouts


@dataclass
class Process:
    """One process: its counters, those who wait, and its requests in flight."""

    world: World
    terms: Terms
    left: int  # requests to make in all
    callers: int
    call: float
    waiting: int = 0
    running: set[object] = field(default_factory=set)
    dead: bool = False
    away_until: float = 0.0
    reporting: bool = False
    dirty: bool = False
    retry_at: float = 0.0
    failures: int = 0
    finished: int = 0

    def __post_init__(self) -> None:
        self.holdings = Holdings(self.terms)
        self.world.processes[self.holdings.id] = self
        for _ in range(self.callers):
            self.ask()
        self.world.at(0.5, self.beat)

    def ask(self) -> None:
        if self.left > 0:
            self.left -= 1
            self.waiting += 1
            self.report_soon()

    def pump(self) -> None:
        while self.waiting and not self.dead:
            slot = object()
            if not self.holdings.take(slot, self.world.now):
                return
            self.waiting -= 1
            self.running.add(slot)
            self.world.check()
            self.world.at(self.call * self.world.random.uniform(0.5, 1), lambda slot=slot: self.end(slot))

    def end(self, slot: object) -> None:
        if self.dead:
            return
        self.running.discard(slot)
        self.finished += 1
        self.holdings.give(slot, self.world.now)
        self.ask()
        self.pump()
        self.report_soon()

    def beat(self) -> None:
        if not self.dead:
            self.pump()
            self.report_soon()
            self.world.at(0.5, self.beat)

    def report_soon(self) -> None:
        self.dirty = True
        if not self.reporting and not self.dead:
            self.reporting = True
            self.world.at(0.0001, self.report)

    def report(self) -> None:
        world, holdings = self.world, self.holdings
        if self.dead:
            return
        if holdings.alone is not None and world.now < self.retry_at:
            self.reporting = False
            world.at(self.retry_at - world.now, self.report_soon)
            return
        self.dirty = False
        holdings.give_back_spare(self.waiting)
        report = holdings.report(world.now, {0: self.waiting} if self.waiting else {})
        sent_at = world.now
        open_ = [True]

        def answered(reply: Reply) -> None:
            if open_[0] and not self.dead:
                open_[0] = False
                self.failures = 0
                holdings.answered(report, reply, sent_at, world.now)
                self.pump()
                self.reporting = False
                if self.dirty or holdings.spare > 0 or holdings.alone is not None:
                    self.report_soon()
                if holdings.wake_at < float("inf"):
                    world.at(max(0.0, holdings.wake_at - world.now), self.report_soon)

        def timed_out() -> None:
            if open_[0] and not self.dead:
                open_[0] = False
                holdings.lost(world.now)
                self.retry_at = world.now + min(0.05 * 2**self.failures, self.terms.lease / 5)
                self.failures += 1
                self.pump()
                self.reporting = False
                self.report_soon()

        world.send(lambda: world.serve(self, report, answered))
        world.at(self.terms.timeout, timed_out)

    def told(self, message: str) -> None:
        if not self.dead:
            if self.holdings.told(message, self.world.now):
                self.retry_at = 0.0
                self.report_soon()
            self.pump()

    def kill(self) -> None:
        self.dead = True
        self.running.clear()


class World:
    """Time, the network and the server.

    Args:
        limit: what must never be exceeded.
        strict: check that at every start.
    """

    def __init__(self, random: Random, limit: int, network: Network, strict: bool = True) -> None:
        self.random, self.limit, self.network, self.strict = random, limit, network, strict
        self.now = 1000.0
        self.account = Account()
        self.up = True
        self.hangs_until = 0.0  # it executes what comes meanwhile when it goes on, which takes a while
        self.events: list[tuple[float, int, Callable[[], object]]] = []
        self.count = itertools.count()
        self.processes: dict[str, Process] = {}
        self.peak = 0
        self.steps = 0

    def at(self, delay: float, event: Callable[[], object]) -> None:
        heapq.heappush(self.events, (self.now + delay, next(self.count), event))

    def send(self, deliver: Callable[[], object]) -> None:
        network, random = self.network, self.random
        for _ in range(2 if random.random() < network.doubled else 1):
            if random.random() >= network.lost:
                delay = random.uniform(0, network.delay)
                if random.random() < network.straggle:
                    delay += random.uniform(0, 5)
                self.at(delay, deliver)

    def serve(self, process: Process, report: Report, answered: Callable[[Reply], None]) -> None:
        if self.now < self.hangs_until:
            delay = self.hangs_until - self.now + self.random.uniform(0, self.network.delay)
            self.at(delay, lambda: self.serve(process, report, answered))
        elif self.up:
            self.steps += 1
            reply = self.account.step(report, self.now * 1000, self.publish)
            self.send(lambda: answered(reply))
            assert self.account.total == sum(member.held for member in self.account.members.values())

    def publish(self, name: str, message: str) -> int:
        listening = 0
        for known, process in self.processes.items():
            if name in ("", known) and not process.dead:
                listening += 1
                self.send(lambda process=process: process.told(message))
        return listening

    def check(self) -> None:
        flying = sum(len(process.running) for process in self.processes.values())
        self.peak = max(self.peak, flying)
        assert not self.strict or flying <= self.limit, f"{flying} in flight"

    def run(self, seconds: float) -> None:
        """Let time pass, until nobody has anything left to do or so many seconds are over."""
        end = self.now + seconds
        while self.events and self.now < end and not self.done():
            self.now, _, event = heapq.heappop(self.events)
            event()

    def done(self) -> bool:
        return all(p.dead or not (p.left or p.waiting or p.running) for p in self.processes.values())
