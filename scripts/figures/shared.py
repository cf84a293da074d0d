"""`scripts/bench_shared`: what several processes reach together, with a real Redis and an API that counts for itself."""

from __future__ import annotations

import argparse
import bisect
import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from .rows import Check, Row, print_table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from test.shared.api_server import ApiServer  # noqa: E402
from test.shared.redis_process import RedisProcess  # noqa: E402
from test.shared.watching import until  # noqa: E402

from .crowd import Crowd  # noqa: E402

CALLER = Path(__file__).with_name("shared_caller.py")


@dataclass
class Run:
    """What a run came to."""

    rate: float
    """Requests that were started a second."""
    peak: int
    above: int
    too_fast: float
    """Of all, in per cent."""
    failed: int
    mean_overtaken: float
    most_overtaken: int
    commands: float
    """Of Redis, for each request; what a script does counts as one."""
    starts: list[float]
    waits: list[list[float]]
    """Of each process, how long its requests waited."""


def overtaken(requests: list[tuple[float, float]]) -> list[int]:
    """Return by how many that asked later each request was overtaken."""
    started: list[float] = []
    counts = []
    for _, start in sorted(requests, reverse=True):
        counts.append(bisect.bisect_left(started, start))
        bisect.insort(started, start)
    return counts


class Bench:
    """Processes that call an API in one way.

    Args:
        threads: of each process.
    """

    def __init__(
        self, way: str, threads: list[int], limit: int, call: float, rate: float = 0, **settings: Any
    ) -> None:
        self.way, self.threads, self.limit, self.call, self.rate, self.settings = (
            way,
            threads,
            limit,
            call,
            rate,
            settings,
        )
        self.callers: list[subprocess.Popen[str]] = []

    def run(self, seconds: float, act: Callable[[Bench, RedisProcess], None] | None = None) -> Run:
        """Let it run for so long; `act` is called after a second, and may take its time."""
        with RedisProcess() as redis, ApiServer(self.limit, self.call, self.rate) as api:
            self.callers = [self._start(redis, api, threads) for threads in self.threads]
            for caller in self.callers:
                assert caller.stdout is not None
                caller.stdout.readline()
            for caller in self.callers:
                self._say(caller)
            until(lambda: len(api.starts) > 0, 60)  # newcomers at a young server start nothing at first
            time.sleep(1)
            client = redis.client()
            client.config_resetstat()
            first = len(api.starts)
            api.forget()
            api.too_fast = 0
            begin = time.monotonic()
            if act is not None:
                act(self, redis)
            time.sleep(max(0.0, begin + seconds - time.monotonic()))
            starts = [at for at, _ in api.starts[first:]]
            took = time.monotonic() - begin
            with contextlib.suppress(Exception):
                stats = client.info("commandstats")
            scripts = sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))
            inside = {"evalsha", "eval", "info", "config|resetstat"}
            plain = (
                sum(row["calls"] for name, row in stats.items() if name[8:] not in inside)
                if not scripts
                else 0
            )
            alive = [caller for caller in self.callers if caller.poll() is None]
            for caller in alive:
                self._say(caller)
            told = [json.loads(caller.communicate(timeout=60)[0].splitlines()[-1]) for caller in alive]
            requests = [(a, s) for seen, _ in told for a, s in seen if begin <= a and s <= begin + seconds]
            counts = overtaken(requests) or [0]
            return Run(
                rate=len(starts) / took,
                peak=api.peak,
                above=api.above,
                too_fast=100 * api.too_fast / max(len(starts), 1),
                failed=sum(failed for _, failed in told),
                mean_overtaken=statistics.mean(counts),
                most_overtaken=max(counts),
                commands=(scripts or plain) / max(len(starts), 1),
                starts=[at - begin for at in starts],
                waits=[[s - a for a, s in seen if begin <= a] for seen, _ in told],
            )

    def _start(self, redis: RedisProcess, api: ApiServer, threads: int) -> subprocess.Popen[str]:
        what = [self.way, redis.port, api.port, threads, self.limit, self.rate, self.settings]
        return subprocess.Popen(
            [sys.executable, str(CALLER), json.dumps(what)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _say(self, caller: subprocess.Popen[str]) -> None:
        with contextlib.suppress(OSError):
            assert caller.stdin is not None
            caller.stdin.write("\n")
            caller.stdin.flush()


def _installed(*ways: str) -> list[str]:
    """Return those of the ways whose packages are here: the others come with the extra `bench-shared`."""
    modules = {
        "steindamm": "steindamm",
        "py-redis-semaphore": "redis_semaphore",
        "limits": "limits",
        "pyrate-limiter": "pyrate_limiter",
    }
    return [way for way in ways if importlib.util.find_spec(modules.get(way, "redis"))]


def slots(quick: bool) -> Row:
    seconds = 2.0 if quick else 6.0
    best = Bench("dedicated", [5, 5, 5, 5], 20, 0.023).run(seconds).rate
    values, notes = {}, {}
    ours = None
    for way in _installed(
        "ours", "ours, machine", "BLPOP", "steindamm", "py-redis-semaphore", "redis-py Lock"
    ):
        run = Bench(way, [32] * 8, 20, 0.023).run(seconds)
        ours = ours or run
        values[way] = best / max(run.rate, 0.1)
        notes[way] = (
            f"peak {run.peak}, overtaken {run.most_overtaken} / {run.mean_overtaken:.2g}, {run.commands:.2g} commands"
        )
    assert ours is not None
    checks = [
        Check("time", values["ours"], "≤", 1.10),
        Check("overtaken, mean", ours.mean_overtaken, "≤", 2),
        Check("most in flight", ours.peak, "≤", 20),
    ]
    return Row(
        "slots",
        "8 × 32 threads, limit 20, 23 ms: time ÷ that of 20 dedicated threads",
        "×",
        values,
        checks,
        notes,
    )


def _outage(bench: Bench, redis: RedisProcess) -> None:
    redis.kill()
    time.sleep(2.5)
    redis.start()


def away(quick: bool) -> Row:
    best = Bench("ours", [16] * 4, 8, 0.05).run(3)
    run = Bench("ours", [16] * 4, 8, 0.05, shared_timeout=0.5).run(4.5, _outage)
    meanwhile = sum(at < 2.5 for at in run.starts) / 2.5 / best.rate
    checks = [
        Check("failed", run.failed, "=", 0),
        Check("above the limit", run.above, "=", 0),
        Check("throughput", meanwhile, "≥", 0.9),
    ]
    return Row(
        "away", "Redis killed for 2.5 s: throughput meanwhile", "of the usual", {"ours": meanwhile}, checks
    )


def killed(quick: bool) -> Row:
    lease = 2.0
    best = Bench("ours", [16] * 4, 8, 0.05).run(3)
    run = Bench("ours", [16] * 4, 8, 0.05, shared_lease=lease).run(
        5, lambda bench, redis: bench.callers[0].kill()
    )
    during = sum(at < lease for at in run.starts) / lease / best.rate
    after = sum(lease <= at < 5 for at in run.starts) / (5 - lease) / best.rate
    checks = [
        Check("failed", run.failed, "=", 0),
        Check("above the limit", run.above, "=", 0),
        Check("over a lease", during, "≥", 0.7),
        Check("after it", after, "≥", 0.95),
    ]
    return Row(
        "killed",
        "kill -9 of one of four workers: starts of the others over a lease",
        "of the usual",
        {"ours": during},
        checks,
    )


def rate(quick: bool) -> Row:
    seconds = 2.0 if quick else 6.0
    values, notes = {}, {}
    ours = None
    for way in _installed("ours", "ours, machine", "steindamm", "limits", "pyrate-limiter"):
        run = Bench(way, [16] * 4, 64, 0.023, rate=200).run(seconds)
        ours = ours or run
        values[way] = 200 / max(run.rate, 0.1)
        notes[way] = f"{run.too_fast:.2g} % too fast, {run.commands:.2g} commands"
    assert ours is not None
    checks = [
        Check("time", values["ours"], "≤", 1.02),
        Check("refused, %", ours.too_fast, "≤", 0.5),
        Check("commands a request", ours.commands, "≤", 3),
    ]
    return Row("rate", "4 processes, 200/s shared, burst 10: time ÷ ideal", "×", values, checks, notes)


def rate_away(quick: bool) -> Row:
    run = Bench("ours", [16] * 4, 64, 0.023, rate=200, shared_timeout=0.5).run(5, _outage)
    checks = [Check("failed", run.failed, "=", 0), Check("refused, %", run.too_fast, "≤", 2)]
    return Row(
        "rate-away", "the same with Redis killed for 2.5 s: refused", "%", {"ours": run.too_fast}, checks
    )


def fairness(quick: bool) -> Row:
    waits = {}
    for fairness in ("fifo", "process"):
        run = Bench("ours", [200, 2], 8, 0.02, shared_fairness=fairness).run(4)
        waits[fairness] = statistics.median(run.waits[1] or [0])
    value = waits["process"] / waits["fifo"]
    notes = {"ours": f"{waits['process'] * 1e3:.0f} ms instead of {waits['fifo'] * 1e3:.0f} ms"}
    return Row(
        "fairness", 'web process beside a 200-thread batch, "process": wait ÷ that under "fifo"', "×", {"ours": value},
        [Check("wait", value, "≤", 0.1)], notes,
    )  # fmt: skip


def crowd(quick: bool) -> Row:
    values, notes = {}, {}
    checks = []
    for count in (10, 1000):
        with RedisProcess() as redis:
            many = Crowd(redis, count, 100 if count > 100 else 5)
            many.run(3 if quick else 15)
            many.close()
        done = max(many.done, 1)
        name = "ours" if count == 1000 else f"ours, {count} processes"
        values[name] = many.cpu / done * 1e6
        notes[name] = f"{many.steps / done:.2f} scripts a request, {many.done} requests, peak {many.peak}"
        checks.append(Check(f"in flight, {count} processes", many.peak, "≤", 100 if count > 100 else 5))
    checks.append(Check("scripts a request", many.steps / done, "≤", 3))
    return Row(
        "crowd", "1,000 processes, limit 100: Redis's CPU for each request", "µs", values, checks, notes
    )


ROWS: dict[str, Callable[[bool], Row]] = {
    "slots": slots,
    "away": away,
    "killed": killed,
    "rate": rate,
    "rate-away": rate_away,
    "fairness": fairness,
    "crowd": crowd,
}


def _rows(keys: list[str], quick: bool, console: Console) -> Iterator[Row]:
    for key in keys:
        console.print(f"[dim]{key} ...[/]")
        yield ROWS[key](quick)


def main() -> None:
    """Measure the rows that are asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description="Measure limits that processes share, beside what others reach."
    )
    parser.add_argument("--only", action="append", choices=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    options = parser.parse_args()
    console = Console()
    rows = list(_rows(options.only or list(ROWS), options.quick, console))
    print_table(rows, console)
    sys.exit(not (options.quick or all(check.met for row in rows for check in row.checks)))
