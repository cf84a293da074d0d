"""Plans the runtime files beside the files that need them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..blocks import templates
from ..blocks.templates import RUNTIME_MODULE
from ..model import FilePlan, Options, Problem
from .places import FILE, is_given
from .read import unreadable
from .regular import read


def runtime_plans(plans: Iterable[FilePlan], options: Options) -> list[FilePlan]:
    """Plan the runtime modules of the planned files: put there, brought up to date, taken out.

    Where files of one package had a copy each, beside them, there is one for all afterwards.
    """
    plans = list(plans)
    files: dict[Path, list[FilePlan]] = {}
    for planned in plans:
        own = planned.path.parent / FILE
        needed = planned.runtime_path or own
        files.setdefault(needed, []).append(planned)
        for folder in (own.parent, *_packages_above(own.parent, options)):
            files.setdefault(folder / FILE, [])
    result = [_runtime_plan(path, users, plans, options) for path, users in files.items()]
    return [planned for planned in result if planned is not None]


def _packages_above(folder: Path, options: Options) -> Iterator[Path]:
    """Yield the packages around a folder that were given, too."""
    while (folder / "__init__.py").exists() and folder.name not in ("", ".."):
        folder = folder.parent
        if is_given(folder, options.given):
            yield folder


def _runtime_plan(
    path: Path, files: list[FilePlan], plans: list[FilePlan], options: Options
) -> FilePlan | None:
    needed = any(file.needs_runtime and not file.problems for file in files)
    try:
        before = read(path) if path.exists() else b""
    except OSError as error:
        return replace(unreadable(path, error), is_runtime=True) if needed else None
    moved = any(
        file.changed
        and f"{RUNTIME_MODULE} import".encode() in file.before
        and file.path.is_relative_to(path.parent)
        for file in plans
    )
    if not needed and (not before or not (options.remove or moved)):
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
    elif not needed and state != "foreign" and not _still_used(path.parent, plans):
        if state in ("current", "old") or options.overwrite_edited:
            planned = replace(planned, after=b"")
        else:
            why = "edited by hand" if state == "edited" else "made by a newer version of this tool"
            reason = f"nothing needs it any longer, but it was {why}; delete it, or give --overwrite-edited"
            planned = replace(planned, problems=(Problem(1, reason),))
    return planned if planned.changed or planned.problems else None


def _still_used(folder: Path, plans: list[FilePlan]) -> bool:
    """Return True if a file in the folder, or below it, imports the runtime that is there, as far as that is known."""
    after = {os.path.abspath(file.path): file.after for file in plans}
    for path in folder.glob("**/*.py" if (folder / "__init__.py").exists() else "*.py"):
        if path.name == FILE:
            continue
        with contextlib.suppress(OSError):
            name = os.path.abspath(path)
            content = after[name] if name in after else read(path)
            if any(_imports(path, folder, match) for match in _IMPORT.findall(content)):
                return True
    return any(
        f".{folder.name}.{RUNTIME_MODULE} ".encode() in content
        or f"from {folder.name}.{RUNTIME_MODULE} ".encode() in content
        for content in after.values()
    )


_IMPORT = re.compile(rf"(?:from|import)[ \t]+(\.*)([\w.]*?){RUNTIME_MODULE}\b".encode())


def _imports(path: Path, folder: Path, found: tuple[bytes, bytes]) -> bool:
    """Return True if an import in a file may mean the runtime in a folder."""
    dots, rest = found
    if rest:
        return not dots and rest.decode().rstrip(".").split(".")[-1] == folder.absolute().name
    where = path.absolute().parent
    for _ in range(len(dots) - 1):
        where = where.parent
    return where == folder.absolute()
