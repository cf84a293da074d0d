"""Reads a file and plans it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..finding.project_names import Project
from ..model import FilePlan, Options, Problem
from ..planning.file import plan
from .places import NO_FOLDER, home_of
from .regular import read


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
        if not planned.needs_runtime:
            return planned
        if home.path is None:
            problem = Problem(0, f"its runtime cannot be {options.runtime}: {NO_FOLDER}")
            return FilePlan(path, data, data, problems=(problem,))
        return replace(planned, runtime_path=home.path)
    except Exception as error:  # one file, whatever it does to us, never ends the run
        reason = f"this tool failed on it ({type(error).__name__}: {error}); please report this"
        return FilePlan(path, data, data, problems=(Problem(0, reason),))
