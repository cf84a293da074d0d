"""scripts/demo shows what a plain client loses and an enhanced one does not, at a terminal and in a pipe."""

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
DEMO = [sys.executable, str(ROOT / "scripts" / "demo_backends.py")]
QUICK = ["--calls", "40", "--latency", "0.1"]
LINE = re.compile(r"(?: *\d+ s  )?(plain|enhanced) +done +(\d+)  lost +(\d+)  requests +(\d+)(?:  \((.*)\))?")

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="this is not a checkout"),
]


def test_the_plain_client_loses_calls_and_the_enhanced_one_none():
    done = subprocess.run([*DEMO, *QUICK], capture_output=True, text=True, timeout=100, check=True)
    last = {match[1]: match for line in done.stdout.splitlines() if (match := LINE.fullmatch(line))}
    plain, enhanced = last["plain"], last["enhanced"]
    assert int(plain[2]) + int(plain[3]) == int(plain[4]) == 40
    assert int(plain[3]) > 0
    assert "HTTP 429" in plain[5]
    assert (int(enhanced[2]), int(enhanced[3])) == (40, 0)
    assert int(enhanced[4]) > 40
    assert done.stderr == ""


def test_in_a_pipe_it_ends_in_the_lines_that_changed_and_where_to_look_next():
    done = subprocess.run([*DEMO, *QUICK], capture_output=True, text=True, timeout=100, check=True)
    _, _, end = done.stdout.partition("What the codemod changed")
    assert re.search(r"^-.*= self\.session\.request\($", end, re.MULTILINE)
    assert re.search(r"^\+.*= self\._queued\(self\.session\.request\)\($", end, re.MULTILINE)
    for command in re.findall(r"scripts/\w+", end):
        assert os.access(ROOT / command, os.X_OK)
    assert (ROOT / "docs" / "start.md").is_file()
    assert "docs/start.md" in end
    assert "\x1b" not in done.stdout


def test_ctrl_c_ends_it_at_once_and_quietly():
    options = ["--calls", "1000", "--latency", "5"]
    with subprocess.Popen(
        [*DEMO, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        while not LINE.match(demo.stdout.readline()):
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=60)
    assert out.splitlines()[-1] == "Stopped."
    assert (demo.returncode, err) == (0, "")


def test_at_a_terminal_both_are_shown_side_by_side():
    pty = pytest.importorskip("pty")
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(
        [*DEMO, *QUICK], stdin=other_end, stdout=other_end, stderr=other_end, env=environment
    ) as demo:
        os.close(other_end)
        shown = _read_all(terminal)
        assert demo.wait(30) == 0
    os.close(terminal)
    assert re.search(r"─ plain ─.*─ enhanced ─", shown)
    assert "40 done, 0 lost" in shown


def _read_all(terminal: int) -> str:
    """Read until the other end is closed."""
    shown, end = b"", time.monotonic() + 100
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    return shown.decode()
