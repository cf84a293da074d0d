"""Files are written in one step and as they were, whatever happens meanwhile (C9)."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backend_retrofit.codemods.blocks import templates
from backend_retrofit.codemods.disk import find
from backend_retrofit.codemods.disk.write import write_all
from backend_retrofit.codemods.model import Run

from ..planning.test_file import CLIENT
from .folders import RUNTIME, content, plans, problems, run, write

# Attributes and links.


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o664])
def test_the_mode_stays(package, mode):
    path = package / "client.py"
    path.chmod(mode)
    write(package)
    assert b"retrofit:queue" in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_extended_attributes_stay(package):
    path = package / "client.py"
    try:
        os.setxattr(path, "user.note", b"mine")
    except (OSError, AttributeError) as error:
        pytest.skip(f"no extended attributes here: {error}")
    write(package)
    assert os.getxattr(path, "user.note") == b"mine"


def test_the_time_of_change_is_new(package):
    path = package / "client.py"
    os.utime(path, (1, 1))
    write(package)
    assert path.stat().st_mtime > 1


def test_a_new_runtime_has_the_mode_that_the_umask_gives(package):
    old = os.umask(0o027)
    try:
        write(package)
    finally:
        os.umask(old)
    assert stat.S_IMODE((package / RUNTIME).stat().st_mode) == 0o640


def test_a_link_that_is_named_is_followed_and_stays_a_link(package, tmp_path):
    real = tmp_path / "real.py"
    real.write_text(CLIENT)
    link = package / "linked.py"
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert b"retrofit:queue" in real.read_bytes()


def test_the_runtime_is_not_written_through_a_link(package, tmp_path):
    target = tmp_path / "elsewhere.py"
    target.write_bytes(b"")
    (package / RUNTIME).symlink_to(target)
    outcome = write(package)
    assert "link" in problems(outcome)[RUNTIME]
    assert "was left alone" in problems(outcome)["client.py"]
    assert target.read_bytes() == b""
    assert (package / "client.py").read_text() == CLIENT


def test_another_name_of_a_hard_linked_file_keeps_what_it_had(package, tmp_path):
    other = tmp_path / "cache.py"
    os.link(package / "client.py", other)
    write(package)
    assert b"retrofit:queue" in (package / "client.py").read_bytes()
    assert other.read_text() == CLIENT


# What goes wrong.


def test_a_read_only_file_is_left_alone(package):
    (package / "client.py").chmod(0o444)
    assert problems(write(package)) == {"client.py": "it is read-only"}
    assert (package / "client.py").read_text() == CLIENT
    assert not (package / RUNTIME).exists()


_READ_ONLY_FOLDER = """
import os, sys
from pathlib import Path
from backend_retrofit.codemods.disk.read import plan_file
from backend_retrofit.codemods.disk.write import write
from backend_retrofit.codemods.model import Options
path = Path(sys.argv[1])
planned = plan_file(path, Options())
assert planned.changed
path.parent.chmod(0o555)
if os.geteuid() == 0:
    os.chown(path, 65534, 65534)
    os.seteuid(65534)  # to root, nothing is read-only
print(write(planned).reason)
"""


def test_a_read_only_folder_is_named():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "client.py").write_text(CLIENT)
        command = [sys.executable, "-c", _READ_ONLY_FOLDER, folder / "client.py"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        folder.chmod(0o755)
        assert "Permission denied" in done.stdout, done.stderr
        assert content(folder) == {"client.py": CLIENT.encode()}


def test_a_full_disk_leaves_the_file_as_it_was(package, tmp_path):
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from backend_retrofit.codemods.command.main import main\nsys.exit(main([sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, package], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    assert "too large" in done.stderr.lower()
    assert content(package) == {"__init__.py": b"", "client.py": CLIENT.encode()}


def test_a_file_that_changed_or_vanished_since_it_was_read_is_left_alone(package):
    planned = plans(package)
    (package / "client.py").write_text(CLIENT + "\nx = 1\n")
    write_all(planned)
    assert "changed since" in problems(planned)["client.py"]
    assert (package / "client.py").read_text() == CLIENT + "\nx = 1\n"
    assert not (package / RUNTIME).exists(), "the runtime came, and nobody needs it"
    planned = plans(package)
    (package / "client.py").unlink()
    write_all(planned)
    assert "vanished" in problems(planned)["client.py"]
    assert not (package / "client.py").exists()


def test_a_file_that_changes_while_the_new_one_is_written_is_left_alone(package, monkeypatch):
    path = package / "client.py"
    original = os.fsync

    def fsync(handle):
        path.write_text("# somebody else\n")
        original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    planned = [plan for plan in plans(package) if plan.path == path]
    write_all(planned)
    assert "changed since" in problems(planned)["client.py"]
    assert path.read_text() == "# somebody else\n"
    assert set(content(package)) == {"__init__.py", "client.py"}


# Killed and interrupted.

_KILLED = """
import os, sys, signal
from pathlib import Path
from backend_retrofit.codemods.disk.write import write
from backend_retrofit.codemods.model import FilePlan
path = Path(sys.argv[1])
for line in sys.stdin:  # a process for each step, which need not import all that again
    at = int(line)
    if (child := os.fork()) == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
count = 0
def audit(event, arguments):
    global count
    if event in ("open", "os.rename", "os.chmod", "os.chown", "os.utime", "os.remove", "os.scandir", "tempfile.mkstemp"):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
before = path.read_bytes()
planned = FilePlan(path, before, b"new" * 100_000)
sys.addaudithook(audit)
sys.exit(write(planned))  # None: it is written
"""


def test_kill_9_at_every_step_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "client.py"
    seen = set()
    command = [sys.executable, "-c", _KILLED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for at in range(1, 60):
            path.write_bytes(b"old" * 100_000)
            process.stdin.write(f"{at}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            data = path.read_bytes()
            assert data in (b"old" * 100_000, b"new" * 100_000)
            seen.add(data[:3])
            assert [p.name for p in find.python_files([tmp_path], Run())] == ["client.py"]
            if status == 0:
                break
            assert status == -signal.SIGKILL
        process.stdin.close()
    assert status == 0
    assert at > 5
    assert seen == {b"old", b"new"}
    assert [p.name for p in tmp_path.iterdir()] == ["client.py"], "the next run sweeps up"


def test_kill_9_at_any_time_of_a_whole_run(tmp_path):
    clients = []
    for number in range(15):
        folder = tmp_path / f"p{number}"
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "client.py").write_text(CLIENT)
        clients.append(folder / "client.py")
    (wanted,) = (plan.after for plan in plans(clients[0]) if plan.path.name == "client.py")
    command = [
        sys.executable,
        "-c",
        "from backend_retrofit.codemods.command.main import main; main()",
        str(tmp_path),
    ]
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = sum(path.read_bytes() == wanted for path in clients)
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            if sum(path.read_bytes() == wanted for path in clients) > done:
                break
        process.kill()
        process.wait(timeout=60)
        assert {path.read_bytes() for path in clients} <= {wanted, CLIENT.encode()}
        for path in clients:
            runtime = path.with_name(RUNTIME)
            assert not runtime.exists() or runtime.read_bytes() == templates.runtime_module()
            assert path.read_bytes() != wanted or runtime.exists(), "the runtime comes first"
    run(tmp_path)
    assert {path.read_bytes() for path in clients} == {wanted}
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"__init__.py", "client.py", RUNTIME}


def test_no_plan_writes_outside_of_what_was_named(package, tmp_path):
    (tmp_path / "beside.py").write_text(CLIENT)
    everything = set(tmp_path.rglob("*"))
    write(package)
    assert set(tmp_path.rglob("*")) - everything == {package / RUNTIME}
    assert (tmp_path / "beside.py").read_text() == CLIENT


def test_a_plan_with_problems_is_not_carried_out(package):
    planned = [replace(plan, problems=(find_problem(),)) for plan in plans(package)]
    write_all(planned)
    assert content(package) == {"__init__.py": b"", "client.py": CLIENT.encode()}


def find_problem():
    """Return any problem."""
    from backend_retrofit.codemods.model import Problem

    return Problem(1, "no")
