"""Reads a file and plans it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..finding.project_names import Project
from ..model import FilePlan, Options, Problem
from ..planning.file import plan
from .places import home_of

LARGEST = 100_000_000
"""Bytes of a file that is read at all; what may have calls is to be smaller (`Options.largest`)."""


def read(path: Path) -> bytes:
    """Return a file's content; raise OSError, also for what is not a file or too large."""
    if not path.is_file():
        raise OSError(0, "it is not a regular file" if path.exists() else "it is not there")
    if path.stat().st_size > LARGEST:
        raise OSError(0, f"it is larger than {LARGEST // 1_000_000} MB")
    return path.read_bytes()


def plan_file(
    path: Path, options: Options, source: Path | None = None, project: Project | None = None
) -> FilePlan:
    """Plan one file; `source` is where its original is read from, if not from the file itself.

    Args:
        project: the other files, as far as they are known.
    """
    try:
        before = b"" if source is not None and not path.exists() else read(path)
        data = before if source is None else read(source)
    except OSError as error:
        return unreadable(path, error)
    planned = _plan_data(data, path, options, project)
    return planned if source is None else replace(planned, before=before, made_from=data)


def unreadable(path: Path, error: OSError) -> FilePlan:
    return FilePlan(path, b"", b"", problems=(Problem(0, f"it cannot be read: {error.strerror}"),))


def _plan_data(data: bytes, path: Path, options: Options, project: Project | None) -> FilePlan:
    home = home_of(path, data, options)
    try:
        planned = plan(data, path, options, home.place, project)
        return replace(planned, runtime_path=home.path) if planned.needs_runtime else planned
    except Exception as error:  # one file, whatever it does to us, never ends the run
        reason = f"this tool failed on it ({type(error).__name__}: {error}); please report this"
        return FilePlan(path, data, data, problems=(Problem(0, reason),))
