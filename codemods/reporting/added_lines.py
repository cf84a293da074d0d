"""Counts the lines that a run adds, or takes away, and says where they are: in the files themselves, or in the runtime's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from ..blocks.find_markers import find_markers
from ..blocks.markers import DISTRIBUTION
from ..model import FilePlan
from ..source.text import Source
from ..source.visible import visible_name
from .diff import shown_path

_MOST_NAMED = 3
"""Files of the runtime that the summary names."""


class RuntimeLines(TypedDict):
    """A file of the runtime that this run adds, changes or takes away."""

    path: str
    added: int
    """Lines that it has more than before; below 0: fewer."""
    new: bool
    """It was not there before."""


class AddedLines(TypedDict):
    """How many lines more than before there are, and where; numbers below 0 are lines that are gone."""

    files: int
    """Changed files without those of the runtime."""
    in_files: int
    """Lines in them."""
    inline: int
    """Those of `in_files` that are the runtime, inside the file that needs it."""
    runtime: list[RuntimeLines]
    package: bool
    """A changed file imports the runtime from the installed distribution, which adds no line."""


def added_lines(plans: Sequence[FilePlan]) -> AddedLines:
    """Return how many lines the changes of a run add, and where."""
    changed = [plan for plan in plans if plan.changed and not plan.problems]
    files = [plan for plan in changed if not plan.is_runtime]
    return {
        "files": len(files),
        "in_files": sum(map(_added, files)),
        "inline": sum(len(runtime_lines(plan.after)) - len(runtime_lines(plan.before)) for plan in files),
        "runtime": [
            {"path": shown_path(plan.path), "added": _added(plan), "new": not plan.before}
            for plan in changed
            if plan.is_runtime
        ],
        "package": any(f"from {DISTRIBUTION} import".encode() in plan.after for plan in files),
    }


def _added(plan: FilePlan) -> int:
    return _count(plan.after) - _count(plan.before)


def _count(data: bytes) -> int:
    return len(data.splitlines())


def runtime_lines(data: bytes) -> range:
    """Return the lines of a file that are the runtime, inside it."""
    if b"retrofit:runtime" not in data:
        return range(0)
    try:
        regions = find_markers(Source.decode(data)).regions
    except (SyntaxError, UnicodeError, LookupError):
        return range(0)
    return next((range(r.first, r.last + 1) for r in regions if r.block == "runtime"), range(0))


def lines_sentence(lines: AddedLines, written: bool) -> str:
    """Return the sentence of the summary that says how many lines come or go, and where; "" if no file changes."""
    parts = []
    if lines["files"]:
        where = f"{lines['files']} file{'' if lines['files'] == 1 else 's'}"
        parts.append(_change(lines["in_files"], where, written))
    if lines["inline"]:
        parts.append(f"{abs(lines['inline']):,} of them are the runtime")
    if lines["runtime"]:
        named = [visible_name(each["path"]) for each in lines["runtime"][:_MOST_NAMED]]
        more = len(lines["runtime"]) - len(named)
        where = ", ".join(named) + (f" and {more} more" if more else "")
        # Who would rather install it than review it learns how.
        instead = "; `--runtime package` adds none" if any(each["new"] for each in lines["runtime"]) else ""
        change = _change(sum(each["added"] for each in lines["runtime"]), where, written)
        parts.append(f"{change} (the runtime{instead})")
    elif lines["package"]:
        parts.append(f"nothing for the runtime, which is the package {DISTRIBUTION}")
    return f"{'; '.join(parts)}." if parts else ""


def _change(number: int, where: str, written: bool) -> str:
    """Return `12 lines added to 3 files`, or the like."""
    be = "" if written else "would be "
    done = f"{be}added to" if number >= 0 else f"{be}removed from"
    return f"{abs(number):,} line{'' if abs(number) == 1 else 's'} {done} {where}"
