"""Finds the files, plans them, and writes them. No other module writes anything."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from . import render
from .model import FilePlan, Options, Problem, Run
from .plan import plan

PASSED_OVER = frozenset(
    """
    .git .hg .svn .tox .nox .venv venv env __pycache__ node_modules site-packages build dist .eggs .mypy_cache
    .pytest_cache .ruff_cache vendor vendored _vendor third_party
    """.split()
)
"""Folders that are not looked into, unless they are named."""
_GENERATED = ("*_pb2.py", "*_pb2_grpc.py")
_SERIAL_BELOW = 64


def python_files(paths: Iterable[Path], run: Run) -> Iterator[Path]:
    """Yield the Python files at and below the paths, in order, each once; say in `run.notes` what is passed over."""
    seen: set[Path] = set()
    for path in paths:
        files = [path] if not path.is_dir() else _below(path, run)
        for file in files:
            real = file.resolve()
            if real not in seen and file.name != f"{render.RUNTIME_MODULE}.py":
                seen.add(real)
                yield file


def _below(root: Path, run: Run) -> list[Path]:
    found: list[Path] = []
    real_root = root.resolve()
    for folder, folders, files in os.walk(root):
        for name in sorted(folders):
            if name in PASSED_OVER or name.endswith(".egg-info"):
                folders.remove(name)
                run.notes.append(f"{Path(folder, name)}: passed over; name it to have it looked at")
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if not name.endswith(".py"):
                continue
            if any(fnmatch.fnmatch(name, pattern) for pattern in _GENERATED):
                run.notes.append(f"{path}: passed over, it is generated")
            elif path.is_symlink() and not path.resolve().is_relative_to(real_root):
                run.notes.append(f"{path}: passed over, it is a link to a file outside of {root}")
            else:
                found.append(path)
    ignored = _ignored_by_git(root, found)
    if ignored:
        run.notes.append(f"{root}: {len(ignored)} files that git ignores were passed over")
    return [path for path in found if path not in ignored]


def _ignored_by_git(root: Path, paths: list[Path]) -> set[Path]:
    """Return those of the paths that git ignores; none where there is no git or no repository."""
    if not paths:
        return set()
    names = "\0".join(str(path.absolute()) for path in paths)
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "check-ignore", "-z", "--stdin"],
            input=names.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    if done.returncode != 0:
        return set()
    ignored = {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
    return {path for path in paths if str(path.absolute()) in ignored}


def plan_file(path: Path, options: Options, source: Path | None = None) -> FilePlan:
    """Plan one file; `source` is where its original is read from, if not from the file itself."""
    try:
        before = b"" if source is not None and not path.exists() else path.read_bytes()
        data = before if source is None else source.read_bytes()
    except OSError as error:
        return FilePlan(path, b"", b"", problems=(Problem(0, f"it cannot be read: {error.strerror}"),))
    in_package = (path.parent / "__init__.py").exists()
    planned = plan(data, path, options, in_package)
    return planned if source is None else replace(planned, before=before)


def plan_files(
    paths: list[Path], options: Options, jobs: int = 0, progress: Callable[[int], None] | None = None
) -> list[FilePlan]:
    """Plan files, spread over the cores if there are many.

    Args:
        jobs: how many processes; 0: as many as there are cores.
        progress: called with the number of files that are done.
    """
    one = partial(plan_file, options=options)
    jobs = jobs or os.cpu_count() or 1
    plans: list[FilePlan] = []
    with contextlib.ExitStack() as stack:
        if jobs > 1 and len(paths) >= _SERIAL_BELOW:
            pool = stack.enter_context(ProcessPoolExecutor(jobs))
            results: Iterable[FilePlan] = pool.map(one, paths, chunksize=8)
        else:
            results = map(one, paths)
        for planned in results:
            plans.append(planned)
            if progress is not None:
                progress(len(plans))
    return plans


def runtime_plans(plans: Iterable[FilePlan], options: Options) -> list[FilePlan]:
    """Plan the runtime module of each folder that the planned files lie in: put there, brought up to date, taken out."""
    folders: dict[Path, list[FilePlan]] = {}
    for planned in plans:
        folders.setdefault(planned.path.parent, []).append(planned)
    result = []
    for folder, files in folders.items():
        path = folder / f"{render.RUNTIME_MODULE}.py"
        needed = any(file.needs_runtime and not file.problems for file in files)
        before = path.read_bytes() if path.exists() else b""
        if not needed and (not before or not options.remove):
            continue
        state = render.runtime_state(before) if before else "missing"
        planned = FilePlan(path, before, before)
        replaceable = state in ("missing", "old") or (state == "edited" and options.overwrite_edited)
        if needed and replaceable:
            planned = replace(planned, after=render.runtime_module())
        elif needed and state != "current":
            reason = {
                "edited": "it was edited by hand; give --overwrite-edited to lose the edit",
                "newer": "it was made by a newer version of this tool; update the tool",
                "foreign": "it is not ours, and the runtime would have its name; rename it",
            }[state]
            planned = replace(planned, problems=(Problem(1, reason),))
        elif not needed and state in ("current", "old") and not _still_used(folder, files):
            planned = replace(planned, after=b"")
        if planned.changed or planned.problems:
            result.append(planned)
    return result


def _still_used(folder: Path, files: list[FilePlan]) -> bool:
    """Return True if a file of the folder that is not planned, or is left alone, imports the runtime."""
    planned = {file.path.name: file.after for file in files}
    for path in folder.glob("*.py"):
        if path.name == f"{render.RUNTIME_MODULE}.py":
            continue
        with contextlib.suppress(OSError):
            if render.RUNTIME_MODULE.encode() in planned.get(path.name, b"") or (
                path.name not in planned and render.RUNTIME_MODULE.encode() in path.read_bytes()
            ):
                return True
    return False


def write(planned: FilePlan) -> Problem | None:
    """Bring a planned file to disk in one step; return why it could not be done.

    A link is followed and kept, and so is the file's mode. A file that has changed since it was read is left alone.
    """
    target = planned.path.resolve()
    try:
        now = target.read_bytes() if target.exists() else b""
        if now != planned.before:
            return Problem(0, "it has changed since it was read; run again")
        if not planned.after and planned.path.name == f"{render.RUNTIME_MODULE}.py":
            target.unlink()
            return None
        if target.exists() and not os.access(target, os.W_OK):
            return Problem(0, "it is read-only")
        _replace(target, planned.after)
    except OSError as error:
        return Problem(0, f"it cannot be written: {error.strerror}")
    return None


def _replace(target: Path, data: bytes) -> None:
    """Write a file next to the target and put it in the target's place."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            status = target.stat()
            os.chmod(name, stat.S_IMODE(status.st_mode))
            with contextlib.suppress(OSError, AttributeError):
                os.chown(name, status.st_uid, status.st_gid)
        else:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
