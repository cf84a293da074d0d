"""Many files are planned in several processes, which nothing leaves behind (C10)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from multiprocessing import spawn
from pathlib import Path

import pytest

from backend_retrofit.codemods.disk import processes, work
from backend_retrofit.codemods.finding.follow import View
from backend_retrofit.codemods.model import Options

from ..planning.test_file import CLIENT
from .crashing import CrashingAtClient3, SummarisingCrashes
from .folders import run

looks_at_processes = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="looks for child processes in /proc"
)


def start_of_a_long_run(folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the command with two processes on files that keep them busy for seconds; return as soon as it has a child."""
    big = "import requests\n" + "".join(
        f"class C{n}:\n    def get(self, url):\n        return requests.get(url)\n" for n in range(1500)
    )
    for number in range(12):
        (folder / f"client{number}.py").write_text(big)
    process = subprocess.Popen(
        [sys.executable, "-m", "backend_retrofit.codemods.command.entry", str(folder), "--jobs", "2"],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    assert wait_for(lambda: children.read_text().strip())
    return process


def check_interrupted(process: subprocess.Popen[str], folder: Path) -> str:
    """Assert that a run ends after Ctrl-C and leaves nothing; return what it says."""
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        if group_lives(process.pid):
            assert wait_for(lambda: not group_lives(process.pid)), end_group(process.pid)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors, errors
    assert len({path.read_text() for path in folder.glob("client*.py")}) == 1
    assert {path.name for path in folder.iterdir()} == {f"client{number}.py" for number in range(12)}
    return errors


def end_group(group: int) -> str:
    """Kill what is left of a process group, so that no test leaves anything; return what is wrong."""
    os.killpg(group, signal.SIGKILL)
    return "a process is left over"


@looks_at_processes
@pytest.mark.parametrize("seconds", [0, 0.4, 0.8])
def test_ctrl_c_ends_a_run_with_several_processes_cleanly(tmp_path, seconds):
    process = start_of_a_long_run(tmp_path)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    assert "nothing was written" in check_interrupted(process, tmp_path)


@looks_at_processes
@pytest.mark.parametrize("seconds", [0, 0.01, 0.1])
def test_a_second_ctrl_c_is_not_lost_and_does_no_harm(tmp_path, seconds):
    process = start_of_a_long_run(tmp_path)
    time.sleep(0.6)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    check_interrupted(process, tmp_path)


_HALF_AN_ANSWER = """
import os, time
from multiprocessing.connection import Connection
original = Connection._send
def send(self, data, write=os.write):
    if len(data) > 100_000:
        write(self._handle, data[:50_000])
        open(os.environ["HALF_AN_ANSWER"], "w").close()
        time.sleep(60)
    original(self, data, write)
Connection._send = send
"""


@looks_at_processes
def test_ctrl_c_in_the_middle_of_an_answer_leaves_nobody_waiting_for_the_rest(tmp_path):
    site, folder, half = tmp_path / "site", tmp_path / "clients", tmp_path / "half"
    site.mkdir()
    folder.mkdir()
    (site / "sitecustomize.py").write_text(_HALF_AN_ANSWER)
    process = start_of_a_long_run(folder, PYTHONPATH=str(site), HALF_AN_ANSWER=str(half))
    assert wait_for(half.exists)
    os.killpg(process.pid, signal.SIGINT)
    assert "nothing was written" in check_interrupted(process, folder)


def wait_for(condition) -> bool:
    """Return True as soon as a condition holds, False after half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def group_lives(group: int) -> bool:
    """Return True if a process group still has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_file_that_crashes_its_process_does_not_end_the_run(tmp_path, monkeypatch):
    for number in range(6):
        (tmp_path / f"client{number}.py").write_text(CLIENT + f"# {'x' * 70_000}\n")
    (tmp_path / "client3.py").write_text("import requests  # crash\n" + f"# {'x' * 70_000}\n")
    monkeypatch.setattr(processes, "_POOL_FROM", 0)
    monkeypatch.setattr(processes, "Summarising", SummarisingCrashes)
    monkeypatch.setattr(processes, "Planning", CrashingAtClient3)
    planned = processes.plan_files(sorted(tmp_path.glob("*.py")), Options(), jobs=2)
    assert [plan.path.name for plan in planned] == [f"client{number}.py" for number in range(6)]
    assert [plan.changed for plan in planned] == [True, True, True, False, True, True]
    assert "crashed" in planned[3].problems[0].reason


@pytest.mark.skipif(os.name != "posix", reason="needs a program that ends at once")
@pytest.mark.timeout(120)
def test_processes_that_end_before_they_know_their_work_stop_nothing(tmp_path, monkeypatch):
    """As where there is no memory left, or the tool is updated meanwhile. What they are told is more than a pipe holds."""
    program = tmp_path / "ends"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "client.py").write_text(CLIENT)
    monkeypatch.setattr(processes, "_POOL_FROM", 0)
    monkeypatch.setattr(spawn, "_python_exe", os.fsencode(program))
    told = Options(given=("x" * 1_000_000,))
    paths = {0: tmp_path / "client.py", 1: tmp_path / "client.py"}
    outcomes = dict(processes._each(paths, {0: 9, 1: 9}, work.Planning(told, View()), 2))
    assert [outcomes[index].changed for index in (0, 1)] == [True, True]


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    for number in range(8):
        text = CLIENT.replace("get", ("get", "put", "post", "patch")[number % 4])
        (tmp_path / f"c{number}.py").write_text(text)
    paths = sorted(tmp_path.glob("*.py"))
    alone = processes.plan_files(paths, Options(), jobs=1)
    monkeypatch.setattr(processes, "_POOL_FROM", 0)
    monkeypatch.setattr(processes, "_CHUNK", 100)
    seen: list[int] = []
    assert processes.plan_files(paths, Options(), 2, seen.append) == alone
    assert seen == list(range(1, 9))


def test_the_content_of_a_file_is_kept_only_where_it_is_to_be_shown_or_asked(tmp_path):
    contents = {
        "nothing.py": "import requests\n\nx = 1\n",
        "skipped.py": "import requests\n\nrequests.get('https://example.com')\n",
        "uses.py": "import requests\nfrom _request_engine import RequestEngine\n",
        "client.py": CLIENT,
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    planned = processes.plan_files(sorted(tmp_path.glob("*.py")), Options(), jobs=1)
    assert {plan.path.name for plan in planned if plan.before} == {"skipped.py", "uses.py", "client.py"}


def test_ten_thousand_files(tmp_path):
    for folder in range(100):
        (tmp_path / f"f{folder}").mkdir()
        for number in range(100):
            text = CLIENT if (folder, number) in ((7, 7), (9, 9)) else f"x = {number}\n"
            (tmp_path / f"f{folder}" / f"m{number}.py").write_text(text)
    done = run(tmp_path)
    assert "10000 files" in done.stdout.replace(",", "")
    assert b"retrofit:queue" in (tmp_path / "f7" / "m7.py").read_bytes()
