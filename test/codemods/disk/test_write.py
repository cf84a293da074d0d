"""Files on disk: found, planned in several processes, written in one step, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
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
from backend_retrofit.codemods.disk import find, processes, read
from backend_retrofit.codemods.disk.runtime_files import runtime_plans
from backend_retrofit.codemods.disk.write import write_all
from backend_retrofit.codemods.model import FilePlan, Options, Run

from ..planning.test_file import CLIENT

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = f"{templates.RUNTIME_MODULE}.py"


def run(
    *arguments: object, cwd: Path | None = None, check: int | None = 0, **options
) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "backend_retrofit.codemods.command.entry", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False, **options
    )
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one client."""
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "client.py").write_text(CLIENT)
    return folder


def plans(*paths: Path, **options) -> list[FilePlan]:
    """Plan what is at and below the paths, with the runtime."""
    chosen = Options(**options)
    found = processes.plan_files(list(find.python_files(paths, Run())), chosen)
    return found + runtime_plans(found, chosen)


def write(*paths: Path, **options) -> list[FilePlan]:
    """Plan and write; return the outcome."""
    planned = plans(*paths, **options)
    write_all(planned)
    return planned


def problems(planned: list[FilePlan]) -> dict[str, str]:
    """Return why files were left alone."""
    return {plan.path.name: plan.problems[0].reason for plan in planned if plan.problems}


def content(folder: Path) -> dict[str, bytes]:
    """Return everything in a folder that is not Python's own."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_package_gets_the_runtime_and_loses_it_again(package):
    before = content(package)
    write(package)
    assert set(content(package)) == {*before, RUNTIME}
    subprocess.run([sys.executable, "-c", "import pkg.client"], cwd=package.parent, check=True, timeout=60)
    write(package, remove=True)
    assert content(package) == before


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("class QueueError(RuntimeError)", "class QueueError(OSError)", "edited by hand"),
        ("retrofit:runtime v1", "retrofit:runtime v9", "made by a newer version"),
    ],
)
def test_a_runtime_that_nothing_needs_and_that_is_not_as_it_was_made_is_named(package, old, new, why):
    write(package)
    runtime = package / RUNTIME
    runtime.write_text(runtime.read_text().replace(old, new))
    outcome = write(package, remove=True)
    assert why in problems(outcome)[RUNTIME]
    assert "--overwrite-edited" in problems(outcome)[RUNTIME]
    assert runtime.exists()
    assert (package / "client.py").read_text() == CLIENT
    write(package, remove=True, overwrite_edited=True)
    assert not runtime.exists()


def test_a_module_of_the_users_with_the_runtimes_name_is_no_concern_of_a_removal(package):
    (package / RUNTIME).write_text("x = 1\n")
    outcome = write(package, remove=True)
    assert not problems(outcome)
    assert (package / RUNTIME).read_text() == "x = 1\n"


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


def test_links_that_lead_out_of_the_folder_are_passed_over(package, tmp_path):
    outside = tmp_path / "outside.py"
    outside.write_text(CLIENT)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "inner.py").write_text(CLIENT)
    (package / "linked.py").symlink_to(outside)
    (package / "folder").symlink_to(tmp_path / "more")
    (package / "nowhere.py").symlink_to(tmp_path / "missing.py")
    (package / "loop.py").symlink_to(package / "loop.py")
    found = Run()
    assert [p.name for p in find.python_files([package], found)] == ["__init__.py", "client.py"]
    assert any("outside of" in note for note in found.notes)
    write(package)
    assert outside.read_text() == (tmp_path / "more" / "inner.py").read_text() == CLIENT


def test_a_link_within_the_folder_is_done_once(package):
    (package / "again.py").symlink_to(package / "client.py")
    assert [p.name for p in find.python_files([package], Run())] == ["__init__.py", "again.py"]
    write(package)
    assert (package / "client.py").read_bytes().count(b">>> retrofit:queue") == 1


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


def test_a_path_with_dots_names_the_same_file(package):
    winding = package / ".." / "pkg" / "client.py"
    assert len(list(find.python_files([package / "client.py", winding], Run()))) == 1
    write(winding)
    assert b"retrofit:queue" in (package / "client.py").read_bytes()


def test_what_is_no_file_is_named(package):
    os.mkfifo(package / "pipe.py")
    found = Run()
    assert "pipe.py" not in {p.name for p in find.python_files([package], found)}
    assert any("pipe.py" in note and "regular" in note for note in found.notes)
    assert "regular" in problems(write(package / "pipe.py"))["pipe.py"]


# What is passed over.


def test_vendored_generated_and_ignored_files_are_passed_over_with_a_word(package):
    for name in ("vendor", ".venv", "build", "node_modules", "generated"):
        (package / name).mkdir()
        (package / name / "client.py").write_text(CLIENT)
    (package / "api_pb2.py").write_text(CLIENT)
    (package / "head.py").write_text("# @generated by a program\n" + CLIENT)
    (package / "words.py").write_text("#!/bin/x\n# Code generated by y. DO NOT EDIT.\n" + CLIENT)
    (package / "said.py").write_text('"""Not @generated at all."""\n' + CLIENT)
    found = Run()
    names = {p.name for p in find.python_files([package], found)}
    assert names == {"__init__.py", "client.py", "said.py"}
    for word in (
        "vendor",
        ".venv",
        "build",
        "node_modules",
        "generated",
        "api_pb2.py",
        "head.py",
        "words.py",
    ):
        assert any(f"{word}: passed over" in note for note in found.notes), word
    assert len(list(find.python_files([package / "vendor", package / "head.py"], Run()))) == 2


def test_a_generated_file_that_has_the_retrofit_is_looked_after(package):
    path = package / "head.py"
    path.write_text("# @generated\n" + CLIENT)
    write(path)
    assert path in find.python_files([package], Run())


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, with no one's configuration."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=environment, timeout=60
    )


def test_what_git_ignores_is_passed_over_in_nested_repositories_too(package):
    git(package, "init", "-q")
    (package / ".gitignore").write_text("scratch*\n")
    (package / "scratch.py").write_text(CLIENT)
    (package / "scratch_folder").mkdir()
    (package / "scratch_folder" / "a.py").write_text(CLIENT)
    inner = package / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / ".gitignore").write_text("own.py\n")
    (inner / "own.py").write_text(CLIENT)
    (inner / "kept \u00e4\n.py").write_text(CLIENT)
    found = Run()
    names = {p.name for p in find.python_files([package], found)}
    assert names == {"__init__.py", "client.py", "kept \u00e4\n.py"}
    assert any("3 files that git ignores" in note for note in found.notes)
    assert [p.name for p in find.python_files([package / "scratch.py"], Run())] == ["scratch.py"]


def test_a_repository_that_git_refuses_is_read_all_the_same(package):
    (package / ".git").write_text("gitdir: nowhere\n")
    found = Run()
    assert package / "client.py" in find.python_files([package], found)


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


def test_a_runtime_that_is_not_ours_keeps_the_files_from_being_changed(package):
    (package / RUNTIME).write_text("x = 1\n")
    outcome = write(package)
    assert "not ours" in problems(outcome)[RUNTIME]
    assert (package / "client.py").read_text() == CLIENT


def test_the_runtime_stays_as_long_as_a_file_needs_it(package):
    (package / "other.py").write_text(CLIENT)
    write(package)
    (package / "other.py").chmod(0o444)
    outcome = write(package, remove=True)
    assert problems(outcome) == {"other.py": "it is read-only"}
    assert (package / "client.py").read_text() == CLIENT
    assert (package / RUNTIME).exists()
    (package / "other.py").chmod(0o644)
    write(package / "other.py", remove=True)
    assert not (package / RUNTIME).exists()


def test_a_file_that_is_far_too_large_is_named(package, monkeypatch):
    monkeypatch.setattr(read, "LARGEST", 10)
    assert "larger than" in problems(plans(package))["client.py"]


# Killed and interrupted.

_KILLED = """
import os, sys, signal
from pathlib import Path
from backend_retrofit.codemods.disk.write import write
from backend_retrofit.codemods.model import FilePlan
path, at = Path(sys.argv[1]), int(sys.argv[2])
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
print(write(planned))
"""


def test_kill_9_at_every_step_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "client.py"
    seen = set()
    for at in range(1, 60):
        path.write_bytes(b"old" * 100_000)
        command = [sys.executable, "-c", _KILLED, str(path), str(at)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        data = path.read_bytes()
        assert data in (b"old" * 100_000, b"new" * 100_000)
        seen.add(data[:3])
        assert [p.name for p in find.python_files([tmp_path], Run())] == ["client.py"]
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.stdout == "None\n"
    assert at > 5
    assert seen == {b"old", b"new"}
    assert [p.name for p in tmp_path.iterdir()] == ["client.py"], "the next run sweeps up"


def test_kill_9_at_any_time_of_a_whole_run(tmp_path):
    clients = []
    for number in range(30):
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
@pytest.mark.parametrize("seconds", [0, 0.4, 1.5])
def test_ctrl_c_ends_a_run_with_several_processes_cleanly(tmp_path, seconds):
    process = start_of_a_long_run(tmp_path)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    assert "nothing was written" in check_interrupted(process, tmp_path)


@looks_at_processes
@pytest.mark.parametrize("seconds", [0, 0.01, 0.1])
def test_a_second_ctrl_c_is_not_lost_and_does_no_harm(tmp_path, seconds):
    process = start_of_a_long_run(tmp_path)
    time.sleep(1)
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
    monkeypatch.setattr(processes, "plan_file", crash_at_client3)
    monkeypatch.setattr(processes, "_plan_chunk", crash_at_chunk_of_client3)
    planned = processes.plan_files(sorted(tmp_path.glob("*.py")), Options(), jobs=2)
    assert [plan.path.name for plan in planned] == [f"client{number}.py" for number in range(6)]
    assert [plan.changed for plan in planned] == [True, True, True, False, True, True]
    assert "crashed" in planned[3].problems[0].reason


_plan_file = read.plan_file


def crash_at_client3(path: Path, options: Options) -> FilePlan:
    """Stand in for a file that makes a parser overflow its stack."""
    if path.name == "client3.py":
        os.kill(os.getpid(), signal.SIGSEGV)
    return _plan_file(path, options)


def crash_at_chunk_of_client3(chunk, options):
    """Plan a chunk in a process that has the plan_file of above."""
    return [(index, crash_at_client3(path, options)) for index, path in chunk]


def test_a_failure_of_ours_is_named_and_the_others_are_done(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(CLIENT)
    (tmp_path / "b.py").write_text(CLIENT)
    original = read.plan

    def plan(data, path, *arguments):
        if path.name == "a.py":
            raise KeyError("oops")
        return original(data, path, *arguments)

    monkeypatch.setattr(read, "plan", plan)
    planned = processes.plan_files([tmp_path / "a.py", tmp_path / "b.py"], Options())
    assert "KeyError" in planned[0].problems[0].reason
    assert planned[1].changed


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


def test_ten_thousand_files(tmp_path):
    for folder in range(100):
        (tmp_path / f"f{folder}").mkdir()
        for number in range(100):
            text = CLIENT if (folder, number) in ((7, 7), (9, 9)) else f"x = {number}\n"
            (tmp_path / f"f{folder}" / f"m{number}.py").write_text(text)
    done = run(tmp_path)
    assert "10000 files" in done.stdout.replace(",", "")
    assert b"retrofit:queue" in (tmp_path / "f7" / "m7.py").read_bytes()


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
