"""The Lua script and the step in Python are the same step: same answers, same messages, whatever is reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_retrofit_runtime.shared.account import Account
from backend_retrofit_runtime.shared.messages import Report
from backend_retrofit_runtime.shared.script import LUA

from .redis_process import RedisProcess, needs_redis

pytestmark = [needs_redis, pytest.mark.timeout(300)]

KEYS = ["{a}state", "{a}line", "{a}checks"]

# The script with the test's clock, by which nothing expires, and with a list in place of subscribers.
TESTED = (
    LUA.replace("redis.call('TIME')", "{0, ARGV[24] * 1000}")
    .replace("redis.pcall('INFO', 'server')", "ARGV[25]")
    .replace("'PEXPIRE'", "'EXISTS'")
    .replace(
        "return redis.call(PUBLISH, CHANNEL .. name, message)",
        "redis.call('RPUSH', 'log', name .. ' ' .. message)\n"
        "    return name == '' and 2 or redis.call('SISMEMBER', 'deaf', name) == 1 and 0 or 1",
    )
)
CONFIGS = [
    "1",
    "2",
    "5",
    "0",
    "8 100.0 3 0.0",
    "3 250.5 1 2.0 0.0 3 120.5",
    "4 -1000.0 1 0",
    "6 0.0 1 0 9.5 2 40",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with RedisProcess() as running:
        yield running.client()


class Process:
    """A process that reports anything it could have come to, with no regard to what it was granted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.life, self.seq, self.seen, self.returned, self.unused, self.born = 1, 0, 0, 0, 0, 0
        self.granted = 0
        self.config = "5"
        self.reports: list[Report] = []

    def report(self, draw: Any) -> Report:
        number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
        if self.reports and number(0, 9) == 0:
            return self.reports[number(0, len(self.reports) - 1)]  # late or doubled
        if number(0, 14) == 0:
            self.life += 1
        self.seq += 1
        self.seen = max(self.seen, number(self.seen, max(self.granted, self.seen)))
        before, self.returned = self.returned, number(self.returned, self.seen)
        self.unused += number(0, self.returned - before)
        if number(0, 9) == 0:
            self.config = draw(st.sampled_from(CONFIGS))
        rates = len(self.config.split()) // 3
        ranks = draw(st.lists(st.sampled_from([-1, 0, 1]), unique=True, max_size=2).map(sorted))
        report = Report(
            id=self.name,
            life=self.life,
            seq=self.seq,
            seen=self.seen,
            returned=self.returned,
            unused=self.unused,
            config=self.config,
            lease=draw(st.sampled_from([2000, 15000])),
            born=self.born,
            processes=number(1, 4),
            back=int(number(0, 9) == 0),
            longest=number(0, 3) * 100,
            hold=number(1, 500) if number(0, 14) == 0 else 0,
            flow=draw(st.sampled_from(["", "", self.name, "tenant"])),
            bye=int(number(0, 14) == 0),
            trust=int(number(0, 9) > 0),
            publish="PUBLISH",
            channel="",
            costs=" ".join(["1.0", "120.5"][:rates]),
            spent=" ".join(["0.0", str(self.seq * 3.5)][:rates]),
            timeout=1000,
            round=number(0, 3),
            waiting=" ".join(f"{rank} {number(0, 5)}" for rank in ranks),
        )
        self.reports.append(report)
        return report


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_lua_and_python_answer_and_publish_the_same(server: Any, data: st.DataObject) -> None:
    server.flushall()
    script = server.register_script(TESTED)
    now = 1_000_000
    started = now - 1000 * data.draw(st.sampled_from([1, 3, 8, 900]))
    account = Account(started)
    processes = [Process(name) for name in ("a", "b", "c")]
    deaf: set[str] = set()
    for _ in range(data.draw(st.integers(1, 60))):
        now += data.draw(st.sampled_from([1, 1, 1, 3, 20, 60, 300, 1100, 2500, 40_000]))
        process = data.draw(st.sampled_from(processes))
        if data.draw(st.integers(0, 9)) == 0:
            deaf ^= {process.name}
            server.delete("deaf")
            if deaf:
                server.sadd("deaf", *deaf)
        if data.draw(st.integers(0, 39)) == 0:
            server.delete(*KEYS)
            account = Account(started)
        report = process.report(data.draw)
        published: list[str] = []

        def publish(
            name: str, message: str, published: list[str] = published, deaf: Any = frozenset(deaf)
        ) -> int:
            published.append(f"{name} {message}")
            return int(name not in deaf) if name else 2

        account.started = now - (now - started) // 1000 * 1000  # as a server in whole seconds has it
        expected = account.step(report, now, publish)
        server.delete("log")
        answer = script(
            keys=KEYS, args=[*report.arguments(), now, f"uptime_in_seconds:{(now - started) // 1000}"]
        )
        assert answer == list(expected), report
        assert server.lrange("log", 0, -1) == published
        process.granted, process.born = expected.granted, expected.born
        assert account.total == sum(member.held for member in account.members.values())
        assert len(account.line.entries) == sum(
            run.last - run.first + 1 for member in account.members.values() for run in member.runs
        )
