"""Plans the runtime files beside the files that need them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..blocks import templates
from ..model import FilePlan, Options, Problem
from .read import read, unreadable


def runtime_plans(plans: Iterable[FilePlan], options: Options) -> list[FilePlan]:
    """Plan the runtime module of each folder that the planned files lie in: put there, brought up to date, taken out."""
    folders: dict[Path, list[FilePlan]] = {}
    for planned in plans:
        folders.setdefault(planned.path.parent, []).append(planned)
    result = [_runtime_plan(folder, files, options) for folder, files in folders.items()]
    return [planned for planned in result if planned is not None]


def _runtime_plan(folder: Path, files: list[FilePlan], options: Options) -> FilePlan | None:
    path = folder / f"{templates.RUNTIME_MODULE}.py"
    needed = any(file.needs_runtime and not file.problems for file in files)
    try:
        before = read(path) if path.exists() else b""
    except OSError as error:
        return replace(unreadable(path, error), is_runtime=True) if needed else None
    if not needed and (not before or not options.remove):
        return None
    state = templates.runtime_state(before) if before else "missing"
    planned = FilePlan(path, before, before, is_runtime=True)
    replaceable = state in ("missing", "old") or (state == "edited" and options.overwrite_edited)
    if needed and replaceable:
        planned = replace(planned, after=templates.runtime_module())
    elif needed and state != "current":
        reason = {
            "edited": "it was edited by hand; give --overwrite-edited to lose the edit",
            "newer": "it was made by a newer version of this tool; update the tool",
            "foreign": "it is not ours, and the runtime would have its name; rename it",
        }[state]
        planned = replace(planned, problems=(Problem(1, reason),))
    elif not needed and state != "foreign" and not _still_used(folder, files):
        if state in ("current", "old") or options.overwrite_edited:
            planned = replace(planned, after=b"")
        else:
            why = "edited by hand" if state == "edited" else "made by a newer version of this tool"
            reason = f"nothing needs it any longer, but it was {why}; delete it, or give --overwrite-edited"
            planned = replace(planned, problems=(Problem(1, reason),))
    return planned if planned.changed or planned.problems else None


def _still_used(folder: Path, files: list[FilePlan]) -> bool:
    """Return True if a file of the folder that is not planned, or is left alone, imports the runtime."""
    planned = {file.path.name: file.after for file in files}
    for path in folder.glob("*.py"):
        if path.name == f"{templates.RUNTIME_MODULE}.py":
            continue
        with contextlib.suppress(OSError):
            if templates.RUNTIME_MODULE.encode() in planned.get(path.name, b"") or (
                path.name not in planned and templates.RUNTIME_MODULE.encode() in path.read_bytes()
            ):
                return True
    return False
