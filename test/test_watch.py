"""scripts/watch shows a backend under load, at a terminal and in a pipe, and ends when it is told to."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WATCH = [sys.executable, str(ROOT / "scripts" / "watch_backend.py")]
LINE = re.compile(
    r" *\d+ s  sent +(\d+)  done +(\d+)  retried +(\d+)  failed +(\d+)  waiting +(\d+)  running +(\d+)"
)
SUMMARY = re.compile(r"(\d+) calls done, (\d+) failed; (\d+) requests sent, (\d+) of them again; ")

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="this is not a checkout"),
]


def test_in_a_pipe_it_prints_a_line_a_second_and_a_summary():
    options = ["--seconds", "3", "--callers", "8", "--limit", "2", "--errors", "0", "--latency", "0.02"]
    done = subprocess.run([*WATCH, *options], capture_output=True, text=True, timeout=60, check=True)
    *lines, last = done.stdout.splitlines()
    rows = [[int(number) for number in LINE.fullmatch(line).groups()] for line in lines]
    assert 1 <= len(rows) <= 3
    assert all(running <= 2 and waiting <= 8 for *_, waiting, running in rows)
    calls, failed, sent, again = map(int, SUMMARY.match(last).groups())
    assert calls >= sum(done for _, done, *_ in rows) > 0
    assert (failed, again) == (0, 0)
    assert sent >= calls
    assert done.stderr == ""


def test_faults_are_counted():
    options = ["--seconds", "3", "--callers", "2", "--errors", "1", "--max-retries", "0"]
    done = subprocess.run([*WATCH, *options], capture_output=True, text=True, timeout=60, check=True)
    calls, failed, _, again = map(int, SUMMARY.match(done.stdout.splitlines()[-1]).groups())
    assert (calls, again) == (0, 0)
    assert failed > 0


def test_ctrl_c_ends_it_at_once_with_a_summary_and_nothing_else():
    with subprocess.Popen(
        [*WATCH, "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert LINE.match(watch.stdout.readline())
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=30)
    assert SUMMARY.match(out.splitlines()[-1])
    assert (watch.returncode, err) == (0, "")


def test_at_a_terminal_keys_change_the_load_and_q_ends_it():
    pty = pytest.importorskip("pty")
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    options = ["--seconds", "60", "--callers", "4", "--errors", "0"]
    with subprocess.Popen(
        [*WATCH, *options], stdin=other_end, stdout=other_end, stderr=other_end, env=environment
    ) as watch:
        os.close(other_end)
        _read_until(terminal, "4 callers")
        os.write(terminal, b"+]e")
        shown = _read_until(terminal, "10% are 503")
        assert "8 callers" in shown
        os.write(terminal, b"q")
        _read_until(terminal, "calls done")
        assert watch.wait(30) == 0
    os.close(terminal)


def _read_until(terminal: int, text: str) -> str:
    """Return what a terminal shows until a text comes, without its control sequences."""
    shown, end = "", time.monotonic() + 30
    while text not in shown:
        assert time.monotonic() < end, f"{text!r} did not come: {shown[-2000:]}"
        if select.select([terminal], [], [], 1)[0]:
            shown += re.sub(
                r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(terminal, 65536).decode("utf-8", "replace")
            )
    return shown


def test_it_shows_the_rate_and_the_window():
    from scripts.watch_backend import _rate_in

    stats = {"learnt_requests_per_minute": 500.0, "next_start_seconds": 0.12, "window": 3, "waiting": 2}
    assert _rate_in(stats) == "   500 learnt requests per minute   next start in 0.12 s   window 3"
