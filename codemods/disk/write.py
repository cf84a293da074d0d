"""Brings planned files to disk, each in one step. No other module writes anything.

A file is written under another name beside its place, and then put there: whoever looks, and whatever kills the
process, finds the old file or the new one. Links are followed and stay links; mode, owner and extended attributes
stay. A file that is hard-linked gets a content of its own: its other names, which may lie in a package cache or in
another checkout, keep what they had.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..blocks.templates import RUNTIME_MODULE
from ..model import FilePlan, Problem
from ..source.visible import visible_name

TEMPORARY = ".retrofit-tmp"
"""How the names of unfinished files end, so that nothing takes them for Python."""


def write_all(plans: list[FilePlan], written: Callable[[FilePlan], None] = lambda plan: None) -> None:
    """Write what is to change. A plan that could not be carried out is replaced by one that says why.

    A runtime comes before the files that import it, and one that is no longer needed goes after all files.

    Args:
        written: called with each file that is on disk.
    """

    def carry_out(index: int) -> bool:
        planned = plans[index]
        if planned.problems:
            return False
        if planned.changed:
            problem = write(planned)
            if problem is not None:
                plans[index] = _left(planned, problem)
                return False
            written(planned)
        return True

    runtimes = {planned.path: index for index, planned in enumerate(plans) if planned.is_runtime}
    going = [index for index in runtimes.values() if plans[index].changed and not plans[index].after]
    users: dict[Path | None, list[int]] = {}
    for index, planned in enumerate(plans):
        if not planned.is_runtime:
            users.setdefault(_runtime_of(planned) if planned.needs_runtime else None, []).append(index)
    failed: list[Path] = []
    for path, indexes in users.items():
        runtime = runtimes.get(path, -1) if path is not None else -1
        failed += _write_users(plans, indexes, runtime, carry_out)
    for index in going:
        if any(path.is_relative_to(plans[index].path.parent) for path in failed):
            plans[index] = replace(plans[index], after=plans[index].before)
        else:
            carry_out(index)
    for index in runtimes.values():  # that no file of this run imports, and that are brought up to date
        if index not in going and plans[index].path not in users:
            carry_out(index)


def _runtime_of(planned: FilePlan) -> Path:
    return planned.runtime_path or planned.path.parent / f"{RUNTIME_MODULE}.py"


def _write_users(
    plans: list[FilePlan], indexes: list[int], runtime: int, carry_out: Callable[[int], bool]
) -> list[Path]:
    """Write the files that import one runtime, after it; return those that could not be written."""
    if runtime >= 0 and not carry_out(runtime):
        reason = f"{plans[runtime].path.name}, which it needs, was left alone; see there"
        for index in indexes:
            if plans[index].changed and not plans[index].problems:
                plans[index] = _left(plans[index], Problem(0, reason))
    outcomes = {index: carry_out(index) for index in indexes}
    planned = plans[runtime]
    if runtime >= 0 and not planned.before and planned.changed and not any(outcomes.values()):
        write(replace(planned, before=planned.after, after=b""))
        plans[runtime] = replace(planned, after=planned.before)
    return [plans[index].path for index, done in outcomes.items() if not done]


def _left(planned: FilePlan, problem: Problem) -> FilePlan:
    return replace(planned, after=planned.before, problems=(problem,))


def write(planned: FilePlan) -> Problem | None:
    """Bring a planned file to disk in one step; return why it could not be done.

    A file that has changed since it was read is left alone.
    """
    target = Path(os.path.realpath(planned.path))
    try:
        if problem := _why_not(target, planned):
            return Problem(0, problem)
        if not planned.after and planned.is_runtime:
            target.unlink()
            return None
        _replace(target, planned)
    except _ChangedMeanwhile:
        return Problem(0, "it has changed since it was read; run again")
    except OSError as error:
        return Problem(0, f"it cannot be written: {error.strerror or error}")
    return None


def _why_not(target: Path, planned: FilePlan) -> str:
    if planned.is_runtime and target.parent != Path(os.path.realpath(planned.path.parent)):
        return f"it is a link to {visible_name(target)}, which is not ours to write to; delete the link"
    if not target.exists():
        return "it has vanished since it was read" if planned.before else ""
    if not target.is_file():
        return "it is not a regular file"
    if target.read_bytes() != planned.before:
        raise _ChangedMeanwhile
    mode = target.stat().st_mode
    if not mode & 0o222 or not os.access(target, os.W_OK):
        return "it is read-only"
    return ""


class _ChangedMeanwhile(Exception):
    """Somebody else has written to the file."""


def _replace(target: Path, planned: FilePlan) -> None:
    """Write a file next to the target and put it in the target's place."""
    _sweep(target)
    prefix = f".{target.name[:100]}.{os.getpid()}."
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=TEMPORARY, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(planned.after)
            file.flush()
            if target.exists():
                _take_over(target, name)
            else:
                mask = os.umask(0)
                os.umask(mask)
                os.chmod(name, 0o666 & ~mask)
            os.fsync(file.fileno())
        # As late as can be: writing and syncing have taken their time.
        if (target.read_bytes() if target.exists() else b"") != planned.before:
            raise _ChangedMeanwhile
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)


def _take_over(target: Path, name: str) -> None:
    """Give a new file the owner, mode and extended attributes of the one whose place it takes."""
    status = target.stat()
    for owner, group in ((-1, status.st_gid), (status.st_uid, -1)):
        with contextlib.suppress(OSError, AttributeError):  # who is not root may not give files away
            os.chown(name, owner, group)
    shutil.copystat(target, name)
    os.utime(name)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk itself, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(target: Path) -> None:
    """Delete unfinished files of the target that a killed process has left."""
    pattern = re.compile(rf"\.{re.escape(target.name[:100])}\.(\d+)\.\w+{re.escape(TEMPORARY)}")
    for entry in os.scandir(target.parent):
        match = pattern.fullmatch(entry.name)
        if match and not _is_alive(int(match[1])):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # there `os.kill` would end it
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
