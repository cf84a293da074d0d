"""The facts of a run as plain data: what `--format json` prints, and what the SARIF log, the annotations and the page
are made from. Keys in the user's code are taken out here, once for all of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import metadata
from typing import Any, TypedDict

from ..model import ClassPlan, Decision, FilePlan, Run
from ..source.visible import visible_name
from .added_lines import AddedLines, added_lines
from .diff import changed_lines, line_map, shown_path
from .safe_text import redact
from .statistics import Count, counted

FORMAT_VERSION = 1
_SURROGATE = re.compile("[\ud800-\udfff]")


class ProblemFacts(TypedDict):
    """Why a file was left alone."""

    line: int
    reason: str
    state: str
    """Of the block, where it is a block's doing: `edited`, `orphaned`, `duplicated`, `newer`, `damaged`; or empty."""
    accepted: bool
    """A baseline lists it."""


class BlockFacts(TypedDict):
    """What happens to one block."""

    block: str
    line: int
    change: str
    reason: str
    state: str
    """Of the block as it was found: `clean`, `reformatted`, `edited`."""


class ClassFacts(TypedDict):
    """A class that has, gets or loses blocks."""

    name: str
    line: int
    notes: list[str]
    blocks: list[BlockFacts]
    key_variables: list[str]
    """Environment variables that its API key is read from, first choice first."""


class SiteFacts(TypedDict):
    """A call site and what was decided about it."""

    line: int
    column: int
    scope: str
    callee: str
    library: str
    decision: str
    reason: str
    of_module: bool
    """It stands where there is no instance: `--functions` gives its module a queue."""
    changed: bool
    """This run changes the line: the call was not wrapped before, or not so."""
    accepted: bool
    """It is skipped, and a baseline lists it."""


class FileFacts(TypedDict):
    """A file and what is in it."""

    path: str
    state: str
    changed: bool
    is_runtime: bool
    """It is generated: the runtime that files of this run import."""
    problems: list[ProblemFacts]
    classes: list[ClassFacts]
    sites: list[SiteFacts]


class Facts(TypedDict):
    """A whole run."""

    version: int
    tool: dict[str, str]
    written: bool
    summary: dict[str, int]
    lines: AddedLines
    statistics: list[Count]
    files: list[FileFacts]
    notes: list[str]
    warnings: list[str]
    for_callers: str
    """What a queue that this run adds changes for those who call; empty if it adds none."""


def tool_version() -> str:
    """Return the version of this tool."""
    try:
        return metadata.version("backend-retrofit")
    except metadata.PackageNotFoundError:
        return "unknown"


def facts_of(run: Run, written: bool) -> Facts:
    """Return what a run found and did.

    Line numbers are those of the files on disk: after a run that wrote, those of the changed file.

    Args:
        written: the changes were written; otherwise they would be.
    """
    return {
        "version": FORMAT_VERSION,
        "tool": {"name": "add-queue-backoff", "version": tool_version()},
        "written": written,
        "summary": summary(run),
        "lines": added_lines(run.plans),
        "statistics": statistics(run),
        "files": [file_facts(plan, written) for plan in run.plans],
        "notes": [redact(note) for note in run.notes],
        "warnings": [redact(warning) for warning in run.warnings],
        "for_callers": run.for_callers,
    }


def summary(run: Run) -> dict[str, int]:
    """Return the numbers of a run."""
    decisions = Counter(site.decision for plan in run.plans for site in plan.sites)
    states = Counter(state(plan, True) for plan in run.plans)
    return {
        "files": len(run.plans),
        "changed": states["changed"],
        "added": states["added"],
        "removed": states["removed"],
        "left_alone": sum(bool(plan.problems) for plan in run.plans),
        "classes": sum(len(plan.classes) for plan in run.plans),
        **{decision.value.replace(" ", "_"): decisions[decision] for decision in Decision},
    }


def statistics(run: Run) -> list[Count]:
    """Return how often each thing was decided, by reason."""
    told = [(site.decision.value, redact(site.reason)) for plan in run.plans for site in plan.sites]
    told += [("left alone", redact(problem.reason)) for plan in run.plans for problem in plan.problems[:1]]
    told += [
        ("block skipped", redact(f"{block.block}: {block.reason}"))
        for plan in run.plans
        for cls in plan.classes
        for block in cls.blocks
        if block.change == "skipped"
    ]
    return counted(told)


def state(plan: FilePlan, written: bool) -> str:
    """Return in a word or two what became of a file."""
    if plan.problems:
        return "left alone"
    if not plan.changed:
        return "unchanged"
    if not plan.before:
        return "added" if written else "would be added"
    if not plan.after and plan.is_runtime:
        return "removed" if written else "would be removed"
    return "changed" if written else "would change"


def file_facts(plan: FilePlan, written: bool) -> FileFacts:
    """Return the facts of one file."""
    touched = changed_lines(plan)
    old = plan.before if plan.made_from is None else plan.made_from
    now = plan.after if written and not plan.problems else plan.before
    moved = line_map(old, now) if now and now != old else {}
    return {
        "path": shown_path(plan.path),
        "state": state(plan, written),
        "changed": plan.changed,
        "is_runtime": plan.is_runtime,
        "problems": [
            {
                "line": problem.line,
                "reason": redact(problem.reason),
                "state": problem.state.value if problem.state else "",
                "accepted": False,
            }
            for problem in plan.problems
        ],
        "classes": [_class(cls, moved, "added" if plan.changed else "kept") for cls in plan.classes],
        "sites": [
            {
                "line": moved.get(site.line, site.line),
                "column": site.column,
                "scope": site.scope,
                "callee": redact(site.callee),
                "library": site.library,
                "decision": site.decision.value,
                "reason": redact(site.reason),
                "of_module": site.of_module,
                "changed": site.line in touched,
                "accepted": False,
            }
            for site in plan.sites
        ],
    }


def _class(cls: ClassPlan, moved: dict[int, int], added: str) -> ClassFacts:
    # What is regenerated from a plain backend, and is there already, was not added by this run.
    return {
        "name": cls.name,
        "line": moved.get(cls.line, cls.line),
        "notes": [redact(note) for note in cls.notes],
        "blocks": [
            {
                "block": block.block,
                "line": moved.get(block.line, block.line),
                "change": added if block.change == "added" else block.change,
                "reason": redact(block.reason),
                "state": block.state.value,
            }
            for block in cls.blocks
        ],
        "key_variables": list(cls.key_variables),
    }


def json_report(facts: Facts) -> str:
    """Return what `--format json` prints: the facts, with the files of the runtime apart from those that somebody wrote."""
    files = [file for file in facts["files"] if not file["is_runtime"]]
    runtime_files = [file for file in facts["files"] if file["is_runtime"]]
    return as_json({**facts, "files": files, "runtime_files": runtime_files})


def as_json(data: Any) -> str:
    """Return facts, or what is made from them, as JSON. All that is not ASCII is escaped in it.

    A byte of a name that is not UTF-8 is shown as that byte: half a surrogate pair is no text to other readers (RFC 8259 §8.2).
    """
    return json.dumps(_encodable(data), indent=2)


def _encodable(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _encodable(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_encodable(item) for item in data]
    if isinstance(data, str) and not data.isascii():
        return _SURROGATE.sub(lambda match: visible_name(match[0]), data)
    return data


def is_pending(site: SiteFacts, written: bool) -> bool:
    """Return True if the call is one that a run which writes would wrap, or unwrap."""
    return site["changed"] and not written and site["decision"] != Decision.SKIPPED.value


def site_message(site: SiteFacts, written: bool) -> str:
    """Return a sentence that says what was decided about a call."""
    what = f"{site['callee']} in {site['scope']}"
    if is_pending(site, written):
        unwrapped = site["decision"] == Decision.UNWRAPPED.value
        what += f" is to be {'unwrapped' if unwrapped else 'wrapped'}"
    else:
        what += f" is {site['decision']}"
    return f"{what}: {site['reason']}" if site["reason"] else what
